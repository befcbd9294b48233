//! Faults that a test puts into the host.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::abi::Status;

/// A fault: which hostcall fails, when, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    hostcall: String,
    nth: Option<u64>,
    effect: Effect,
}

/// What happens instead of the hostcall.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    /// It answers this number.
    Status(u32),
    /// The VM traps.
    Trap,
}

impl Fault {
    /// Every call of this hostcall answers [`Status::InternalFailure`], until said otherwise.
    ///
    /// ```
    /// # use host_harness::{Fault, abi::Status};
    /// let fault = Fault::hostcall("proxy_set_property").nth(2).returns(Status::NotFound);
    /// ```
    #[must_use]
    pub fn hostcall(name: impl Into<String>) -> Self {
        Self { hostcall: name.into(), nth: None, effect: Effect::Status(Status::InternalFailure.code()) }
    }

    /// The module's allocator returns null to the host.
    #[must_use]
    pub fn allocator() -> Self {
        Self::hostcall("allocator")
    }

    /// Only the `n`-th call fails, counted from 1 and from when the fault was put in, over all VMs.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    /// The call answers this status and does nothing.
    #[must_use]
    pub fn returns(mut self, status: Status) -> Self {
        self.effect = Effect::Status(status.code());
        self
    }

    /// The call traps the VM.
    #[must_use]
    pub fn traps(mut self) -> Self {
        self.effect = Effect::Trap;
        self
    }
}

/// The faults of a host, with how often each hostcall was seen since.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: AtomicBool,
    list: Mutex<Vec<(Fault, u64)>>,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push((fault, 0));
        self.armed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Counts a call and says what befalls it.
    pub(crate) fn strike(&self, hostcall: &str) -> Option<Effect> {
        if !self.armed.load(Ordering::Relaxed) {
            return None;
        }
        let mut struck = None;
        for (fault, calls) in self.list.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if fault.hostcall == hostcall {
                *calls += 1;
                if fault.nth.is_none_or(|nth| nth == *calls) {
                    struck = struck.or(Some(fault.effect));
                }
            }
        }
        struck
    }
}
