//! What hostcalls answer in each callback, and what they do to the stream.

mod bounds;
mod callouts;
mod capabilities;
mod conformance;
mod connections;
mod foreign;
mod grpc;
mod lifecycle;
mod old_abi;
mod queues;
mod reload;
mod robustness;
mod statuses;
mod streams;
