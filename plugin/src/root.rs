//! Root contexts: from a configuration to what streams work with.

use telemetry::admission::Pool;
use telemetry::config::{Config, ConfigError};
use telemetry::filter::{Filter, State};
use telemetry::log::{FilterStateKeys, Level};

use crate::LOGGER;
use crate::delivery::Delivery;
use crate::faults::Faults;
use crate::host::{self, Fault, HostBuffer};
use crate::polls::Polls;
use crate::random::Random;
use crate::rules::SpareBodies;
use crate::succession::Succession;
use crate::vm::{Root, Tools, Vm};

/// One configuration at work: the filter and what it has counted.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) filter: Filter,
    pub(crate) state: State,
    pub(crate) filter_state: FilterStateKeys,
    pub(crate) shared: SharedKeys,
    pub(crate) faults: Faults,
    /// Security events on their way.
    pub(crate) delivery: Delivery,
    /// Gauges that are asked for.
    pub(crate) polls: Polls,
    /// Memory for the reading of bodies.
    pub(crate) bodies: SpareBodies,
    /// Streams that have not ended.
    pub(crate) streams: u32,
    /// Streams begun, ever. It may wrap: only whether it changes is of interest.
    pub(crate) begun: u32,
    /// `begun` at the last tick.
    pub(crate) begun_before: u32,
    /// No stream began between the last two ticks.
    pub(crate) idle: bool,
    /// This is the configuration of its namespace that the build info is about.
    pub(crate) serving: bool,
    /// The build info says so.
    pub(crate) reported: bool,
    /// The stat name of the build info that this one replaced, until that is at 0.
    pub(crate) replaced: Option<String>,
    /// New stats were left over by the last slice, and the next one is from this moment on.
    pub(crate) resume_ns: Option<u64>,
    /// How counts go on where another module takes over.
    pub(crate) succession: Succession,
    /// Its root context is done or has moved on: what is counted is handed over at once.
    pub(crate) retired: bool,
}

/// Names of values in the proxy's shared data.
#[derive(Debug)]
pub(crate) struct SharedKeys {
    /// The stat name of the build info of the build that runs.
    pub(crate) build: String,
    /// Learned endpoint labels.
    pub(crate) endpoints: String,
    /// Status codes outside the configured set.
    pub(crate) statuses: String,
    /// What has happened within the window of a rule: what the keys begin with.
    pub(crate) recent: String,
    /// The leases of polls: what the keys begin with.
    pub(crate) polls: String,
}

impl SharedKeys {
    /// The key of a pool.
    pub(crate) fn of(&self, pool: Pool) -> &str {
        match pool {
            Pool::Endpoints => &self.endpoints,
            Pool::Statuses => &self.statuses,
        }
    }
}

impl Instance {
    fn new(config: Config, delivery: Delivery) -> Self {
        let namespace = config.namespace();
        let filter_state = FilterStateKeys::new(&config);
        let shared = SharedKeys {
            build: format!("{namespace}.edge.build"),
            endpoints: format!("{namespace}.edge.endpoints"),
            statuses: format!("{namespace}.edge.statuses"),
            recent: format!("{namespace}.edge.recent."),
            polls: format!("{namespace}.edge.poll."),
        };
        let succession = Succession::new(format!("{namespace}.edge.stats"));
        let polls = Polls::new(config.polls());
        let filter = Filter::new(config);
        let state = State::new(&filter);
        Self {
            filter,
            state,
            filter_state,
            shared,
            faults: Faults::default(),
            delivery,
            polls,
            bodies: SpareBodies::default(),
            streams: 0,
            begun: 0,
            begun_before: 0,
            idle: true,
            serving: false,
            reported: false,
            replaced: None,
            resume_ns: None,
            succession,
            retired: false,
        }
    }
}

