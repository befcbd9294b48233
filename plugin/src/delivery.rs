//! Security events on their way: from a rule to the receivers, or to the proxy's log.
//!
//! Each sink has a sender, which decides what to send and when; here its calls are made, from the root context, and what it settles is written to
//! the log where it has to be. Until then an event lies in the [`Outbox`].

use siem::event::Event;
use siem::format::write_log_line;
use siem::sender::{Answer, CallId, Reason, Sender, Settled};
use telemetry::config::{Config, EventsConfig};
use telemetry::log::Level;
use telemetry::metrics::catalogue::MAX_WORKERS;
use telemetry::metrics::{EventTotals, Registry};

use crate::LOGGER;
use crate::faults::Faults;
use crate::flush::HostShared;
use crate::host::{self, HeaderMap, HostBuffer};
use crate::outbox::{Left, Outbox};
use crate::random::Random;
use crate::vm::Tools;
use crate::worker::Lease;

/// How much of an answer's body is read.
const MAX_ANSWER: usize = 64 * 1024;
/// How many calls one tick makes at most, for each sink.
const MAX_CALLS: usize = 16;

/// The events of one configuration, in one VM.
#[derive(Debug)]
pub(crate) struct Delivery {
    sinks: Vec<Sink>,
    outbox: Outbox,
    /// The number of this worker where an event came before the first tick, which is when a VM gets it else.
    early: Option<Lease>,
    /// Sinks that this configuration does not have, one for each event of theirs that went to the log.
    elsewhere: Vec<String>,
    /// What went to the log because there is no sink.
    unsent: EventTotals,
    /// Something has happened since the counts were last taken over.
    is_fresh: bool,
}

#[derive(Debug)]
struct Sink {
    name: String,
    sender: Sender,
    /// The host's tokens of calls that are under way.
    calls: Vec<(u32, CallId)>,
    /// Events that others have made.
    adopted: u64,
    /// Abandoned events that another configuration goes on with.
    handed_on: u64,
}

/// An event that a sink has not settled, for the configuration that comes after.
#[derive(Debug)]
pub(crate) struct Unsettled {
    sink: String,
    event: Box<Event>,
}

/// What works with the proxy.
struct Hands<'a> {
    buffer: &'a mut HostBuffer,
    faults: &'a mut Faults,
    line: &'a mut String,
}

