//! The hostcalls, as safe functions that return a [`Status`] and what the host wrote.
//!
//! Addresses are plain numbers here, so that a bad one is as easy to pass as a good one.

#![allow(unsafe_code, reason = "hostcalls are foreign functions, and what they return is memory that the host wrote")]

use std::alloc::{self, Layout};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: u32, len: u32) -> u32;
    fn proxy_get_log_level(level: u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: u32) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: u32, max: u32, data: u32, len: u32) -> u32;
    fn proxy_get_buffer_status(kind: u32, len: u32, flags: u32) -> u32;
    fn proxy_set_buffer_bytes(kind: u32, start: u32, replaced: u32, data: u32, len: u32) -> u32;
    fn proxy_get_header_map_size(map: u32, size: u32) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: u32, len: u32) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: u32, len: u32) -> u32;
    fn proxy_get_header_map_value(map: u32, name: u32, name_len: u32, data: u32, len: u32) -> u32;
    fn proxy_add_header_map_value(map: u32, name: u32, name_len: u32, value: u32, value_len: u32) -> u32;
    fn proxy_replace_header_map_value(map: u32, name: u32, name_len: u32, value: u32, value_len: u32) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: u32, name_len: u32) -> u32;
    fn proxy_continue_stream(kind: u32) -> u32;
    fn proxy_close_stream(kind: u32) -> u32;
    fn proxy_send_local_response(
        code: u32,
        details: u32,
        details_len: u32,
        body: u32,
        body_len: u32,
        headers: u32,
        headers_len: u32,
        grpc: i32,
    ) -> u32;
    fn proxy_http_call(
        cluster: u32,
        cluster_len: u32,
        headers: u32,
        headers_len: u32,
        body: u32,
        body_len: u32,
        trailers: u32,
        trailers_len: u32,
        timeout: i32,
        token: u32,
    ) -> u32;
    fn proxy_grpc_call(
        service: u32,
        service_len: u32,
        name: u32,
        name_len: u32,
        method: u32,
        method_len: u32,
        metadata: u32,
        metadata_len: u32,
        message: u32,
        message_len: u32,
        timeout: u32,
        token: u32,
    ) -> u32;
    fn proxy_grpc_stream(
        service: u32,
        service_len: u32,
        name: u32,
        name_len: u32,
        method: u32,
        method_len: u32,
        metadata: u32,
        metadata_len: u32,
        token: u32,
    ) -> u32;
    fn proxy_grpc_send(token: u32, message: u32, message_len: u32, end: u32) -> u32;
    fn proxy_grpc_cancel(token: u32) -> u32;
    fn proxy_grpc_close(token: u32) -> u32;
    fn proxy_get_status(code: u32, data: u32, len: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_done() -> u32;
    fn proxy_get_shared_data(key: u32, key_len: u32, data: u32, len: u32, cas: u32) -> u32;
    fn proxy_set_shared_data(key: u32, key_len: u32, value: u32, value_len: u32, cas: u32) -> u32;
    fn proxy_register_shared_queue(name: u32, name_len: u32, queue: u32) -> u32;
    fn proxy_resolve_shared_queue(vm: u32, vm_len: u32, name: u32, name_len: u32, queue: u32) -> u32;
    fn proxy_enqueue_shared_queue(queue: u32, data: u32, len: u32) -> u32;
    fn proxy_dequeue_shared_queue(queue: u32, data: u32, len: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: u32, name_len: u32, metric: u32) -> u32;
    fn proxy_increment_metric(metric: u32, by: i64) -> u32;
    fn proxy_record_metric(metric: u32, value: u64) -> u32;
    fn proxy_get_metric(metric: u32, value: u32) -> u32;
    fn proxy_get_property(path: u32, path_len: u32, data: u32, len: u32) -> u32;
    fn proxy_set_property(path: u32, path_len: u32, value: u32, value_len: u32) -> u32;
    fn proxy_call_foreign_function(
        name: u32,
        name_len: u32,
        argument: u32,
        argument_len: u32,
        data: u32,
        len: u32,
    ) -> u32;
}

