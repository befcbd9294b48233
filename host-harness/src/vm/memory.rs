//! The module's memory, as hostcalls reach it: every pointer is checked.

use wasmtime::AsContextMut as _;

use super::state::HostState;
use crate::abi::Status;
use crate::fault::Effect;
use crate::hostcall::{Answer, Fail, Guest};

/// The module's memory and the host's state, borrowed together for the time that neither calls the module.
pub(crate) struct GuestMemory<'a> {
    pub(crate) bytes: &'a mut [u8],
    pub(crate) state: &'a mut HostState,
}

impl<'a> GuestMemory<'a> {
    /// Borrows the memory of the module that made the call.
    pub(crate) fn of(guest: &'a mut Guest<'_>) -> Result<Self, Fail> {
        let memory = match guest.data().memory {
            Some(memory) => memory,
            // Hostcalls of a `start` section come before the host has looked up the exports.
            None => {
                guest.get_export("memory").and_then(wasmtime::Extern::into_memory).ok_or(Status::InvalidMemoryAccess)?
            }
        };
        let (bytes, state) = memory.data_and_store_mut(guest.as_context_mut());
        Ok(Self { bytes, state })
    }

    /// Bytes that the module hands over, and the host's state beside them.
    ///
    /// Also an empty range must lie inside the memory.
    pub(crate) fn read(&mut self, pointer: u32, size: u32) -> Result<&[u8], Fail> {
        self.state.cost.bytes_out += u64::from(size);
        self.state.afford(u64::from(size) / 8);
        self.bytes.get(range(pointer, size)).ok_or(Status::InvalidMemoryAccess.into())
    }

    /// Two byte ranges that the module hands over, and the host's state.
    pub(crate) fn read_two(
        &mut self,
        first: (u32, u32),
        second: (u32, u32),
    ) -> Result<(&[u8], &[u8], &mut HostState), Fail> {
        let size = u64::from(first.1) + u64::from(second.1);
        self.state.cost.bytes_out += size;
        self.state.afford(size / 8);
        match (self.bytes.get(range(first.0, first.1)), self.bytes.get(range(second.0, second.1))) {
            (Some(first), Some(second)) => Ok((first, second, self.state)),
            _ => Err(Status::InvalidMemoryAccess.into()),
        }
    }

    /// One byte range that the module hands over, and the host's state.
    pub(crate) fn read_with(&mut self, pointer: u32, size: u32) -> Result<(&[u8], &mut HostState), Fail> {
        self.read_two((pointer, size), (pointer, 0)).map(|(bytes, _, state)| (bytes, state))
    }

    /// Writes bytes to where the module wants them.
    pub(crate) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Answer {
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let place = self.bytes.get_mut(range(pointer, size)).ok_or(Status::InvalidMemoryAccess)?;
        place.copy_from_slice(bytes);
        self.state.cost.bytes_in += u64::from(size);
        self.state.afford(u64::from(size) / 8);
        Ok(())
    }

    /// Writes a 32-bit number.
    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Answer {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Writes a 64-bit number.
    pub(crate) fn write_u64(&mut self, pointer: u32, value: u64) -> Answer {
        self.write(pointer, &value.to_le_bytes())
    }

    /// The area that the module wants filled.
    pub(crate) fn area(&mut self, pointer: u32, size: u32) -> Result<(&mut [u8], &mut HostState), Fail> {
        self.state.cost.bytes_in += u64::from(size);
        self.state.afford(u64::from(size));
        let area = self.bytes.get_mut(range(pointer, size)).ok_or(Status::InvalidMemoryAccess)?;
        Ok((area, self.state))
    }
}

fn range(pointer: u32, size: u32) -> std::ops::Range<usize> {
    let start = pointer as usize;
    start..start.saturating_add(size as usize)
}

/// Gives bytes to the module: `fill` puts them into a buffer, the module's allocator says where they go, and pointer and
/// size are written where the module wants them. No bytes are a null pointer.
pub(crate) fn give(
    guest: &mut Guest<'_>,
    pointer_to: u32,
    size_to: u32,
    fill: impl FnOnce(&mut HostState, &mut Vec<u8>) -> Answer,
) -> Answer {
    let state = guest.data_mut();
    let mut bytes = std::mem::take(&mut state.scratch);
    bytes.clear();
    let filled = fill(state, &mut bytes);
    state.scratch = bytes;
    filled?;
    give_scratch(guest, pointer_to, size_to)
}

/// The same with what is in the scratch buffer already.
pub(crate) fn give_scratch(guest: &mut Guest<'_>, pointer_to: u32, size_to: u32) -> Answer {
    let state = guest.data_mut();
    let bytes = std::mem::take(&mut state.scratch);
    // They have been copied, also if the module has no place for them.
    state.afford(bytes.len() as u64 / 8);
    let result = give_bytes(guest, &bytes, pointer_to, size_to);
    guest.data_mut().scratch = bytes;
    result
}

fn give_bytes(guest: &mut Guest<'_>, bytes: &[u8], pointer_to: u32, size_to: u32) -> Answer {
    let (pointer, mut memory) = allocate_and_write(guest, bytes)?;
    let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    memory.write_u32(pointer_to, pointer)?;
    memory.write_u32(size_to, size)
}

/// Puts bytes to where the module's allocator says, and says where that is: null for none. The memory is as it is after that.
pub(crate) fn allocate_and_write<'a>(guest: &'a mut Guest<'_>, bytes: &[u8]) -> Result<(u32, GuestMemory<'a>), Fail> {
    if bytes.is_empty() { Ok((0, GuestMemory::of(guest)?)) } else { always_allocate_and_write(guest, bytes) }
}

/// The same, which asks for a place for no bytes too.
pub(crate) fn always_allocate_and_write<'a>(
    guest: &'a mut Guest<'_>,
    bytes: &[u8],
) -> Result<(u32, GuestMemory<'a>), Fail> {
    let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    let pointer = allocate(guest, size)?;
    let mut memory = GuestMemory::of(guest)?;
    memory.write(pointer, bytes)?;
    Ok((pointer, memory))
}

/// Calls the module's allocator. Null is an invalid memory access.
fn allocate(guest: &mut Guest<'_>, size: u32) -> Result<u32, Fail> {
    let state = guest.data_mut();
    state.cost.allocations = state.cost.allocations.saturating_add(1);
    match state.shared.faults.strike("allocator") {
        None => {}
        Some(Effect::Status(_)) => return Err(Status::InvalidMemoryAccess.into()),
        Some(Effect::Trap) => {
            return Err(Fail::Trap(wasmtime::format_err!("fault put into the allocator")));
        }
    }
    // Taken out while it runs: an allocator that makes a hostcall which allocates would never end.
    let allocator = state.allocator.take().ok_or(Status::InvalidMemoryAccess)?;
    let pointer = allocator.call(guest.as_context_mut(), size);
    guest.data_mut().allocator = Some(allocator);
    match pointer {
        Ok(0) => Err(Status::InvalidMemoryAccess.into()),
        Ok(pointer) => Ok(pointer),
        Err(error) => Err(Fail::Trap(error)),
    }
}
