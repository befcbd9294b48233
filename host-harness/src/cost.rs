//! What a stream cost: hostcalls by name, bytes across the boundary, re-entries into the allocator, fuel.

use std::fmt;

/// Cost of one stream, or of everything a VM did outside streams.
#[derive(Clone, PartialEq, Eq)]
pub struct Cost {
    pub(crate) calls: [u32; crate::hostcall::COUNT],
    /// Callbacks that the host made into the module.
    pub callbacks: u32,
    /// Bytes that the host copied into the module's memory.
    pub bytes_in: u64,
    /// Bytes that the module handed to the host.
    pub bytes_out: u64,
    /// Calls of the module's allocator made while a hostcall ran.
    pub allocations: u32,
    /// Fuel that the module burned; 0 when it is not metered.
    pub fuel: u64,
}

/// Only the hostcalls that were made, by name.
impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cost")
            .field("hostcalls", &self.hostcalls().collect::<Vec<_>>())
            .field("callbacks", &self.callbacks)
            .field("bytes_in", &self.bytes_in)
            .field("bytes_out", &self.bytes_out)
            .field("allocations", &self.allocations)
            .field("fuel", &self.fuel)
            .finish()
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self { calls: [0; crate::hostcall::COUNT], callbacks: 0, bytes_in: 0, bytes_out: 0, allocations: 0, fuel: 0 }
    }
}

impl Cost {
    /// How often the hostcall or WASI function `name` was called.
    #[must_use]
    pub fn hostcall(&self, name: &str) -> u32 {
        self.hostcalls().find(|(known, _)| *known == name).map_or(0, |(_, calls)| calls)
    }

    /// The hostcalls that were called, with their number, in the ABI's order.
    pub fn hostcalls(&self) -> impl Iterator<Item = (&'static str, u32)> {
        crate::hostcall::NAMES.iter().copied().zip(self.calls).filter(|(_, calls)| *calls > 0)
    }

    /// The sum over all hostcalls.
    #[must_use]
    pub fn total_hostcalls(&self) -> u32 {
        self.calls.iter().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, calls) in self.calls.iter_mut().zip(other.calls) {
            *sum += calls;
        }
        self.callbacks += other.callbacks;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.allocations += other.allocations;
        self.fuel += other.fuel;
    }
}
