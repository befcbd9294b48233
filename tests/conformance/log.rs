//! The probe's lines as they come, by the thread that wrote them, and when there are no more.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What begins each line of the probe.
const MARK: &str = "probe| ";
/// A case is over when nothing came for so long: longer than an upstream takes that a case waits for.
const QUIET: Duration = Duration::from_millis(350);
/// A tick that a case asked for is waited for so long, whenever the host gets to it.
const TICK_WITHIN: Duration = Duration::from_secs(2);
/// With this the probe asks for a tick,
const ASKS_FOR_TICK: &str = "set_tick_period_milliseconds(100) = Ok";
/// and this it says when the tick has come.
const TICKS: &str = "> on_tick(";
/// After which a case is over though lines keep coming.
const DEADLINE: Duration = Duration::from_secs(8);

/// Lines with their thread, and when the last one came.
#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lines: Vec<(String, String)>,
    last: Instant,
}

impl State {
    fn waits_for_tick(&self) -> bool {
        let last = |text| self.lines.iter().rposition(|(_, line)| line.contains(text));
        last(ASKS_FOR_TICK) > last(TICKS)
    }
}

impl Log {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { lines: Vec::new(), last: Instant::now() }) }
    }

    /// Adds what the module wrote.
    pub(super) fn push(&self, thread: &str, message: &str) {
        let line = match message.find(MARK) {
            Some(at) => message[at + MARK.len()..].to_owned(),
            None => format!("(other) {message}"),
        };
        let mut state = self.state.lock().unwrap();
        state.lines.push((thread.to_owned(), line));
        state.last = Instant::now();
    }

    /// Waits until no more lines come, and takes them.
    pub(super) fn take(&self) -> Vec<(String, String)> {
        let began = Instant::now();
        loop {
            let mut state = self.state.lock().unwrap();
            let quiet = state.last.max(began).elapsed();
            let enough = if state.waits_for_tick() { TICK_WITHIN } else { QUIET };
            if quiet >= enough || began.elapsed() > DEADLINE {
                return std::mem::take(&mut state.lines);
            }
            drop(state);
            std::thread::sleep((enough - quiet).min(QUIET));
        }
    }
}
