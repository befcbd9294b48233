//! Properties: what the proxy knows of a stream, by path, in Envoy's encodings.
//!
//! Numbers are 8 bytes little-endian, booleans one byte, times and durations nanoseconds, strings as they are. Which headers a
//! `request.…` or `response.…` property sees follows the header maps: none of the request's in the response's callbacks, both
//! in the log phase.

mod connections;
mod path;
mod upstream;
mod xds;

use std::collections::HashMap;
use std::net::SocketAddr;

use path::Path;
use wasmtime::Linker;
use xds::Way;

use super::general::grpc_status_of;
use super::{Answer, Guest, Hostcall, provide, provide_reentrant};
use crate::abi::{MapType, Status};
use crate::header_map::encode_pairs;
use crate::vm::filter_state::Prototype;
use crate::vm::memory::{GuestMemory, give_scratch};
use crate::vm::state::{HostState, Stream};
use crate::{HeaderMap, UpstreamFacts};

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide_reentrant!(linker, "env", GetProperty, get, (path: u32, path_size: u32, value: u32, size: u32));
    provide!(linker, "env", SetProperty, set, (path: u32, path_size: u32, value: u32, size: u32));
    Ok(())
}

fn get(guest: &mut Guest<'_>, path: u32, path_size: u32, value: u32, size: u32) -> Answer {
    let mut memory = GuestMemory::of(guest)?;
    let (path, state) = memory.read_with(path, path_size)?;
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    state.afford(looked_through(state));
    let found = lookup(state, path, &mut out);
    state.scratch = out;
    found?;
    give_scratch(guest, value, size)
}

/// The work to find something among a stream's headers and filter state, at most.
pub(super) fn looked_through(state: &HostState) -> u64 {
    let of_stream = |stream: &Stream| {
        let lines: usize = stream.maps.iter().map(|slot| slot.map.len()).sum();
        (lines + stream.filter_state.len()) as u64
    };
    state.stream().map_or(0, of_stream)
}

/// Filter state `wasm.<path>`; a property of the proxy's own stays what it is.
fn set(memory: &mut GuestMemory<'_>, path: u32, path_size: u32, value: u32, size: u32) -> Answer {
    let (path, value, state) = memory.read_two((path, path_size), (value, size))?;
    let root = state.root(state.root_id());
    let declared = root.map_or_else(Prototype::undeclared, |root| root.declared.find(path));
    let filter_state = state.filter_state_mut().ok_or(Status::NotFound)?;
    Ok(filter_state.set_property(path, value, declared)?)
}

/// Finds a property and writes its encoding.
pub(super) fn lookup(state: &HostState, path: &[u8], out: &mut Vec<u8>) -> Answer {
    if path.is_empty() {
        return Err(Status::SerializationFailure.into());
    }
    let (stream, connection) = (state.stream(), state.connection());
    let of_stream = stream.map(|stream| &stream.facts.properties);
    let given = of_stream.or_else(|| connection.map(|connection| &connection.facts.properties));
    let trimmed = path.strip_suffix(b"\0").unwrap_or(path);
    if let Some((_, value)) = given.and_then(|given| given.iter().find(|(known, _)| known.as_bytes() == trimmed)) {
        out.extend_from_slice(value);
        return Ok(());
    }
    let mut parts = path::parts(path);
    let top = parts.next().unwrap_or_default();
    let plugin = state.context_plugin();
    let name = match top {
        b"plugin_name" => Some(plugin.name.as_bytes()),
        b"plugin_root_id" => Some(plugin.root_id.as_bytes()),
        b"plugin_vm_id" => Some(state.plugin.vm_id.as_bytes()),
        _ => None,
    };
    if let Some(name) = name {
        return path::end(parts).and_then(|()| bytes(out, name));
    }
    if top == b"xds" {
        let way = match (stream, connection) {
            (Some(stream), _) => stream_way(stream),
            (None, Some(connection)) => connections::way(connection),
            (None, None) => Way::default(),
        };
        let field = parts.next().ok_or(Status::SerializationFailure)?;
        return xds::lookup(&state.shared.options.xds, way, field, parts, out);
    }
    match (stream, connection) {
        (Some(stream), _) => of_a_stream(state, stream, top, parts, out),
        (None, Some(connection)) => connections::lookup(connection, top, parts, out),
        (None, None) => Err(Status::NotFound.into()),
    }
}

