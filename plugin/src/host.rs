//! The border to the proxy: every hostcall, every export, and all of this crate's `unsafe`.
//!
//! The functions here are safe to call with anything, never panic, and answer each status the host can return with a
//! value. A status that means "there is none" (no such header, no such property, the map is not available in this
//! phase) is `Ok(None)`; every other one is a [`Fault`], to be counted and reported by the caller, never to be acted
//! on. What a hostcall returns lies in a [`HostBuffer`] that the caller lends it.

#![allow(unsafe_code, reason = "the one place that talks to the host: raw imports, exports and the memory they fill")]

mod buffer;
mod exports;
#[cfg(test)]
pub(crate) mod fake;
mod imports;
mod pairs;

use telemetry::log::Level;
use telemetry::metrics::MetricKind;

pub(crate) use buffer::HostBuffer;
pub(crate) use pairs::{Pairs, header_block};

/// Status `OK` of proxy-wasm.
const OK: u32 = 0;
/// Status `NOT_FOUND`: no such header, property or shared value.
const NOT_FOUND: u32 = 1;
/// Status `BAD_ARGUMENT`, which for a header map also means "not in this phase".
const BAD_ARGUMENT: u32 = 2;
/// Status `CAS_MISMATCH`: another VM wrote first.
const CAS_MISMATCH: u32 = 8;
/// Status `UNIMPLEMENTED`, which is all that a native build of this crate gets.
#[cfg(all(not(target_family = "wasm"), not(test)))]
const UNIMPLEMENTED: u32 = 12;

/// What has come of a request's body, among the host's buffers.
const BUFFER_REQUEST_BODY: u32 = 0;
/// The body of an answer to a call, among the host's buffers.
const BUFFER_CALL_BODY: u32 = 4;
/// The configuration of the plugin, among the host's buffers.
const BUFFER_PLUGIN_CONFIGURATION: u32 = 7;
/// The clock of WASI that no operator and no time server sets.
const CLOCK_MONOTONIC: u32 = 1;

/// A hostcall that can fail, as the label of the metric that counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Hostcall {
    /// `proxy_get_current_time_nanoseconds` and `clock_time_get`.
    Clock,
    /// `random_get`.
    Random,
    /// `proxy_set_tick_period_milliseconds`.
    SetTickPeriod,
    /// `proxy_get_buffer_bytes`.
    GetBuffer,
    /// `proxy_get_header_map_pairs`.
    GetHeaders,
    /// `proxy_get_header_map_value`.
    GetHeader,
    /// `proxy_replace_header_map_value`.
    SetHeader,
    /// `proxy_add_header_map_value`.
    AddHeader,
    /// `proxy_remove_header_map_value`.
    RemoveHeader,
    /// `proxy_get_property`.
    GetProperty,
    /// `proxy_set_property`, and `proxy_call_foreign_function` for the type of what it sets.
    SetProperty,
    /// `proxy_get_shared_data`.
    GetSharedData,
    /// `proxy_set_shared_data`.
    SetSharedData,
    /// `proxy_define_metric`.
    DefineMetric,
    /// `proxy_increment_metric`.
    IncrementMetric,
    /// `proxy_record_metric`.
    RecordMetric,
    /// `proxy_http_call`.
    HttpCall,
    /// `environ_get` and `environ_sizes_get`.
    Environment,
}

impl Hostcall {
    /// Each of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 18] = [
        Self::Clock,
        Self::Random,
        Self::SetTickPeriod,
        Self::GetBuffer,
        Self::GetHeaders,
        Self::GetHeader,
        Self::SetHeader,
        Self::AddHeader,
        Self::RemoveHeader,
        Self::GetProperty,
        Self::SetProperty,
        Self::GetSharedData,
        Self::SetSharedData,
        Self::DefineMetric,
        Self::IncrementMetric,
        Self::RecordMetric,
        Self::HttpCall,
        Self::Environment,
    ];

    /// The value of the label `hostcall`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "get_time",
            Self::Random => "get_random",
            Self::SetTickPeriod => "set_tick_period",
            Self::GetBuffer => "get_buffer",
            Self::GetHeaders => "get_headers",
            Self::GetHeader => "get_header",
            Self::SetHeader => "set_header",
            Self::AddHeader => "add_header",
            Self::RemoveHeader => "remove_header",
            Self::GetProperty => "get_property",
            Self::SetProperty => "set_property",
            Self::GetSharedData => "get_shared_data",
            Self::SetSharedData => "set_shared_data",
            Self::DefineMetric => "define_metric",
            Self::IncrementMetric => "increment_metric",
            Self::RecordMetric => "record_metric",
            Self::HttpCall => "http_call",
            Self::Environment => "get_environment",
        }
    }
}

