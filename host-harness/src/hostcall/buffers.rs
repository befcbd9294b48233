//! Buffers: bodies and configurations.

use wasmtime::Linker;

use super::{Answer, Fail, Guest, Hostcall, provide, provide_reentrant};
use crate::abi::{BufferType, Status};
use crate::vm::memory::{GuestMemory, give};
use crate::vm::state::HostState;

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide_reentrant!(linker, "env", GetBufferBytes, get_bytes, (buffer: u32, start: u32, max: u32, value: u32, size: u32));
    provide!(linker, "env", GetBufferStatus, get_status, (buffer: u32, length: u32, flags: u32));
    provide!(linker, "env", SetBufferBytes, set_bytes, (buffer: u32, start: u32, length: u32, value: u32, size: u32));
    Ok(())
}

fn buffer_type(buffer: u32) -> Result<BufferType, Fail> {
    BufferType::from_code(buffer).ok_or(Status::BadArgument.into())
}

/// What a buffer holds now. Those of a stream are none when they are not available, those of a callout or of a configuration are
/// not found.
fn content(state: &HostState, buffer: BufferType) -> Result<Option<&[u8]>, Fail> {
    let body = |index: usize| {
        let body = state.stream().and_then(|stream| stream.bodies.get(index));
        body.filter(|body| body.current).map(|body| body.shown())
    };
    let flow = |index: usize| {
        let flow = state.connection().and_then(|connection| connection.flows.get(index));
        flow.filter(|flow| flow.current).map(|flow| flow.bytes.as_slice())
    };
    Ok(match buffer {
        BufferType::HttpRequestBody => body(0),
        BufferType::HttpResponseBody => body(1),
        BufferType::DownstreamData => flow(0),
        BufferType::UpstreamData => flow(1),
        BufferType::GrpcReceiveBuffer => state.grpc.message.as_deref(),
        BufferType::HttpCallResponseBody => {
            Some(state.calls.response.as_ref().map(|response| &response.body).ok_or(Status::NotFound)?)
        }
        BufferType::VmConfiguration if state.conformance().vm_configuration_goes() && !state.vm_starting => None,
        BufferType::VmConfiguration => Some(&state.plugin.vm_configuration),
        BufferType::PluginConfiguration => {
            let root = state.configuring.and_then(|root| state.root(root)).ok_or(Status::NotFound)?;
            Some(&root.plugin.configuration)
        }
        BufferType::CallData if state.conformance().call_data_is_of_callbacks() => None,
        BufferType::CallData => match state.looked_into {
            Some((context, last)) if context == state.context() => content(state, last).unwrap_or_default(),
            _ => None,
        },
    })
}

/// The same, where one that is not there may be told so.
fn there(state: &HostState, buffer: BufferType) -> Result<Option<&[u8]>, Fail> {
    let content = content(state, buffer)?;
    if content.is_none() && state.conformance().missing_buffers_are_told() {
        return Err(Status::NotFound.into());
    }
    Ok(content)
}

fn get_bytes(guest: &mut Guest<'_>, buffer: u32, start: u32, max: u32, value: u32, size: u32) -> Answer {
    let buffer = buffer_type(buffer)?;
    give(guest, value, size, |state, bytes| {
        let Some(content) = there(state, buffer)? else { return Ok(()) };
        let start = start as usize;
        if start > content.len() && state.conformance().past_the_end_is_told() {
            return Err(Status::BadArgument.into());
        }
        let end = start.saturating_add(max as usize).min(content.len());
        bytes.extend_from_slice(content.get(start..end).unwrap_or_default());
        remember(state, buffer);
        Ok(())
    })
}

/// Envoy keeps the last buffer that was looked into, in the place of which buffer 8 shows.
fn remember(state: &mut HostState, buffer: BufferType) {
    if !matches!(buffer, BufferType::CallData) {
        state.looked_into = Some((state.context(), buffer));
    }
}

fn get_status(memory: &mut GuestMemory<'_>, buffer: u32, length_to: u32, flags: u32) -> Answer {
    let buffer = buffer_type(buffer)?;
    let length = there(memory.state, buffer)?.map(<[u8]>::len);
    if length.is_some() {
        remember(memory.state, buffer);
    }
    let size = u32::try_from(length.unwrap_or(0)).map_err(|_| Status::InternalFailure)?;
    memory.write_u32(length_to, size)?;
    memory.write_u32(flags, 0)
}

/// A buffer of the context that hostcalls act on, to change.
fn writable(state: &mut HostState, buffer: BufferType) -> Option<&mut Vec<u8>> {
    match buffer {
        BufferType::HttpRequestBody | BufferType::HttpResponseBody => {
            let body = state.stream_mut()?.bodies.get_mut(usize::from(buffer == BufferType::HttpResponseBody))?;
            body.current.then(|| body.shown_mut())
        }
        BufferType::DownstreamData | BufferType::UpstreamData => {
            let flow = state.connection_mut()?.flows.get_mut(usize::from(buffer == BufferType::UpstreamData))?;
            flow.current.then_some(&mut flow.bytes)
        }
        BufferType::GrpcReceiveBuffer => state.grpc.message.as_mut(),
        _ => None,
    }
}

/// Prepends, appends or replaces from the start; Envoy knows no way to put bytes into the middle.
fn set_bytes(memory: &mut GuestMemory<'_>, buffer: u32, start: u32, length: u32, value: u32, size: u32) -> Answer {
    let buffer = buffer_type(buffer)?;
    there(memory.state, buffer)?;
    let (bytes, state) = memory.read_with(value, size)?;
    let limit = state.shared.options.limits.body;
    let middle = state.conformance().middle_is_writable();
    let content = writable(state, buffer).ok_or(Status::BadArgument)?;
    let (start, length) = (start as usize, length as usize);
    if start >= content.len() && start > 0 {
        // Envoy's own buffers have no bound here; a host that a module must not grow has.
        if content.len() + bytes.len() > limit.saturating_mul(16) {
            return Err(Status::InternalFailure.into());
        }
        content.extend_from_slice(bytes);
    } else if start == 0 || middle {
        if bytes.len() > limit.saturating_mul(16) || content.len() + bytes.len() > limit.saturating_mul(16) {
            return Err(Status::InternalFailure.into());
        }
        let end = start.saturating_add(length).min(content.len());
        content.splice(start..end, bytes.iter().copied());
    } else {
        return Err(Status::BadArgument.into());
    }
    Ok(())
}
