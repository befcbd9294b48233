//! Properties: what the proxy knows of a stream, by path, in Envoy's encodings.
//!
//! Numbers are 8 bytes little-endian, booleans one byte, times and durations nanoseconds, strings as they are. Which headers a
//! `request.…` or `response.…` property sees follows the header maps: none of the request's in the response's callbacks, both
//! in the log phase.

mod connections;

use std::collections::HashMap;
use std::net::SocketAddr;

use wasmtime::Linker;

use super::general::grpc_status_of;
use super::{Answer, Fail, Guest, Hostcall, enter, provide};
use crate::HeaderMap;
use crate::abi::{MapType, Status};
use crate::header_map::encode_pairs;
use crate::vm::memory::{GuestMemory, give_scratch};
use crate::vm::state::{HostState, Stream};

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide!(linker, "env", GetProperty, get, (path: u32, path_size: u32, value: u32, size: u32));
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
fn looked_through(state: &HostState) -> u64 {
    let of_stream = |stream: &Stream| {
        let lines: usize = stream.maps.iter().map(|slot| slot.map.len()).sum();
        (lines + stream.filter_state.len()) as u64
    };
    state.stream().map_or(0, of_stream)
}

/// The most that one stream's filter state may take.
const MAX_FILTER_STATE: usize = 16 << 20;

/// Filter state `wasm.<path>`; a property of the proxy's own stays what it is.
fn set(guest: &mut Guest<'_>, path: u32, path_size: u32, value: u32, size: u32) -> Answer {
    let mut memory = GuestMemory::of(guest)?;
    let (path, value, state) = memory.read_two((path, path_size), (value, size))?;
    let there = state.filter_state_mut().ok_or(Status::NotFound)?.len();
    state.afford(there as u64);
    let filter_state = state.filter_state_mut().ok_or(Status::NotFound)?;
    let taken: usize = filter_state.iter().map(|(name, value)| name.len() + value.len()).sum();
    if taken + path.len() + value.len() > MAX_FILTER_STATE {
        return Err(Status::InternalFailure.into());
    }
    let same = |name: &str| name.strip_prefix("wasm.").is_some_and(|name| name.as_bytes() == path);
    if let Some((_, old)) = filter_state.iter_mut().find(|(name, _)| same(name)) {
        old.clear();
        old.extend_from_slice(value);
    } else {
        let name = format!("wasm.{}", String::from_utf8_lossy(path));
        filter_state.push((name, value.to_vec()));
    }
    Ok(())
}

/// Finds a property and writes its encoding.
fn lookup(state: &HostState, path: &[u8], out: &mut Vec<u8>) -> Answer {
    if path.is_empty() {
        return Err(Status::SerializationFailure.into());
    }
    let (stream, connection) = (state.stream(), state.connection());
    let of_stream = stream.map(|stream| &stream.facts.properties);
    let given = of_stream.or_else(|| connection.map(|connection| &connection.facts.properties));
    // A closing zero byte is allowed.
    let trimmed = path.strip_suffix(b"\0").unwrap_or(path);
    if let Some((_, value)) = given.and_then(|given| given.iter().find(|(known, _)| known.as_bytes() == trimmed)) {
        out.extend_from_slice(value);
        return Ok(());
    }
    let mut parts = trimmed.split(|byte| *byte == 0);
    let top = parts.next().unwrap_or_default();
    let field = parts.next();
    let rest = parts.next();
    if rest.is_some() && !(field == Some(b"headers") || field == Some(b"trailers")) {
        return Err(Status::NotFound.into());
    }
    let plugin = state.context_plugin();
    let name = match top {
        b"plugin_name" => Some(plugin.name.as_bytes()),
        b"plugin_root_id" => Some(plugin.root_id.as_bytes()),
        b"plugin_vm_id" => Some(state.plugin.vm_id.as_bytes()),
        _ => None,
    };
    if let Some(name) = name {
        return if field.is_none() { bytes(out, name) } else { Err(Status::NotFound.into()) };
    }
    if let Some(connection) = connection {
        // Of a header there is none.
        return if rest.is_none() {
            connections::lookup(connection, top, field, out)
        } else {
            Err(Status::NotFound.into())
        };
    }
    let stream = stream.ok_or(Status::NotFound)?;
    let Some(field) = field else {
        return match top {
            b"request" | b"response" | b"connection" | b"source" | b"destination" | b"upstream" | b"filter_state"
            | b"xds" => Err(Status::SerializationFailure.into()),
            b"connection_id" => number(out, stream.facts.connection_id),
            // No filter sets dynamic metadata here: an empty message.
            b"metadata" => Ok(()),
            name => filter_state(&stream.filter_state, name, out),
        };
    };
    match top {
        b"request" => request(state, stream, field, rest, out),
        b"response" => response(stream, field, rest, out),
        b"connection" => match field {
            b"id" => number(out, stream.facts.connection_id),
            b"mtls" => bytes(out, &[u8::from(stream.facts.mtls)]),
            b"requested_server_name" => Ok(()),
            _ => Err(Status::NotFound.into()),
        },
        b"source" => address(stream.facts.source, field, out),
        b"destination" => address(stream.facts.destination, field, out),
        b"upstream" => address(stream.end.as_ref().and_then(|end| end.upstream), field, out),
        b"filter_state" => {
            let name = field.strip_prefix(b"wasm.").ok_or(Status::NotFound)?;
            filter_state(&stream.filter_state, name, out)
        }
        _ => Err(Status::NotFound.into()),
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) -> Answer {
    out.extend_from_slice(value);
    Ok(())
}

fn number(out: &mut Vec<u8>, value: u64) -> Answer {
    bytes(out, &value.to_le_bytes())
}

fn filter_state(state: &[(String, Vec<u8>)], name: &[u8], out: &mut Vec<u8>) -> Answer {
    let same = |known: &str| known.strip_prefix("wasm.").is_some_and(|known| known.as_bytes() == name);
    let (_, value) = state.iter().find(|(known, _)| same(known)).ok_or(Status::NotFound)?;
    bytes(out, value)
}

fn address(address: Option<SocketAddr>, field: &[u8], out: &mut Vec<u8>) -> Answer {
    let address = address.ok_or(Status::NotFound)?;
    match field {
        b"address" => bytes(out, address.to_string().as_bytes()),
        b"port" => number(out, address.port().into()),
        _ => Err(Status::NotFound.into()),
    }
}

fn request(state: &HostState, stream: &Stream, field: &[u8], header: Option<&[u8]>, out: &mut Vec<u8>) -> Answer {
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
        _ => {}
    }
    let headers = headers.ok_or(Status::NotFound)?;
    let name = match field {
        b"headers" => return header_property(headers, header, out),
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

fn response(stream: &Stream, field: &[u8], header: Option<&[u8]>, out: &mut Vec<u8>) -> Answer {
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
        b"headers" => header_property(headers.ok_or(Status::NotFound)?, header, out),
        b"trailers" => header_property(trailers.ok_or(Status::NotFound)?, header, out),
        _ => Err(Status::NotFound.into()),
    }
}

/// One header's values joined by commas, or all headers as pairs.
fn header_property(map: &HeaderMap, name: Option<&[u8]>, out: &mut Vec<u8>) -> Answer {
    if let Some(name) = name {
        if map.get(name).is_none() {
            return Err(Fail::from(Status::NotFound));
        }
        for (index, value) in map.get_all(name).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(value);
        }
        return Ok(());
    }
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
