//! Log, time, contexts, and what happens to the stream.

use wasmtime::Linker;

use super::{Answer, Guest, Hostcall, provide, provide_reentrant};
use crate::abi::{MapType, Status, StreamType};
use crate::vm::memory::{GuestMemory, give};
use crate::vm::state::{Action, HostState, Life, Stream, Tick};
use crate::{HeaderMap, LocalReply, LogLevel};

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide!(linker, "env", Log, log, (level: u32, message: u32, size: u32));
    provide!(linker, "env", GetLogLevel, get_log_level, (level: u32));
    provide!(linker, "env", GetCurrentTime, get_current_time, (time: u32));
    provide!(linker, "env", SetTickPeriod, set_tick_period, (period: u32));
    provide!(linker, "env", SetEffectiveContext, set_effective_context, (context: u32));
    provide!(linker, "env", Done, done, ());
    provide_reentrant!(linker, "env", GetConfiguration, get_configuration, (configuration: u32, size: u32));
    provide!(linker, "env", ClearRouteCache, clear_route_cache, ());
    provide!(linker, "env", ContinueRequest, continue_request, ());
    provide!(linker, "env", ContinueResponse, continue_response, ());
    provide!(linker, "env", ContinueStream, continue_stream, (stream: u32));
    provide!(linker, "env", CloseStream, close_stream, (stream: u32));
    provide!(linker, "env", SendLocalResponse, send_local_response, (
        status: u32, details: u32, details_size: u32, body: u32, body_size: u32, headers: u32, headers_size: u32, grpc: u32
    ));
    provide_reentrant!(linker, "env", GetStatus, get_status, (code: u32, message: u32, size: u32));
    Ok(())
}

fn log(memory: &mut GuestMemory<'_>, level: u32, message: u32, size: u32) -> Answer {
    let level = LogLevel::from_code(level).ok_or(Status::BadArgument)?;
    let (message, state) = memory.read_with(message, size)?;
    state.log_only(level, message);
    Ok(())
}

fn get_log_level(memory: &mut GuestMemory<'_>, level: u32) -> Answer {
    let code = memory.state.shared.log_level() as u32;
    memory.write_u32(level, code)
}

fn get_current_time(memory: &mut GuestMemory<'_>, time: u32) -> Answer {
    let now = memory.state.shared.clock().now_ns();
    memory.write_u64(time, now)
}

/// The timer belongs to the root context, also when a stream asks. Zero stops it.
fn set_tick_period(memory: &mut GuestMemory<'_>, period_ms: u32) -> Answer {
    let state = &mut *memory.state;
    let now = state.shared.clock().now_ns();
    let id = state.root_id();
    if let Some(root) = state.root_mut(id) {
        let period_ns = u64::from(period_ms) * 1_000_000;
        root.tick = (period_ns > 0).then_some(Tick { period_ns, due_ns: now.saturating_add(period_ns) });
        // Its thread may sleep for longer.
        state.shared.queues.signal(state.role).notify_one();
    }
    Ok(())
}

fn set_effective_context(memory: &mut GuestMemory<'_>, context: u32) -> Answer {
    let state = &mut *memory.state;
    if context != 0 && !state.exists(context) {
        return Err(Status::BadArgument.into());
    }
    state.effective = context;
    Ok(())
}

/// Ends a root context that answered false to `proxy_on_done`.
fn done(memory: &mut GuestMemory<'_>) -> Answer {
    let state = &mut *memory.state;
    let id = state.context();
    match state.root_mut(id) {
        Some(root) if root.life == Life::Finishing => {
            root.life = Life::Over;
            state.actions.push((id, Action::Done));
            Ok(())
        }
        _ => Err(Status::NotFound.into()),
    }
}

/// ABI 0.1.0: the plugin's configuration, readable at any time.
fn get_configuration(guest: &mut Guest<'_>, configuration: u32, size: u32) -> Answer {
    give(guest, configuration, size, |state, bytes| {
        bytes.extend_from_slice(&state.context_plugin().configuration);
        Ok(())
    })
}

/// ABI 0.1.0. Routes are chosen after the module here, so there is no cached one to clear.
fn clear_route_cache(_: &mut GuestMemory<'_>) -> Answer {
    Ok(())
}

/// ABI 0.1.0.
fn continue_request(memory: &mut GuestMemory<'_>) -> Answer {
    continue_stream(memory, StreamType::Request as u32)
}

/// ABI 0.1.0.
fn continue_response(memory: &mut GuestMemory<'_>) -> Answer {
    continue_stream(memory, StreamType::Response as u32)
}

