//! The trace: callbacks and hostcalls in their order, with arguments and statuses.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Role;
use crate::hostcall::{Made, Shown};
use crate::kept::{Batch, Kept};

/// The newest of what went between host and module, while it is switched on. It is kept as bytes and becomes text when it is asked for:
/// most tests pass, and nobody reads theirs. What a callback does is there when it has returned.
#[derive(Debug)]
pub struct Trace {
    on: AtomicBool,
    kept: Mutex<Kept<Entry>>,
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) role: Role,
    pub(crate) context: u32,
    pub(crate) event: Event,
}

/// What happened; what else there is to tell are the bytes beside it.
#[derive(Debug)]
pub(crate) enum Event {
    /// The host calls this callback of the module; the bytes are its arguments, 4 of each.
    Callback(&'static str),
    /// The callback has returned; the bytes are what it answers, if it does.
    Returned(&'static str),
    /// The callback has trapped, in these words.
    Trapped,
    /// The module has called the host.
    Hostcall(Made),
    /// A line of the log that is not a hostcall of its own.
    Log,
}

/// How much is kept.
const ENTRIES: usize = 20_000;
const BYTES: usize = 64 << 20;

impl Trace {
    pub(crate) fn new(on: bool) -> Self {
        Self { on: AtomicBool::new(on), kept: Mutex::new(Kept::new(ENTRIES, BYTES)) }
    }

    /// Switches it on or off; what is there stays.
    pub fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.kept().iter().map(|(entry, bytes)| Line { entry, bytes }.to_string()).collect()
    }

    /// The lines so far, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().into_iter().fold(String::new(), |mut text, line| {
            text.push_str(&line);
            text.push('\n');
            text
        })
    }

    /// Forgets the lines so far.
    pub fn clear(&self) {
        self.kept().clear();
    }

    /// Adds what happened, and leaves nothing of it behind.
    pub(crate) fn take(&self, batch: &mut Batch<Entry>) {
        if !batch.is_empty() {
            self.kept().append(batch);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<Entry>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry with its bytes, as text.
struct Line<'a> {
    entry: &'a Entry,
    bytes: &'a [u8],
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry: Entry { role, context, event }, bytes } = self;
        write!(f, "{role} #{context} ")?;
        match event {
            Event::Callback(name) => write!(f, "{name}({})", numbers(bytes)),
            Event::Returned(name) if bytes.is_empty() => write!(f, "{name} returned"),
            Event::Returned(name) => write!(f, "{name} returned {}", numbers(bytes)),
            Event::Trapped => f.write_str(&String::from_utf8_lossy(bytes)),
            Event::Hostcall(made) => write!(f, "  {}", Shown { made, bytes }),
            Event::Log => write!(f, "  {}", String::from_utf8_lossy(bytes)),
        }
    }
}

fn numbers(bytes: &[u8]) -> String {
    let numbers = bytes.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number).to_string());
    numbers.collect::<Vec<_>>().join(", ")
}
