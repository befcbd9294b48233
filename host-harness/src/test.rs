//! Tests of a filter: a whole proxy with virtual time in one thread.
//!
//! A [`Host`] has what an Envoy has of a plugin: an instance on the main thread and one on each worker, which share stats,
//! shared data and the log. Time stands still until it is moved, randomness comes from a seed, and nothing is global, so tests
//! run side by side. When a test panics, the host prints the trace of what went between it and the module.
//!
//! Callouts, also those over gRPC, go to clusters that answer by script ([`HostBuilder::cluster`]), in virtual time too. While the module holds a
//! stream, an exchange lets time pass until the answers come that it waits for.

mod builder;
mod connection;
mod events;
mod exchange;
mod grpc;
mod run;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

pub use builder::{HostBuilder, StartFailure};
pub use connection::{Closed, Connection};
pub use exchange::{Exchange, Message, Reply, Request};
pub use grpc::{GrpcReply, GrpcRequest};
pub use upstream::{Answer, Upstream};

use crate::abi::MetricType;
use crate::stats::{MODULE_PREFIX, Metric};
use crate::{
    Callout, Fault, FinishedStream, LogEntry, Module, PluginConfig, Role, Shared, StartError, StreamEnd, StreamFacts,
    Worker,
};

/// A proxy with one plugin, for tests.
#[derive(Debug)]
pub struct Host {
    module: Module,
    plugin: PluginConfig,
    shared: Arc<Shared>,
    main: Worker,
    workers: Vec<Worker>,
    /// The worker that gets the next exchange.
    next: usize,
    connections: u64,
    /// Clusters that callouts may name.
    clusters: Vec<(String, Upstream)>,
    /// Answers to callouts, the next first.
    owed: Vec<events::Owed>,
    /// The callouts so far; of very many the newest.
    made: Vec<Callout>,
    /// The gRPC callouts so far; of very many the newest.
    grpc: Vec<grpc::Exchange>,
    /// What all of these take.
    made_bytes: usize,
    /// How often in a row modules were told of what they caused in being told of something.
    haste: u32,
}

impl Host {
    /// Begins to set up a host.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Takes a request through the filter to an upstream that gives the request's reply, and back; workers take turns.
    pub fn exchange(&mut self, request: Request) -> Exchange {
        let worker = self.next;
        self.next = (self.next + 1) % self.workers.len().max(1);
        self.exchange_on(worker, request)
    }

    /// The same on one worker.
    ///
    /// # Panics
    ///
    /// When there is no worker of this number.
    pub fn exchange_on(&mut self, worker: usize, request: Request) -> Exchange {
        self.haste = 0;
        run::one(self, worker, request)
    }

    /// Takes requests through the filter side by side; workers take turns. Each stream goes one callback further in its turn,
    /// and time passes only while all wait. The results come in the order of the requests.
    pub fn exchanges(&mut self, requests: impl IntoIterator<Item = Request>) -> Vec<Exchange> {
        self.haste = 0;
        let requests: Vec<Request> = requests.into_iter().collect();
        let (first, count) = (self.next, self.workers.len().max(1));
        self.next = (first + requests.len()) % count;
        let turns = (first..).map(|number| number % count);
        run::all(self, turns.zip(requests))
    }

    /// A stream of which the filter learns only at its end: the proxy refused it before the filters.
    ///
    /// # Panics
    ///
    /// When there is no worker of this number.
    pub fn log_only(&mut self, worker: usize, end: StreamEnd) -> FinishedStream {
        let worker = self.worker(worker);
        let stream = worker.open_stream(StreamFacts { protocol: "HTTP/1.1", ..StreamFacts::default() });
        worker.finish(stream, end)
    }

    /// A worker, to take streams through it step by step.
    ///
    /// # Panics
    ///
    /// When there is no worker of this number.
    #[allow(clippy::panic, reason = "a wrong number is a mistake of the test")]
    pub fn worker(&mut self, number: usize) -> &mut Worker {
        let count = self.workers.len();
        self.workers
            .get_mut(number)
            .unwrap_or_else(|| panic!("there are {count} workers, number {number} is none of them"))
    }

    /// The main thread's instance.
    pub fn main(&mut self) -> &mut Worker {
        &mut self.main
    }

    /// What all VMs share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Moves time on to when the next tick is due, and runs it, and all others due then. Says whether there was one.
    pub fn tick(&mut self) -> bool {
        let Some(due) = self.next_tick() else { return false };
        while self.run_next(due) {}
        true
    }

