//! Properties of a TCP connection. Those of requests and responses are there as far as they are about bytes, as in Envoy.

use super::{address, bytes, filter_state, number};
use crate::abi::Status;
use crate::hostcall::Answer;
use crate::vm::state::Connection;

/// Finds a property by its path's first two parts and writes its encoding.
pub(super) fn lookup(connection: &Connection, top: &[u8], field: Option<&[u8]>, out: &mut Vec<u8>) -> Answer {
    let facts = &connection.facts;
    let Some(field) = field else {
        return match top {
            b"request" | b"response" | b"connection" | b"source" | b"destination" | b"upstream" | b"filter_state"
            | b"xds" => Err(Status::SerializationFailure.into()),
            b"connection_id" => number(out, facts.id),
            b"metadata" => Ok(()),
            name => filter_state(&connection.filter_state, name, out),
        };
    };
    match (top, field) {
        (b"request", b"time") => number(out, facts.start_ns),
        (b"request", b"size" | b"total_size") => number(out, connection.received),
        (b"response", b"size" | b"total_size") => number(out, connection.sent),
        (b"response", b"flags") => number(out, 0),
        // A map of nothing.
        (b"request" | b"response", b"headers") => bytes(out, &[0; 4]),
        (b"connection", b"id") => number(out, facts.id),
        (b"connection", b"mtls") => bytes(out, &[u8::from(facts.mtls)]),
        (b"connection", b"requested_server_name") | (b"upstream", b"transport_failure_reason") => Ok(()),
        (b"upstream", b"request_attempt_count") => number(out, facts.upstream.is_some().into()),
        (b"source", field) => address(facts.source, field, out),
        (b"destination", field) => address(facts.destination, field, out),
        (b"upstream", field) => address(facts.upstream, field, out),
        (b"filter_state", field) => {
            let name = field.strip_prefix(b"wasm.").ok_or(Status::NotFound)?;
            filter_state(&connection.filter_state, name, out)
        }
        _ => Err(Status::NotFound.into()),
    }
}
