//! Once a tick: counter differences to the proxy's stats, a sign of life, and which build runs.
//!
//! To make a new stat costs Envoy tens to hundreds of microseconds on the thread of a worker, because every extractor of labels is tried on its
//! name, and requests wait meanwhile. A crowd of new endpoints is therefore made known in slices: one with each tick, and more between
//! the ticks as streams end. What is left over is kept and comes with the next slice; nothing is lost.

use telemetry::admission::Pool;
use telemetry::metrics::catalogue::MAX_WORKERS;
use telemetry::metrics::{MetricKind, MetricSink};

use crate::faults::Faults;
use crate::host::{self, HostBuffer};
use crate::root::{Instance, fresh_random};
use crate::shared::{self, Read, Replaced, SharedData, Write, Written};
use crate::succession::Succession;
use crate::vm::{NamespaceLease, Tools, Vm};
use crate::worker::Lease;

/// How long new stats are made in one slice. It may last as long again as the stats of one endpoint take, which are not divided.
pub(crate) const SLICE_NS: u64 = 10_000_000;
/// The same while nobody waits: no stream is open, and none has begun since the tick before.
const IDLE_SLICE_NS: u64 = 100_000_000;
/// What lies at least between two slices.
const PAUSE_NS: u64 = 40_000_000;
/// The most new stats of a slice, should the clock stand still.
const NEW_STATS_A_SLICE: u32 = 1_000;

/// The proxy's stats, as the registry sees them.
pub(crate) struct HostMetrics<'a> {
    faults: &'a mut Faults,
    succession: &'a mut Succession,
    /// `None` for what cannot wait.
    slice: Option<Slice>,
}

/// What is left of a slice.
struct Slice {
    /// When it ends, by the monotonic clock.
    end_ns: u64,
    /// How many more new stats may be made.
    room: u32,
}

impl<'a> HostMetrics<'a> {
    /// For what cannot wait.
    pub(crate) fn all(succession: &'a mut Succession, faults: &'a mut Faults) -> Self {
        Self { faults, succession, slice: None }
    }

    /// For a slice that begins now.
    fn slice(succession: &'a mut Succession, faults: &'a mut Faults, length_ns: u64) -> Self {
        let now_ns = faults.catch(host::monotonic_ns()).unwrap_or(0);
        let slice = Slice { end_ns: now_ns.saturating_add(length_ns), room: NEW_STATS_A_SLICE };
        Self { faults, succession, slice: Some(slice) }
    }
}