    /// Moves time on, with each tick and each answer to a callout when it is due.
    pub fn advance(&mut self, time: Duration) {
        self.haste = 0;
        let until = self.now_ns().saturating_add(events::nanoseconds(time));
        while self.run_next(until) {}
        self.shared.clock().advance_to(until);
    }

    /// Nanoseconds since the Unix epoch by the host's clock.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.shared.clock().now_ns()
    }

    /// The value of a counter; 0 when there is none. Names are the module's own, without Envoy's prefix.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        match self.metric(name, MetricType::Counter) {
            Some(Metric::Counter(counter)) => counter.value(),
            _ => 0,
        }
    }

    /// The value of a gauge; 0 when there is none.
    #[must_use]
    pub fn gauge(&self, name: &str) -> u64 {
        match self.metric(name, MetricType::Gauge) {
            Some(Metric::Gauge(gauge)) => gauge.value(),
            _ => 0,
        }
    }

    /// How many observations a histogram has.
    #[must_use]
    pub fn observations(&self, name: &str) -> u64 {
        match self.metric(name, MetricType::Histogram) {
            Some(Metric::Histogram(histogram)) => histogram.count(),
            _ => 0,
        }
    }

    fn metric(&self, name: &str, kind: MetricType) -> Option<Metric> {
        self.shared.stats().find(&format!("{MODULE_PREFIX}{name}"), kind)
    }

    /// The module's counters and gauges with their values, ordered by name.
    #[must_use]
    pub fn stats(&self) -> Vec<(String, u64)> {
        let value = |(name, metric): (String, Metric)| {
            let name = name.strip_prefix(MODULE_PREFIX)?.to_owned();
            match metric {
                Metric::Counter(counter) => Some((name, counter.value())),
                Metric::Gauge(gauge) => Some((name, gauge.value())),
                Metric::Histogram(_) => None,
            }
        };
        self.shared.stats().snapshot().into_iter().filter_map(value).collect()
    }

    /// The module's log.
    #[must_use]
    pub fn logs(&self) -> Vec<LogEntry> {
        self.shared.logs()
    }

    /// What went between host and module so far.
    #[must_use]
    pub fn trace(&self) -> String {
        self.shared.trace().text()
    }

    /// A value that the plugin's VMs share.
    #[must_use]
    pub fn shared_data(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.shared.shared_data(&self.plugin.vm_id, key)
    }

    /// Puts a fault into all VMs.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.add_fault(fault);
    }

    /// Gives the plugin a new configuration as a control plane does: a throw-away VM tries it, then every thread gets it.
    ///
    /// # Errors
    ///
    /// When the module refuses it; the old configuration stays everywhere then.
    pub fn reconfigure(&mut self, configuration: impl Into<Vec<u8>>) -> Result<(), StartError> {
        let plugin = PluginConfig { configuration: configuration.into(), ..self.plugin.clone() };
        Worker::canary(&self.module, &plugin, &self.shared)?;
        self.main.reconfigure(&plugin)?;
        for worker in &mut self.workers {
            worker.reconfigure(&plugin)?;
        }
        self.plugin = plugin;
        Ok(())
    }

    /// Ends a worker's VM in good order and starts a fresh one, as a proxy does when a VM is reloaded.
    ///
    /// # Errors
    ///
    /// When the module does not start again.
    ///
    /// # Panics
    ///
    /// When there is no worker of this number.
    pub fn recreate(&mut self, number: usize) -> Result<(), StartError> {
        self.worker(number).shutdown();
        let role = Role::Worker(u32::try_from(number).unwrap_or(u32::MAX));
        let fresh = Worker::start(&self.module, &self.plugin, &self.shared, role)?;
        *self.worker(number) = fresh;
        Ok(())
    }

    /// Ends all root contexts. Says whether all have ended; one that defers goes on ticking.
    pub fn shutdown(&mut self) -> bool {
        let ended = self.main.shutdown();
        self.workers.iter_mut().map(Worker::shutdown).fold(ended, |all, one| all & one)
    }
}

impl Drop for Host {
    #[allow(clippy::print_stderr, reason = "a failed test shows what went on")]
    fn drop(&mut self) {
        if std::thread::panicking() && self.shared.trace().is_on() {
            eprintln!("--- trace at {} ns ---\n{}", self.now_ns(), self.trace());
        }
    }
}

#[cfg(test)]
mod tests;