/// An address past any memory that the probe has.
const NOWHERE: u32 = 0xfff0_0000;

/// What a place holds before the host writes to it; no host writes this by chance.
const UNWRITTEN: u32 = 0x7e57_ab1e;

/// What a hostcall returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

impl Status {
    /// The hostcall did what it was asked.
    pub(crate) const OK: Self = Self(0);
}

/// Bytes shown to the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg<'a> {
    /// Bytes of the probe's memory.
    Bytes(&'a [u8]),
    /// This many bytes at an address outside it.
    Nowhere(u32),
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Arg<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

impl Arg<'_> {
    fn at(self) -> u32 {
        match self {
            Self::Bytes(bytes) => address(bytes.as_ptr()),
            Self::Nowhere(_) => NOWHERE,
        }
    }

    fn len(self) -> u32 {
        match self {
            Self::Bytes(bytes) => number(bytes.len()),
            Self::Nowhere(len) => len,
        }
    }
}

/// Where the host is asked to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the probe's memory.
    Here,
    /// Outside it.
    Nowhere,
}

/// Bytes from the host.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// The host wrote neither address nor length.
    Nothing,
    /// The host wrote a null address, and this length.
    Null(u32),
    /// The host allocated memory and wrote these.
    Bytes(Vec<u8>),
}

/// A hostcall's status, and the bytes it returned.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The status.
    pub(crate) status: Status,
    /// The bytes.
    pub(crate) written: Written,
}

/// A hostcall's status, and the number it returned, if it wrote one.
pub(crate) type Counted<N> = (Status, Option<N>);

/// A number of 32 bits to which the host writes.
struct Cell(u32);

impl Cell {
    fn new() -> Self {
        Self(UNWRITTEN)
    }

    fn place(&mut self, to: Place) -> u32 {
        match to {
            Place::Here => number((&raw mut self.0).expose_provenance()),
            Place::Nowhere => NOWHERE,
        }
    }

    fn read(&self) -> Option<u32> {
        // SAFETY: reads an initialised field; volatile, as the host wrote to it behind the compiler's back.
        let value = unsafe { (&raw const self.0).read_volatile() };
        (value != UNWRITTEN).then_some(value)
    }
}

/// A number of 64 bits to which the host writes.
struct WideCell(u64);

impl WideCell {
    const UNWRITTEN: u64 = (UNWRITTEN as u64) << 32 | UNWRITTEN as u64;

    fn new() -> Self {
        Self(Self::UNWRITTEN)
    }

    fn place(&mut self, to: Place) -> u32 {
        match to {
            Place::Here => number((&raw mut self.0).expose_provenance()),
            Place::Nowhere => NOWHERE,
        }
    }

    fn read(&self) -> Option<u64> {
        // SAFETY: as in `Cell::read`.
        let value = unsafe { (&raw const self.0).read_volatile() };
        (value != Self::UNWRITTEN).then_some(value)
    }
}

/// An address or a length, which have 32 bits here.
#[expect(clippy::cast_possible_truncation, reason = "`usize` has 32 bits on this target")]
fn number(value: usize) -> u32 {
    value as u32
}

fn address(of: *const u8) -> u32 {
    number(of.expose_provenance())
}

/// Memory for what the host returns; null where there is none.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(size.max(1), 1) else { return std::ptr::null_mut() };
    // SAFETY: the layout's size is not zero.
    unsafe { alloc::alloc(layout) }
}

/// Makes a call that returns bytes, and takes those over.
fn receive(to: Place, call: impl FnOnce(u32, u32) -> u32) -> Received {
    let (mut data, mut len) = (Cell::new(), Cell::new());
    let status = Status(call(data.place(to), len.place(to)));
    let written = match (data.read(), len.read()) {
        (None, None) => Written::Nothing,
        (None | Some(0), len) => Written::Null(len.unwrap_or(0)),
        (Some(at), len) => Written::Bytes(take(at, len.unwrap_or(0))),
    };
    Received { status, written }
}

