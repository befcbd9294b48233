//! Calls of foreign functions.

mod expressions;
mod filter_state;

pub(crate) use expressions::Expressions;
use wasmtime::Linker;

use super::{Answer, Guest, Hostcall, provide_reentrant};
use crate::abi::Status;
use crate::foreign::Function;
use crate::vm::memory::{GuestMemory, allocate_and_write, always_allocate_and_write};
use crate::vm::state::HostState;

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide_reentrant!(linker, "env", CallForeignFunction, call, (
        name: u32, name_size: u32, argument: u32, argument_size: u32, result: u32, result_size: u32
    ));
    Ok(())
}

/// The most that zlib makes of a byte.
const INFLATED: usize = 1032;
/// The most that a call makes of its argument before it fails.
const MOST_TRIED: usize = 16 << 20;

/// A module that does not want the result, or its size, gives null for where to write it.
fn call(
    guest: &mut Guest<'_>,
    name: u32,
    name_size: u32,
    argument: u32,
    argument_size: u32,
    result: u32,
    result_size: u32,
) -> Answer {
    let mut memory = GuestMemory::of(guest)?;
    let (name, argument, state) = memory.read_two((name, name_size), (argument, argument_size))?;
    let function = state.shared.options.foreign_functions.find(name).ok_or(Status::NotFound)?;
    state.afford(argument.len() as u64);
    // An empty text is a value.
    let is_value = matches!(function, Function::EvaluateExpression);
    let answer = match function {
        Function::Given(function) => function(argument),
        Function::Long(function, work) => {
            state.afford(work);
            function(argument)
        }
        Function::DeclareProperty => filter_state::declare(state, argument).map(|()| Vec::new()),
        Function::SetEnvoyFilterState => filter_state::set(state, argument).map(|()| Vec::new()),
        Function::CreateExpression => expressions::create(state, argument),
        Function::EvaluateExpression => expressions::evaluate(state, argument),
        Function::DeleteExpression => expressions::delete(state, argument).map(|()| Vec::new()),
    };
    let bytes = answer.as_deref().unwrap_or_default();
    // What came of it has been work, and where it failed what might have come of it.
    let tried = if answer.is_ok() { 0 } else { MOST_TRIED.min(argument.len() * INFLATED) };
    state.afford((argument.len() * 8 + bytes.len() + tried) as u64);
    let (pointer, mut memory) = if is_value && answer.is_ok() {
        always_allocate_and_write(guest, bytes)?
    } else {
        allocate_and_write(guest, bytes)?
    };
    let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    for (place, value) in [(result, pointer), (result_size, size)] {
        if place != 0 {
            memory.write_u32(place, value)?;
        }
    }
    answer.map(drop).map_err(Into::into)
}
