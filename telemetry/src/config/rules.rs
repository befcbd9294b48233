//! The sections `facts`, `rules` and `bodies`.

pub(in crate::config) mod fields;
mod meaning;
pub(in crate::config) mod shape;

pub(in crate::config) use meaning::build;
