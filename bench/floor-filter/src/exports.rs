//! What the proxy calls: what it cannot do without, and the callbacks that do something. It skips what a module does
//! not have, which is why contexts are neither created nor deleted here.

#![allow(unsafe_code, reason = "an export has an unmangled name, which the compiler counts as unsafe: two could clash")]

use crate::host::{self, Lone};
use crate::vm::Vm;

/// Go on with the stream.
const CONTINUE: u32 = 0;

static VM: Lone<Vm> = Lone::new(Vm::new());

unsafe extern "C" {
    /// The linker's list of start-up functions.
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: the linker provides it, and the host calls `_initialize` exactly once. Naming it here also keeps the
    // linker from wrapping every export in a call to it.
    unsafe { __wasm_call_ctors() };
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    host::allocate(size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_context: u32, _size: usize) -> u32 {
    u32::from(VM.with(Vm::on_configure))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(_context: u32) {
    VM.with(Vm::on_tick);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _headers: u32, _end_of_stream: u32) -> u32 {
    VM.with(|vm| vm.on_request_headers(context));
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _headers: u32, _end_of_stream: u32) -> u32 {
    Vm::on_response_headers(context);
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    VM.with(|vm| vm.on_log(context));
}
