//! What hostcalls answer in each callback, and what they do to the stream.

mod callouts;
mod lifecycle;
mod queues;
mod robustness;
mod statuses;
mod streams;
