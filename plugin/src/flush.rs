//! Once a tick: counter differences to the proxy's stats, a sign of life, and which build runs.

use telemetry::admission::Pool;
use telemetry::metrics::catalogue::MAX_WORKERS;
use telemetry::metrics::{MetricKind, MetricSink};

use crate::faults::Faults;
use crate::host::{self, HostBuffer};
use crate::root::{Instance, fresh_random};
use crate::shared::{self, Read, Replaced, SharedData, Write, Written};
use crate::vm::{NamespaceLease, Tools, Vm};
use crate::worker::Lease;

/// So many new stats are enough for one tick. To make one costs Envoy tens to hundreds of microseconds on the thread of a worker, because every
/// extractor of labels is tried on its name, and requests wait meanwhile. What is left over comes with the next ticks; nothing is lost.
const NEW_STATS_A_TICK: u32 = 500;

/// The proxy's stats, as the registry sees them.
pub(crate) struct HostMetrics<'a> {
    pub(crate) faults: &'a mut Faults,
    /// How many more new stats it may be asked for.
    pub(crate) room: u32,
}

impl<'a> HostMetrics<'a> {
    /// For what cannot wait.
    pub(crate) fn all(faults: &'a mut Faults) -> Self {
        Self { faults, room: u32::MAX }
    }
}

impl MetricSink for HostMetrics<'_> {
    fn define(&mut self, kind: MetricKind, stat_name: &str) -> Option<u32> {
        self.room = self.room.saturating_sub(1);
        self.faults.catch(host::define_metric(kind, stat_name))
    }

    fn is_sated(&self) -> bool {
        self.room == 0
    }

    fn add(&mut self, id: u32, delta: u64) -> bool {
        self.faults.catch(host::increment_metric(id, delta)).is_some()
    }

    fn set(&mut self, id: u32, value: u64) -> bool {
        self.faults.catch(host::record_metric(id, value)).is_some()
    }
}

/// The proxy's shared data.
pub(crate) struct HostShared<'a> {
    pub(crate) buffer: &'a mut HostBuffer,
    pub(crate) faults: &'a mut Faults,
}

impl SharedData for HostShared<'_> {
    fn read(&mut self, key: &str) -> Read<'_> {
        match self.faults.catch(host::shared_data(key.as_bytes(), self.buffer)) {
            Some(Some((value, cas))) => Read::Value(value, cas),
            Some(None) => Read::Absent,
            None => Read::Failed,
        }
    }

    fn write(&mut self, key: &str, value: &[u8], write: Write) -> Written {
        match self.faults.catch(host::set_shared_data(key.as_bytes(), value, write)) {
            Some(true) => Written::Yes,
            Some(false) => Written::Raced,
            None => Written::Failed,
        }
    }
}

impl Instance {
    /// Hands over everything counted since the last time, as far as that takes no more than so many new stats.
    fn drain_up_to(&mut self, room: u32, tools: &mut Tools) {
        let now_ns = host::wall_clock_ns().unwrap_or_default();
        let Self { filter, state, faults, .. } = self;
        faults.report(now_ns, state.registry_mut(), tools.lines());
        state.drain(filter, &mut HostMetrics { faults, room });
    }

    /// Hands over everything counted since the last time.
    pub(crate) fn drain(&mut self, tools: &mut Tools) {
        self.drain_up_to(u32::MAX, tools);
    }

    /// Whether the proxy has yet to take something that was counted.
    pub(crate) fn owes(&self) -> bool {
        !self.state.registry().is_drained()
    }

    /// Learns what other workers had admitted, so that it is found without asking.
    fn sync(&mut self, buffer: &mut HostBuffer) {
        let Self { filter, state, faults, shared: keys, .. } = self;
        for pool in [Pool::Endpoints, Pool::Statuses] {
            if filter.pool_limits(pool).items == 0 || state.is_full(pool) {
                continue;
            }
            let read = faults.catch(host::shared_data(keys.of(pool).as_bytes(), buffer));
            if let Some(Some((value, _))) = read {
                state.sync(filter, pool, value);
            }
        }
    }

    /// Says which build runs, and that the one before it no longer does.
    fn report_build(&mut self, buffer: &mut HostBuffer) {
        let Self { state, faults, shared: keys, replaced, .. } = self;
        let registry = state.registry();
        let mut shared = HostShared { buffer, faults };
        match shared::replace(&keys.build, registry.build_info().as_bytes(), &mut shared) {
            Replaced::Previous(name) => *replaced = String::from_utf8(name).ok(),
            Replaced::Nothing => {}
            Replaced::Failed => return,
        }
        self.reported = registry.report_build(replaced.as_deref(), &mut HostMetrics::all(faults));
        if self.reported {
            self.replaced = None;
        }
    }
}

