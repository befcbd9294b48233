//! What the host calls.

#![allow(unsafe_code, reason = "an export has an unmangled name, which the compiler counts as unsafe: two could clash")]

use crate::host;
use crate::turn::{Phase, Probe};

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
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    Probe::lend((), |probe| probe.on_context_create(context, parent));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(context: u32, size: u32) -> u32 {
    Probe::lend((), |probe| probe.on_vm_start(context, size));
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: u32) -> u32 {
    Probe::lend((), |probe| probe.on_configure(context, size));
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    Probe::lend((), |probe| probe.on_tick(context));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_queue_ready(context: u32, queue: u32) {
    Probe::lend((), |probe| probe.on_queue_ready(context, queue));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(context: u32, token: u32, headers: u32, body: u32, trailers: u32) {
    Probe::lend((), |probe| probe.on_http_call_response(context, token, [headers, body, trailers]));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_initial_metadata(context: u32, token: u32, headers: u32) {
    let arguments = format_args!("headers={headers}");
    Probe::lend((), |probe| probe.on_grpc(context, token, Phase::GrpcInitialMetadata, arguments));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive(context: u32, token: u32, size: u32) {
    Probe::lend((), |probe| probe.on_grpc(context, token, Phase::GrpcMessage, format_args!("size={size}")));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_trailing_metadata(context: u32, token: u32, trailers: u32) {
    let arguments = format_args!("trailers={trailers}");
    Probe::lend((), |probe| probe.on_grpc(context, token, Phase::GrpcTrailingMetadata, arguments));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_close(context: u32, token: u32, status: u32) {
    let arguments = format_args!("status={}", status.cast_signed());
    Probe::lend((), |probe| probe.on_grpc(context, token, Phase::GrpcClose, arguments));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, headers: u32, end: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_request_headers(context, headers, end))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: u32, end: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::RequestBody, format_args!("size={size}, end={end}")))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, trailers: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::RequestTrailers, format_args!("trailers={trailers}")))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, headers: u32, end: u32) -> u32 {
    Probe::lend(0, |probe| {
        probe.on_stream(context, Phase::ResponseHeaders, format_args!("headers={headers}, end={end}"))
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: u32, end: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::ResponseBody, format_args!("size={size}, end={end}")))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, trailers: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::ResponseTrailers, format_args!("trailers={trailers}")))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_new_connection(context: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_new_connection(context))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_downstream_data(context: u32, size: u32, end: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_downstream_data(context, size, end))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_upstream_data(context: u32, size: u32, end: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::UpstreamData, format_args!("size={size}, end={end}")))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_downstream_connection_close(context: u32, peer: u32) {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::DownstreamClose, format_args!("peer={peer}")));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_upstream_connection_close(context: u32, peer: u32) {
    Probe::lend((), |probe| probe.on_upstream_close(context, peer));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::Log, format_args!("")));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(context: u32) -> u32 {
    Probe::lend(0, |probe| probe.on_stream(context, Phase::Done, format_args!("")));
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    Probe::lend((), |probe| probe.on_delete(context));
}
