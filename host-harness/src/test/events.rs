//! What a host still owes its module, in the order of virtual time: ticks, answers to callouts, items in queues.

use std::time::Duration;

use super::{Host, grpc};
use crate::{Callout, CalloutId, CalloutOutcome, GrpcEvent, GrpcId, Role, Worker};

/// Something that a module will be told.
#[derive(Debug)]
pub(super) struct Owed {
    due_ns: u64,
    role: Role,
    what: What,
}

/// What a module will be told.
#[derive(Debug)]
pub(super) enum What {
    /// Of an HTTP callout.
    Http(CalloutId, CalloutOutcome),
    /// Of a gRPC callout.
    Grpc(GrpcId, GrpcEvent),
}

/// What passes, at least, before a module hears of what it caused while it was told of something: one that asks again at every
/// answer shall not stop time.
const AT_LEAST: Duration = Duration::from_micros(1);
/// After so many times in a row that is twice as long, so that no wait has more than some thousands of them.
const PATIENCE: u32 = 256;
/// The most that is kept of callouts, in bytes.
const MOST_KEPT: usize = 256 << 20;

impl Host {
    /// Every callout that the module made so far, in order; of those of more than 256 MiB the newest.
    pub fn callouts(&mut self) -> &[Callout] {
        self.collect(Duration::ZERO);
        &self.made
    }

    /// Takes what the modules asked for, and lets the clusters decide. No answer comes before `at_least`.
    pub(super) fn collect(&mut self, at_least: Duration) {
        let roles: Vec<Role> =
            std::iter::once(Role::Main).chain((0..).map(Role::Worker).take(self.workers.len())).collect();
        for role in roles {
            let Some(worker) = self.instance(role) else { continue };
            let (callouts, commands) = (worker.take_callouts(), worker.take_grpc_commands());
            for callout in callouts {
                let upstream = self.clusters.iter().find(|(name, _)| *name == callout.cluster);
                if let Some((takes, outcome)) = upstream.and_then(|(_, upstream)| upstream.answer(&callout)) {
                    let due_ns = self.now_ns().saturating_add(nanoseconds(takes.max(at_least)));
                    self.owe(due_ns, role, What::Http(callout.id, outcome));
                }
                self.made_bytes += size(&callout);
                self.made.push(callout);
            }
            self.collect_grpc(role, commands, at_least);
        }
        self.forget();
        // What a module does not wait for any more holds nobody up.
        let Self { main, workers, owed, .. } = self;
        owed.retain(|owed| match (&owed.what, owed.role) {
            (What::Grpc(id, _), Role::Worker(number)) => {
                workers.get(number as usize).is_some_and(|worker| worker.awaits_grpc(*id))
            }
            (What::Grpc(id, _), _) => main.awaits_grpc(*id),
            (What::Http(..), _) => true,
        });
    }

    /// Of those due at one time, the first that was asked for comes first.
    pub(super) fn owe(&mut self, due_ns: u64, role: Role, what: What) {
        let place = self.owed.partition_point(|other| other.due_ns <= due_ns);
        self.owed.insert(place, Owed { due_ns, role, what });
    }

    /// Runs what is due next, if that is not after `until_ns`, and moves time on to then. Says whether there was anything.
    pub(super) fn run_next(&mut self, until_ns: u64) -> bool {
        self.collect(Duration::ZERO);
        if self.now_ns() > until_ns {
            return false;
        }
        if self.instances().any(|worker| worker.has_ready_queues()) {
            self.instances().for_each(|worker| {
                worker.run_ready_queues();
            });
            let at_least = self.at_least();
            self.shared.clock().advance_to(self.now_ns().saturating_add(nanoseconds(at_least)));
            self.collect(at_least);
            return true;
        }
        let answer = self.owed.first().map_or(u64::MAX, |owed| owed.due_ns);
        let tick = self.next_tick().unwrap_or(u64::MAX);
        let due = answer.min(tick);
        if due > until_ns || due == u64::MAX {
            return false;
        }
        self.shared.clock().advance_to(due);
        if answer <= tick {
            let Owed { role, what, .. } = self.owed.remove(0);
            if let Some(worker) = self.instance(role) {
                match what {
                    What::Http(id, outcome) => worker.answer_callout(id, outcome),
                    What::Grpc(id, event) => worker.grpc_event(id, event),
                }
            }
            let at_least = self.at_least();
            self.collect(at_least);
        } else {
            self.instances().for_each(Worker::run_due_ticks);
        }
        true
    }

    /// What passes before a module hears of what it causes now.
    fn at_least(&mut self) -> Duration {
        let at_least = AT_LEAST.saturating_mul(1 << (self.haste / PATIENCE).min(30));
        self.haste = self.haste.saturating_add(1);
        at_least
    }

    /// Forgets the older half of the callouts, if all take too much.
    fn forget(&mut self) {
        if self.made_bytes > MOST_KEPT {
            self.made.drain(..self.made.len().div_ceil(2));
            self.grpc.drain(..self.grpc.len().div_ceil(2));
            let of_grpc: usize = self.grpc.iter().map(grpc::Exchange::size).sum();
            self.made_bytes = self.made.iter().map(size).sum::<usize>() + of_grpc;
        }
    }

    /// Whether a module waits for something that will come by itself, ticks aside.
    pub(super) fn owes(&mut self) -> bool {
        self.collect(Duration::ZERO);
        !self.owed.is_empty() || self.instances().any(|worker| worker.has_ready_queues())
    }

    /// Runs everything that is due by now.
    pub(super) fn settle(&mut self) {
        let now = self.now_ns();
        while self.run_next(now) {}
    }

    pub(super) fn next_tick(&mut self) -> Option<u64> {
        self.instances().filter_map(|worker| worker.next_tick_ns()).min()
    }

    fn instances(&mut self) -> impl Iterator<Item = &mut Worker> {
        std::iter::once(&mut self.main).chain(&mut self.workers)
    }

    fn instance(&mut self, role: Role) -> Option<&mut Worker> {
        match role {
            Role::Canary => None,
            Role::Main => Some(&mut self.main),
            Role::Worker(number) => self.workers.get_mut(number as usize),
        }
    }
}

/// What a callout takes, about.
fn size(callout: &Callout) -> usize {
    size_of::<Callout>() + callout.headers.byte_size() + callout.body.len() + callout.trailers.byte_size()
}

/// A time as clocks count it.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
