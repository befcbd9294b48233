//! Cases in the embedded host.

use std::time::Duration;

use super::check::{CalloutSeen, HostSeen, MetricSeen, Metrics, StreamSeen, TalkSeen};
use super::format::{
    Closer, Cluster, FaultSpec, HostExpect, Payload, Protocol, Rule, RuleAnswer, Setup, Stream, StreamReply, Talk,
    Turn, When,
};
use super::runner::{Proxy, Refusal, RunOptions};
use crate::test::{Answer, Closed, Exchange, Host, HostBuilder, Message, Reply, Request, Upstream};
use crate::{Callout, Fault, LogEntry, MODULE_PREFIX, Metric, Peer};

/// A host, and what was there when the case began.
#[derive(Debug)]
pub(super) struct Harness {
    host: Host,
    workers: u32,
    log_before: usize,
    callouts_before: usize,
}

impl Harness {
    pub(super) fn start(setup: &Setup, options: &RunOptions) -> Result<Self, Refusal> {
        let conformance = setup.conformance.or(options.conformance).unwrap_or_default();
        let builder = options.cache.iter().fold(builder(setup), HostBuilder::code_cache).conformance(conformance);
        let host = builder.start().map_err(|failure| {
            let log: Vec<_> = failure.logs.iter().map(line).collect();
            let mut lines = vec![failure.error.to_string()];
            lines.extend(failure.logs.iter().map(|entry| entry.message.clone()));
            Refusal { lines, log, trace: failure.trace }
        })?;
        Ok(Self { host, workers: setup.workers.unwrap_or(1), log_before: 0, callouts_before: 0 })
    }

    fn failed(&mut self) -> Option<String> {
        let main = self.host.main().failed().map(str::to_owned);
        main.or_else(|| {
            (0..self.workers as usize).find_map(|number| self.host.worker(number).failed().map(str::to_owned))
        })
    }
}

impl Proxy for Harness {
    fn begin(&mut self) -> Metrics {
        self.log_before = self.host.logs().len();
        self.callouts_before = self.host.callouts().len();
        metrics(&self.host)
    }

    fn streams(&mut self, streams: &[Stream]) -> Result<Vec<StreamSeen>, String> {
        let exchanges = self.host.exchanges(streams.iter().map(request));
        Ok(exchanges.into_iter().map(seen).collect())
    }

    fn connection(&mut self, talk: &Talk) -> Result<TalkSeen, String> {
        let mut connection = self.host.connect();
        for turn in &talk.turns {
            match turn {
                Turn::Client(bytes) => connection.send(bytes),
                Turn::Server(bytes) => connection.reply(bytes),
                Turn::ClientEnds => connection.send_end(),
                Turn::ServerEnds => connection.reply_end(),
                Turn::ServerResets => connection.server_resets(),
            };
        }
        let held = connection.is_paused();
        let Closed { by, server_got, client_got, filter_state, cost } = connection.close();
        Ok(TalkSeen {
            server: server_got,
            client: client_got,
            closed_by: if by == Peer::Local { Closer::Proxy } else { Closer::Client },
            held: Some(held),
            filter_state,
            cost: Some(cost),
        })
    }

    fn advance(&mut self, time: Duration) -> Result<(), String> {
        self.host.advance(time);
        Ok(())
    }

    fn tick(&mut self) -> Result<(), String> {
        if self.host.tick() { Ok(()) } else { Err("the module has asked for no tick".to_owned()) }
    }

    fn reconfigure(&mut self, configuration: &[u8]) -> Result<(), String> {
        self.host.reconfigure(configuration).map_err(|error| error.to_string())
    }

    fn host(&mut self, wanted: &HostExpect) -> HostSeen {
        let callouts = self.host.callouts().iter().skip(self.callouts_before).map(callout).collect();
        let value = |key: &String| Some((key.clone(), self.host.shared_data(key)?));
        let shared_data = wanted.shared_data.iter().filter_map(|(key, _)| value(key)).collect();
        HostSeen {
            log: self.host.logs().iter().skip(self.log_before).map(line).collect(),
            metrics: metrics(&self.host),
            callouts,
            unseen_clusters: Vec::new(),
            shared_data: Some(shared_data),
            failed: self.failed(),
        }
    }

    fn wait(&mut self, waited: &mut Duration, within: Duration) -> bool {
        const STEPS: u32 = 100;
        let left = within.saturating_sub(*waited);
        let step = (within / STEPS).max(Duration::from_millis(1)).min(left);
        self.host.advance(step);
        *waited += step;
        !step.is_zero()
    }

    fn trace(&mut self) -> String {
        self.host.trace()
    }
}

fn builder(setup: &Setup) -> HostBuilder {
    let mut builder = Host::builder();
    if let Some(module) = &setup.module {
        builder = builder.module_file(module);
    }
    let Setup { name, root_id, vm_id, failure_policy, .. } = setup.clone();
    builder = match name {
        Some(name) => builder.name(name),
        None => builder,
    };
    builder = match vm_id {
        Some(vm_id) => builder.vm_id(vm_id),
        None => builder,
    };
    builder = builder
        .allowed_capabilities(setup.capabilities.iter().flatten())
        .root_id(root_id.unwrap_or_default())
        .failure_policy(failure_policy.unwrap_or_default())
        .configuration(setup.configuration.clone().unwrap_or_default())
        .vm_configuration(setup.vm_configuration.clone().unwrap_or_default())
        .workers(setup.workers.unwrap_or(1))
        .seed(setup.seed.unwrap_or(0));
    for (name, value) in setup.environment.iter().flatten() {
        builder = builder.env(name, value);
    }
    if let Some(clock) = setup.clock {
        builder = builder.clock_at(clock);
    }
    if let Some(level) = setup.log_level {
        builder = builder.log_level(level);
    }
    if let Some(fuel) = setup.fuel_per_callback {
        builder = builder.fuel_per_callback(Some(fuel));
    }
    if let Some(bytes) = setup.memory_limit {
        builder = builder.memory_limit(bytes);
    }
    if let Some(bytes) = setup.body_limit {
        builder = builder.body_limit(bytes);
    }
    for (name, cluster) in setup.clusters.iter().flatten() {
        builder = builder.cluster(name, upstream(cluster));
    }
    for fault in setup.faults.iter().flatten() {
        builder = builder.fault(self::fault(fault));
    }
    builder
}

