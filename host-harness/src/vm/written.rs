//! What the host writes down of a VM: the trace, and the module's log.

use super::state::HostState;
use crate::kept::Batch;
use crate::log::Line;
use crate::trace::{Entry, Event};
use crate::{LogLevel, LogSink};

/// What the running callback has written down, and nobody can read yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    trace: Batch<Entry>,
    log: Batch<Line>,
}

impl HostState {
    /// Writes something down, while the trace is on.
    pub(crate) fn trace(&mut self, event: Event, bytes: &[u8]) {
        self.trace_with(|out| {
            out.extend_from_slice(bytes);
            event
        });
    }

    /// The same, where the bytes are yet to be put together: behind those that are there.
    pub(crate) fn trace_with(&mut self, event: impl FnOnce(&mut Vec<u8>) -> Event) {
        self.trace_of(self.current, event);
    }

    fn trace_of(&mut self, context: u32, event: impl FnOnce(&mut Vec<u8>) -> Event) {
        if self.shared.trace.is_on() {
            let role = self.role;
            self.unread.trace.push(|bytes| Entry { role, context, event: event(bytes) });
            self.hand_over_between_callbacks();
        }
    }

    /// While a callback runs, what is written down waits for its end, so that VMs do not get in each other's way at each hostcall.
    pub(super) fn hand_over_between_callbacks(&mut self) {
        let Unread { trace, log } = &mut self.unread;
        if self.current == 0 || trace.is_full() || log.is_full() {
            self.shared.trace.take(trace);
            self.shared.log_memory.take(log);
        }
    }

    /// A line for the log, and for the trace.
    pub(crate) fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.trace_of(self.context(), |out| {
            out.extend([b"[", level.as_str().as_bytes(), b"] ", message].concat());
            Event::Log
        });
        self.log_only(level, message);
    }

    /// A line for the log; the trace has it as a hostcall.
    pub(crate) fn log_only(&mut self, level: LogLevel, message: &[u8]) {
        if level < self.shared.log_level() {
            return;
        }
        if let Some(complaints) = &mut self.complaints
            && level >= LogLevel::Warn
            && complaints.len() < 1000
        {
            complaints.push(String::from_utf8_lossy(message).into_owned());
        }
        let line = Line { level, context: self.context(), role: self.role };
        match &self.shared.options.log {
            LogSink::Memory => {
                self.unread.log.push(|bytes| {
                    bytes.extend_from_slice(message);
                    line
                });
                self.hand_over_between_callbacks();
            }
            LogSink::Function(function) => function(&line.entry(message)),
            LogSink::Tracing => line.entry(message).trace(),
            LogSink::Discard => {}
        }
    }
}
