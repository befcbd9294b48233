//! A host for this crate's unit tests: what a proxy shows and keeps for one VM at a time, and hostcalls that fail on
//! demand. How real hosts behave is tested elsewhere, with the built module.

use core::cell::{Cell, RefCell};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;

use super::{BAD_ARGUMENT, CAS_MISMATCH, NOT_FOUND, OK, buffer};

thread_local! {
    static HOST: RefCell<Fake> = RefCell::default();
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static IN_HOST: Cell<bool> = const { Cell::new(false) };
}

/// Header lines.
pub(crate) type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// What the host shows, and what was done to it.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) wall_ns: u64,
    pub(crate) monotonic_ns: u64,
    pub(crate) configuration: Vec<u8>,
    /// `None` where the map is not available.
    pub(crate) request: Option<Lines>,
    pub(crate) response: Option<Lines>,
    pub(crate) trailers: Option<Lines>,
    /// What has just come of the request's body.
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The arguments of `declare_property`.
    pub(crate) declared: Vec<Vec<u8>>,
    pub(crate) shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    pub(crate) counters: BTreeMap<String, u64>,
    /// `NAME=value` of each variable.
    pub(crate) environment: Vec<String>,
    /// Calls that were made, by their tokens.
    pub(crate) http_calls: BTreeMap<u32, HttpCall>,
    /// The answer to the call of which the VM is being told.
    pub(crate) answer: Option<Lines>,
    pub(crate) answer_body: Vec<u8>,
    pub(crate) log: Vec<String>,
    pub(crate) tick_ms: u32,
    /// How long it takes to make a stat.
    pub(crate) define_ns: u64,
    /// Names of the hostcalls that were made.
    pub(crate) calls: Vec<&'static str>,
    /// The hostcall that answers with this status instead of doing anything.
    pub(crate) refuse: Option<(&'static str, u32)>,
    /// Kind and name by number.
    pub(crate) metrics: Vec<(u32, String)>,
    /// The last number of a shared value.
    pub(crate) cas: u32,
    /// What the last random bytes were.
    pub(crate) random: u8,
}

/// A call to a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpCall {
    pub(crate) cluster: String,
    pub(crate) headers: Lines,
    pub(crate) body: Vec<u8>,
}

/// Looks at the host, or changes what it shows.
pub(crate) fn host<R>(look: impl FnOnce(&mut Fake) -> R) -> R {
    let before = IN_HOST.replace(true);
    let result = HOST.with_borrow_mut(look);
    IN_HOST.set(before);
    result
}

/// How often this thread has asked for memory, outside the host.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Counts what this crate's code allocates in tests.
#[derive(Debug)]
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if !IN_HOST.get() {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    }
}

// SAFETY: everything is passed on to the system's allocator; counting touches neither memory nor layout.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// A hostcall: noted, and refused where that is asked for.
fn call(name: &'static str, act: impl FnOnce(&mut Fake) -> u32) -> u32 {
    host(|fake| {
        fake.calls.push(name);
        match fake.refuse {
            Some((refused, status)) if refused == name => status,
            _ => act(fake),
        }
    })
}

/// SAFETY: the caller gives a live slice.
unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(data, len) }
}

/// SAFETY: the caller gives two places to write to.
unsafe fn give(value: &[u8], data: *mut *mut u8, len: *mut usize) -> u32 {
    if value.is_empty() {
        return OK;
    }
    let before = IN_HOST.replace(false);
    let memory = buffer::allocate(value.len());
    IN_HOST.set(before);
    if memory.is_null() {
        return 6;
    }
    // SAFETY: the allocator gave room for the value; the places are the caller's promise.
    unsafe {
        core::ptr::copy_nonoverlapping(value.as_ptr(), memory, value.len());
        *data = memory;
        *len = value.len();
    }
    OK
}

/// A header map as the host hands it over.
pub(crate) fn block(lines: &Lines) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let mut block = number(lines.len()).to_vec();
    for (name, value) in lines {
        block.extend(number(name.len()));
        block.extend(number(value.len()));
    }
    for (name, value) in lines {
        block.extend([name, &b"\0"[..], value, b"\0"].concat());
    }
    block
}

impl Fake {
    fn map(&mut self, map: u32) -> &mut Option<Lines> {
        match map {
            0 => &mut self.request,
            3 => &mut self.trailers,
            6 => &mut self.answer,
            _ => &mut self.response,
        }
    }
}

pub(super) unsafe fn proxy_log(level: u32, message: *const u8, len: usize) -> u32 {
    // SAFETY: a live slice.
    let line = String::from_utf8(unsafe { bytes(message, len) }.to_vec()).unwrap();
    call("log", |fake| {
        fake.log.push(format!("{level} {line}"));
        OK
    })
}