/// Copies what the host wrote and frees its memory.
fn take(at: u32, len: u32) -> Vec<u8> {
    let at: *mut u8 = std::ptr::with_exposed_provenance_mut(at as usize);
    // SAFETY: the host wrote `len` bytes at an address that it got from `allocate`, and nobody else has it.
    let bytes = unsafe { std::slice::from_raw_parts(at, len as usize) }.to_vec();
    if let Ok(layout) = Layout::from_size_align((len as usize).max(1), 1) {
        // SAFETY: as above; `allocate` used this layout, since the host asks for exactly what it writes.
        unsafe { alloc::dealloc(at, layout) };
    }
    bytes
}

/// Makes a call that returns one number.
fn count(to: Place, call: impl FnOnce(u32) -> u32) -> Counted<u32> {
    let mut cell = Cell::new();
    let status = Status(call(cell.place(to)));
    (status, cell.read())
}

/// Makes a call that returns one wide number.
fn count_wide(to: Place, call: impl FnOnce(u32) -> u32) -> Counted<u64> {
    let mut cell = WideCell::new();
    let status = Status(call(cell.place(to)));
    (status, cell.read())
}

// SAFETY of every call below: the host reads what an `Arg` shows, all of it alive during the call, and writes to a
// `Cell` or to memory from `allocate`. It refuses addresses outside the memory, which is what some cases check.

/// Logs a line.
pub(crate) fn log(level: u32, text: Arg<'_>) -> Status {
    Status(unsafe { proxy_log(level, text.at(), text.len()) })
}

/// The level below which the host drops lines.
pub(crate) fn get_log_level(to: Place) -> Counted<u32> {
    count(to, |level| unsafe { proxy_get_log_level(level) })
}

/// The time.
pub(crate) fn get_current_time(to: Place) -> Counted<u64> {
    count_wide(to, |time| unsafe { proxy_get_current_time_nanoseconds(time) })
}

