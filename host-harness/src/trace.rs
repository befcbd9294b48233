//! The trace: callbacks and hostcalls in their order, with arguments and statuses.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Role;
use crate::hostcall::Record;

/// The newest of what went between host and module, while it is switched on. It is kept as bytes and becomes text when it is asked for:
/// most tests pass, and nobody reads theirs.
#[derive(Debug, Default)]
pub struct Trace {
    on: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) role: Role,
    pub(crate) context: u32,
    pub(crate) event: Event,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The host calls the module.
    Callback { name: &'static str, arguments: Numbers },
    /// The module has returned.
    Returned { name: &'static str, value: Option<u32> },
    /// The callback has trapped, in these words.
    Trapped(String),
    /// The module has called the host.
    Hostcall(Record),
    /// A line of the log that is not a hostcall of its own.
    Log(String),
}

/// The arguments of a callback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    numbers: [u32; Self::MOST],
    count: usize,
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
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).entries.iter().map(ToString::to_string).collect()
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
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.clear();
        kept.bytes = 0;
    }

    pub(crate) fn push(&self, entry: Entry) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += entry.bytes();
        kept.entries.push_back(entry);
        while kept.entries.len() > ENTRIES || kept.bytes > BYTES {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.bytes -= oldest.bytes();
        }
    }
}

impl Entry {
    /// What it takes besides itself.
    fn bytes(&self) -> usize {
        match &self.event {
            Event::Callback { .. } | Event::Returned { .. } => 0,
            Event::Trapped(text) | Event::Log(text) => text.len(),
            Event::Hostcall(record) => record.bytes(),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, context, event } = self;
        write!(f, "{role} #{context} ")?;
        match event {
            Event::Callback { name, arguments } => write!(f, "{name}({arguments})"),
            Event::Returned { name, value: Some(value) } => write!(f, "{name} returned {value}"),
            Event::Returned { name, value: None } => write!(f, "{name} returned"),
            Event::Trapped(text) => f.write_str(text),
            Event::Hostcall(record) => write!(f, "  {record}"),
            Event::Log(text) => write!(f, "  {text}"),
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
        Self { numbers, count: arguments.len() }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.numbers.iter().take(self.count).enumerate() {
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
        let entry = |context, size| Entry { role: Role::Main, context, event: Event::Log("x".repeat(size)) };
        for context in 0..30_000 {
            trace.push(entry(context, 1));
        }
        let lines = trace.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (ENTRIES, "main #10000   x"));
        trace.push(entry(7, BYTES));
        assert_eq!(trace.lines().len(), 1);
        trace.push(entry(8, BYTES + 1));
        assert_eq!(trace.lines().len(), 0, "too large by itself");
        trace.push(entry(9, 1));
        assert_eq!(trace.text(), "main #9   x\n");
    }
}
