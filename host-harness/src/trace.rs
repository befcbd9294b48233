//! The trace: callbacks and hostcalls in their order, with arguments and statuses.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Role;
use crate::hostcall::{Made, Shown};

/// The newest of what went between host and module, while it is switched on. It is kept as bytes and becomes text when it is asked for:
/// most tests pass, and nobody reads theirs.
#[derive(Debug, Default)]
pub struct Trace {
    on: AtomicBool,
    kept: Mutex<Kept>,
}

/// Entries in their order, and behind each other the bytes that belong to them: nothing is allocated for one entry alone.
#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: VecDeque<u8>,
}

/// One thing that happened.
#[derive(Debug)]
struct Entry {
    role: Role,
    context: u32,
    event: Event,
    /// How many of the bytes are its own.
    size: usize,
}

/// What happened; what else there is to tell are the bytes beside it.
#[derive(Debug)]
pub(crate) enum Event {
    /// The host calls the module.
    Callback { name: &'static str, arguments: Numbers },
    /// The module has returned.
    Returned { name: &'static str, value: Option<u32> },
    /// The callback has trapped, in these words.
    Trapped,
    /// The module has called the host.
    Hostcall(Made),
    /// A line of the log that is not a hostcall of its own.
    Log,
}

/// The arguments of a callback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    numbers: [u32; Self::MOST],
    count: u8,
}

/// How much is kept.
const ENTRIES: usize = 20_000;
const BYTES: usize = 64 << 20;

impl Trace {
    pub(crate) fn new(on: bool) -> Self {
        Self { on: AtomicBool::new(on), kept: Mutex::default() }
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
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).lines()
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
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// Writes down what happened, with the bytes that belong to it.
    pub(crate) fn push(&self, role: Role, context: u32, event: Event, bytes: &[u8]) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(role, context, event, bytes);
    }
}

impl Kept {
    fn push(&mut self, role: Role, context: u32, event: Event, bytes: &[u8]) {
        self.entries.push_back(Entry { role, context, event, size: bytes.len() });
        self.bytes.extend(bytes);
        while self.entries.len() > ENTRIES || self.bytes.len() > BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes.drain(..oldest.size.min(self.bytes.len()));
        }
    }

    fn lines(&mut self) -> Vec<String> {
        let mut rest: &[u8] = self.bytes.make_contiguous();
        let mut lines = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let (bytes, behind) = rest.split_at_checked(entry.size).unwrap_or_default();
            rest = behind;
            lines.push(Line { entry, bytes }.to_string());
        }
        lines
    }
}

/// An entry with its bytes, as text.
struct Line<'a> {
    entry: &'a Entry,
    bytes: &'a [u8],
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry: Entry { role, context, event, .. }, bytes } = self;
        write!(f, "{role} #{context} ")?;
        match event {
            Event::Callback { name, arguments } => write!(f, "{name}({arguments})"),
            Event::Returned { name, value: Some(value) } => write!(f, "{name} returned {value}"),
            Event::Returned { name, value: None } => write!(f, "{name} returned"),
            Event::Trapped => f.write_str(&String::from_utf8_lossy(bytes)),
            Event::Hostcall(made) => write!(f, "  {}", Shown { made, bytes }),
            Event::Log => write!(f, "  {}", String::from_utf8_lossy(bytes)),
        }
    }
}

impl Numbers {
    /// As many as any callback has.
    const MOST: usize = 5;

    pub(crate) fn new(arguments: &[u32]) -> Self {
        let mut numbers = [0; Self::MOST];
        for (place, argument) in numbers.iter_mut().zip(arguments) {
            *place = *argument;
        }
        Self { numbers, count: u8::try_from(arguments.len()).unwrap_or(u8::MAX) }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.numbers.iter().take(self.count.into()).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let trace = Trace::new(true);
        let push = |context, size| trace.push(Role::Main, context, Event::Log, &b"x".repeat(size));
        for context in 0..30_000 {
            push(context, 1);
        }
        let lines = trace.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (ENTRIES, "main #10000   x"));
        push(7, BYTES);
        assert_eq!(trace.lines().len(), 1);
        push(8, BYTES + 1);
        assert_eq!(trace.lines().len(), 0, "too large by itself");
        push(9, 1);
        assert_eq!(trace.text(), "main #9   x\n");
    }
}
