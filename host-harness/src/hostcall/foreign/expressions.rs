//! Foreign functions about expressions, `expr_create`, `expr_evaluate` and `expr_delete`. A root context has them for all its streams;
//! they are evaluated for the context whose callback runs, whichever it has turned to.

use std::collections::HashMap;

use crate::HeaderMap;
use crate::abi::Status;
use crate::cel::{Attributes, Expression, Value};
use crate::hostcall::properties;
use crate::hostcall::{Answer, Fail};
use crate::vm::state::HostState;

/// The expressions of a root context.
#[derive(Debug, Default)]
pub(crate) struct Expressions {
    /// With how long their texts are.
    known: HashMap<u32, (Expression, usize)>,
    /// The number of the next one.
    next: u32,
    /// How long all texts are.
    bytes: usize,
}

/// The most that the texts of a root context's expressions may take; what is made of one is some fifty times as large.
const MAX_BYTES: usize = 256 << 10;
/// The steps that an evaluation may take, and how much work each is.
const MAX_STEPS: u64 = 200_000;
const STEP_WORK: u64 = 20;
/// The work to read a byte of an expression.
const READ_WORK: u64 = 100;

/// The root context's expressions.
fn own(state: &mut HostState) -> Result<&mut Expressions, Status> {
    let id = state.root_of_current();
    state.root_mut(id).map(|root| &mut root.expressions).ok_or(Status::InternalFailure)
}

fn token(argument: &[u8]) -> Result<u32, Status> {
    argument.try_into().map(u32::from_le_bytes).map_err(|_| Status::BadArgument)
}

/// Gives the number of an expression.
pub(super) fn create(state: &mut HostState, text: &[u8]) -> Result<Vec<u8>, Status> {
    state.afford(text.len() as u64 * READ_WORK);
    let expressions = own(state)?;
    if expressions.bytes + text.len() > MAX_BYTES {
        return Err(Status::InternalFailure);
    }
    let expression = std::str::from_utf8(text).ok().and_then(Expression::parse).ok_or(Status::BadArgument)?;
    while expressions.known.contains_key(&expressions.next) {
        expressions.next = expressions.next.wrapping_add(1);
    }
    let token = expressions.next;
    expressions.next = token.wrapping_add(1);
    expressions.bytes += text.len();
    expressions.known.insert(token, (expression, text.len()));
    Ok(token.to_le_bytes().to_vec())
}

/// Gives an expression's value, written as a property is.
pub(super) fn evaluate(state: &mut HostState, argument: &[u8]) -> Result<Vec<u8>, Status> {
    let token = token(argument)?;
    // Taken out while the rest of the state is looked at.
    let (expression, length) = own(state)?.known.remove(&token).ok_or(Status::NotFound)?;
    let turned = std::mem::take(&mut state.effective);
    let most = MAX_STEPS.min(state.work_left / STEP_WORK);
    let mut steps = most;
    let value = expression.evaluate(&*state, &mut steps).map_err(|_| Status::InternalFailure);
    let mut bytes = Vec::new();
    let written =
        value.and_then(|value| value.write(&*state, &mut steps, &mut bytes).ok_or(Status::SerializationFailure));
    state.effective = turned;
    state.afford((most - steps) * STEP_WORK);
    own(state)?.known.insert(token, (expression, length));
    written.map(|()| bytes)
}

/// Forgets an expression; one that is not there too.
pub(super) fn delete(state: &mut HostState, argument: &[u8]) -> Result<(), Status> {
    let token = token(argument)?;
    let expressions = own(state)?;
    if let Some((_, length)) = expressions.known.remove(&token) {
        expressions.bytes -= length;
    }
    Ok(())
}

impl Attributes for HostState {
    fn find(&self, path: &[u8]) -> Option<Value> {
        let mut out = Vec::new();
        match properties::lookup(self, path, &mut out) {
            Ok(()) => typed(path, &out),
            // It is there, but only its parts can be written.
            Err(Fail::Code(code)) if code == Status::SerializationFailure.code() => Some(Value::Object(path.into())),
            Err(_) => None,
        }
    }

    fn list(&self, path: &[u8]) -> Option<HeaderMap> {
        let is_map = matches!(
            parts(path).as_slice(),
            [.., b"headers" | b"trailers" | b"filter_metadata" | b"typed_filter_metadata"]
                | [b"xds", b"node", b"metadata" | b"dynamic_parameters"]
        );
        let mut out = Vec::new();
        let found = is_map.then(|| properties::lookup(self, path, &mut out))?;
        found.ok().map(|()| HeaderMap::decode_pairs(&out))
    }

    fn write(&self, path: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let written: Answer = properties::lookup(self, path, out);
        written.ok()
    }

    fn is_message(&self, path: &[u8]) -> bool {
        matches!(
            parts(path).as_slice(),
            [b"metadata"]
                | [b"upstream", b"locality"]
                | [
                    b"xds",
                    b"node" | b"listener_metadata" | b"route_metadata" | b"virtual_host_metadata" | b"cluster_metadata"
                ]
                | [b"xds", b"node", b"locality"]
        )
    }

    fn steps(&self) -> u64 {
        properties::looked_through(self)
    }
}

fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == 0).collect()
}

/// What a property's bytes are.
fn typed(path: &[u8], bytes: &[u8]) -> Option<Value> {
    let number = || bytes.try_into().ok().map(u64::from_le_bytes);
    let signed = || number().map(u64::cast_signed);
    match parts(path).as_slice() {
        [b"request", b"time"] => signed().map(Value::Timestamp),
        [b"request", b"duration"] | [b"response", b"backend_latency"] | [b"upstream", b"cx_pool_ready_duration"] => {
            signed().map(Value::Duration)
        }
        [b"request" | b"response", b"size" | b"total_size" | b"headers_bytes"]
        | [b"response", b"code" | b"flags" | b"grpc_status"]
        | [b"source" | b"destination" | b"upstream", b"port"]
        | [b"xds", b"listener_direction"] => signed().map(Value::Int),
        [b"connection", b"id"] | [b"connection_id"] | [b"upstream", b"request_attempt_count" | b"num_endpoints"] => {
            number().map(Value::Uint)
        }
        [b"connection", b"mtls"] => Some(Value::Bool(bytes != [0])),
        [b"metadata"]
        | [b"request" | b"response", b"headers" | b"trailers"]
        | [b"upstream", b"locality"]
        | [.., b"filter_metadata" | b"typed_filter_metadata"]
        | [b"xds", b"node"]
        | [b"xds", b"node", b"metadata" | b"dynamic_parameters" | b"locality"]
        | [b"xds", b"listener_metadata" | b"route_metadata" | b"virtual_host_metadata" | b"cluster_metadata"] => {
            Some(Value::Object(path.into()))
        }
        [b"plugin_name" | b"plugin_root_id" | b"plugin_vm_id"] => Some(Value::Text(bytes.into())),
        // What the module has set itself.
        [_] => Some(Value::Bytes(bytes.into())),
        [b"filter_state", name] if name.starts_with(b"wasm.") => Some(Value::Bytes(bytes.into())),
        _ => Some(Value::Text(bytes.into())),
    }
}
