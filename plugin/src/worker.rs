//! Which worker of the proxy a VM is.
//!
//! The ABI does not say, and a heartbeat without that would hide that one of eight workers has lost its filter. So
//! each VM leases a number: the lowest that nobody holds, for a few beats at a time. A VM that dies stops renewing,
//! and its number goes to the next one that asks, so that the numbers stay few however often VMs are replaced.

use crate::shared::{Read, SharedData, Write, Written};

/// How many beats a lease outlives its holder.
const BEATS: u64 = 4;

/// A lease that runs longer than this from now was written before the clock was set back.
const LONGEST_NS: u64 = 600_000_000_000;

/// A VM's lease of a number, among all VMs with one namespace.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The shared keys are this and the number.
    prefix: String,
    /// How many numbers there are.
    numbers: u32,
    /// Random, so no two VMs have the same.
    holder: [u8; 16],
    number: Option<u32>,
}

impl Lease {
    /// No number yet.
    pub(crate) fn new(namespace: &str, numbers: u32, holder: [u8; 16]) -> Self {
        Self { prefix: prefix(namespace), numbers, holder, number: None }
    }

    /// Renews the lease, or takes one. `None` when all numbers are held by others.
    pub(crate) fn renew(&mut self, now_ns: u64, beat_ns: u64, shared: &mut dyn SharedData) -> Option<u32> {
        let value = self.value(now_ns.saturating_add(beat_ns.saturating_mul(BEATS)));
        if let Some(number) = self.number
            && self.keep(number, &value, shared)
        {
            return self.number;
        }
        self.number = (0..self.numbers).find(|number| self.take(*number, now_ns, &value, shared));
        self.number
    }

    /// Gives the number back.
    pub(crate) fn release(&mut self, shared: &mut dyn SharedData) {
        if let Some(number) = self.number.take() {
            let expired = self.value(0);
            self.keep(number, &expired, shared);
        }
    }

    /// Writes `value` if the number is still held by this VM. A host that refuses does not change who holds it.
    fn keep(&self, number: u32, value: &[u8], shared: &mut dyn SharedData) -> bool {
        let key = self.key(number);
        let written = match shared.read(&key) {
            Read::Value(held, cas) if held.starts_with(&self.holder) => shared.write(&key, value, Write::Update(cas)),
            Read::Value(..) => Written::Raced,
            Read::Absent => shared.write(&key, value, Write::Create),
            Read::Failed => Written::Failed,
        };
        written != Written::Raced
    }

    /// Takes the number if nobody holds it.
    fn take(&self, number: u32, now_ns: u64, value: &[u8], shared: &mut dyn SharedData) -> bool {
        let key = self.key(number);
        let written = match shared.read(&key) {
            Read::Value(held, cas) if is_expired(held, now_ns) => shared.write(&key, value, Write::Update(cas)),
            Read::Absent => shared.write(&key, value, Write::Create),
            Read::Value(..) => Written::Raced,
            Read::Failed => Written::Failed,
        };
        written == Written::Yes
    }

    fn key(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Holder and expiry.
    fn value(&self, expiry_ns: u64) -> [u8; 24] {
        let mut value = [0; 24];
        let (holder, expiry) = value.split_at_mut(16);
        holder.copy_from_slice(&self.holder);
        expiry.copy_from_slice(&expiry_ns.to_le_bytes());
        value
    }
}

/// Whether somebody holds a number; `None` where nobody ever has.
pub(crate) fn holder(namespace: &str, number: u32, now_ns: u64, shared: &mut dyn SharedData) -> Option<bool> {
    match shared.read(&format!("{}{number}", prefix(namespace))) {
        Read::Value(held, _) => Some(!is_expired(held, now_ns)),
        // It is not known, so nobody is to be disturbed.
        Read::Failed => Some(true),
        Read::Absent => None,
    }
}

fn prefix(namespace: &str) -> String {
    format!("{namespace}.edge.worker.")
}

/// Whether a stored lease has run out. What is not a lease at all is free to take.
fn is_expired(held: &[u8], now_ns: u64) -> bool {
    let expiry = held.split_at_checked(16).and_then(|(_, expiry)| <[u8; 8]>::try_from(expiry).ok());
    expiry.map(u64::from_le_bytes).is_none_or(|expiry| expiry <= now_ns || expiry - now_ns > LONGEST_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::tests::Fake;

    const BEAT: u64 = 1_000_000_000;

    fn lease(holder: u8) -> Lease {
        Lease::new("eucora", 3, [holder; 16])
    }

    #[test]
    fn each_vm_gets_its_own_number_and_keeps_it() {
        let mut shared = Fake::default();
        let (mut a, mut b) = (lease(1), lease(2));
        for beat in 1..20 {
            assert_eq!(a.renew(beat * BEAT, BEAT, &mut shared), Some(0));
            assert_eq!(b.renew(beat * BEAT, BEAT, &mut shared), Some(1));
        }
    }

    #[test]
    fn a_dead_vms_number_is_taken_after_a_few_beats() {
        let mut shared = Fake::default();
        assert_eq!(lease(1).renew(BEAT, BEAT, &mut shared), Some(0));
        let mut next = lease(2);
        assert_eq!(next.renew(2 * BEAT, BEAT, &mut shared), Some(1));
        assert_eq!(lease(3).renew(6 * BEAT, BEAT, &mut shared), Some(0));
        assert_eq!(next.renew(6 * BEAT, BEAT, &mut shared), Some(1));
    }

    #[test]
    fn a_vm_that_slept_through_its_lease_takes_another() {
        let mut shared = Fake::default();
        let (mut slept, mut other) = (lease(1), lease(2));
        assert_eq!(slept.renew(BEAT, BEAT, &mut shared), Some(0));
        assert_eq!(other.renew(100 * BEAT, BEAT, &mut shared), Some(0));
        assert_eq!(slept.renew(101 * BEAT, BEAT, &mut shared), Some(1));
    }

    #[test]
    fn a_number_given_back_is_free_at_once() {
        let mut shared = Fake::default();
        let mut a = lease(1);
        a.renew(BEAT, BEAT, &mut shared);
        a.release(&mut shared);
        assert_eq!(lease(2).renew(BEAT, BEAT, &mut shared), Some(0));
    }

    #[test]
    fn the_numbers_are_bounded() {
        let mut shared = Fake::default();
        for holder in 1..=3 {
            assert_eq!(lease(holder).renew(BEAT, BEAT, &mut shared), Some(u32::from(holder) - 1));
        }
        let mut late = lease(9);
        assert_eq!(late.renew(BEAT, BEAT, &mut shared), None);
        assert_eq!(late.renew(10 * BEAT, BEAT, &mut shared), Some(0));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_a_number_for_years() {
        let mut shared = Fake::default();
        assert_eq!(lease(1).renew(1_000_000 * BEAT, BEAT, &mut shared), Some(0));
        assert_eq!(lease(2).renew(BEAT, BEAT, &mut shared), Some(0));
    }

    #[test]
    fn a_host_that_refuses_does_not_change_the_number() {
        let mut shared = Fake::default();
        let mut a = lease(1);
        assert_eq!(a.renew(BEAT, BEAT, &mut shared), Some(0));
        shared.refuse = true;
        assert_eq!(a.renew(2 * BEAT, BEAT, &mut shared), Some(0));
        assert_eq!(lease(2).renew(2 * BEAT, BEAT, &mut shared), None);
    }
}