impl Vm {
    /// Takes the configuration of a root context; false refuses it, with every reason in the proxy's log.
    ///
    /// A proxy calls this on each of its threads, once more for a trial, and when it only validates. So nothing is
    /// counted or reported here: that begins with the first tick.
    pub(crate) fn on_configure(&mut self, context: u32, size: usize) -> bool {
        let Some(mut instance) = configure(&mut self.tools, size) else {
            return false;
        };
        if let Err(fault) = host::set_tick_period(instance.filter.config().metrics().flush_interval_ms()) {
            log_fault(&mut self.tools, "the filter cannot get ticks, without which nothing would be reported", fault);
            return false;
        }
        let Instance { filter, filter_state, faults, .. } = &mut instance;
        for (key, _) in filter_state.numbers(filter.config().rules()) {
            faults.catch(host::declare_text(key, &mut self.tools.value));
        }
        instance.take_over(&mut self.tools.value);
        for predecessor in self.instances.iter_mut().flatten() {
            predecessor.succession.share_scope_of(&instance.succession);
        }
        let number = self.add_instance(instance);
        let previous = match self.roots.iter_mut().find(|root| root.context == context) {
            Some(root) => root.instance.replace(number),
            None => {
                self.roots.push(Root { context, instance: Some(number) });
                None
            }
        };
        if let Some(previous) = previous {
            self.retire(previous);
            if self.namespace(previous) != self.namespace(number) {
                self.release_lease(context);
            }
            self.free_instance(previous);
        }
        self.set_serving(number);
        true
    }

    fn add_instance(&mut self, instance: Instance) -> usize {
        if let Some(free) = self.instances.iter().position(Option::is_none)
            && let Some(place) = self.instances.get_mut(free)
        {
            *place = Some(instance);
            return free;
        }
        self.instances.push(Some(instance));
        self.instances.len() - 1
    }

    fn namespace(&self, number: usize) -> Option<&str> {
        Some(self.instances.get(number)?.as_ref()?.filter.config().namespace())
    }

    /// Makes `number` the instance of its namespace that the build info is about.
    pub(crate) fn set_serving(&mut self, number: usize) {
        let Some(Some(chosen)) = self.instances.get(number) else {
            return;
        };
        let namespace = chosen.filter.config().namespace().to_owned();
        for (other, instance) in self.instances.iter_mut().enumerate() {
            if let Some(instance) = instance
                && instance.filter.config().namespace() == namespace
            {
                instance.serving = other == number;
                instance.reported = false;
            }
        }
    }
}

/// Reads and checks the configuration, and everything else that has to work before the first stream.
fn configure(tools: &mut Tools, size: usize) -> Option<Instance> {
    // Configurations are large and rare: their memory is not kept.
    let mut buffer = HostBuffer::new();
    let bytes = match size {
        0 => Ok(&[][..]),
        size => host::plugin_configuration(size, &mut buffer),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(fault) => {
            log_fault(tools, "the proxy does not hand over the configuration", fault);
            return None;
        }
    };
    let config = match Config::from_json(bytes) {
        Ok(config) => config,
        Err(errors) => {
            for error in errors.iter() {
                log_config_error(tools, error);
            }
            return None;
        }
    };
    if tools.random.is_none() {
        match fresh_random() {
            Ok(seed) => tools.random = Some(Random::new(seed)),
            Err(fault) => {
                log_fault(tools, "the proxy gives no randomness, without which IDs would not be unique", fault);
                return None;
            }
        }
    }
    let mut faults = Faults::default();
    match Delivery::new(config.events(), &mut faults) {
        Ok(delivery) => Some(Instance::new(config, delivery)),
        Err(error) => {
            log_config_error(tools, &ConfigError { path: error.field, message: error.problem });
            None
        }
    }
}

/// 32 bytes of the operating system's randomness.
pub(crate) fn fresh_random() -> Result<[u8; 32], Fault> {
    let mut seed = [0; 32];
    host::random(&mut seed).map(|()| seed)
}

fn log_config_error(tools: &mut Tools, error: &ConfigError) {
    let now_ns = host::wall_clock_ns().unwrap_or_default();
    let line = tools
        .lines()
        .line(now_ns, Level::Error, LOGGER, "the configuration is refused")
        .text("field", error.path.as_bytes())
        .text("problem", error.message.as_bytes());
    host::log(Level::Error, line.finish());
}

fn log_fault(tools: &mut Tools, message: &str, fault: Fault) {
    let now_ns = host::wall_clock_ns().unwrap_or_default();
    let line = tools
        .lines()
        .line(now_ns, Level::Error, LOGGER, message)
        .text("hostcall", fault.hostcall.as_str().as_bytes())
        .number("status", u64::from(fault.status));
    host::log(Level::Error, line.finish());
}
