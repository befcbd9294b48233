//! What the tests share: the built module, proxies, an upstream, traffic with a ledger, hostile requests.

pub mod counters;
pub mod hostile;
pub mod proxy;
pub mod traffic;
pub mod upstream;
