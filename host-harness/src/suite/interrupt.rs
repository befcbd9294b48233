//! A run of suites that is to end before its time.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::process::Child;

/// Ends a run early: the proxies that run are killed, no other one is started, and [`run`](super::run) returns soon. Clones end the
/// same run.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    stopped: bool,
    running: Vec<Weak<Mutex<Child>>>,
}

impl Interrupt {
    /// Ends the run.
    pub fn stop(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.stopped = true;
        inner.running.drain(..).filter_map(|child| child.upgrade()).for_each(|child| kill(&child));
    }

    /// Whether the run is to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// Kills a process when the run is to end, at once if it is to end already.
    pub(super) fn ends(&self, child: &Arc<Mutex<Child>>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.running.retain(|child| child.strong_count() > 0);
        inner.running.push(Arc::downgrade(child));
        if inner.stopped {
            kill(child);
        }
    }
}

fn kill(child: &Mutex<Child>) {
    // It has ended already, or it cannot be ended.
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).start_kill();
}
