//! Foreign functions about filter state. Their arguments are protobuf messages.

use crate::abi::Status;
use crate::protobuf::{self, Value};
use crate::vm::filter_state::{Kind, LifeSpan, Object, Prototype};
use crate::vm::state::HostState;

/// The type of a property that is a message.
const PROTOBUF: u64 = 3;

/// `declare_property`: `name` 1, `readonly` 2, `type` 3, `schema` 4, `span` 5.
pub(super) fn declare(state: &mut HostState, message: &[u8]) -> Result<(), Status> {
    let mut name = "";
    let mut read_only = false;
    let mut kind = 0;
    let mut schema: &[u8] = &[];
    let mut span = LifeSpan::default();
    for field in protobuf::fields(message).ok_or(Status::BadArgument)? {
        match field {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, Value::Number(number)) => read_only = number != 0,
            (3, Value::Number(number)) => kind = number,
            (4, Value::Bytes(bytes)) => schema = bytes,
            (5, Value::Number(number)) => span = LifeSpan::from_number(number),
            _ => {}
        }
    }
    let kind = if kind == PROTOBUF { Kind::Message(schema.to_vec()) } else { Kind::Bytes };
    let declared = state.declared_mut().ok_or(Status::InternalFailure)?;
    declared.declare(name.as_bytes(), Prototype { read_only, kind, span })
}

/// `set_envoy_filter_state`: `path` 1, `value` 2, `span` 3.
pub(super) fn set(state: &mut HostState, message: &[u8]) -> Result<(), Status> {
    let (mut path, mut value) = ("", "");
    let mut span = LifeSpan::default();
    for field in protobuf::fields(message).ok_or(Status::BadArgument)? {
        match field {
            (1, Value::Bytes(bytes)) => path = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            (3, Value::Number(number)) => span = LifeSpan::from_number(number),
            _ => {}
        }
    }
    // A root context has none, which is found out last.
    let object = Object::make(path, value)?;
    state.filter_state_mut().ok_or(Status::NotFound)?.set_object(path, object, span)
}

fn text(bytes: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(bytes).map_err(|_| Status::BadArgument)
}
