//! Shared data: one map for all VMs of a `vm_id`, with compare-and-swap.

use wasmtime::Linker;

use super::{Answer, Guest, Hostcall, provide, provide_reentrant};
use crate::vm::memory::{GuestMemory, give};
use crate::vm::state::HostState;

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide_reentrant!(linker, "env", GetSharedData, get, (key: u32, key_size: u32, value: u32, size: u32, cas: u32));
    provide!(linker, "env", SetSharedData, set, (key: u32, key_size: u32, value: u32, value_size: u32, cas: u32));
    Ok(())
}

fn get(guest: &mut Guest<'_>, key: u32, key_size: u32, value: u32, size: u32, cas: u32) -> Answer {
    let mut memory = GuestMemory::of(guest)?;
    let (key, state) = memory.read_with(key, key_size)?;
    let (mut found, number) = state.shared.data.get(&state.plugin.vm_id, key)?;
    give(guest, value, size, |_, bytes| {
        bytes.append(&mut found);
        Ok(())
    })?;
    GuestMemory::of(guest)?.write_u32(cas, number)
}

fn set(memory: &mut GuestMemory<'_>, key: u32, key_size: u32, value: u32, value_size: u32, cas: u32) -> Answer {
    let (key, value, state) = memory.read_two((key, key_size), (value, value_size))?;
    state.shared.data.set(state.conformance(), &state.plugin.vm_id, (key, value), cas)?;
    Ok(())
}