/// Finds a property that streams have.
fn of_a_stream(state: &HostState, stream: &Stream, top: &[u8], mut rest: Path<'_>, out: &mut Vec<u8>) -> Answer {
    if top == b"metadata" {
        // No filter sets dynamic metadata here.
        return xds::metadata(rest, out);
    }
    let Some(field) = rest.next() else {
        return match top {
            b"request" | b"response" | b"connection" | b"source" | b"destination" | b"upstream" | b"filter_state" => {
                Err(Status::SerializationFailure.into())
            }
            b"upstream_filter_state" if stream.upstream.as_ref().is_some_and(UpstreamFacts::is_connected) => {
                Err(Status::SerializationFailure.into())
            }
            b"connection_id" => number(out, stream.facts.connection_id),
            name => Ok(stream.filter_state.property(name, out)?),
        };
    };
    if let (b"request" | b"response", b"headers" | b"trailers") = (top, field) {
        let map = match (top, field) {
            (b"request", b"headers") => MapType::RequestHeaders,
            (b"response", b"headers") => MapType::ResponseHeaders,
            (b"response", _) => MapType::ResponseTrailers,
            _ => return Err(Status::NotFound.into()),
        };
        return header_property(stream.readable(map), rest, out);
    }
    if top == b"filter_state" {
        let below = rest.next();
        path::end(rest)?;
        return Ok(stream.filter_state.entry(field, below, out)?);
    }
    path::end(rest)?;
    match top {
        b"request" => request(state, stream, field, out),
        b"response" => response(stream, field, out),
        b"connection" => match field {
            b"id" => number(out, stream.facts.connection_id),
            b"mtls" => bytes(out, &[u8::from(stream.facts.mtls)]),
            b"requested_server_name" => Ok(()),
            _ => Err(Status::NotFound.into()),
        },
        b"source" => address(stream.facts.source, field, out),
        b"destination" => address(stream.facts.destination, field, out),
        b"upstream" => upstream::lookup(stream.upstream.as_ref(), stream_way(stream).cluster, field, out),
        _ => Err(Status::NotFound.into()),
    }
}

/// A request has its route, and with that its cluster, when filters first see it.
fn stream_way(stream: &Stream) -> Way {
    let host = stream.upstream.as_ref().is_some_and(|upstream| upstream.address.is_some());
    Way { listener: true, route: stream.started, cluster: stream.started, host }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) -> Answer {
    out.extend_from_slice(value);
    Ok(())
}

fn number(out: &mut Vec<u8>, value: u64) -> Answer {
    bytes(out, &value.to_le_bytes())
}

/// A map of nothing.
fn no_pairs(out: &mut Vec<u8>) -> Answer {
    bytes(out, &[0; 4])
}

fn address(address: Option<SocketAddr>, field: &[u8], out: &mut Vec<u8>) -> Answer {
    let address = address.ok_or(Status::NotFound)?;
    match field {
        b"address" => bytes(out, address.to_string().as_bytes()),
        b"port" => number(out, address.port().into()),
        _ => Err(Status::NotFound.into()),
    }
}

