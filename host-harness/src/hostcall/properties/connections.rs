//! Properties of a TCP connection. Those of requests and responses are there as far as they are about bytes, as in Envoy.

use super::path::{self, Path};
use super::xds::{self, Way};
use super::{address, bytes, no_pairs, number, upstream};
use crate::UpstreamFacts;
use crate::abi::Status;
use crate::hostcall::Answer;
use crate::vm::state::Connection;

/// A connection has no route, and its cluster with its server.
pub(super) fn way(connection: &Connection) -> Way {
    let server = connection.facts.upstream.is_some();
    Way { listener: true, route: false, cluster: server, host: server }
}

/// Finds a property of a connection and writes its encoding.
pub(super) fn lookup(connection: &Connection, top: &[u8], mut rest: Path<'_>, out: &mut Vec<u8>) -> Answer {
    let facts = &connection.facts;
    if top == b"metadata" {
        return xds::metadata(rest, out);
    }
    let Some(field) = rest.next() else {
        return match top {
            b"request" | b"response" | b"connection" | b"source" | b"destination" | b"upstream" | b"filter_state" => {
                Err(Status::SerializationFailure.into())
            }
            b"upstream_filter_state" if facts.upstream.as_ref().is_some_and(UpstreamFacts::is_connected) => {
                Err(Status::SerializationFailure.into())
            }
            b"connection_id" => number(out, facts.id),
            name => Ok(connection.filter_state.property(name, out)?),
        };
    };
    if top == b"filter_state" {
        let below = rest.next();
        path::end(rest)?;
        return Ok(connection.filter_state.entry(field, below, out)?);
    }
    // Of a header there is none.
    path::end(rest)?;
    match (top, field) {
        (b"request", b"time") => number(out, facts.start_ns),
        (b"request", b"size" | b"total_size") => number(out, connection.received),
        (b"response", b"size" | b"total_size") => number(out, connection.sent),
        (b"response", b"flags") | (b"request" | b"response", b"headers_bytes") => number(out, 0),
        (b"request", b"headers") | (b"response", b"headers" | b"trailers") => no_pairs(out),
        (b"connection", b"id") => number(out, facts.id),
        (b"connection", b"mtls") => bytes(out, &[u8::from(facts.mtls)]),
        (b"connection", b"requested_server_name") => Ok(()),
        (b"upstream", b"transport_failure_reason") if facts.upstream.is_none() => Ok(()),
        (b"source", field) => address(facts.source, field, out),
        (b"destination", field) => address(facts.destination, field, out),
        (b"upstream", field) => upstream::lookup(facts.upstream.as_ref(), facts.upstream.is_some(), field, out),
        _ => Err(Status::NotFound.into()),
    }
}