/// A hostcall that the host did not carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Which.
    pub(crate) hostcall: Hostcall,
    /// What it answered.
    pub(crate) status: u32,
}

/// The header maps that this module reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum HeaderMap {
    /// The request's headers.
    Request = 0,
    /// The response's headers.
    Response = 2,
    /// The response's trailers.
    ResponseTrailers = 3,
    /// The headers of an answer to a call.
    CallResponse = 6,
}

/// When a shared value may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Only if there is none yet.
    Create,
    /// Only if nobody wrote since it was read; the number came with the value.
    Update(u32),
}

fn done(hostcall: Hostcall, status: u32) -> Result<(), Fault> {
    if status == OK { Ok(()) } else { Err(Fault { hostcall, status }) }
}

/// Writes a line to the proxy's log. There is nobody left to tell when this fails.
pub(crate) fn log(level: Level, line: &str) {
    let level = match level {
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    };
    // SAFETY: the host reads `line.len()` bytes of a live string.
    let _ = unsafe { imports::proxy_log(level, line.as_ptr(), line.len()) };
}

/// Nanoseconds since 1970 by the system's clock, which may jump.
pub(crate) fn wall_clock_ns() -> Result<u64, Fault> {
    let mut now = 0;
    // SAFETY: the host writes one `u64`.
    let status = unsafe { imports::proxy_get_current_time_nanoseconds(&raw mut now) };
    done(Hostcall::Clock, status).map(|()| now)
}

/// Nanoseconds since some moment by a clock that never jumps.
pub(crate) fn monotonic_ns() -> Result<u64, Fault> {
    let mut now = 0;
    // SAFETY: the host writes one `u64`.
    let status = unsafe { imports::clock_time_get(CLOCK_MONOTONIC, 1, &raw mut now) };
    done(Hostcall::Clock, status).map(|()| now)
}

/// Fills `bytes` from the operating system's randomness.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Fault> {
    // SAFETY: the host writes `bytes.len()` bytes of a live exclusive slice.
    let status = unsafe { imports::random_get(bytes.as_mut_ptr(), bytes.len()) };
    done(Hostcall::Random, status)
}

/// Asks for `on_tick` every `period_ms` on this root context.
pub(crate) fn set_tick_period(period_ms: u32) -> Result<(), Fault> {
    // SAFETY: no memory is involved.
    let status = unsafe { imports::proxy_set_tick_period_milliseconds(period_ms) };
    done(Hostcall::SetTickPeriod, status)
}

/// The configuration, of `size` bytes, that `on_configure` was called for.
pub(crate) fn plugin_configuration(size: usize, buffer: &mut HostBuffer) -> Result<&[u8], Fault> {
    let (status, bytes) = buffer.receive(|data, len| {
        // SAFETY: the host writes one address and one length, into memory that it asked the allocator for.
        unsafe { imports::proxy_get_buffer_bytes(BUFFER_PLUGIN_CONFIGURATION, 0, size, data, len) }
    });
    done(Hostcall::GetBuffer, status).map(|()| bytes)
}

/// Part of what has just come of the request's body; nothing outside of `on_request_body`.
pub(crate) fn request_body(start: usize, size: usize, buffer: &mut HostBuffer) -> Result<&[u8], Fault> {
    let (status, bytes) = buffer.receive(|data, len| {
        // SAFETY: as in `plugin_configuration`.
        unsafe { imports::proxy_get_buffer_bytes(BUFFER_REQUEST_BODY, start, size, data, len) }
    });
    match status {
        OK => Ok(bytes),
        NOT_FOUND | BAD_ARGUMENT => Ok(&[]),
        status => Err(Fault { hostcall: Hostcall::GetBuffer, status }),
    }
}

