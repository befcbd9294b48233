//! The hostcalls: their names and arguments, and what happens around each one.
//!
//! Every hostcall goes through `enter`, which counts it, puts in faults and writes the trace. What a hostcall does is in the
//! submodules, by topic.

mod buffers;
mod callouts;
mod foreign;
mod general;
mod grpc;
mod headers;
mod metrics;
mod properties;
mod queues;
mod record;
mod shared_data;
mod wasi;

pub(crate) use foreign::Expressions;
pub(crate) use general::{grpc_status_of, local_reply, percent_encoded};
pub(crate) use record::{Made, Shown};
use wasmtime::{Caller, Linker};

use crate::abi::Status;
use crate::fault::Effect;
use crate::trace::Event;
use crate::vm::memory::GuestMemory;
use crate::vm::state::HostState;
use crate::{AbiVersion, LogLevel};

/// How one argument of a hostcall is to be read.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A number.
    Num,
    /// Pointer and length of bytes that the module hands over.
    Text,
    /// The same, of a line of the log.
    Line,
    /// The same, of encoded pairs.
    Pairs,
    /// Pointer to where the host writes 4 bytes.
    Out32,
    /// Pointer to where the host writes 8 bytes.
    Out64,
    /// Pointers to where the host writes pointer and length of bytes that it gives.
    OutBytes,
    /// The same, of encoded pairs.
    OutPairs,
    /// Pointer and length of an area that the host fills or reads; not shown.
    Area,
}

macro_rules! table {
    ($($variant:ident $name:literal ($($arg:ident: $kind:ident),*);)*) => {
        /// A function that the host gives to modules.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Hostcall { $($variant),* }

        /// Names by number.
        pub(crate) const NAMES: [&str; COUNT] = [$($name),*];
        const ARGUMENTS: [&[(&str, Kind)]; COUNT] = [$(&[$((stringify!($arg), Kind::$kind)),*]),*];
        /// How many there are.
        pub(crate) const COUNT: usize = [$($name),*].len();
    };
}

table! {
    Log "proxy_log" (level: Num, message: Line);
    GetLogLevel "proxy_get_log_level" (level: Out32);
    GetCurrentTime "proxy_get_current_time_nanoseconds" (time: Out64);
    SetTickPeriod "proxy_set_tick_period_milliseconds" (period: Num);
    SetEffectiveContext "proxy_set_effective_context" (context: Num);
    Done "proxy_done" ();
    GetConfiguration "proxy_get_configuration" (configuration: OutBytes);
    ClearRouteCache "proxy_clear_route_cache" ();
    ContinueRequest "proxy_continue_request" ();
    ContinueResponse "proxy_continue_response" ();
    ContinueStream "proxy_continue_stream" (stream: Num);
    CloseStream "proxy_close_stream" (stream: Num);
    SendLocalResponse "proxy_send_local_response" (status: Num, details: Text, body: Text, headers: Pairs, grpc_status: Num);
    GetStatus "proxy_get_status" (code: Out32, message: OutBytes);
    CallForeignFunction "proxy_call_foreign_function" (function: Text, argument: Text, result: Num, size: Num);
    GetBufferBytes "proxy_get_buffer_bytes" (buffer: Num, start: Num, max: Num, value: OutBytes);
    GetBufferStatus "proxy_get_buffer_status" (buffer: Num, length: Out32, flags: Out32);
    SetBufferBytes "proxy_set_buffer_bytes" (buffer: Num, start: Num, length: Num, value: Text);
    GetHeaderMapSize "proxy_get_header_map_size" (map: Num, size: Out32);
    GetHeaderMapPairs "proxy_get_header_map_pairs" (map: Num, pairs: OutPairs);
    SetHeaderMapPairs "proxy_set_header_map_pairs" (map: Num, pairs: Pairs);
    GetHeaderMapValue "proxy_get_header_map_value" (map: Num, name: Text, value: OutBytes);
    AddHeaderMapValue "proxy_add_header_map_value" (map: Num, name: Text, value: Text);
    ReplaceHeaderMapValue "proxy_replace_header_map_value" (map: Num, name: Text, value: Text);
    RemoveHeaderMapValue "proxy_remove_header_map_value" (map: Num, name: Text);
    GetProperty "proxy_get_property" (path: Text, value: OutBytes);
    SetProperty "proxy_set_property" (path: Text, value: Text);
    DefineMetric "proxy_define_metric" (kind: Num, name: Text, id: Out32);
    IncrementMetric "proxy_increment_metric" (id: Num, offset: Num);
    RecordMetric "proxy_record_metric" (id: Num, value: Num);
    GetMetric "proxy_get_metric" (id: Num, value: Out64);
    GetSharedData "proxy_get_shared_data" (key: Text, value: OutBytes, cas: Out32);
    SetSharedData "proxy_set_shared_data" (key: Text, value: Text, cas: Num);
    RegisterSharedQueue "proxy_register_shared_queue" (name: Text, id: Out32);
    ResolveSharedQueue "proxy_resolve_shared_queue" (vm: Text, name: Text, id: Out32);
    EnqueueSharedQueue "proxy_enqueue_shared_queue" (id: Num, value: Text);
    DequeueSharedQueue "proxy_dequeue_shared_queue" (id: Num, value: OutBytes);
    HttpCall "proxy_http_call" (cluster: Text, headers: Pairs, body: Text, trailers: Pairs, timeout: Num, id: Out32);
    GrpcCall "proxy_grpc_call" (service: Text, name: Text, method: Text, metadata: Pairs, message: Text, timeout: Num, id: Out32);
    GrpcStream "proxy_grpc_stream" (service: Text, name: Text, method: Text, metadata: Pairs, id: Out32);
    GrpcSend "proxy_grpc_send" (id: Num, message: Text, end: Num);
    GrpcCancel "proxy_grpc_cancel" (id: Num);
    GrpcClose "proxy_grpc_close" (id: Num);
    FdWrite "fd_write" (fd: Num, slices: Area, written: Out32);
    EnvironSizesGet "environ_sizes_get" (count: Out32, size: Out32);
    EnvironGet "environ_get" (pointers: Num, buffer: Num);
    ArgsSizesGet "args_sizes_get" (count: Out32, size: Out32);
    ArgsGet "args_get" (pointers: Num, buffer: Num);
    ClockTimeGet "clock_time_get" (clock: Num, precision: Num, time: Out64);
    RandomGet "random_get" (buffer: Area);
    ProcExit "proc_exit" (code: Num);
    SchedYield "sched_yield" ();
    PollOneoff "poll_oneoff" (subscriptions: Num, events: Num, count: Num, occurred: Out32);
    FdFdstatGet "fd_fdstat_get" (fd: Num, stat: Num);
    OtherWasi "wasi" ();
}