pub(super) unsafe fn proxy_get_current_time_nanoseconds(result: *mut u64) -> u32 {
    call("get_current_time", |fake| {
        // SAFETY: a place to write to.
        unsafe { *result = fake.wall_ns };
        OK
    })
}

pub(super) unsafe fn clock_time_get(clock: u32, _precision: u64, result: *mut u64) -> u32 {
    assert_eq!(clock, 1);
    call("clock_time_get", |fake| {
        // SAFETY: a place to write to.
        unsafe { *result = fake.monotonic_ns };
        OK
    })
}

pub(super) unsafe fn random_get(memory: *mut u8, len: usize) -> u32 {
    call("random_get", |fake| {
        fake.random += 1;
        // SAFETY: room for `len` bytes.
        unsafe { memory.write_bytes(fake.random, len) };
        OK
    })
}

pub(super) unsafe fn proxy_set_tick_period_milliseconds(period: u32) -> u32 {
    call("set_tick_period", |fake| {
        fake.tick_ms = period;
        OK
    })
}

pub(super) unsafe fn proxy_get_buffer_bytes(
    kind: u32,
    start: usize,
    max: usize,
    data: *mut *mut u8,
    len: *mut usize,
) -> u32 {
    call("get_buffer_bytes", |fake| {
        let bytes = match kind {
            0 => &fake.body,
            4 => &fake.answer_body,
            7 => &fake.configuration,
            kind => panic!("buffer {kind}"),
        };
        let end = start.saturating_add(max).min(bytes.len());
        // SAFETY: two places to write to.
        unsafe { give(bytes.get(start..end).unwrap_or_default(), data, len) }
    })
}

pub(super) unsafe fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32 {
    call("get_header_map_pairs", |fake| {
        let block = fake.map(map).as_ref().map(block).unwrap_or_default();
        // SAFETY: two places to write to.
        unsafe { give(&block, data, len) }
    })
}

pub(super) unsafe fn proxy_get_header_map_value(
    map: u32,
    name: *const u8,
    name_len: usize,
    data: *mut *mut u8,
    len: *mut usize,
) -> u32 {
    // SAFETY: a live slice.
    let name = unsafe { bytes(name, name_len) };
    call("get_header_map_value", |fake| {
        let Some(lines) = fake.map(map) else { return BAD_ARGUMENT };
        match lines.iter().find(|(known, _)| known == name) {
            // SAFETY: two places to write to.
            Some((_, value)) => unsafe { give(value, data, len) },
            None => NOT_FOUND,
        }
    })
}

/// Changes a header map, if it is available.
fn change(name: &'static str, map: u32, change: impl FnOnce(&mut Lines)) -> u32 {
    call(name, |fake| match fake.map(map) {
        Some(lines) => {
            change(lines);
            OK
        }
        None => BAD_ARGUMENT,
    })
}

pub(super) unsafe fn proxy_replace_header_map_value(
    map: u32,
    name: *const u8,
    name_len: usize,
    value: *const u8,
    value_len: usize,
) -> u32 {
    // SAFETY: live slices.
    let (name, value) = unsafe { (bytes(name, name_len), bytes(value, value_len)) };
    change("replace_header_map_value", map, |lines| {
        lines.retain(|(known, _)| known != name);
        lines.push((name.to_vec(), value.to_vec()));
    })
}

pub(super) unsafe fn proxy_add_header_map_value(
    map: u32,
    name: *const u8,
    name_len: usize,
    value: *const u8,
    value_len: usize,
) -> u32 {
    // SAFETY: live slices.
    let (name, value) = unsafe { (bytes(name, name_len), bytes(value, value_len)) };
    change("add_header_map_value", map, |lines| lines.push((name.to_vec(), value.to_vec())))
}

pub(super) unsafe fn proxy_remove_header_map_value(map: u32, name: *const u8, name_len: usize) -> u32 {
    // SAFETY: a live slice.
    let name = unsafe { bytes(name, name_len) };
    change("remove_header_map_value", map, |lines| lines.retain(|(known, _)| known != name))
}

pub(super) unsafe fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32 {
    // SAFETY: a live slice.
    let path = unsafe { bytes(path, path_len) };
    call("get_property", |fake| match fake.properties.get(path) {
        // SAFETY: two places to write to.
        Some(value) => unsafe { give(value, data, len) },
        None => NOT_FOUND,
    })
}

pub(super) unsafe fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32 {
    // SAFETY: live slices.
    let (path, value) = unsafe { (bytes(path, path_len), bytes(value, value_len)) };
    call("set_property", |fake| {
        fake.filter_state.insert(path.to_vec(), value.to_vec());
        OK
    })
}