/// Part of the body of an answer to a call; nothing outside of `on_http_call_response`.
pub(crate) fn call_body(start: usize, size: usize, buffer: &mut HostBuffer) -> Result<&[u8], Fault> {
    let (status, bytes) = buffer.receive(|data, len| {
        // SAFETY: as in `plugin_configuration`.
        unsafe { imports::proxy_get_buffer_bytes(BUFFER_CALL_BODY, start, size, data, len) }
    });
    match status {
        OK => Ok(bytes),
        NOT_FOUND | BAD_ARGUMENT => Ok(&[]),
        status => Err(Fault { hostcall: Hostcall::GetBuffer, status }),
    }
}

/// Makes an HTTP call; gives the number that its answer will have. `headers` is a [`header_block`].
pub(crate) fn http_call(cluster: &[u8], headers: &[u8], body: &[u8], timeout_ms: u32) -> Result<u32, Fault> {
    // A map without pairs: their number alone.
    let trailers = [0_u8; 4];
    let mut token = 0;
    // SAFETY: the host reads four live slices and writes one `u32`.
    let status = unsafe {
        imports::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &raw mut token,
        )
    };
    done(Hostcall::HttpCall, status).map(|()| token)
}

/// A variable of the VM's environment; `None` where there is no such, or it is not UTF-8.
pub(crate) fn environment_variable(name: &str) -> Result<Option<String>, Fault> {
    let (mut count, mut size) = (0, 0);
    // SAFETY: the host writes two numbers.
    let status = unsafe { imports::environ_sizes_get(&raw mut count, &raw mut size) };
    done(Hostcall::Environment, status)?;
    let (mut places, mut text) = (vec![core::ptr::null_mut(); count], vec![0_u8; size]);
    // SAFETY: the host writes as many places and bytes as it said, and each has room for them.
    let status = unsafe { imports::environ_get(places.as_mut_ptr(), text.as_mut_ptr()) };
    done(Hostcall::Environment, status)?;
    let mut variables = text.split(|byte| *byte == 0);
    let found = variables.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    Ok(found.and_then(|value| String::from_utf8(value.to_vec()).ok()))
}

/// All headers of `map`; none when the map is not available in this phase.
pub(crate) fn header_pairs(map: HeaderMap, buffer: &mut HostBuffer) -> Result<Pairs<'_>, Fault> {
    let (status, block) = buffer.receive(|data, len| {
        // SAFETY: as in `plugin_configuration`.
        unsafe { imports::proxy_get_header_map_pairs(map as u32, data, len) }
    });
    match status {
        OK => Ok(Pairs::new(block)),
        NOT_FOUND | BAD_ARGUMENT => Ok(Pairs::default()),
        status => Err(Fault { hostcall: Hostcall::GetHeaders, status }),
    }
}

/// The first value of header `name`; none when there is no such header or the map is not available in this phase.
pub(crate) fn header_value<'b>(
    map: HeaderMap,
    name: &[u8],
    buffer: &'b mut HostBuffer,
) -> Result<Option<&'b [u8]>, Fault> {
    let (status, value) = buffer.receive(|data, len| {
        // SAFETY: as in `plugin_configuration`; the name is a live slice.
        unsafe { imports::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, len) }
    });
    match status {
        OK => Ok(Some(value)),
        NOT_FOUND | BAD_ARGUMENT => Ok(None),
        status => Err(Fault { hostcall: Hostcall::GetHeader, status }),
    }
}

