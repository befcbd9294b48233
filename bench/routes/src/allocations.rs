//! An allocator that counts: what a match and a table cost in memory.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it; it only counts and delegates")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator with a count for each thread. A program that wants the counts makes it its global allocator.
#[derive(Debug, Default)]
pub struct Counting;

/// What this thread asked of [`Counting`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that gave out memory.
    pub allocations: u64,
    /// Bytes in use now.
    pub live: i64,
    /// The most bytes that were in use at once, since [`restart_peak`].
    pub peak: i64,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, live: 0, peak: 0 }) };
}

/// The counts of this thread.
#[must_use]
pub fn counts() -> Counts {
    COUNTS.get()
}

/// Forgets the most bytes that were in use.
pub fn restart_peak() {
    let counts = COUNTS.get();
    COUNTS.set(Counts { peak: counts.live, ..counts });
}

fn count(allocations: u64, more: usize, less: usize) {
    let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    // An allocation of a thread that is being torn down is not counted.
    let _ = COUNTS.try_with(|cell| {
        let counts = cell.get();
        let live = counts.live.saturating_add(signed(more)).saturating_sub(signed(less));
        cell.set(Counts { allocations: counts.allocations + allocations, live, peak: counts.peak.max(live) });
    });
}

// SAFETY: every call is handed to the system's allocator unchanged. The counts are plain numbers in a thread-local without a destructor, so
// counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