impl Hostcall {
    /// Its name, as a module imports it.
    pub(crate) fn name(self) -> &'static str {
        NAMES.get(self as usize).copied().unwrap_or_default()
    }

    /// Whether it may be called before the module has started.
    fn allowed_during_start(self) -> bool {
        self == Self::Log || self as usize >= Self::FdWrite as usize
    }
}

/// Why a hostcall does not answer 0.
#[derive(Debug)]
pub(crate) enum Fail {
    /// It answers this number: a status, or an error number of WASI.
    Code(u32),
    /// The VM stops.
    Trap(wasmtime::Error),
}

impl From<Status> for Fail {
    fn from(status: Status) -> Self {
        Self::Code(status.code())
    }
}

/// What a hostcall answers.
pub(crate) type Answer = Result<(), Fail>;

/// The caller, as hostcalls see it.
pub(crate) type Guest<'a> = Caller<'a, HostState>;

/// What a hostcall counts for, besides its bytes, when work is bounded: about as much as so many instructions.
const HOSTCALL_WORK: u64 = 100;

/// Runs one hostcall that reaches the module's memory and the host's state.
fn enter(
    mut guest: Guest<'_>,
    call: Hostcall,
    arguments: &[u64],
    body: impl FnOnce(&mut GuestMemory<'_>) -> Answer,
) -> wasmtime::Result<u32> {
    // A module without a memory does not start, whatever its start section finds here.
    let Ok(mut memory) = GuestMemory::of(&mut guest) else { return Ok(Status::InvalidMemoryAccess.code()) };
    let answer = match instead(memory.state, call)? {
        Some(answer) => answer,
        None => body(&mut memory),
    };
    end(memory, call, arguments, answer)
}

/// Runs one hostcall that calls the module in turn: its allocator most of all.
fn enter_reentrant(
    mut guest: Guest<'_>,
    call: Hostcall,
    arguments: &[u64],
    body: impl FnOnce(&mut Guest<'_>) -> Answer,
) -> wasmtime::Result<u32> {
    let answer = match instead(guest.data_mut(), call)? {
        Some(answer) => answer,
        None => body(&mut guest),
    };
    match GuestMemory::of(&mut guest) {
        Ok(memory) => end(memory, call, arguments, answer),
        Err(_) => Ok(Status::InvalidMemoryAccess.code()),
    }
}

/// Counts a hostcall, and says what it answers without having run, if anything.
fn instead(state: &mut HostState, call: Hostcall) -> wasmtime::Result<Option<Answer>> {
    if let Some(calls) = state.cost.calls.get_mut(call as usize) {
        *calls = calls.saturating_add(1);
    }
    if !state.afford(HOSTCALL_WORK) {
        wasmtime::bail!("the callback's fuel is spent on hostcalls, the last one is {}", call.name());
    }
    let allowed = state.allows(call);
    if allowed && state.starting && !call.allowed_during_start() {
        wasmtime::bail!("hostcall {} is not allowed while the module starts", call.name());
    }
    Ok(match state.shared.faults.strike(call.name()) {
        None if !allowed => Some(restricted(state, call.name())),
        None => None,
        Some(Effect::Status(code)) => Some(Err(Fail::Code(code))),
        Some(Effect::Trap) => Some(Err(Fail::Trap(wasmtime::format_err!("fault put into {}", call.name())))),
    })
}

/// Writes a hostcall down that has been made, and gives its answer to the module.
fn end(memory: GuestMemory<'_>, call: Hostcall, arguments: &[u64], answer: Answer) -> wasmtime::Result<u32> {
    let GuestMemory { bytes, state } = memory;
    state.trace_with(|out| Event::Hostcall(Made::write(out, bytes, call, arguments, &answer)));
    match answer {
        Ok(()) => Ok(0),
        Err(Fail::Code(code)) => Ok(code),
        Err(Fail::Trap(error)) => Err(error),
    }
}

/// What a hostcall answers that the plugin may not make.
fn restricted(state: &mut HostState, name: &str) -> Answer {
    state.log(LogLevel::Error, format!("Attempted call to restricted proxy-wasm capability: {name}").as_bytes());
    Err(if name.starts_with("proxy_") { Status::InternalFailure.into() } else { Fail::Code(wasi::NOTCAPABLE) })
}

/// Links one hostcall: its Rust function takes the module's memory and the arguments.
macro_rules! provide {
    ($linker:ident, $module:expr, $call:ident, $function:path, $arguments:tt) => {
        $crate::hostcall::linked!($linker, $module, $call, $crate::hostcall::enter, $function, $arguments)
    };
}
/// The same, where the function takes the guest, as it calls the module in turn.
macro_rules! provide_reentrant {
    ($linker:ident, $module:expr, $call:ident, $function:path, $arguments:tt) => {
        $crate::hostcall::linked!($linker, $module, $call, $crate::hostcall::enter_reentrant, $function, $arguments)
    };
}
macro_rules! linked {
    ($linker:ident, $module:expr, $call:ident, $enter:path, $function:path, ($($arg:ident: $type:ty),*)) => {
        $linker.func_wrap($module, Hostcall::$call.name(), |guest: $crate::hostcall::Guest<'_>, $($arg: $type),*| {
            let arguments = &[$($crate::hostcall::Wide::wide($arg)),*];
            $enter(guest, Hostcall::$call, arguments, |guest| $function(guest, $($arg),*))
        })?
    };
}
pub(crate) use {linked, provide, provide_reentrant};

/// Arguments as the trace takes them.
trait Wide {
    fn wide(self) -> u64;
}

impl Wide for u32 {
    fn wide(self) -> u64 {
        self.into()
    }
}

impl Wide for u64 {
    fn wide(self) -> u64 {
        self
    }
}

impl Wide for i64 {
    fn wide(self) -> u64 {
        self.cast_unsigned()
    }
}

/// Whether the host has this function for modules of this ABI.
pub(crate) fn provides(module: &str, name: &str, abi: AbiVersion) -> bool {
    match module {
        "env" => name.starts_with("proxy_") && NAMES.contains(&name) && abi.has(name),
        _ => wasi::provides(module, name),
    }
}

/// Links everything that the host gives to modules.
pub(crate) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    general::link_all(linker)?;
    headers::link_all(linker)?;
    buffers::link_all(linker)?;
    properties::link_all(linker)?;
    metrics::link_all(linker)?;
    shared_data::link_all(linker)?;
    queues::link_all(linker)?;
    callouts::link_all(linker)?;
    foreign::link_all(linker)?;
    grpc::link_all(linker)?;
    wasi::link_all(linker)
}
