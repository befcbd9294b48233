//! What the proxy calls. Each function only passes on to the safe code in [`crate::vm`].
//!
//! Callbacks that would do nothing (bodies of responses, trailers, connections, queues) are not exported: a proxy skips
//! what a module does not have. That of a request's body is, for rules that take a value from it; for every other
//! request it is over after one comparison. Neither is
//! `proxy_on_done`: it comes to every stream as well, and what it would do for a root context `proxy_on_delete`, which
//! always follows, does.

use crate::vm;

/// Go on with the stream, whatever happened to telemetry.
const CONTINUE: u32 = 0;

#[cfg(target_family = "wasm")]
unsafe extern "C" {
    /// The linker's list of start-up functions.
    fn __wasm_call_ctors();
}

/// Called once, before everything else.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: the linker provides it, and the host calls `_initialize` exactly once. Naming it here also keeps the
    // linker from wrapping every export in a call to it.
    unsafe { __wasm_call_ctors() };
}

/// The marker of the ABI's version.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Memory for what a hostcall is about to return.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    super::buffer::allocate(size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    vm::with(|vm| vm.on_context_create(context, parent));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: usize) -> u32 {
    u32::from(vm::with(|vm| vm.on_configure(context, size)).unwrap_or(false))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    vm::with(|vm| vm.on_tick(context));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _headers: u32, _end_of_stream: u32) -> u32 {
    vm::with(|vm| vm.on_request_headers(context));
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, _end_of_stream: u32) -> u32 {
    vm::with(|vm| vm.on_request_body(context, size));
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _headers: u32, _end_of_stream: u32) -> u32 {
    vm::with(|vm| vm.on_response_headers(context));
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(context: u32, token: u32, _headers: u32, body: usize, _trailers: u32) {
    vm::with(|vm| vm.on_call_response(context, token, body));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    vm::with(|vm| vm.on_log(context));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    vm::with(|vm| vm.on_delete(context));
}
