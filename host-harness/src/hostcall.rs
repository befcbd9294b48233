//! Names.
pub(crate) const COUNT: usize = 1;
pub(crate) const NAMES: [&str; COUNT] = ["proxy_log"];
