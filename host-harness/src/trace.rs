//! The trace: callbacks and hostcalls in their order, with arguments and statuses.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Role;

/// The newest lines of what went between host and module, while it is switched on.
#[derive(Debug, Default)]
pub struct Trace {
    on: AtomicBool,
    lines: Mutex<VecDeque<String>>,
}

/// How many lines are kept.
const KEPT: usize = 20_000;

impl Trace {
    pub(crate) fn new(on: bool) -> Self {
        Self { on: AtomicBool::new(on), lines: Mutex::default() }
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
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
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
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn push(&self, role: Role, context: u32, depth: usize, text: &str) {
        let mut line = String::with_capacity(text.len() + 24);
        _ = write!(line, "{role} #{context} {:depth$}{text}", "", depth = depth * 2);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
