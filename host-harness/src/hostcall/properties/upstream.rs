//! Properties of the upstream, `upstream.…`.

use super::{address, bytes, number};
use crate::UpstreamFacts;
use crate::abi::Status;
use crate::hostcall::Answer;

/// Finds a property of where a stream or a connection goes, of which nothing is known before it goes there.
pub(super) fn lookup(upstream: Option<&UpstreamFacts>, has_cluster: bool, field: &[u8], out: &mut Vec<u8>) -> Answer {
    match field {
        b"request_attempt_count" => return number(out, upstream.is_some().into()),
        b"num_endpoints" if has_cluster => return number(out, 1),
        _ => {}
    }
    let upstream = upstream.ok_or(Status::NotFound)?;
    match field {
        b"local_address" => address(upstream.local_address, b"address", out),
        // An empty message.
        b"locality" if upstream.address.is_some() => Ok(()),
        b"transport_failure_reason" => bytes(out, upstream.transport_failure_reason.as_bytes()),
        b"cx_pool_ready_duration" => number(out, upstream.pool_ready_ns.ok_or(Status::NotFound)?),
        field => address(upstream.address, field, out),
    }
}