fn continue_stream(memory: &mut GuestMemory<'_>, stream: u32) -> Answer {
    let direction = StreamType::from_code(stream).ok_or(Status::BadArgument)?;
    if matches!(direction, StreamType::Upstream) {
        return Err(Status::Unimplemented.into());
    }
    let state = &mut *memory.state;
    let id = state.context();
    let stays = state.conformance().continued_stays();
    if let Some(stream) = state.stream_mut()
        && matches!(direction, StreamType::Request | StreamType::Response)
    {
        if !stays {
            // Envoy forgets the request's maps and body at once, in the same callback.
            for map in [MapType::RequestHeaders, MapType::RequestTrailers] {
                if let Some(map) = stream.map_mut(map) {
                    map.current = false;
                }
            }
            stream.bodies[0].current = false;
        }
        let [request, response, _] = &mut stream.asked;
        let asked = if direction == StreamType::Response { response } else { request };
        if !std::mem::replace(asked, true) {
            state.actions.push((id, Action::Continue(direction)));
        }
    } else if direction == StreamType::Downstream
        && let Some(connection) = state.connection_mut()
        && !std::mem::replace(&mut connection.asked[0], true)
    {
        state.actions.push((id, Action::Continue(direction)));
    }
    Ok(())
}

fn close_stream(memory: &mut GuestMemory<'_>, stream: u32) -> Answer {
    let direction = StreamType::from_code(stream).ok_or(Status::BadArgument)?;
    let state = &mut *memory.state;
    let id = state.context();
    let of_stream = matches!(direction, StreamType::Request | StreamType::Response);
    if of_stream && let Some(stream) = state.streams.get_mut(&id) {
        if !std::mem::replace(&mut stream.asked[2], true) {
            state.actions.push((id, Action::Close));
        }
    } else if !of_stream
        && let Some(connection) = state.connection_mut()
        && !std::mem::replace(&mut connection.asked[1], true)
    {
        // Whichever side is named, Envoy closes the client's.
        state.actions.push((id, Action::Close));
    }
    Ok(())
}

/// Answers the client. Without effect on a root context and after a first one; once the response has begun, it breaks that off.
#[allow(clippy::too_many_arguments, reason = "the ABI's own")]
fn send_local_response(
    memory: &mut GuestMemory<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    grpc_status: u32,
) -> Answer {
    let details = memory.read(details, details_size)?.to_vec();
    let body = memory.read(body, body_size)?.to_vec();
    let headers = HeaderMap::decode_pairs(memory.read(headers, headers_size)?);
    let state = &mut *memory.state;
    let id = state.context();
    let details = String::from_utf8_lossy(&details).replace(' ', "_");
    state.afford(state.actions.len() as u64);
    let asked = state.actions.iter_mut().find_map(|(of, action)| match action {
        Action::LocalReply(reply) if *of == id => Some(reply),
        _ => None,
    });
    if let Some(first) = asked {
        // Of two in one callback the first counts, but for the details.
        first.details = details;
    } else if let Some(stream) = state.stream_mut()
        && !stream.replied
    {
        stream.replied = true;
        let reply = local_reply(stream, status, &headers, body, details, grpc_status);
        state.actions.push((id, Action::LocalReply(Box::new(reply))));
    }
    Ok(())
}

/// A local reply as Envoy makes it: for gRPC a 200 with the error in headers, for `HEAD` without body.
pub(crate) fn local_reply(
    stream: &Stream,
    status: u32,
    additional: &HeaderMap,
    mut body: Vec<u8>,
    details: String,
    grpc_status: u32,
) -> LocalReply {
    let request = stream.map(MapType::RequestHeaders).map(|slot| &slot.map);
    let is = |name: &str, test: &dyn Fn(&[u8]) -> bool| request.and_then(|map| map.get(name)).is_some_and(test);
    let mut headers = HeaderMap::new();
    headers.add(":status", status.to_string());
    headers.extend(additional.iter().filter(|(name, _)| !name.starts_with(b":")));
    if is("content-type", &|value| value == b"application/grpc" || value.starts_with(b"application/grpc+")) {
        headers.set(":status", "200");
        headers.set("content-type", "application/grpc");
        let code = if grpc_status.cast_signed() < 0 { grpc_status_of(status) } else { grpc_status };
        headers.set("grpc-status", code.to_string());
        if !body.is_empty() {
            headers.set("grpc-message", percent_encoded(&body));
        }
        body.clear();
    } else if body.is_empty() {
        headers.remove("content-length");
        headers.remove("content-type");
    } else {
        headers.set("content-length", body.len().to_string());
        if headers.get("content-type").is_none() {
            headers.add("content-type", "text/plain");
        }
        if is(":method", &|value| value == b"HEAD") {
            body.clear();
        }
    }
    LocalReply { headers, body, details }
}

/// The gRPC status that stands for an HTTP status.
pub(crate) fn grpc_status_of(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// gRPC's encoding of a message in a header.
pub(crate) fn percent_encoded(message: &[u8]) -> String {
    use std::fmt::Write as _;
    message.iter().fold(String::new(), |mut text, byte| {
        if (b' '..=b'~').contains(byte) && *byte != b'%' {
            text.push(char::from(*byte));
        } else {
            _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The status of the last callout that failed. Its message is only there while the module is told of it.
fn get_status(guest: &mut Guest<'_>, code: u32, message: u32, size: u32) -> Answer {
    let (number, text) = guest.data().calls.status.clone();
    GuestMemory::of(guest)?.write_u32(code, number)?;
    give(guest, message, size, |_, bytes| {
        bytes.extend_from_slice(text.as_bytes());
        Ok(())
    })
}