/// Asks for ticks.
pub(crate) fn set_tick_period(milliseconds: u32) -> Status {
    Status(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Reads part of a buffer.
pub(crate) fn get_buffer_bytes(kind: u32, start: u32, max: u32, to: Place) -> Received {
    receive(to, |data, len| unsafe { proxy_get_buffer_bytes(kind, start, max, data, len) })
}

/// A buffer's length and flags.
pub(crate) fn get_buffer_status(kind: u32, to: Place) -> (Status, Option<u32>, Option<u32>) {
    let (mut len, mut flags) = (Cell::new(), Cell::new());
    let status = Status(unsafe { proxy_get_buffer_status(kind, len.place(to), flags.place(to)) });
    (status, len.read(), flags.read())
}

/// Replaces part of a buffer.
pub(crate) fn set_buffer_bytes(kind: u32, start: u32, replaced: u32, data: Arg<'_>) -> Status {
    Status(unsafe { proxy_set_buffer_bytes(kind, start, replaced, data.at(), data.len()) })
}

/// A header map's size.
pub(crate) fn get_header_map_size(map: u32, to: Place) -> Counted<u32> {
    count(to, |size| unsafe { proxy_get_header_map_size(map, size) })
}

/// A whole header map.
pub(crate) fn get_header_map_pairs(map: u32, to: Place) -> Received {
    receive(to, |data, len| unsafe { proxy_get_header_map_pairs(map, data, len) })
}

/// Replaces a whole header map.
pub(crate) fn set_header_map_pairs(map: u32, pairs: Arg<'_>) -> Status {
    Status(unsafe { proxy_set_header_map_pairs(map, pairs.at(), pairs.len()) })
}

/// A header's value.
pub(crate) fn get_header_map_value(map: u32, name: Arg<'_>, to: Place) -> Received {
    receive(to, |data, len| unsafe { proxy_get_header_map_value(map, name.at(), name.len(), data, len) })
}

/// Adds a header.
pub(crate) fn add_header_map_value(map: u32, name: Arg<'_>, value: Arg<'_>) -> Status {
    Status(unsafe { proxy_add_header_map_value(map, name.at(), name.len(), value.at(), value.len()) })
}

/// Sets a header.
pub(crate) fn replace_header_map_value(map: u32, name: Arg<'_>, value: Arg<'_>) -> Status {
    Status(unsafe { proxy_replace_header_map_value(map, name.at(), name.len(), value.at(), value.len()) })
}

/// Removes a header.
pub(crate) fn remove_header_map_value(map: u32, name: Arg<'_>) -> Status {
    Status(unsafe { proxy_remove_header_map_value(map, name.at(), name.len()) })
}

/// Goes on with a stream.
pub(crate) fn continue_stream(kind: u32) -> Status {
    Status(unsafe { proxy_continue_stream(kind) })
}

/// Resets a stream.
pub(crate) fn close_stream(kind: u32) -> Status {
    Status(unsafe { proxy_close_stream(kind) })
}

/// Answers in the upstream's stead.
pub(crate) fn send_local_response(code: u32, details: Arg<'_>, body: Arg<'_>, headers: Arg<'_>, grpc: i32) -> Status {
    Status(unsafe {
        proxy_send_local_response(
            code,
            details.at(),
            details.len(),
            body.at(),
            body.len(),
            headers.at(),
            headers.len(),
            grpc,
        )
    })
}

/// What a callout sends, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callout<'a> {
    /// The cluster's name.
    pub(crate) cluster: Arg<'a>,
    /// The headers, encoded.
    pub(crate) headers: Arg<'a>,
    /// The body.
    pub(crate) body: Arg<'a>,
    /// The trailers, encoded.
    pub(crate) trailers: Arg<'a>,
    /// Milliseconds.
    pub(crate) timeout: i32,
}

/// Sends a request; returns its token.
pub(crate) fn http_call(callout: &Callout<'_>, to: Place) -> Counted<u32> {
    let Callout { cluster, headers, body, trailers, timeout } = *callout;
    count(to, |token| unsafe {
        proxy_http_call(
            cluster.at(),
            cluster.len(),
            headers.at(),
            headers.len(),
            body.at(),
            body.len(),
            trailers.at(),
            trailers.len(),
            timeout,
            token,
        )
    })
}

/// Where a gRPC callout goes, and what it begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrpcCallout<'a> {
    /// The cluster: a protobuf message, or a name.
    pub(crate) service: Arg<'a>,
    /// The service's name.
    pub(crate) name: Arg<'a>,
    /// The method's name.
    pub(crate) method: Arg<'a>,
    /// The initial metadata, encoded.
    pub(crate) metadata: Arg<'a>,
}

/// Makes a gRPC call; returns its token.
pub(crate) fn grpc_call(callout: &GrpcCallout<'_>, message: Arg<'_>, timeout: u32, to: Place) -> Counted<u32> {
    let GrpcCallout { service, name, method, metadata } = *callout;
    count(to, |token| unsafe {
        proxy_grpc_call(
            service.at(),
            service.len(),
            name.at(),
            name.len(),
            method.at(),
            method.len(),
            metadata.at(),
            metadata.len(),
            message.at(),
            message.len(),
            timeout,
            token,
        )
    })
}

/// Opens a gRPC stream; returns its token.
pub(crate) fn grpc_stream(callout: &GrpcCallout<'_>, to: Place) -> Counted<u32> {
    let GrpcCallout { service, name, method, metadata } = *callout;
    count(to, |token| unsafe {
        proxy_grpc_stream(
            service.at(),
            service.len(),
            name.at(),
            name.len(),
            method.at(),
            method.len(),
            metadata.at(),
            metadata.len(),
            token,
        )
    })
}

/// Sends a message on a gRPC stream.
pub(crate) fn grpc_send(token: u32, message: Arg<'_>, end: u32) -> Status {
    Status(unsafe { proxy_grpc_send(token, message.at(), message.len(), end) })
}

/// Breaks a gRPC callout off.
pub(crate) fn grpc_cancel(token: u32) -> Status {
    Status(unsafe { proxy_grpc_cancel(token) })
}

