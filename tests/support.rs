//! What the tests share: the built module, proxies, an upstream, traffic with a ledger, hostile requests.

pub(crate) mod counters;
pub(crate) mod golden;
pub(crate) mod hostile;
pub(crate) mod mortal;
pub(crate) mod npm;
pub(crate) mod proxy;
pub(crate) mod traffic;
pub(crate) mod upstream;
