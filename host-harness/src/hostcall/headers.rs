//! Header maps. Which are readable and writable in which callback is in `HostState::readable` and `Stream::writable`.

use wasmtime::Linker;

use super::{Answer, Fail, Guest, Hostcall, provide, provide_reentrant};
use crate::abi::{MapType, Status};
use crate::vm::memory::{GuestMemory, give, give_scratch};
use crate::vm::state::HostState;
use crate::{AbiVersion, HeaderMap};

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide!(linker, "env", GetHeaderMapSize, get_size, (map: u32, size: u32));
    provide_reentrant!(linker, "env", GetHeaderMapPairs, get_pairs, (map: u32, pairs: u32, size: u32));
    provide!(linker, "env", SetHeaderMapPairs, set_pairs, (map: u32, pairs: u32, size: u32));
    provide_reentrant!(linker, "env", GetHeaderMapValue, get_value, (map: u32, name: u32, name_size: u32, value: u32, size: u32));
    provide!(linker, "env", AddHeaderMapValue, add_value, (map: u32, name: u32, name_size: u32, value: u32, value_size: u32));
    provide!(linker, "env", ReplaceHeaderMapValue, replace_value, (
        map: u32, name: u32, name_size: u32, value: u32, value_size: u32
    ));
    provide!(linker, "env", RemoveHeaderMapValue, remove_value, (map: u32, name: u32, name_size: u32));
    Ok(())
}

fn map_type(map: u32) -> Result<MapType, Fail> {
    MapType::from_code(map).ok_or(Status::BadArgument.into())
}

/// The map, to change; unavailable is a bad argument.
fn writable(state: &mut HostState, map: MapType) -> Result<&mut HeaderMap, Fail> {
    look_through(state, map);
    state.stream_mut().and_then(|stream| stream.writable(map)).ok_or(Status::BadArgument.into())
}

/// To look for a name in a map is work.
fn look_through(state: &mut HostState, map: MapType) {
    let lines = state.readable(map).map_or(0, HeaderMap::len);
    state.afford(lines as u64 / 2);
}

/// The size is only told of a map that could be written, as Envoy has it.
fn get_size(memory: &mut GuestMemory<'_>, map: u32, size: u32) -> Answer {
    let map = map_type(map)?;
    let bytes = if memory.state.conformance().sizes_are_encoded() {
        memory.state.readable(map).ok_or(Status::BadArgument)?.encoded_len()
    } else {
        writable(memory.state, map)?.byte_size()
    };
    let bytes = u32::try_from(bytes).map_err(|_| Status::InternalFailure)?;
    memory.write_u32(size, bytes)
}

/// An unavailable map is an empty one, as Envoy has it.
fn get_pairs(guest: &mut Guest<'_>, map: u32, pairs: u32, size: u32) -> Answer {
    let map = map_type(map)?;
    give(guest, pairs, size, |state, bytes| match state.readable(map) {
        None if state.conformance().missing_maps_are_told() => Err(Status::BadArgument.into()),
        Some(map) if !map.is_empty() => {
            map.encode_pairs(bytes);
            Ok(())
        }
        Some(_) | None => Ok(()),
    })
}

fn set_pairs(memory: &mut GuestMemory<'_>, map: u32, pairs: u32, size: u32) -> Answer {
    let map = map_type(map)?;
    let (pairs, state) = memory.read_with(pairs, size)?;
    *writable(state, map)? = HeaderMap::decode_pairs(pairs);
    Ok(())
}

/// The first value. An unavailable map is a bad argument, but in the log phase its header is just not found. What is not found is
/// empty in ABI 0.1.0.
fn get_value(guest: &mut Guest<'_>, map: u32, name: u32, name_size: u32, value: u32, size: u32) -> Answer {
    let map = map_type(map)?;
    let mut memory = GuestMemory::of(guest)?;
    let (name, state) = memory.read_with(name, name_size)?;
    // Copied before the module's memory is let go: its allocator may move everything.
    look_through(state, map);
    let mut scratch = std::mem::take(&mut state.scratch);
    scratch.clear();
    let found = first_value(state, map, name, &mut scratch);
    state.scratch = scratch;
    found?;
    give_scratch(guest, value, size)
}

fn first_value(state: &HostState, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Answer {
    let found = match state.readable(map) {
        Some(lines) => lines.get(name),
        None if state.conformance().missing_maps_are_told() => return Err(Status::BadArgument.into()),
        None if state.stream().is_some_and(|stream| stream.logging) => None,
        None => return Err(Status::BadArgument.into()),
    };
    match found {
        Some(value) => out.extend_from_slice(value),
        None if state.abi == AbiVersion::V0_1_0 => {}
        None => return Err(Status::NotFound.into()),
    }
    Ok(())
}

fn add_value(memory: &mut GuestMemory<'_>, map: u32, name: u32, name_size: u32, value: u32, value_size: u32) -> Answer {
    let map = map_type(map)?;
    let (name, value, state) = memory.read_two((name, name_size), (value, value_size))?;
    let copied = writable(state, map)?.append(name, value);
    state.afford(copied as u64 / 8);
    Ok(())
}

fn replace_value(
    memory: &mut GuestMemory<'_>,
    map: u32,
    name: u32,
    name_size: u32,
    value: u32,
    value_size: u32,
) -> Answer {
    let map = map_type(map)?;
    let (name, value, state) = memory.read_two((name, name_size), (value, value_size))?;
    writable(state, map)?.replace(name, value);
    Ok(())
}

fn remove_value(memory: &mut GuestMemory<'_>, map: u32, name: u32, name_size: u32) -> Answer {
    let map = map_type(map)?;
    let (name, state) = memory.read_with(name, name_size)?;
    writable(state, map)?.remove(name);
    Ok(())
}
