//! What hostcalls answer in each callback, and what they do to the stream.

mod bounds;
mod callouts;
mod capabilities;
mod conformance;
mod connections;
mod filter_state;
mod foreign;
mod grpc;
mod lifecycle;
mod old_abi;
mod properties;
mod queues;
mod reload;
mod robustness;
mod statuses;
mod streams;