/// Ends what is sent on a gRPC stream.
pub(crate) fn grpc_close(token: u32) -> Status {
    Status(unsafe { proxy_grpc_close(token) })
}

/// How the last gRPC call went.
pub(crate) fn get_status(to: Place) -> (Received, Option<u32>) {
    let mut code = Cell::new();
    let place = code.place(to);
    let received = receive(to, |data, len| unsafe { proxy_get_status(place, data, len) });
    (received, code.read())
}

/// Has the following hostcalls speak of another context.
pub(crate) fn set_effective_context(context: u32) -> Status {
    Status(unsafe { proxy_set_effective_context(context) })
}

/// Says that a context may be deleted.
pub(crate) fn done() -> Status {
    Status(unsafe { proxy_done() })
}

/// Reads shared data; also returns its version.
pub(crate) fn get_shared_data(key: Arg<'_>, to: Place) -> (Received, Option<u32>) {
    let mut cas = Cell::new();
    let place = cas.place(to);
    let received = receive(to, |data, len| unsafe { proxy_get_shared_data(key.at(), key.len(), data, len, place) });
    (received, cas.read())
}

/// Writes shared data.
pub(crate) fn set_shared_data(key: Arg<'_>, value: Arg<'_>, cas: u32) -> Status {
    Status(unsafe { proxy_set_shared_data(key.at(), key.len(), value.at(), value.len(), cas) })
}

/// Finds or makes a queue.
pub(crate) fn register_shared_queue(name: Arg<'_>, to: Place) -> Counted<u32> {
    count(to, |queue| unsafe { proxy_register_shared_queue(name.at(), name.len(), queue) })
}

/// Finds a queue.
pub(crate) fn resolve_shared_queue(vm: Arg<'_>, name: Arg<'_>, to: Place) -> Counted<u32> {
    count(to, |queue| unsafe { proxy_resolve_shared_queue(vm.at(), vm.len(), name.at(), name.len(), queue) })
}

/// Puts an item into a queue.
pub(crate) fn enqueue_shared_queue(queue: u32, data: Arg<'_>) -> Status {
    Status(unsafe { proxy_enqueue_shared_queue(queue, data.at(), data.len()) })
}

/// Takes an item out of a queue.
pub(crate) fn dequeue_shared_queue(queue: u32, to: Place) -> Received {
    receive(to, |data, len| unsafe { proxy_dequeue_shared_queue(queue, data, len) })
}

/// Finds or makes a metric.
pub(crate) fn define_metric(kind: u32, name: Arg<'_>, to: Place) -> Counted<u32> {
    count(to, |metric| unsafe { proxy_define_metric(kind, name.at(), name.len(), metric) })
}

/// Changes a metric.
pub(crate) fn increment_metric(metric: u32, by: i64) -> Status {
    Status(unsafe { proxy_increment_metric(metric, by) })
}

/// Sets a metric.
pub(crate) fn record_metric(metric: u32, value: u64) -> Status {
    Status(unsafe { proxy_record_metric(metric, value) })
}

/// A metric's value.
pub(crate) fn get_metric(metric: u32, to: Place) -> Counted<u64> {
    count_wide(to, |value| unsafe { proxy_get_metric(metric, value) })
}

/// A property's value.
pub(crate) fn get_property(path: Arg<'_>, to: Place) -> Received {
    receive(to, |data, len| unsafe { proxy_get_property(path.at(), path.len(), data, len) })
}

/// Sets a property.
pub(crate) fn set_property(path: Arg<'_>, value: Arg<'_>) -> Status {
    Status(unsafe { proxy_set_property(path.at(), path.len(), value.at(), value.len()) })
}

/// Calls a function that only some hosts have.
pub(crate) fn call_foreign_function(name: Arg<'_>, argument: Arg<'_>, to: Place) -> Received {
    receive(to, |data, len| unsafe {
        proxy_call_foreign_function(name.at(), name.len(), argument.at(), argument.len(), data, len)
    })
}
