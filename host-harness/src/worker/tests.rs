//! What hostcalls answer in each callback, and what they do to the stream.

mod lifecycle;
mod robustness;
mod statuses;
mod streams;