impl MetricSink for HostMetrics<'_> {
    fn define(&mut self, kind: MetricKind, stat_name: &str) -> Option<u32> {
        let mut shared = HostShared { buffer: &mut HostBuffer::new(), faults: self.faults };
        if let Some(orphan) = self.succession.list(kind, stat_name, &mut shared) {
            return Some(orphan);
        }
        let id = self.faults.catch(host::define_metric(kind, stat_name));
        if let Some(slice) = &mut self.slice {
            let is_over = self.faults.catch(host::monotonic_ns()).is_some_and(|now_ns| now_ns >= slice.end_ns);
            slice.room = if is_over { 0 } else { slice.room.saturating_sub(1) };
        }
        id
    }

    fn is_sated(&self) -> bool {
        self.slice.as_ref().is_some_and(|slice| slice.room == 0)
    }

    fn add(&mut self, id: u32, delta: u64) -> bool {
        let mut shared = HostShared { buffer: &mut HostBuffer::new(), faults: self.faults };
        if let Some(left) = self.succession.leave(id, delta, &mut shared) {
            return left;
        }
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
    /// Hands over everything counted since the last time.
    pub(crate) fn drain(&mut self, tools: &mut Tools) {
        self.report_faults(tools);
        let Self { filter, state, faults, succession, .. } = self;
        state.drain(filter, &mut HostMetrics::all(succession, faults));
        self.resume_ns = None;
    }

    /// The same as far as a slice of this length goes.
    fn drain_slice(&mut self, length_ns: u64, tools: &mut Tools) {
        self.report_faults(tools);
        let Self { filter, state, faults, succession, .. } = self;
        let mut sink = HostMetrics::slice(succession, faults, length_ns);
        state.drain(filter, &mut sink);
        let is_left_over = sink.is_sated();
        self.resume_ns = None;
        if is_left_over {
            self.resume_ns = faults.catch(host::monotonic_ns()).map(|now_ns| now_ns.saturating_add(PAUSE_NS));
        }
    }

    /// Goes on with what the last slice left over, if it is time: for the end of a stream.
    pub(crate) fn catch_up(&mut self, tools: &mut Tools) {
        if self.resume_ns.is_some() {
            self.hand_over(SLICE_NS, tools);
        }
    }

    /// Hands over a slice of what was counted, unless it is too early after the last one.
    pub(crate) fn hand_over(&mut self, length_ns: u64, tools: &mut Tools) {
        if let Some(resume_ns) = self.resume_ns
            && self.faults.catch(host::monotonic_ns()).is_none_or(|now_ns| now_ns < resume_ns)
        {
            return;
        }
        self.drain_slice(length_ns, tools);
    }

    fn report_faults(&mut self, tools: &mut Tools) {
        let now_ns = host::wall_clock_ns().unwrap_or_default();
        self.faults.report(now_ns, self.state.registry_mut(), tools.lines());
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

    /// Makes known what another module has counted, before that goes with its last VM.
    pub(crate) fn take_over(&mut self, buffer: &mut HostBuffer) {
        let Self { state, faults, succession, .. } = self;
        let mut refused = Faults::default();
        let mut shared = HostShared { buffer, faults: &mut refused };
        let define = |kind, stat_name: &str| _ = faults.catch(host::define_metric(kind, stat_name));
        let build = state.registry_mut().build_info();
        succession.take_over(build, &mut shared, || host::wall_clock_ns().ok(), define);
    }

    /// Counts what a predecessor had no time to.
    fn inherit(&mut self, buffer: &mut HostBuffer) {
        let Self { faults, succession, .. } = self;
        let mut refused = Faults::default();
        let mut shared = HostShared { buffer, faults: &mut refused };
        succession.take_left(&mut shared, |stat_name, delta| {
            if let Some(id) = faults.catch(host::define_metric(MetricKind::Counter, stat_name)) {
                faults.catch(host::increment_metric(id, delta));
            }
        });
    }

    /// Says which build runs, and that the one before it no longer does.
    fn report_build(&mut self, buffer: &mut HostBuffer) {
        let Self { state, faults, shared: keys, succession, replaced, .. } = self;
        let registry = state.registry_mut();
        let mut shared = HostShared { buffer, faults };
        match shared::replace(&keys.build, registry.build_info().as_bytes(), &mut shared) {
            Replaced::Previous(name) => *replaced = String::from_utf8(name).ok(),
            Replaced::Nothing => {}
            Replaced::Failed => return,
        }
        self.reported = registry.report_build(replaced.as_deref(), &mut HostMetrics::all(succession, faults));
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
        instance.inherit(&mut self.tools.value);
        instance.sync(&mut self.tools.value);
        self.work_on_calls(number, worker);
        let Some(Some(instance)) = self.instances.get_mut(number) else {
            return;
        };
        let is_quiet = instance.idle && self.streams.len() == 0;
        let slice_ns = if is_quiet { IDLE_SLICE_NS } else { SLICE_NS };
        instance.drain_slice(slice_ns, &mut self.tools);
        self.settle_retired(slice_ns);
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
                let lease = match instance.delivery.take_lease() {
                    Some(early) => early,
                    None => Lease::new(namespace, MAX_WORKERS, self.tools.random.as_mut()?.seed()),
                };
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
