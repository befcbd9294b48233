//! gRPC callouts. What comes back is told later, in `proxy_on_grpc_…` of the root context.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use wasmtime::{AsContextMut as _, Linker};

use super::{Answer, Fail, Guest, Hostcall, provide, provide_reentrant};
use crate::abi::Status;
use crate::grpc::response::{Response, Told};
use crate::grpc::service::{Service, ServiceError};
use crate::trace::Event;
use crate::vm::grpc::{Callout, Failed, is_stream};
use crate::vm::memory::GuestMemory;
use crate::vm::state::HostState;
use crate::{GrpcCallout, GrpcCommand, GrpcEvent, GrpcReset, HeaderMap};

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide_reentrant!(linker, "env", GrpcCall, grpc_call, (
        service: u32, service_size: u32, name: u32, name_size: u32, method: u32, method_size: u32,
        metadata: u32, metadata_size: u32, message: u32, message_size: u32, timeout: u32, id: u32
    ));
    provide_reentrant!(linker, "env", GrpcStream, grpc_stream, (
        service: u32, service_size: u32, name: u32, name_size: u32, method: u32, method_size: u32,
        metadata: u32, metadata_size: u32, id: u32
    ));
    provide!(linker, "env", GrpcSend, grpc_send, (id: u32, message: u32, message_size: u32, end: u32));
    provide!(linker, "env", GrpcCancel, grpc_cancel, (id: u32));
    provide!(linker, "env", GrpcClose, grpc_close, (id: u32));
    Ok(())
}

/// The gRPC status of a callout that comes to nothing.
const UNAVAILABLE: u32 = 14;
/// The longest message from an upstream where the service sets no bound; Envoy has none then.
const MAX_MESSAGE: usize = 32 << 20;

/// What a callout is opened with.
struct Opening {
    service: Vec<u8>,
    name: Vec<u8>,
    method: Vec<u8>,
    metadata: HeaderMap,
}

/// Pointer and length of bytes.
type Range = (u32, u32);

impl Opening {
    fn read(memory: &mut GuestMemory<'_>, [service, name, method, metadata]: [Range; 4]) -> Result<Self, Fail> {
        let (service, name, _) = memory.read_two(service, name)?;
        let (service, name) = (service.to_vec(), name.to_vec());
        let (method, metadata, _) = memory.read_two(method, metadata)?;
        Ok(Self { service, name, method: method.to_vec(), metadata: HeaderMap::decode_pairs(metadata) })
    }
}

#[allow(clippy::too_many_arguments, reason = "the ABI's own")]
fn grpc_call(
    guest: &mut Guest<'_>,
    service: u32,
    service_size: u32,
    name: u32,
    name_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    message: u32,
    message_size: u32,
    timeout_ms: u32,
    id: u32,
) -> Answer {
    let mut memory = GuestMemory::of(guest)?;
    let ranges = [(service, service_size), (name, name_size), (method, method_size), (metadata, metadata_size)];
    let opening = Opening::read(&mut memory, ranges)?;
    let message = memory.read_with(message, message_size)?.0.to_vec();
    let token = open(guest, opening, Some((&message, timeout_ms)))?;
    GuestMemory::of(guest)?.write_u32(id, token)
}

#[allow(clippy::too_many_arguments, reason = "the ABI's own")]
fn grpc_stream(
    guest: &mut Guest<'_>,
    service: u32,
    service_size: u32,
    name: u32,
    name_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    id: u32,
) -> Answer {
    let mut memory = GuestMemory::of(guest)?;
    let ranges = [(service, service_size), (name, name_size), (method, method_size), (metadata, metadata_size)];
    let opening = Opening::read(&mut memory, ranges)?;
    let token = open(guest, opening, None)?;
    GuestMemory::of(guest)?.write_u32(id, token)
}

