//! Shared queues. Whoever registered one hears of its items later, in `proxy_on_queue_ready` of the root context.

use wasmtime::Linker;

use super::{Answer, Guest, Hostcall, provide, provide_reentrant};
use crate::vm::memory::{GuestMemory, give};
use crate::vm::state::HostState;

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide!(linker, "env", RegisterSharedQueue, register, (name: u32, name_size: u32, id: u32));
    provide!(linker, "env", ResolveSharedQueue, resolve, (vm: u32, vm_size: u32, name: u32, name_size: u32, id: u32));
    provide!(linker, "env", EnqueueSharedQueue, enqueue, (id: u32, value: u32, size: u32));
    provide_reentrant!(linker, "env", DequeueSharedQueue, dequeue, (id: u32, value: u32, size: u32));
    Ok(())
}

fn register(memory: &mut GuestMemory<'_>, name: u32, name_size: u32, id: u32) -> Answer {
    let (name, state) = memory.read_with(name, name_size)?;
    let owner = (state.role, state.root_id());
    let number = state.shared.queues.register(&state.plugin.vm_id, name, owner)?;
    memory.write_u32(id, number)
}

/// No `vm_id` is the module's own.
fn resolve(memory: &mut GuestMemory<'_>, vm: u32, vm_size: u32, name: u32, name_size: u32, id: u32) -> Answer {
    let (vm, name, state) = memory.read_two((vm, vm_size), (name, name_size))?;
    let vm = if vm.is_empty() { state.plugin.vm_id.clone() } else { String::from_utf8_lossy(vm).into_owned() };
    let number = state.shared.queues.resolve(&vm, name)?;
    memory.write_u32(id, number)
}

fn enqueue(memory: &mut GuestMemory<'_>, id: u32, value: u32, size: u32) -> Answer {
    let (value, state) = memory.read_with(value, size)?;
    state.shared.queues.enqueue(id, value)?;
    Ok(())
}

fn dequeue(guest: &mut Guest<'_>, id: u32, value: u32, size: u32) -> Answer {
    give(guest, value, size, |state, bytes| {
        bytes.append(&mut state.shared.queues.dequeue(id)?);
        Ok(())
    })
}