fn request(state: &HostState, stream: &Stream, field: &[u8], out: &mut Vec<u8>) -> Answer {
    let end = stream.end.as_ref();
    match field {
        b"time" => return number(out, stream.facts.start_ns),
        b"protocol" => {
            let protocol = stream.facts.protocol;
            return if protocol.is_empty() { Err(Status::NotFound.into()) } else { bytes(out, protocol.as_bytes()) };
        }
        b"duration" => {
            let end = end.ok_or(Status::NotFound)?;
            let measured = || state.shared.clock().now_ns().saturating_sub(stream.facts.start_ns);
            return number(out, end.duration_ns.unwrap_or_else(measured));
        }
        _ => {}
    }
    let received = end.map_or(stream.received[0], |end| end.request_size);
    let headers = stream.readable(MapType::RequestHeaders);
    match field {
        b"size" => {
            let stated = headers.and_then(|headers| headers.get("content-length"));
            let stated = stated.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            return number(out, stated.unwrap_or(received));
        }
        b"total_size" => {
            return number(out, received + headers.map_or(0, |headers| headers.byte_size() as u64));
        }
        b"headers_bytes" => return number(out, headers.map_or(0, HeaderMap::byte_size) as u64),
        _ => {}
    }
    let headers = headers.ok_or(Status::NotFound)?;
    let name = match field {
        b"path" | b"url_path" | b"query" => ":path",
        b"host" => ":authority",
        b"scheme" => ":scheme",
        b"method" => ":method",
        b"id" => "x-request-id",
        b"referer" => "referer",
        b"useragent" => "user-agent",
        _ => return Err(Status::NotFound.into()),
    };
    let value = headers.get(name).ok_or(Status::NotFound)?;
    let question = value.iter().position(|byte| *byte == b'?');
    let (path, query) = match question {
        Some(at) => (value.get(..at), value.get(at + 1..)),
        None => (Some(value), None),
    };
    match field {
        b"url_path" => bytes(out, path.unwrap_or_default()),
        b"query" => bytes(out, query.unwrap_or_default()),
        _ => bytes(out, value),
    }
}

fn response(stream: &Stream, field: &[u8], out: &mut Vec<u8>) -> Answer {
    let end = stream.end.as_ref();
    let headers = stream.readable(MapType::ResponseHeaders);
    let trailers = stream.readable(MapType::ResponseTrailers);
    let code = match end {
        Some(end) => end.code,
        None => stream.code,
    };
    match field {
        b"code" => number(out, code.ok_or(Status::NotFound)?.into()),
        b"code_details" => {
            let details = match end {
                Some(end) => Some(end.details.as_str()),
                None => stream.details.as_deref(),
            };
            bytes(out, details.ok_or(Status::NotFound)?.as_bytes())
        }
        b"flags" => number(out, end.map_or(0, |end| end.flags)),
        b"size" => number(out, end.map_or(stream.received[1], |end| end.response_size)),
        b"total_size" => {
            let headers = headers.map_or(0, HeaderMap::byte_size) + trailers.map_or(0, HeaderMap::byte_size);
            number(out, end.map_or(0, |end| end.response_size) + headers as u64)
        }
        b"grpc_status" => {
            let stated = [trailers, headers].into_iter().flatten().find_map(|map| map.get("grpc-status"));
            let stated = stated.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            match (stated, code) {
                (Some(status), _) => number(out, status),
                // Not a gRPC response: Envoy makes a status up from the HTTP one.
                (None, Some(code)) => number(out, grpc_status_of(code.into()).into()),
                (None, None) => Err(Status::NotFound.into()),
            }
        }
        b"headers_bytes" => number(out, headers.map_or(0, HeaderMap::byte_size) as u64),
        b"backend_latency" => number(out, stream.backend_latency_ns().ok_or(Status::NotFound)?),
        _ => Err(Status::NotFound.into()),
    }
}

/// One header's values joined by commas, or all headers as pairs. Where there is no map, one of nothing.
fn header_property(map: Option<&HeaderMap>, mut rest: Path<'_>, out: &mut Vec<u8>) -> Answer {
    let name = rest.next();
    path::end(rest)?;
    if let Some(name) = name {
        let map = map.filter(|map| map.get(name).is_some()).ok_or(Status::NotFound)?;
        for (index, value) in map.get_all(name).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(value);
        }
        return Ok(());
    }
    let Some(map) = map else { return no_pairs(out) };
    let mut pairs: Vec<(&[u8], Vec<u8>)> = Vec::new();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    for (name, value) in map.iter() {
        let place = *places.entry(name).or_insert(pairs.len());
        match pairs.get_mut(place) {
            Some((_, values)) => {
                values.push(b',');
                values.extend_from_slice(value);
            }
            None => pairs.push((name, value.to_vec())),
        }
    }
    encode_pairs(pairs.iter().map(|(name, value)| (*name, value.as_slice())), out);
    Ok(())
}
