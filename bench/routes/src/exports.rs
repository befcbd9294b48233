//! What a host calls. Bytes go in and come out through one buffer.

#![allow(
    unsafe_code,
    reason = "an export has an unmangled name, which the compiler counts as unsafe: two could clash. These are all there are"
)]

use std::cell::RefCell;

use crate::allocations::{self, Counting};
use crate::{Bench, Subject};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    bench: Bench,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// "It could not be done", where a number is expected.
const FAILED: u32 = u32::MAX;

fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(work)
}

/// Makes room for bytes from the host; gives back where.
#[unsafe(no_mangle)]
extern "C" fn reserve(length: usize) -> *mut u8 {
    with(|state| {
        state.buffer = vec![0; length];
        state.buffer.as_mut_ptr()
    })
}

/// Where the bytes for the host are.
#[unsafe(no_mangle)]
extern "C" fn output() -> *const u8 {
    with(|state| state.buffer.as_ptr())
}

/// How many there are.
#[unsafe(no_mangle)]
extern "C" fn output_length() -> usize {
    with(|state| state.buffer.len())
}

/// Reads the buffer as a configuration; 0 where it is valid, else its mistakes are put out.
#[unsafe(no_mangle)]
extern "C" fn load() -> u32 {
    with(|state| {
        let config = std::mem::take(&mut state.buffer);
        match Bench::new(&config) {
            Ok(bench) => {
                state.bench = bench;
                0
            }
            Err(mistakes) => {
                state.buffer = mistakes.into_bytes();
                FAILED
            }
        }
    })
}

/// Gives `matchit` the same routes; gives back how many it has no form for.
#[unsafe(no_mangle)]
extern "C" fn add_matchit() -> u32 {
    with(|state| state.bench.add_matchit().len() as u32)
}

/// Reads the buffer as a list of requests; gives back its number.
#[unsafe(no_mangle)]
extern "C" fn add_requests() -> u32 {
    with(|state| {
        let encoded = std::mem::take(&mut state.buffer);
        state.bench.add_requests(&encoded).map_or(FAILED, |list| list as u32)
    })
}

/// Forgets all requests.
#[unsafe(no_mangle)]
extern "C" fn clear() {
    with(|state| state.bench.clear());
}

/// Puts out the number of each request's endpoint, in four bytes, the lowest first.
#[unsafe(no_mangle)]
extern "C" fn answers(subject: u32, list: u32) -> u32 {
    let subject = Subject::from_number(subject);
    with(|state| {
        let answers = subject.and_then(|subject| state.bench.answers(subject, list as usize));
        answers.map_or(FAILED, |answers| {
            state.buffer = answers.into_iter().flat_map(u32::to_le_bytes).collect();
            0
        })
    })
}

/// Asks for each request of a list, so many times over.
#[unsafe(no_mangle)]
extern "C" fn run(subject: u32, list: u32, rounds: u32) -> u64 {
    let subject = Subject::from_number(subject);
    with(|state| subject.and_then(|subject| state.bench.run(subject, list as usize, rounds)).unwrap_or(u64::MAX))
}

/// Puts out the label that a request of a list has.
#[unsafe(no_mangle)]
extern "C" fn ask(subject: u32, list: u32, request: u32) -> u32 {
    let subject = Subject::from_number(subject);
    with(|state| {
        let label = subject.and_then(|subject| state.bench.ask(subject, list as usize, request as usize));
        label.map_or(FAILED, |label| {
            state.buffer = label;
            0
        })
    })
}

/// How often memory was given out so far.
#[unsafe(no_mangle)]
extern "C" fn allocations() -> u64 {
    allocations::counts().allocations
}

/// Bytes given out and in use.
#[unsafe(no_mangle)]
extern "C" fn live_bytes() -> i64 {
    allocations::counts().live
}
