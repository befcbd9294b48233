//! The sections `facts`, `rules` and `bodies`.

pub(in crate::config) mod fields;
mod meaning;
mod names;
pub(in crate::config) mod shape;

pub(in crate::config) use meaning::build;
pub(in crate::config) use names::{Names, check_gauge};
