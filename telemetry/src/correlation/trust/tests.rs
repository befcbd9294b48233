//! Networks and senders.
