//! What a root context does besides counting: it delivers events and asks for gauges, with each tick and each answer.

use crate::flush::{HostMetrics, HostShared};
use crate::host;
use crate::outbox;
use crate::root::Instance;
use crate::vm::Vm;
use crate::worker;

impl Vm {
    /// Makes the calls that are due.
    pub(crate) fn work_on_calls(&mut self, number: usize, worker: Option<u32>) {
        let Self { instances, tools, .. } = self;
        let Some(Some(instance)) = instances.get_mut(number) else {
            return;
        };
        let has_polls = !instance.filter.config().polls().is_empty();
        if !instance.delivery.has_sinks() && !has_polls {
            return;
        }
        let Instance { filter, state, faults, delivery, polls, shared, succession, .. } = instance;
        let Some(now_ns) = faults.catch(host::wall_clock_ns()) else { return };
        let config = filter.config();
        let tick_ns = u64::from(config.metrics().flush_interval_ms()) * 1_000_000;
        if has_polls {
            polls.tick(&shared.polls, config.polls(), tick_ns, now_ns, tools, faults);
            polls.report(state.registry_mut());
        }
        if delivery.has_sinks() {
            delivery.tick(config.namespace(), worker, now_ns, tools, faults);
            let mut data = HostShared { buffer: &mut tools.value, faults };
            // Looked through once for each death: the dead add nothing, and whoever gets the number next looks as well.
            if let Some(dead) = self.watch.next_dead(config.namespace(), worker, now_ns, &mut data)
                && self.watch.is_news(dead)
            {
                let left = outbox::take(config.namespace(), dead, &mut data);
                delivery.take_over(left, now_ns, tools, faults);
                state.registry_mut().bury(dead, &mut HostMetrics::all(succession, faults));
            }
            delivery.report(now_ns, state.registry_mut());
        }
    }

    /// An answer to a call.
    pub(crate) fn on_call_response(&mut self, context: u32, token: u32, body: usize) {
        let Some(number) = self.root(context).and_then(|root| root.instance) else {
            return;
        };
        let Self { instances, tools, .. } = self;
        let Some(Some(instance)) = instances.get_mut(number) else {
            return;
        };
        let Instance { filter, state, faults, delivery, polls, succession, .. } = instance;
        let Some(now_ns) = faults.catch(host::wall_clock_ns()) else { return };
        if delivery.answer(token, body, now_ns, tools, faults) {
            delivery.report(now_ns, state.registry_mut());
            // What was said of events should not go with a VM that dies before the next tick: nobody makes up for these counts.
            let config = filter.config();
            state.registry_mut().drain_rules(config.rules(), config.polls(), &mut HostMetrics::all(succession, faults));
        } else {
            polls.answer(token, body, now_ns, &mut tools.value, faults);
            polls.report(state.registry_mut());
        }
        tools.trim();
    }

    /// A configuration has had its time: what it has not delivered goes to the one that took its place, or else to the log, and others ask for
    /// its gauges.
    pub(crate) fn hand_on_events(&mut self, number: usize) {
        let Some(Some(instance)) = self.instances.get_mut(number) else {
            return;
        };
        let Instance { filter, faults, delivery, polls, shared, .. } = instance;
        let config = filter.config();
        polls.release(&shared.polls, config.polls(), &mut self.tools.value, faults);
        if !delivery.has_sinks() {
            return;
        }
        let now_ns = faults.catch(host::wall_clock_ns()).unwrap_or_default();
        let unsettled = delivery.abandon(now_ns, &mut self.tools, faults);
        let namespace = config.namespace().to_owned();
        let heir = self.instances.iter_mut().flatten().find(|other| {
            !other.retired && other.filter.config().namespace() == namespace && other.delivery.has_sinks()
        });
        let rest = match heir {
            Some(heir) => {
                // Those of a sink that it does not have are logged, and counted, here.
                let (known, rest) = unsettled.into_iter().partition(|event| heir.delivery.knows(event));
                heir.delivery.go_on_with(known, now_ns, &mut self.tools, &mut heir.faults);
                heir.delivery.report(now_ns, heir.state.registry_mut());
                rest
            }
            None => unsettled,
        };
        let Some(Some(Instance { state, faults, delivery, .. })) = self.instances.get_mut(number) else {
            return;
        };
        delivery.log_all(rest, now_ns, &mut self.tools, faults);
        delivery.report(now_ns, state.registry_mut());
    }
}

/// Looks after the numbers of workers, one with each tick, for one whose holder has died.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    next: u32,
    /// Numbers that were found to be nobody's, and have stayed so.
    dead: Vec<u32>,
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Self { next: 0, dead: Vec::new() }
    }

    /// Whether this number has become nobody's since this was last asked.
    fn is_news(&mut self, number: u32) -> bool {
        let is_news = !self.dead.contains(&number);
        if is_news {
            self.dead.push(number);
        }
        is_news
    }

    /// The next number, if it is nobody's any more.
    fn next_dead(
        &mut self,
        namespace: &str,
        own: Option<u32>,
        now_ns: u64,
        shared: &mut HostShared<'_>,
    ) -> Option<u32> {
        let number = self.next;
        match worker::holder(namespace, number, now_ns, shared) {
            // Numbers are given from the lowest, so there are none beyond.
            None => {
                self.next = 0;
                None
            }
            Some(is_held) => {
                self.next = number.saturating_add(1);
                if is_held {
                    self.dead.retain(|dead| *dead != number);
                }
                (!is_held && own != Some(number)).then_some(number)
            }
        }
    }
}
