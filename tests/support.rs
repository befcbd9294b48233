//! What the tests share: the built module, an upstream, traffic with a ledger, hostile requests.

pub mod hostile;
pub mod traffic;
pub mod upstream;
