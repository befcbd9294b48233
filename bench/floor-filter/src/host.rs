//! The hostcalls, and the one buffer in which the proxy returns bytes.

#![allow(unsafe_code, reason = "hostcalls are foreign functions, and what they return is memory that the proxy wrote")]

use core::cell::UnsafeCell;
use core::{ptr, slice};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, result: *mut u64) -> u32;
}

/// The request's header map.
pub(crate) const REQUEST: u32 = 0;
/// The response's.
pub(crate) const RESPONSE: u32 = 2;

const PLUGIN_CONFIGURATION: u32 = 7;
const COUNTER: u32 = 0;
const MONOTONIC: u32 = 1;

/// Envoy's default bound on a request's headers is 60 KiB.
const BUFFER_SIZE: usize = 64 * 1024;

/// A value that only one thread ever sees.
pub(crate) struct Lone<T>(UnsafeCell<T>);

// SAFETY: a VM has one thread.
unsafe impl<T> Sync for Lone<T> {}

impl<T> Lone<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Lends the value to a callback.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the proxy makes one callback at a time, and what it calls during a hostcall is `allocate` alone,
        // which lends nothing.
        work(unsafe { &mut *self.0.get() })
    }
}

static BUFFER: Lone<[u8; BUFFER_SIZE]> = Lone::new([0; BUFFER_SIZE]);

/// Memory for what a hostcall returns: always the same, as nothing is looked at after the next hostcall. Null, with
/// which that hostcall fails, for what has no room.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    if size <= BUFFER_SIZE { BUFFER.0.get().cast() } else { ptr::null_mut() }
}

/// What a hostcall returned, lent to `look`; nothing where it failed.
fn receive<R>(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32, look: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
    let mut data = ptr::null_mut();
    let mut len = 0;
    let status = call(&raw mut data, &raw mut len);
    if status != 0 || data.is_null() {
        return None;
    }
    // SAFETY: the proxy wrote `len` bytes at the address that `allocate` gave it, and writes no more before its next
    // hostcall.
    look(unsafe { slice::from_raw_parts(data, len) })
}

/// Reads the plugin's configuration.
pub(crate) fn configuration<R>(look: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
    // SAFETY: the proxy writes to the two places that `receive` offers.
    receive(|data, len| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, BUFFER_SIZE, data, len) }, look)
}

/// Has the proxy hand over a whole header map, at which nobody looks.
pub(crate) fn fetch_headers(map: u32) {
    // SAFETY: as above.
    receive(|data, len| unsafe { proxy_get_header_map_pairs(map, data, len) }, |_| Some(()));
}

/// The first byte of a header.
pub(crate) fn first_of_header(map: u32, name: &str) -> Option<u8> {
    receive(
        // SAFETY: as above; the proxy reads the name that it is shown.
        |data, len| unsafe { proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, len) },
        |value| value.first().copied(),
    )
}

/// Sets a header.
pub(crate) fn set_header(map: u32, name: &str, value: &[u8]) {
    // SAFETY: the proxy reads what it is shown.
    unsafe { proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Sets filter state.
pub(crate) fn set_property(path: &str, value: &[u8]) {
    // SAFETY: the proxy reads what it is shown.
    unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
}

/// Finds or makes a counter.
pub(crate) fn define_counter(name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the proxy reads the name and writes the number.
    let status = unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
    (status == 0).then_some(id)
}

/// Adds to a counter.
pub(crate) fn increment(id: u32, delta: i64) {
    // SAFETY: only numbers are passed.
    unsafe { proxy_increment_metric(id, delta) };
}

/// Asks for a tick every so often.
pub(crate) fn set_tick_period(milliseconds: u32) {
    // SAFETY: only a number is passed.
    unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
}

/// Nanoseconds by the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    let mut now = 0;
    // SAFETY: the proxy writes the number.
    unsafe { clock_time_get(MONOTONIC, 0, &raw mut now) };
    now
}