/// A secret that is not there, or is of no use.
#[derive(Debug)]
pub(crate) struct SecretError {
    /// The field of the configuration.
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl Delivery {
    /// With the secrets of this VM's environment.
    pub(crate) fn new(config: &EventsConfig, faults: &mut Faults) -> Result<Self, SecretError> {
        let mut sinks = Vec::with_capacity(config.sinks().len());
        for (index, sink) in config.sinks().iter().enumerate() {
            let error = |field: &str, problem| SecretError { field: format!("events.sinks[{index}].{field}"), problem };
            let secret = match sink.secret_env() {
                None => String::new(),
                Some(name) => faults.catch(host::environment_variable(name)).flatten().ok_or_else(|| {
                    let cure = "add it to `environment_variables` of the proxy's `vm_config`";
                    error("secret_env", format!("the VM has no variable `{name}`; {cure}"))
                })?,
            };
            let secret = siem::settings::Secret::new(secret);
            let sender = Sender::new(sink.settings().clone(), sink.limits().clone(), secret)
                .map_err(|refused| error(refused.field, refused.problem.to_owned()))?;
            let name = sink.name().to_owned();
            sinks.push(Sink { name, sender, calls: Vec::new(), adopted: 0, handed_on: 0 });
        }
        Ok(Self {
            sinks,
            outbox: Outbox::default(),
            early: None,
            elsewhere: Vec::new(),
            unsent: EventTotals::default(),
            is_fresh: false,
        })
    }

    /// Whether there is anything to do with a tick.
    pub(crate) fn has_sinks(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// The number that was taken before the first tick.
    pub(crate) fn take_lease(&mut self) -> Option<Lease> {
        self.early.take()
    }

    /// Takes a number, if there is none yet, so that what comes outlives this VM also before its first tick.
    pub(crate) fn begin(
        &mut self,
        config: &Config,
        seed: Option<[u8; 16]>,
        now_ns: u64,
        tools: (&mut HostBuffer, &mut String),
        faults: &mut Faults,
    ) {
        if self.sinks.is_empty() || self.outbox.is_open() || self.early.is_some() {
            return;
        }
        let Some(seed) = seed else { return };
        let namespace = config.namespace();
        let mut hands = Hands { buffer: tools.0, line: tools.1, faults };
        let mut lease = Lease::new(namespace, MAX_WORKERS, seed);
        let beat_ns = u64::from(config.metrics().flush_interval_ms()) * 1_000_000;
        if let Some(worker) = lease.renew(now_ns, beat_ns, &mut hands.shared()) {
            let left = self.outbox.open(namespace, worker, &mut hands.shared());
            self.adopt(left, now_ns, &mut hands);
        }
        self.early = Some(lease);
    }

    /// Takes an event.
    #[cold]
    pub(crate) fn emit(
        &mut self,
        event: Event,
        now_ns: u64,
        tools: (&mut HostBuffer, &mut String),
        faults: &mut Faults,
    ) {
        let mut hands = Hands { buffer: tools.0, line: tools.1, faults };
        self.is_fresh = true;
        if self.sinks.is_empty() {
            self.unsent.log();
            hands.log(now_ns, "log", None, &event);
            return;
        }
        let names = self.sinks.iter().map(|sink| sink.name.clone()).collect();
        self.outbox.put(&event, names, &mut hands.shared());
        for sink in &mut self.sinks {
            sink.push(event.clone(), now_ns, &mut self.outbox, &mut hands);
        }
    }

    /// Makes the calls that are due; `worker` is this VM's number, where it has one.
    pub(crate) fn tick(
        &mut self,
        namespace: &str,
        worker: Option<u32>,
        now_ns: u64,
        tools: &mut Tools,
        faults: &mut Faults,
    ) {
        let (buffer, line, random) = tools.for_delivery();
        let mut hands = Hands { buffer, line, faults };
        if let Some(worker) = worker {
            let left = self.outbox.open(namespace, worker, &mut hands.shared());
            self.adopt(left, now_ns, &mut hands);
        }
        for sink in &mut self.sinks {
            sink.send(now_ns, random, &mut self.outbox, &mut hands);
        }
        self.is_fresh = true;
    }

    /// Goes on with what a worker has left behind.
    pub(crate) fn take_over(&mut self, left: Vec<Left>, now_ns: u64, tools: &mut Tools, faults: &mut Faults) {
        let (buffer, line, _) = tools.for_delivery();
        self.adopt(left, now_ns, &mut Hands { buffer, line, faults });
    }

    fn adopt(&mut self, left: Vec<Left>, now_ns: u64, hands: &mut Hands<'_>) {
        for Left { event, sinks } in left {
            self.is_fresh = true;
            let known: Vec<String> =
                sinks.iter().filter(|name| self.sinks.iter().any(|sink| sink.name == **name)).cloned().collect();
            self.outbox.put(&event, known, &mut hands.shared());
            for name in sinks {
                match self.sinks.iter_mut().find(|sink| sink.name == name) {
                    Some(sink) => {
                        sink.adopted += 1;
                        sink.push(event.clone(), now_ns, &mut self.outbox, hands);
                    }
                    None => {
                        hands.log(now_ns, &name, Some(Reason::Abandoned), &event);
                        self.elsewhere.push(name);
                    }
                }
            }
        }
    }

    /// Whether the sink of an event is there.
    pub(crate) fn knows(&self, event: &Unsettled) -> bool {
        self.sinks.iter().any(|sink| sink.name == event.sink)
    }

    /// Goes on with what the configuration before has not settled.
    pub(crate) fn go_on_with(
        &mut self,
        unsettled: Vec<Unsettled>,
        now_ns: u64,
        tools: &mut Tools,
        faults: &mut Faults,
    ) {
        let left = unsettled.into_iter().map(|unsettled| Left { event: *unsettled.event, sinks: vec![unsettled.sink] });
        self.take_over(left.collect(), now_ns, tools, faults);
    }

    /// An answer to a call; `body` is how many bytes it has. False where the call is not of this configuration.
    pub(crate) fn answer(
        &mut self,
        token: u32,
        body: usize,
        now_ns: u64,
        tools: &mut Tools,
        faults: &mut Faults,
    ) -> bool {
        let Some((sink, id)) = self.sinks.iter_mut().find_map(|sink| {
            let at = sink.calls.iter().position(|(known, _)| *known == token)?;
            let (_, id) = sink.calls.swap_remove(at);
            Some((sink, id))
        }) else {
            return false;
        };
        let (buffer, line, random) = tools.for_delivery();
        let headers: Vec<(Vec<u8>, Vec<u8>)> = faults
            .catch(host::header_pairs(HeaderMap::CallResponse, buffer))
            .map(|pairs| pairs.map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
            .unwrap_or_default();
        let header = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
            found.map(|(_, value)| value.clone())
        };
        let status = header(":status").and_then(|status| core::str::from_utf8(&status).ok()?.parse().ok());
        let body = if status.is_some() && body > 0 {
            faults.catch(host::call_body(0, body.min(MAX_ANSWER), buffer)).unwrap_or_default().to_vec()
        } else {
            Vec::new()
        };
        let answer = if status.is_some() { Answer { status, header: &header, body: &body } } else { Answer::NONE };
        sink.sender.answer(id, now_ns, &answer);
        let mut hands = Hands { buffer, line, faults };
        // The next batch need not wait for the next tick.
        sink.send(now_ns, random, &mut self.outbox, &mut hands);
        self.is_fresh = true;
        true
    }

    /// Gives up: what is not settled is for whoever comes after.
    pub(crate) fn abandon(&mut self, now_ns: u64, tools: &mut Tools, faults: &mut Faults) -> Vec<Unsettled> {
        let (buffer, line, _) = tools.for_delivery();
        let mut hands = Hands { buffer, line, faults };
        let mut unsettled = Vec::new();
        for sink in &mut self.sinks {
            sink.settle(now_ns, &mut self.outbox, &mut hands);
            sink.sender.abandon();
            while let Some(settled) = sink.sender.next_settled() {
                if let Settled::Logged { event, .. } = settled {
                    self.outbox.settle(event.uid, &sink.name, &mut hands.shared());
                    sink.handed_on += 1;
                    unsettled.push(Unsettled { sink: sink.name.clone(), event });
                }
            }
        }
        self.is_fresh = true;
        unsettled
    }

    /// Writes to the log what nobody goes on with.
    pub(crate) fn log_all(&mut self, unsettled: Vec<Unsettled>, now_ns: u64, tools: &mut Tools, faults: &mut Faults) {
        let (buffer, line, _) = tools.for_delivery();
        let mut hands = Hands { buffer, line, faults };
        for Unsettled { sink, event } in unsettled {
            hands.log(now_ns, &sink, Some(Reason::Abandoned), &event);
            if let Some(sink) = self.sinks.iter_mut().find(|known| known.name == sink) {
                sink.handed_on = sink.handed_on.saturating_sub(1);
            }
        }
        self.is_fresh = true;
    }

    /// Hands the counts over, if there are new ones.
    pub(crate) fn report(&mut self, now_ns: u64, registry: &mut Registry) -> bool {
        if !std::mem::take(&mut self.is_fresh) {
            return false;
        }
        if self.sinks.is_empty() {
            registry.events(0, &self.unsent);
        }
        for sink in self.elsewhere.drain(..) {
            registry.abandoned_elsewhere(&sink);
        }
        for (index, sink) in self.sinks.iter().enumerate() {
            let mut totals = EventTotals::of(&sink.sender.counts(), sink.adopted, now_ns);
            let abandoned = Reason::ALL.iter().position(|reason| *reason == Reason::Abandoned);
            if let Some(count) = abandoned.and_then(|at| totals.logged.get_mut(at)) {
                *count = count.saturating_sub(sink.handed_on);
            }
            registry.events(index, &totals);
        }
        true
    }
}

impl Sink {
    fn push(&mut self, event: Event, now_ns: u64, outbox: &mut Outbox, hands: &mut Hands<'_>) {
        if let Err(event) = self.sender.push(event, now_ns) {
            outbox.settle(event.uid, &self.name, &mut hands.shared());
            hands.log(now_ns, &self.name, Some(Reason::QueueFull), &event);
        }
        self.settle(now_ns, outbox, hands);
    }

    fn send(&mut self, now_ns: u64, random: &mut Option<Random>, outbox: &mut Outbox, hands: &mut Hands<'_>) {
        let mut draw = || {
            let [a, b, c, d, e, f, g, h, ..] = random.as_mut().map(Random::seed).unwrap_or_default();
            u64::from_le_bytes([a, b, c, d, e, f, g, h])
        };
        for _ in 0..MAX_CALLS {
            let Some(call) = self.sender.poll(now_ns, &mut draw) else { break };
            let headers =
                host::header_block(call.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));
            match hands.faults.catch(host::http_call(call.cluster.as_bytes(), &headers, &call.body, call.timeout_ms)) {
                Some(token) => self.calls.push((token, call.id)),
                None => self.sender.not_sent(call.id, now_ns),
            }
            self.settle(now_ns, outbox, hands);
        }
        self.settle(now_ns, outbox, hands);
    }

    /// Writes down how events have ended.
    fn settle(&mut self, now_ns: u64, outbox: &mut Outbox, hands: &mut Hands<'_>) {
        while let Some(settled) = self.sender.next_settled() {
            match settled {
                Settled::Delivered { uid } => outbox.settle(uid, &self.name, &mut hands.shared()),
                Settled::Logged { event, reason } => {
                    outbox.settle(event.uid, &self.name, &mut hands.shared());
                    hands.log(now_ns, &self.name, Some(reason), &event);
                }
            }
        }
    }
}

impl Hands<'_> {
    fn shared(&mut self) -> HostShared<'_> {
        HostShared { buffer: self.buffer, faults: self.faults }
    }

    /// Writes an event to the proxy's log, on one line, whatever it says.
    fn log(&mut self, now_ns: u64, sink: &str, undelivered: Option<Reason>, event: &Event) {
        self.line.clear();
        write_log_line(event, undelivered, sink, LOGGER, now_ns, self.line);
        host::log(Level::Warn, self.line);
    }
}