/// Sets header `name`, in place of all lines that have this name.
pub(crate) fn set_header(map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), Fault> {
    // SAFETY: the host reads two live slices.
    let status = unsafe {
        imports::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    done(Hostcall::SetHeader, status)
}

/// Adds a line of header `name` to those that are there.
pub(crate) fn add_header(map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), Fault> {
    // SAFETY: the host reads two live slices.
    let status = unsafe {
        imports::proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    done(Hostcall::AddHeader, status)
}

/// Removes all lines of header `name`.
pub(crate) fn remove_header(map: HeaderMap, name: &[u8]) -> Result<(), Fault> {
    // SAFETY: the host reads a live slice.
    let status = unsafe { imports::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
    done(Hostcall::RemoveHeader, status)
}

/// A property of the stream, by its NUL-separated path.
pub(crate) fn property<'b>(path: &[u8], buffer: &'b mut HostBuffer) -> Result<Option<&'b [u8]>, Fault> {
    let (status, value) = buffer.receive(|data, len| {
        // SAFETY: as in `plugin_configuration`; the path is a live slice.
        unsafe { imports::proxy_get_property(path.as_ptr(), path.len(), data, len) }
    });
    match status {
        OK => Ok(Some(value)),
        NOT_FOUND => Ok(None),
        status => Err(Fault { hostcall: Hostcall::GetProperty, status }),
    }
}

/// Sets filter state `wasm.<path>` of the stream.
pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<(), Fault> {
    // SAFETY: the host reads two live slices.
    let status = unsafe { imports::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
    done(Hostcall::SetProperty, status)
}

/// Declares filter state `wasm.<path>` of the streams to come a text: what is not declared is bytes, of which the proxy's expressions can make no number.
pub(crate) fn declare_text(path: &str, buffer: &mut HostBuffer) -> Result<(), Fault> {
    // Envoy's `DeclarePropertyArguments`: field 1 is the name, field 3 the type, 1 of which is `String`. A length of up to 127 is one byte, and no
    // name is as long.
    let Ok(len @ 0..=127) = u8::try_from(path.len()) else { return Ok(()) };
    let mut argument = vec![0x0a, len];
    argument.extend_from_slice(path.as_bytes());
    argument.extend_from_slice(&[0x18, 1]);
    let name = b"declare_property";
    let (status, _) = buffer.receive(|data, len| {
        // SAFETY: as in `plugin_configuration`; name and argument are live slices.
        unsafe {
            imports::proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                argument.as_ptr(),
                argument.len(),
                data,
                len,
            )
        }
    });
    done(Hostcall::SetProperty, status)
}

/// The value under `key` that all VMs of this `vm_id` share, and the number to give to [`Write::Update`].
pub(crate) fn shared_data<'b>(key: &[u8], buffer: &'b mut HostBuffer) -> Result<Option<(&'b [u8], u32)>, Fault> {
    let mut cas = 0;
    let (status, value) = buffer.receive(|data, len| {
        // SAFETY: as in `plugin_configuration`; the key is a live slice, and the host writes one `u32` more.
        unsafe { imports::proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &raw mut cas) }
    });
    match status {
        OK => Ok(Some((value, cas))),
        NOT_FOUND => Ok(None),
        status => Err(Fault { hostcall: Hostcall::GetSharedData, status }),
    }
}

/// Writes the value under `key`; `Ok(false)` when another VM was first.
pub(crate) fn set_shared_data(key: &[u8], value: &[u8], write: Write) -> Result<bool, Fault> {
    let cas = match write {
        // A number that no value has: hosts compare it only with a value that is there, and 0 would mean "always".
        Write::Create => u32::MAX,
        Write::Update(cas) => cas,
    };
    // SAFETY: the host reads two live slices.
    let status = unsafe { imports::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) };
    match status {
        OK => Ok(true),
        CAS_MISMATCH => Ok(false),
        status => Err(Fault { hostcall: Hostcall::SetSharedData, status }),
    }
}

/// The number under which this VM may write to the metric `name`.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, Fault> {
    let kind = match kind {
        MetricKind::Counter => 0,
        MetricKind::Gauge => 1,
        MetricKind::Histogram => 2,
    };
    let mut id = 0;
    // SAFETY: the host reads a live string and writes one `u32`.
    let status = unsafe { imports::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    done(Hostcall::DefineMetric, status).map(|()| id)
}

/// Adds to a counter. Nothing is sent for 0, which Envoy refuses.
pub(crate) fn increment_metric(id: u32, delta: u64) -> Result<(), Fault> {
    if delta == 0 {
        return Ok(());
    }
    let delta = i64::try_from(delta).unwrap_or(i64::MAX);
    // SAFETY: no memory is involved.
    done(Hostcall::IncrementMetric, unsafe { imports::proxy_increment_metric(id, delta) })
}

/// Sets a gauge, or records a sample of a histogram.
pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Fault> {
    // SAFETY: no memory is involved.
    done(Hostcall::RecordMetric, unsafe { imports::proxy_record_metric(id, value) })
}
