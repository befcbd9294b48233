//! HTTP callouts. The answer comes later, in `proxy_on_http_call_response` of the root context.

use std::time::Duration;

use wasmtime::Linker;

use super::{Answer, Hostcall, provide};
use crate::abi::Status;
use crate::vm::memory::GuestMemory;
use crate::vm::state::{HostState, Pending};
use crate::{Callout, CalloutId, HeaderMap};

/// The most callouts of one VM that wait for an answer: Envoy's default bound on the requests of a cluster.
const MAX_PENDING: usize = 1024;
/// The most bytes of these; Envoy has no bound, a host that a module must not grow has.
const MAX_BYTES: usize = 64 << 20;

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide!(linker, "env", HttpCall, http_call, (
        cluster: u32, cluster_size: u32, headers: u32, headers_size: u32, body: u32, body_size: u32,
        trailers: u32, trailers_size: u32, timeout: u32, id: u32
    ));
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the ABI's own")]
fn http_call(
    memory: &mut GuestMemory<'_>,
    cluster: u32,
    cluster_size: u32,
    headers: u32,
    headers_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout_ms: u32,
    id: u32,
) -> Answer {
    let (cluster, headers, _) = memory.read_two((cluster, cluster_size), (headers, headers_size))?;
    let cluster = cluster.to_vec();
    let mut headers = HeaderMap::decode_pairs(headers);
    for name in [":authority", ":method", ":path", ":scheme"] {
        let values: Vec<&[u8]> = headers.get_all(name).collect();
        if values.len() > 1 {
            let joined = values.join(&b',');
            headers.set(name, joined);
        }
    }
    let (body, trailers, _) = memory.read_two((body, body_size), (trailers, trailers_size))?;
    let (body, trailers) = (body.to_vec(), HeaderMap::decode_pairs(trailers));
    // As Envoy does: the place is tried first, and says 0 when the call fails.
    memory.write_u32(id, 0)?;

    if timeout_ms.cast_signed() < 0 {
        return Err(Status::BadArgument.into());
    }
    // One name of the same in Envoy.
    if let Some(host) = headers.get("host").map(<[u8]>::to_vec)
        && headers.get(":authority").is_none()
    {
        headers.remove("host");
        headers.add(":authority", host);
    }
    let clusters = &memory.state.shared.options.clusters;
    let cluster = clusters.iter().find(|known| known.name.as_bytes() == cluster).ok_or(Status::BadArgument)?.clone();
    if [":path", ":method", ":authority"].iter().any(|name| headers.get(name).is_none()) {
        return Err(Status::BadArgument.into());
    }
    let calls = &mut memory.state.calls;
    // Envoy counts the call before it fails.
    calls.last = calls.last.wrapping_add(1) & (u32::MAX >> 2);
    let token = calls.last << 2;
    let bytes = headers.byte_size() + body.len() + trailers.byte_size();
    let waiting: usize = calls.pending.values().map(|pending| pending.bytes).sum();
    let full = calls.pending.len() >= MAX_PENDING || waiting + bytes > MAX_BYTES;
    if !cluster.has_endpoint || full || calls.pending.contains_key(&token) {
        return Err(Status::InternalFailure.into());
    }
    if !body.is_empty() {
        headers.set("content-length", body.len().to_string());
    }
    let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
    let root = memory.state.root_id();
    let calls = &mut memory.state.calls;
    calls.pending.insert(token, Pending { root, bytes });
    let id_of = CalloutId { generation: calls.generation, token };
    calls.made.push(Callout { id: id_of, cluster: cluster.name, headers, body, trailers, timeout });
    memory.write_u32(id, token)
}
