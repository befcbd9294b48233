//! Which worker asks: the one that holds the lease.
//!
//! The lease is one value in the proxy's shared data: its holder, when it runs out, and since when what was asked for is known. It is renewed with
//! every tick. A worker that dies stops renewing, and when the lease has run out the next one to look takes it. This module decides what to do with
//! the value as it was read; the caller writes the answer back with compare-and-swap, and whoever is slower asks again.

/// What to do about the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// It is this worker's, if it can be written.
    Held(Held),
    /// Another worker has it.
    Other,
}

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// To be written in place of the value that was read.
    pub write: [u8; 32],
    /// When it runs out.
    pub until_ns: u64,
    /// The time of the last good answer to any worker, or else of the first election.
    pub fresh_ns: u64,
}

/// Decides about the lease for the worker `holder`, a random number, given its `current` value (`None` before the first).
///
/// It is for `lease_ns`, which should be several times the time between two ticks. `fresh_ns` is the worker's own
/// [time of its last good answer](super::Poller::fresh_ns), if it had the lease before.
///
/// A lease that runs for more than twice `lease_ns` from now was written before the clock was set back, and is free to take. So is a value of another
/// form.
#[must_use]
pub fn propose(
    current: Option<&[u8]>,
    holder: [u8; 16],
    now_ns: u64,
    lease_ns: u64,
    fresh_ns: Option<u64>,
) -> Proposal {
    let lease = current.and_then(read);
    if let Some(lease) = &lease
        && lease.holder != holder
        && lease.until_ns > now_ns
        && lease.until_ns - now_ns <= lease_ns.saturating_mul(2)
    {
        return Proposal::Other;
    }
    let until_ns = now_ns.saturating_add(lease_ns);
    let fresh_ns = fresh_ns.or(lease.map(|lease| lease.fresh_ns)).unwrap_or(now_ns).min(now_ns);
    Proposal::Held(Held { write: write(holder, until_ns, fresh_ns), until_ns, fresh_ns })
}

/// What to write to give the lease back, for a worker that ends; `None` if it has none.
#[must_use]
pub fn release(current: Option<&[u8]>, holder: [u8; 16]) -> Option<[u8; 32]> {
    let lease = current.and_then(read)?;
    (lease.holder == holder).then(|| write(holder, 0, lease.fresh_ns))
}

/// A stored lease.
struct Lease {
    holder: [u8; 16],
    until_ns: u64,
    fresh_ns: u64,
}

fn read(value: &[u8]) -> Option<Lease> {
    let (holder, times) = value.split_first_chunk()?;
    let (until_ns, fresh_ns) = times.split_first_chunk()?;
    let fresh_ns = u64::from_le_bytes(fresh_ns.try_into().ok()?);
    Some(Lease { holder: *holder, until_ns: u64::from_le_bytes(*until_ns), fresh_ns })
}

fn write(holder: [u8; 16], until_ns: u64, fresh_ns: u64) -> [u8; 32] {
    let mut value = [0; 32];
    let bytes = holder.into_iter().chain(until_ns.to_le_bytes()).chain(fresh_ns.to_le_bytes());
    value.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: [u8; 16] = [1; 16];
    const B: [u8; 16] = [2; 16];

    fn held(current: Option<&[u8]>, holder: [u8; 16], now_ns: u64, fresh_ns: Option<u64>) -> Option<Held> {
        match propose(current, holder, now_ns, 10, fresh_ns) {
            Proposal::Held(held) => Some(held),
            Proposal::Other => None,
        }
    }

    #[test]
    fn the_first_takes_it_and_keeps_it_by_renewing() {
        let first = held(None, A, 100, None).unwrap();
        assert_eq!((first.until_ns, first.fresh_ns), (110, 100));
        assert_eq!(held(Some(&first.write), B, 109, None), None);
        let renewed = held(Some(&first.write), A, 109, Some(105)).unwrap();
        assert_eq!((renewed.until_ns, renewed.fresh_ns), (119, 105));
        assert_eq!(held(Some(&renewed.write), B, 118, None), None);
    }

    #[test]
    fn a_lease_that_has_run_out_is_taken_with_what_is_known() {
        let first = held(None, A, 100, Some(95)).unwrap();
        let taken = held(Some(&first.write), B, 110, None).unwrap();
        assert_eq!((taken.until_ns, taken.fresh_ns), (120, 95));
        assert_eq!(held(Some(&taken.write), A, 111, Some(95)), None);
    }

    #[test]
    fn a_lease_given_back_is_free_at_once() {
        let first = held(None, A, 100, None).unwrap();
        assert_eq!(release(Some(&first.write), B), None);
        let released = release(Some(&first.write), A).unwrap();
        assert_eq!(held(Some(&released), B, 101, None).unwrap().fresh_ns, 100);
        assert_eq!(release(None, A), None);
    }

    #[test]
    fn a_clock_set_back_does_not_lock_the_lease() {
        let first = held(None, A, 1_000_000, None).unwrap();
        let taken = held(Some(&first.write), B, 100, None).unwrap();
        assert_eq!((taken.until_ns, taken.fresh_ns), (110, 100));
        // A small step is waited for.
        assert_eq!(held(Some(&first.write), B, 999_990, None), None);
        assert!(held(Some(&first.write), B, 999_989, None).is_some());
    }

    #[test]
    fn what_is_no_lease_is_free() {
        for value in [&b""[..], &[1; 16], &[1; 24], &[1; 31], &[1; 33]] {
            assert_eq!(held(Some(value), A, 100, None).unwrap().fresh_ns, 100);
            assert_eq!(release(Some(value), [1; 16]), None);
        }
    }

    proptest! {
        #[test]
        fn any_value_and_time_is_read_without_harm(value in prop::collection::vec(any::<u8>(), 0..40), times in any::<[u64; 2]>(), fresh_ns in any::<Option<u64>>()) {
            let [now_ns, lease_ns] = times;
            if let Proposal::Held(held) = propose(Some(&value), A, now_ns, lease_ns, fresh_ns) {
                prop_assert!(held.fresh_ns <= now_ns && held.until_ns >= now_ns);
                prop_assert!(lease_ns == 0 || now_ns == u64::MAX || propose(Some(&held.write), B, now_ns, lease_ns, None) == Proposal::Other);
            }
        }
    }
}
