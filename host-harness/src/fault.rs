//! Faults that a test puts into the host.

use crate::abi::Status;

/// A fault: which hostcall fails, when, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(crate) hostcall: String,
    pub(crate) nth: Option<u64>,
    pub(crate) effect: Effect,
}

/// What happens instead of the hostcall.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    Status(u32),
    Trap,
}

impl Fault {
    /// Every call of this hostcall answers [`Status::InternalFailure`], until said otherwise.
    #[must_use]
    pub fn hostcall(name: impl Into<String>) -> Self {
        Self { hostcall: name.into(), nth: None, effect: Effect::Status(Status::InternalFailure.code()) }
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
