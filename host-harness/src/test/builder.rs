//! Setting up a host.

use std::fmt;
use std::path::PathBuf;

use super::{Host, Upstream};
use crate::abi::Status;
use crate::{
    Clock, Cluster, CodeCache, Conformance, FailurePolicy, Fault, ForeignFunctions, Limits, LogEntry, LogLevel,
    LogSink, Module, ModuleError, PluginConfig, Role, Shared, SharedOptions, StartError, Worker, Xds,
};

/// A host that is being set up. What is not said is: one worker, time at 2026-01-01T00:00:00Z, seed 0, 10⁹ units of fuel for
/// a callback, 64 MiB of memory, log level info, trace on.
#[derive(Debug, Clone)]
pub struct HostBuilder {
    module: Source,
    cache: Option<CodeCache>,
    plugin: PluginConfig,
    workers: u32,
    seed: u64,
    start_ns: u64,
    log_level: LogLevel,
    limits: Limits,
    conformance: Conformance,
    trace: bool,
    faults: Vec<Fault>,
    clusters: Vec<(String, Upstream)>,
    foreign_functions: ForeignFunctions,
    xds: Xds,
}

#[derive(Debug, Clone)]
enum Source {
    None,
    Module(Module),
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// 2026-01-01T00:00:00Z.
const START_NS: u64 = 1_767_225_600 * 1_000_000_000;

impl Default for HostBuilder {
    fn default() -> Self {
        Self {
            module: Source::None,
            cache: None,
            plugin: PluginConfig { name: "plugin".to_owned(), vm_id: "vm".to_owned(), ..PluginConfig::default() },
            workers: 1,
            seed: 0,
            start_ns: START_NS,
            log_level: LogLevel::Info,
            limits: Limits { memory: 64 << 20, fuel_per_callback: Some(1_000_000_000), ..Limits::default() },
            conformance: Conformance::default(),
            trace: true,
            faults: Vec::new(),
            clusters: Vec::new(),
            foreign_functions: ForeignFunctions::default(),
            xds: Xds::default(),
        }
    }
}

impl HostBuilder {
    /// The module.
    #[must_use]
    pub fn module(mut self, module: &Module) -> Self {
        self.module = Source::Module(module.clone());
        self
    }

    /// The module, from a file.
    #[must_use]
    pub fn module_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.module = Source::File(path.into());
        self
    }