fn fault(spec: &FaultSpec) -> Fault {
    let mut fault = Fault::hostcall(&spec.hostcall);
    if let Some(nth) = spec.nth {
        fault = fault.nth(nth);
    }
    match spec.status {
        Some(status) => fault.returns(status),
        None => fault.traps(),
    }
}

fn upstream(cluster: &Cluster) -> Upstream {
    match cluster {
        Cluster::NoEndpoint => Upstream::without_endpoint(),
        Cluster::Refused => Upstream::always(Answer::Refusal),
        Cluster::Rules(rules) => {
            let rules = rules.clone();
            Upstream::timed(move |callout| {
                let Callout { headers, body, trailers, .. } = callout.clone();
                let message = Message { headers, body, trailers: (!trailers.is_empty()).then_some(trailers) };
                let (after, answer) = answer(&rules, &message);
                let answer = match answer {
                    RuleAnswer::Reply(payload) => Answer::Reply(reply(payload)),
                    RuleAnswer::Silence => Answer::Silence,
                    RuleAnswer::Close => Answer::Close,
                    RuleAnswer::Reset => Answer::Reset,
                };
                (after, answer)
            })
        }
    }
}

/// What the first rule that fits says; a 404 where none does.
pub(super) fn answer(rules: &[Rule], callout: &Message) -> (Duration, RuleAnswer) {
    match rules.iter().find(|rule| rule.when.fits(callout)) {
        Some(rule) => (rule.after, rule.answer.clone()),
        None => {
            let headers = crate::HeaderMap::from([(":status", "404")]);
            (Duration::ZERO, RuleAnswer::Reply(Payload { headers, ..Payload::default() }))
        }
    }
}

impl When {
    fn fits(&self, message: &Message) -> bool {
        let text = |name: &str| message.headers.get(name).unwrap_or_default();
        self.method.as_ref().is_none_or(|method| method.fits(text(":method")))
            && self.path.as_ref().is_none_or(|path| path.fits(text(":path")))
            && self.headers.iter().all(|header| header.fits(&message.headers))
            && self.body.as_ref().is_none_or(|body| body.fits(&message.body))
    }
}

fn reply(payload: Payload) -> Reply {
    let Payload { headers, pieces, trailers } = payload;
    let reply = pieces.into_iter().fold(Reply::status(200).headers(headers), Reply::chunk);
    match trailers {
        Some(trailers) => reply.trailers(trailers),
        None => reply,
    }
}

fn request(stream: &Stream) -> Request {
    let Payload { headers, pieces, trailers } = stream.request.clone();
    let mut request = pieces.into_iter().fold(Request::get("/").headers(headers), Request::chunk);
    if let Some(trailers) = trailers {
        request = request.trailers(trailers);
    }
    request = match &stream.reply {
        Some(StreamReply::Payload(payload)) => request.reply(reply(payload.clone())),
        Some(StreamReply::Refused) => request.answer(Answer::Refusal),
        Some(StreamReply::Closed) => request.answer(Answer::Close),
        Some(StreamReply::Reset) => request.answer(Answer::Reset),
        None => request.aborted(),
    };
    request = request.takes(stream.after).protocol(stream.protocol.name());
    if stream.protocol == Protocol::Http1 {
        request = request.end_alone();
    }
    if let Some(source) = stream.source {
        request = request.source(source);
    }
    if stream.mtls {
        request = request.mtls();
    }
    for (path, value) in &stream.properties {
        request = request.property(path, value.clone());
    }
    request
}

fn seen(exchange: Exchange) -> StreamSeen {
    let Exchange { upstream, response, local_reply, stuck, filter_state, cost } = exchange;
    StreamSeen { upstream, response, local_reply, held: stuck, filter_state, cost: Some(cost) }
}

fn callout(callout: &Callout) -> CalloutSeen {
    let Callout { cluster, headers, body, trailers, .. } = callout.clone();
    CalloutSeen { cluster, message: Message { headers, body, trailers: (!trailers.is_empty()).then_some(trailers) } }
}

fn line(entry: &LogEntry) -> (crate::LogLevel, String) {
    (entry.level, entry.message.clone())
}

fn metrics(host: &Host) -> Metrics {
    let mut metrics = Metrics::new();
    for (name, metric) in host.shared().stats().snapshot() {
        let Some(name) = name.strip_prefix(MODULE_PREFIX) else { continue };
        metrics.entry(name.to_owned()).or_default().push(match metric {
            Metric::Counter(counter) => MetricSeen::Value(counter.value()),
            Metric::Gauge(gauge) => MetricSeen::Value(gauge.value()),
            Metric::Histogram(histogram) => MetricSeen::Observations(histogram.count()),
        });
    }
    metrics
}