/// Opens a call, which has its message and a timeout, or a stream.
fn open(guest: &mut Guest<'_>, opening: Opening, call: Option<(&[u8], u32)>) -> Result<u32, Fail> {
    let state = guest.data_mut();
    let cluster =
        |name: &[u8]| state.shared.options.clusters.iter().find(|known| known.name.as_bytes() == name).cloned();
    let service = match Service::parse(&opening.service) {
        // What is no message may be a cluster's name.
        Err(ServiceError::Malformed) => {
            let cluster = cluster(&opening.service).ok_or(Status::ParseFailure)?;
            Ok(Service::of_cluster(cluster.name))
        }
        parsed => parsed,
    };
    let cluster = service.as_ref().ok().and_then(|service| cluster(service.cluster.as_bytes()));
    let root = state.root_id();
    // Envoy counts the callout before it fails.
    let token = state.grpc.next(call.is_none());
    if cluster.is_none() && state.conformance().grpc_upstreams_are_parsed() {
        return Err(Status::ParseFailure.into());
    }
    let service = service.map_err(|error| match error {
        ServiceError::NoTarget => Fail::Trap(wasmtime::format_err!("a gRPC service without a target ends Envoy")),
        ServiceError::Malformed | ServiceError::Refused => Status::BadArgument.into(),
    })?;
    let Some(cluster) = cluster else {
        let message = "Cluster not available".to_owned();
        state.grpc.fail(Failed { root, token, status: UNAVAILABLE, message });
        return Err(Status::InternalFailure.into());
    };
    let frame = call.map(|(message, _)| state.grpc.frame(message));
    let timeout_ms = call.map(|(_, timeout_ms)| timeout_ms);
    let headers = headers(&service, &opening, timeout_ms);
    let max_message = service.max_message.map_or(MAX_MESSAGE, |length| MAX_MESSAGE.min(length as usize));
    let mut response = Response::new(call.is_some(), max_message);
    let told = if !cluster.has_endpoint {
        response.refuse("no healthy upstream", "no_healthy_upstream".to_owned())
    } else if let Some(name) = invalid_name(&headers) {
        let message = format!("invalid header name: {name}");
        let details = format!("filter_removed_required_request_headers{{{}}}", message.replace(' ', "_"));
        response.refuse(&message, details)
    } else if frame == Some(None) || state.grpc.is_full() || state.grpc.open.contains_key(&token) {
        response.take(GrpcEvent::Reset(GrpcReset::Overflow))
    } else {
        Vec::new()
    };
    if !told.is_empty() {
        return Err(fail(guest, root, token, told));
    }
    let timeout = timeout_ms.filter(|timeout| *timeout > 0).map(|timeout| Duration::from_millis(timeout.into()));
    let grpc = &mut guest.data_mut().grpc;
    let id = grpc.id(token);
    grpc.open.insert(token, Callout { root, response: Some(response), ended: call.is_some(), closed: false });
    grpc.commands.push(GrpcCommand::Open(GrpcCallout { id, cluster: cluster.name, headers, timeout }));
    grpc.commands.extend(frame.flatten().map(|frame| GrpcCommand::Send { id, frame, end: true }));
    Ok(token)
}

/// Headers that Envoy keeps in one line.
const IN_ONE_LINE: [&[u8]; 7] =
    [b":method", b":path", b":authority", b"te", b"grpc-timeout", b"content-type", b"user-agent"];

/// The request's headers: Envoy's own, the service's and the module's.
fn headers(service: &Service, opening: &Opening, timeout_ms: Option<u32>) -> HeaderMap {
    let Opening { name, method, metadata, .. } = opening;
    let mut headers = HeaderMap::new();
    headers.add(":method", "POST");
    headers.add(":path", [b"/", name.as_slice(), b"/", method.as_slice()].concat());
    headers.add(":authority", service.authority.as_ref().unwrap_or(&service.cluster));
    headers.add(":scheme", metadata.get(":scheme").unwrap_or(b"http"));
    headers.add("te", "trailers");
    if let Some(timeout_ms) = timeout_ms {
        headers.add("grpc-timeout", grpc_timeout(timeout_ms));
    }
    headers.add("content-type", "application/grpc");
    for (name, value) in service.initial_metadata.iter() {
        headers.set(name, value);
    }
    for (name, value) in metadata.iter().filter(|(name, _)| *name != b":scheme") {
        // One name of the same in Envoy.
        let name = if name == b"host" { b":authority" } else { name };
        match headers.get(name) {
            Some(before) if IN_ONE_LINE.contains(&name) => {
                let joined = [before, value].join(&b',');
                headers.set(name, joined);
            }
            _ => headers.add(name, value),
        }
    }
    encode_binary(&mut headers);
    headers
}

/// A header's name that is none.
fn invalid_name(headers: &HeaderMap) -> Option<String> {
    let mut names = headers.iter().map(|(name, _)| name).filter(|name| !name.starts_with(b":"));
    let invalid = names.find(|name| http::HeaderName::from_bytes(name).is_err())?;
    Some(String::from_utf8_lossy(invalid).into_owned())
}

/// Binary metadata goes in base64, the first line of each name, after everything else.
fn encode_binary(headers: &mut HeaderMap) {
    let binary = headers.iter().filter(|(name, _)| name.ends_with(b"-bin"));
    let mut encoded: Vec<(Vec<u8>, String)> = Vec::new();
    for (name, value) in binary {
        if encoded.iter().all(|(known, _)| known != name) {
            encoded.push((name.to_vec(), BASE64.encode(value)));
        }
    }
    for (name, value) in encoded {
        headers.set(name, value);
    }
}