    /// The module, from its bytes or its text.
    #[must_use]
    pub fn module_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.module = Source::Bytes(bytes.into());
        self
    }

    /// Keeps the module's compiled code on disk.
    #[must_use]
    pub fn code_cache(mut self, cache: &CodeCache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Everything that an operator says of the plugin, at once.
    #[must_use]
    pub fn plugin(mut self, plugin: PluginConfig) -> Self {
        self.plugin = plugin;
        self
    }

    /// The plugin's configuration.
    #[must_use]
    pub fn configuration(mut self, configuration: impl Into<Vec<u8>>) -> Self {
        self.plugin.configuration = configuration.into();
        self
    }

    /// The VM's configuration.
    #[must_use]
    pub fn vm_configuration(mut self, configuration: impl Into<Vec<u8>>) -> Self {
        self.plugin.vm_configuration = configuration.into();
        self
    }

    /// The plugin's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.plugin.name = name.into();
        self
    }

    /// The VM's name; VMs of one name share data and queues.
    #[must_use]
    pub fn vm_id(mut self, vm_id: impl Into<String>) -> Self {
        self.plugin.vm_id = vm_id.into();
        self
    }

    /// The root context's name.
    #[must_use]
    pub fn root_id(mut self, root_id: impl Into<String>) -> Self {
        self.plugin.root_id = root_id.into();
        self
    }

    /// An environment variable of the VM.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.plugin.env.push((name.into(), value.into()));
        self
    }

    /// What streams get after the module failed.
    #[must_use]
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.plugin.failure_policy = policy;
        self
    }

    /// How many workers there are, besides the main thread's instance.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Seed of the module's randomness.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Where time stands at the start, nanoseconds since the Unix epoch.
    #[must_use]
    pub fn clock_at(mut self, unix_ns: u64) -> Self {
        self.start_ns = unix_ns;
        self
    }

    /// The level of the log.
    #[must_use]
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.log_level = level;
        self
    }

    /// The most memory that a VM may have, in bytes.
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.limits.memory = bytes;
        self
    }

    /// The most fuel that a callback may burn; `None` does not meter, which is faster.
    #[must_use]
    pub fn fuel_per_callback(mut self, fuel: Option<u64>) -> Self {
        self.limits.fuel_per_callback = fuel;
        self
    }

    /// The most of a body that the host keeps while the module holds it.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = bytes;
        self
    }

    /// Whose behaviour the host has: Envoy's, unless said otherwise.
    #[must_use]
    pub fn conformance(mut self, conformance: Conformance) -> Self {
        self.conformance = conformance;
        self
    }

    /// Whether the trace is written.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }

    /// A fault that is there from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// A cluster that callouts may name. A second one of a name takes the place of the first.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use host_harness::Callout;
    /// use host_harness::test::{Answer, Host, Reply, Upstream};
    ///
    /// let allow = |callout: &Callout| match callout.header("authorization") {
    ///     Some("good") => Answer::Reply(Reply::status(200)),
    ///     Some(_) => Answer::Reply(Reply::status(403)),
    ///     None => Answer::Silence,
    /// };
    /// let builder = Host::builder().cluster("auth", Upstream::with(allow).after(Duration::from_millis(20)));
    /// # let _ = builder;
    /// ```
    #[must_use]
    pub fn cluster(mut self, name: impl Into<String>, upstream: Upstream) -> Self {
        let name = name.into();
        self.clusters.retain(|(known, _)| *known != name);
        self.clusters.push((name, upstream));
        self
    }

    /// A function that the module may call by name, besides those of [`ForeignFunctions`] or in the place of one.
    #[must_use]
    pub fn foreign_function(
        mut self,
        name: impl Into<String>,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
    ) -> Self {
        self.foreign_functions.add(name, function);
        self
    }

    /// What configuration calls the route, the cluster and the like: the properties `xds.…`.
    #[must_use]
    pub fn xds(mut self, xds: Xds) -> Self {
        self.xds = xds;
        self
    }

    /// The only capabilities that the module has; see [`PluginConfig::allowed_capabilities`].
    #[must_use]
    pub fn allowed_capabilities<S: Into<String>>(mut self, capabilities: impl IntoIterator<Item = S>) -> Self {
        self.plugin.allowed_capabilities = capabilities.into_iter().map(Into::into).collect();
        self
    }

    /// Starts the host: a throw-away VM tries the plugin, then the main thread and the workers start it.
    ///
    /// # Errors
    ///
    /// When the module cannot be loaded, traps, or refuses its configuration.
    pub fn start(self) -> Result<Host, StartFailure> {
        let shared = Shared::new(SharedOptions {
            clock: Clock::virtual_at(self.start_ns),
            seed: Some(self.seed),
            log: LogSink::Memory,
            log_level: Some(self.log_level),
            limits: self.limits.clone(),
            conformance: self.conformance,
            foreign_functions: self.foreign_functions.clone(),
            xds: self.xds.clone(),
            trace: self.trace,
            clusters: self
                .clusters
                .iter()
                .map(|(name, upstream)| Cluster { name: name.clone(), has_endpoint: upstream.has_endpoint })
                .collect(),
        });
        for fault in self.faults.clone() {
            shared.add_fault(fault);
        }
        let start = || -> Result<Host, StartError> {
            let module = match self.module {
                Source::Module(module) => module,
                Source::File(path) => Module::from_file(path)?,
                Source::Bytes(bytes) => Module::from_bytes(bytes)?,
                Source::None => return Err(ModuleError::Invalid("the builder was given no module".to_owned()).into()),
            };
            let module = match &self.cache {
                Some(cache) => module.cached_in(cache),
                None => module,
            };
            Worker::canary(&module, &self.plugin, &shared)?;
            let main = Worker::start(&module, &self.plugin, &shared, Role::Main)?;
            let workers = (0..self.workers)
                .map(|number| Worker::start(&module, &self.plugin, &shared, Role::Worker(number)))
                .collect::<Result<_, _>>()?;
            Ok(Host {
                module,
                plugin: self.plugin,
                shared: std::sync::Arc::clone(&shared),
                main,
                workers,
                next: 0,
                connections: 0,
                clusters: self.clusters,
                owed: Vec::new(),
                made: Vec::new(),
                grpc: Vec::new(),
                made_bytes: 0,
                haste: 0,
            })
        };
        start().map_err(|error| StartFailure { error, logs: shared.logs(), trace: shared.trace().text() })
    }
}

/// Why a host did not start, with what the module did until then.
pub struct StartFailure {
    /// The reason.
    pub error: StartError,
    /// The module's log.
    pub logs: Vec<LogEntry>,
    /// What went between host and module.
    pub trace: String,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// With the trace, for `unwrap` in tests.
impl fmt::Debug for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n--- trace ---\n{}", self.error, self.trace)
    }
}

impl std::error::Error for StartFailure {}