impl Vm {
    /// The tick of a root context.
    pub(crate) fn on_tick(&mut self, context: u32) {
        let Some(number) = self.root(context).and_then(|root| root.instance) else {
            return;
        };
        self.refresh(number);
        self.choose_serving(number);
        let worker = self.beat(context, number);
        let Some(Some(instance)) = self.instances.get_mut(number) else {
            return;
        };
        if let Some(worker) = worker {
            instance.state.registry_mut().set_worker(worker);
            instance.state.registry_mut().beat();
        }
        if instance.serving && !instance.reported {
            instance.report_build(&mut self.tools.value);
        }
        instance.sync(&mut self.tools.value);
        instance.drain_up_to(NEW_STATS_A_TICK, &mut self.tools);
        self.settle_retired();
        self.streams.shrink();
        self.tools.trim();
    }

    /// Compares the clocks, and mixes in randomness where that is due.
    fn refresh(&mut self, number: usize) {
        let Some(Some(instance)) = self.instances.get_mut(number) else {
            return;
        };
        instance.faults.catch(self.tools.clock.measure());
        if let Some(random) = &mut self.tools.random
            && random.is_due()
            && let Some(seed) = instance.faults.catch(fresh_random())
        {
            random.reseed(seed);
        }
    }

    /// A proxy that returns to an earlier configuration while that still drains goes on with its old root context and
    /// says nothing. The streams say it: the instance that gets them while the other gets none is the one that serves.
    fn choose_serving(&mut self, number: usize) {
        let Some(Some(instance)) = self.instances.get_mut(number) else {
            return;
        };
        instance.idle = instance.begun == instance.begun_before;
        instance.begun_before = instance.begun;
        if instance.serving || instance.idle {
            return;
        }
        let namespace = instance.filter.config().namespace().to_owned();
        let rival = self
            .instances
            .iter()
            .flatten()
            .find(|other| other.serving && other.filter.config().namespace() == namespace);
        if rival.is_none_or(|rival| rival.idle || rival.retired) {
            self.set_serving(number);
        }
    }

    /// Beats for this worker, if that falls to this root context; gives the worker's number.
    fn beat(&mut self, context: u32, number: usize) -> Option<u32> {
        let Some(Some(instance)) = self.instances.get_mut(number) else {
            return None;
        };
        let config = instance.filter.config();
        let namespace = config.namespace();
        let interval_ns = u64::from(config.metrics().flush_interval_ms()) * 1_000_000;
        let known = self.leases.iter().position(|lease| lease.namespace == namespace);
        let at = match known {
            Some(at) => at,
            None => {
                let holder = self.tools.random.as_mut()?.seed();
                let lease = Lease::new(namespace, MAX_WORKERS, holder);
                self.leases.push(NamespaceLease { namespace: namespace.to_owned(), root: context, lease });
                self.leases.len() - 1
            }
        };
        let NamespaceLease { root, lease, .. } = self.leases.get_mut(at)?;
        if *root != context {
            return None;
        }
        let now_ns = instance.faults.catch(host::wall_clock_ns())?;
        let mut shared = HostShared { buffer: &mut self.tools.value, faults: &mut instance.faults };
        Some(lease.renew(now_ns, interval_ns, &mut shared).unwrap_or(MAX_WORKERS))
    }

    /// A root context no longer ticks: another of its namespace takes over its beats, or this VM gives back its number.
    pub(crate) fn release_lease(&mut self, context: u32) {
        let Self { leases, roots, instances, tools, .. } = self;
        leases.retain_mut(|entry| {
            if entry.root != context {
                return true;
            }
            let heir = roots.iter().find(|root| {
                let instance = root.instance.and_then(|number| instances.get(number)?.as_ref());
                root.context != context
                    && instance.is_some_and(|instance| {
                        !instance.retired && instance.filter.config().namespace() == entry.namespace
                    })
            });
            match heir {
                Some(heir) => {
                    entry.root = heir.context;
                    true
                }
                None => {
                    let mut faults = Faults::default();
                    entry.lease.release(&mut HostShared { buffer: &mut tools.value, faults: &mut faults });
                    false
                }
            }
        });
    }
}