pub(super) unsafe fn proxy_call_foreign_function(
    name: *const u8,
    name_len: usize,
    argument: *const u8,
    argument_len: usize,
    _data: *mut *mut u8,
    _len: *mut usize,
) -> u32 {
    // SAFETY: live slices.
    let (name, argument) = unsafe { (bytes(name, name_len), bytes(argument, argument_len)) };
    call("call_foreign_function", |fake| {
        assert_eq!(name, b"declare_property");
        fake.declared.push(argument.to_vec());
        OK
    })
}

pub(super) unsafe fn proxy_get_shared_data(
    key: *const u8,
    key_len: usize,
    data: *mut *mut u8,
    len: *mut usize,
    cas: *mut u32,
) -> u32 {
    // SAFETY: a live slice.
    let key = unsafe { bytes(key, key_len) };
    call("get_shared_data", |fake| match fake.shared.get(key) {
        Some((value, number)) => {
            // SAFETY: a place to write to.
            unsafe { *cas = *number };
            // SAFETY: two places to write to.
            unsafe { give(value, data, len) }
        }
        None => NOT_FOUND,
    })
}

pub(super) unsafe fn proxy_set_shared_data(
    key: *const u8,
    key_len: usize,
    value: *const u8,
    value_len: usize,
    cas: u32,
) -> u32 {
    // SAFETY: live slices.
    let (key, value) = unsafe { (bytes(key, key_len), bytes(value, value_len)) };
    call("set_shared_data", |fake| {
        // As Envoy has it: the number is compared only with a value that is there.
        if fake.shared.get(key).is_some_and(|(_, number)| cas != 0 && *number != cas) {
            return CAS_MISMATCH;
        }
        fake.cas += 1;
        fake.shared.insert(key.to_vec(), (value.to_vec(), fake.cas));
        OK
    })
}

/// A header map as the host takes it.
fn lines_of(block: &[u8]) -> Lines {
    super::Pairs::new(block).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

#[allow(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) unsafe fn proxy_http_call(
    cluster: *const u8,
    cluster_len: usize,
    headers: *const u8,
    headers_len: usize,
    body: *const u8,
    body_len: usize,
    trailers: *const u8,
    trailers_len: usize,
    _timeout: u32,
    token: *mut u32,
) -> u32 {
    // SAFETY: live slices.
    let (cluster, headers, body, trailers) = unsafe {
        (bytes(cluster, cluster_len), bytes(headers, headers_len), bytes(body, body_len), bytes(trailers, trailers_len))
    };
    assert!(lines_of(trailers).is_empty());
    let cluster = String::from_utf8(cluster.to_vec()).unwrap();
    call("http_call", |fake| {
        let number = fake.http_calls.keys().last().map_or(1, |last| last + 1);
        fake.http_calls.insert(number, HttpCall { cluster, headers: lines_of(headers), body: body.to_vec() });
        // SAFETY: a place to write to.
        unsafe { *token = number };
        OK
    })
}

pub(super) unsafe fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u32 {
    call("environ_sizes_get", |fake| {
        let bytes = fake.environment.iter().map(|line| line.len() + 1).sum();
        // SAFETY: two places to write to.
        unsafe { (*count, *size) = (fake.environment.len(), bytes) };
        OK
    })
}

pub(super) unsafe fn environ_get(places: *mut *mut u8, text: *mut u8) -> u32 {
    call("environ_get", |fake| {
        let mut at = 0;
        for (index, line) in fake.environment.iter().enumerate() {
            // SAFETY: room for as many places and bytes as was said.
            unsafe {
                *places.add(index) = text.add(at);
                core::ptr::copy_nonoverlapping(line.as_ptr(), text.add(at), line.len());
                *text.add(at + line.len()) = 0;
            }
            at += line.len() + 1;
        }
        OK
    })
}

pub(super) unsafe fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32 {
    // SAFETY: a live slice.
    let name = String::from_utf8(unsafe { bytes(name, name_len) }.to_vec()).unwrap();
    call("define_metric", |fake| {
        // SAFETY: a place to write to.
        unsafe { *id = u32::try_from(fake.metrics.len()).unwrap() };
        fake.metrics.push((kind, name));
        fake.monotonic_ns += fake.define_ns;
        OK
    })
}

pub(super) unsafe fn proxy_increment_metric(id: u32, delta: i64) -> u32 {
    call("increment_metric", |fake| {
        let Some((0, name)) = fake.metrics.get(id as usize) else { return BAD_ARGUMENT };
        if delta <= 0 {
            return BAD_ARGUMENT;
        }
        *fake.counters.entry(name.clone()).or_default() += delta.unsigned_abs();
        OK
    })
}

pub(super) unsafe fn proxy_record_metric(id: u32, value: u64) -> u32 {
    call("record_metric", |fake| {
        let Some((_, name)) = fake.metrics.get(id as usize) else { return NOT_FOUND };
        fake.counters.insert(name.clone(), value);
        OK
    })
}