/// A timeout in gRPC's words: at most eight digits.
fn grpc_timeout(timeout_ms: u32) -> String {
    if timeout_ms > 99_999_999 { format!("{}S", timeout_ms / 1000) } else { format!("{timeout_ms}m") }
}

/// A callout fails before anything is sent. Envoy tells of a stream's metadata at once, while the hostcall runs, and of its
/// end after the callback.
fn fail(guest: &mut Guest<'_>, root: u32, token: u32, told: Vec<Told>) -> Fail {
    for told in told {
        let told = match told {
            Told::InitialMetadata(map) => tell(guest, root, token, "proxy_on_grpc_receive_initial_metadata", map),
            Told::TrailingMetadata(map) => tell(guest, root, token, "proxy_on_grpc_receive_trailing_metadata", map),
            Told::Close { status, message } => {
                guest.data_mut().grpc.fail(Failed { root, token, status, message });
                Ok(())
            }
            Told::Message(_) => Ok(()),
        };
        if let Err(error) = told {
            return Fail::Trap(error);
        }
    }
    Status::InternalFailure.into()
}

/// Makes a callback within the hostcall, if the module has it.
fn tell(guest: &mut Guest<'_>, root: u32, token: u32, callback: &'static str, map: HeaderMap) -> wasmtime::Result<()> {
    if !guest.data().plugin.allows(callback) {
        return Ok(());
    }
    let Some(function) = guest.get_export(callback).and_then(wasmtime::Extern::into_func) else { return Ok(()) };
    let function = function.typed::<(u32, u32, u32), ()>(guest.as_context_mut())?;
    let count = u32::try_from(map.len()).unwrap_or(u32::MAX);
    let state = guest.data_mut();
    let around = state.enter(root);
    let shown =
        if callback.contains("initial") { &mut state.grpc.initial_metadata } else { &mut state.grpc.trailing_metadata };
    *shown = Some(map);
    state.trace(Event::Callback(callback), [root, token, count].map(u32::to_le_bytes).as_flattened());
    let result = function.call(guest.as_context_mut(), (root, token, count));
    let state = guest.data_mut();
    state.trace(Event::Returned(callback), &[]);
    state.grpc.initial_metadata = None;
    state.grpc.trailing_metadata = None;
    state.leave(around);
    result
}

fn grpc_send(memory: &mut GuestMemory<'_>, id: u32, message: u32, message_size: u32, end: u32) -> Answer {
    let (message, state) = memory.read_with(message, message_size)?;
    if !is_stream(id) {
        return Err(Status::BadArgument.into());
    }
    let root = state.root_id();
    let grpc = &mut state.grpc;
    let callout = grpc.open.get(&id).filter(|callout| callout.root == root).ok_or(Status::NotFound)?;
    // What comes after the end is not sent.
    if callout.ended || callout.response.is_none() {
        return Ok(());
    }
    let frame = grpc.frame(message).ok_or(Status::InternalFailure)?;
    let end = end != 0;
    if let Some(callout) = grpc.open.get_mut(&id) {
        callout.ended = end;
    }
    let id = grpc.id(id);
    grpc.commands.push(GrpcCommand::Send { id, frame, end });
    Ok(())
}

/// Whether the number may be a gRPC callout's, and is one's of the context's root.
fn known(state: &HostState, id: u32) -> Answer {
    if !matches!(id & 3, 1 | 2) {
        return Err(Status::BadArgument.into());
    }
    let root = state.root_id();
    state.grpc.open.get(&id).filter(|callout| callout.root == root).map(drop).ok_or(Status::NotFound.into())
}

fn grpc_cancel(memory: &mut GuestMemory<'_>, id: u32) -> Answer {
    known(memory.state, id)?;
    memory.state.grpc.cancel(id);
    Ok(())
}

/// Ends what the module sends; a call has done so already, and is cancelled.
fn grpc_close(memory: &mut GuestMemory<'_>, id: u32) -> Answer {
    known(memory.state, id)?;
    let grpc = &mut memory.state.grpc;
    let Some(callout) = grpc.open.get_mut(&id).filter(|callout| is_stream(id) && callout.response.is_some()) else {
        grpc.cancel(id);
        return Ok(());
    };
    callout.closed = true;
    if !std::mem::replace(&mut callout.ended, true) {
        let id = grpc.id(id);
        grpc.commands.push(GrpcCommand::Close(id));
    }
    Ok(())
}
