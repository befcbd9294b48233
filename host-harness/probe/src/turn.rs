//! The probe's state, and the way from a callback to the cases that want it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use crate::host::{self, Arg, Place, Status, Written};
use crate::{
    buffers, callouts, connections, declared, expressions, foreign, general, grpc, headers, local_reply, metrics,
    properties, queues, report, shared_data, signatures, stream_control,
};

/// What a stream's callback returns.
pub(crate) type Action = u32;
/// Go on with the stream.
pub(crate) const CONTINUE: Action = 0;
/// Stop here.
pub(crate) const PAUSE: Action = 1;

/// What a case does in a turn.
pub(crate) type Case = fn(&mut Turn<'_>) -> Action;

/// Which callback the host made; the variants have the callbacks' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    VmStart,
    Configure,
    Tick,
    QueueReady,
    CallResponse,
    GrpcInitialMetadata,
    GrpcMessage,
    GrpcTrailingMetadata,
    GrpcClose,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    NewConnection,
    DownstreamData,
    UpstreamData,
    DownstreamClose,
    UpstreamClose,
    Log,
    Done,
    Delete,
}

impl Phase {
    /// The callback's name, without `on_`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::VmStart => "vm_start",
            Self::Configure => "configure",
            Self::Tick => "tick",
            Self::QueueReady => "queue_ready",
            Self::CallResponse => "http_call_response",
            Self::GrpcInitialMetadata => "grpc_receive_initial_metadata",
            Self::GrpcMessage => "grpc_receive",
            Self::GrpcTrailingMetadata => "grpc_receive_trailing_metadata",
            Self::GrpcClose => "grpc_close",
            Self::RequestHeaders => "request_headers",
            Self::RequestBody => "request_body",
            Self::RequestTrailers => "request_trailers",
            Self::ResponseHeaders => "response_headers",
            Self::ResponseBody => "response_body",
            Self::ResponseTrailers => "response_trailers",
            Self::NewConnection => "new_connection",
            Self::DownstreamData => "downstream_data",
            Self::UpstreamData => "upstream_data",
            Self::DownstreamClose => "downstream_connection_close",
            Self::UpstreamClose => "upstream_connection_close",
            Self::Log => "log",
            Self::Done => "done",
            Self::Delete => "delete",
        }
    }

    /// Whether this action holds a stream: all but 0 do, and 2 of a callback for headers, which Envoy takes for 0.
    fn holds(self, action: Action) -> bool {
        match self {
            Self::RequestHeaders | Self::ResponseHeaders => action != CONTINUE && action != 2,
            _ => action != CONTINUE,
        }
    }
}

/// Who asked for something that comes later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The case, as the request or the configuration named it.
    case: String,
    /// The stream, if it came from one.
    stream: Option<u32>,
}

/// A request or a connection under way.
#[derive(Debug)]
struct Stream {
    case: String,
    /// Whether its last callback returned an action that holds it.
    held: bool,
}

/// A tick that a case asked for.
#[derive(Debug)]
struct Awaited {
    origin: Origin,
    /// Not while the stream is on its way: only where it is held, or over. How far it would be by then depends on how busy the machine is,
    /// and a proxy may not survive what is done amid it.
    patient: bool,
    /// A tick has found it on its way. The next one that does not is let by too: Envoy still knows a stream whose end it has just told.
    early: bool,
}

impl Awaited {
    /// Whether this tick is too early.
    fn waits(&mut self, streams: &BTreeMap<u32, Stream>) -> bool {
        let stream = self.origin.stream.and_then(|context| streams.get(&context));
        let on_its_way = self.patient && stream.is_some_and(|stream| !stream.held);
        std::mem::replace(&mut self.early, on_its_way) || on_its_way
    }
}

/// A callout under way.
#[derive(Debug)]
struct Call {
    number: u32,
    origin: Origin,
}

/// A queue that the probe registered.
#[derive(Debug)]
struct Queue {
    name: String,
    origin: Origin,
}

/// What the probe remembers between callbacks.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    root: u32,
    streams: BTreeMap<u32, Stream>,
    /// The case of the next connection, if one was named for it.
    next_connection: Option<String>,
    calls: BTreeMap<u32, Call>,
    /// How many callouts the running case has made.
    calls_made: u32,
    queues: BTreeMap<u32, Queue>,
    /// What the next tick runs.
    on_tick: Vec<Awaited>,
    /// How often each callback came since the running case began.
    visits: BTreeMap<Phase, u32>,
}

thread_local! {
    static PROBE: RefCell<Probe> = RefCell::default();
}

impl Probe {
    /// Lends the probe to a callback. The host makes one at a time; a callback during a hostcall would be news, and is
    /// reported.
    pub(crate) fn lend<R>(otherwise: R, work: impl FnOnce(&mut Self) -> R) -> R {
        PROBE.with(|probe| match probe.try_borrow_mut() {
            Ok(mut probe) => work(&mut probe),
            Err(_) => {
                report::line(format_args!("! a callback during a hostcall"));
                otherwise
            }
        })
    }

    /// Remembers the root context.
    pub(crate) fn on_context_create(&mut self, context: u32, parent: u32) {
        if parent == 0 {
            self.root = context;
        }
    }

    /// Runs the cases that the VM's configuration names.
    pub(crate) fn on_vm_start(&mut self, context: u32, size: u32) {
        let words = configuration(6);
        if words.is_empty() {
            return;
        }
        let who = self.name_of(context);
        report::line(format_args!("> on_vm_start({who}, size={size})"));
        for case in words.iter().filter_map(|word| word.strip_prefix("vm_start:")) {
            self.run(Phase::VmStart, Origin { case: case.to_owned(), stream: None }, Cause::default());
        }
    }

    /// Runs the cases that the plugin's configuration names, and keeps those for the tick.
    pub(crate) fn on_configure(&mut self, context: u32, size: u32) {
        let words = configuration(7);
        if words.is_empty() {
            return;
        }
        let who = self.name_of(context);
        report::line(format_args!("> on_configure({who}, size={size})"));
        for word in words {
            let Some((what, case)) = word.split_once(':') else { continue };
            let origin = Origin { case: case.to_owned(), stream: None };
            match what {
                "configure" => {
                    self.begin();
                    self.run(Phase::Configure, origin, Cause::default());
                }
                "queue" => queues::register(&mut Turn::new(self, Phase::Configure, origin, Cause::default()), case),
                "connection" => self.next_connection = Some(case.to_owned()),
                "tick" => {
                    self.on_tick.push(Awaited { origin, patient: false, early: false });
                    host::set_tick_period(100);
                }
                _ => {}
            }
        }
    }

    /// Runs what a case or the configuration wanted a tick for, once; a tick that comes too early for one of them is none.
    pub(crate) fn on_tick(&mut self, context: u32) {
        let Self { streams, on_tick, .. } = self;
        let mut early = false;
        for awaited in on_tick {
            early |= awaited.waits(streams);
        }
        if early {
            return;
        }
        host::set_tick_period(0);
        let who = self.name_of(context);
        report::line(format_args!("> on_tick({who})"));
        for awaited in std::mem::take(&mut self.on_tick) {
            self.run(Phase::Tick, awaited.origin, Cause::default());
        }
    }

    /// Runs the case that registered the queue.
    pub(crate) fn on_queue_ready(&mut self, context: u32, queue: u32) {
        let who = self.name_of(context);
        let (name, origin) = match self.queues.get(&queue) {
            Some(queue) => (queue.name.as_str(), queue.origin.clone()),
            None => ("unknown", Origin::default()),
        };
        report::line(format_args!("> on_queue_ready({who}, queue \"{name}\")"));
        self.run(Phase::QueueReady, origin, Cause { queue, ..Cause::default() });
    }

    /// Runs the case that made the callout.
    pub(crate) fn on_http_call_response(&mut self, context: u32, token: u32, [headers, body, trailers]: [u32; 3]) {
        let who = self.name_of(context);
        let Call { number, origin } =
            self.calls.remove(&token).unwrap_or_else(|| Call { number: 0, origin: Origin::default() });
        report::line(format_args!(
            "> on_http_call_response({who}, call {number}, headers={headers}, body={body}, trailers={trailers})"
        ));
        self.run(Phase::CallResponse, origin, Cause { call: number, ..Cause::default() });
    }

    /// Runs the case that made the gRPC callout. Its token stays known: hostcalls may name it for longer than it lives.
    pub(crate) fn on_grpc(&mut self, context: u32, token: u32, phase: Phase, arguments: fmt::Arguments<'_>) {
        let who = self.name_of(context);
        let (number, origin) = match self.calls.get(&token) {
            Some(call) => (call.number, call.origin.clone()),
            None => (0, Origin { case: "grpc-unknown".to_owned(), stream: None }),
        };
        report::line(format_args!("> on_{}({who}, call {number}, {arguments})", phase.name()));
        self.run(phase, origin, Cause { call: number, token, ..Cause::default() });
    }

    /// Begins the case that the request names.
    pub(crate) fn on_request_headers(&mut self, context: u32, headers: u32, end: u32) -> Action {
        let named = host::get_header_map_value(0, Arg::from("x-case"), Place::Here);
        if let Written::Bytes(name) = named.written {
            self.begin();
            self.streams.insert(context, Stream { case: String::from_utf8_lossy(&name).into_owned(), held: false });
        }
        self.on_stream(context, Phase::RequestHeaders, format_args!("headers={headers}, end={end}"))
    }

    /// Begins the case that an earlier connection named for this one.
    pub(crate) fn on_new_connection(&mut self, context: u32) -> Action {
        self.begin();
        self.streams.insert(context, Stream { case: self.next_connection.take().unwrap_or_default(), held: false });
        self.on_stream(context, Phase::NewConnection, format_args!(""))
    }

    /// Runs a connection's case; without one, data may name the next connection's.
    pub(crate) fn on_downstream_data(&mut self, context: u32, size: u32, end: u32) -> Action {
        if self.streams.get(&context).is_some_and(|stream| stream.case.is_empty())
            && let Written::Bytes(bytes) = host::get_buffer_bytes(2, 0, size, Place::Here).written
            && let Some(case) = bytes.strip_prefix(b"case ")
        {
            self.next_connection = Some(String::from_utf8_lossy(case).into_owned());
        }
        self.on_stream(context, Phase::DownstreamData, format_args!("size={size}, end={end}"))
    }

    /// Runs a connection's case; a connection that is gone should not come here.
    pub(crate) fn on_upstream_close(&mut self, context: u32, peer: u32) {
        if !self.streams.contains_key(&context) {
            report::line(format_args!("> on_upstream_connection_close(a connection that is gone, peer={peer})"));
        }
        self.on_stream(context, Phase::UpstreamClose, format_args!("peer={peer}"));
    }

    /// Runs a stream's case.
    pub(crate) fn on_stream(&mut self, context: u32, phase: Phase, arguments: fmt::Arguments<'_>) -> Action {
        let Some(case) = self.streams.get(&context).map(|stream| stream.case.clone()).filter(|case| !case.is_empty())
        else {
            return CONTINUE;
        };
        let comma = if arguments.as_str() == Some("") { "" } else { ", " };
        report::line(format_args!("> on_{}(stream{comma}{arguments})", phase.name()));
        let action = self.run(phase, Origin { case, stream: Some(context) }, Cause::default());
        if action != CONTINUE {
            report::line(format_args!("< {action}"));
        }
        if let Some(stream) = self.streams.get_mut(&context) {
            stream.held = phase.holds(action);
        }
        action
    }

    /// Ends a stream's case.
    pub(crate) fn on_delete(&mut self, context: u32) {
        self.on_stream(context, Phase::Delete, format_args!(""));
        self.streams.remove(&context);
    }

    /// Starts counting anew.
    fn begin(&mut self) {
        self.calls_made = 0;
        self.visits.clear();
    }

    fn run(&mut self, phase: Phase, origin: Origin, cause: Cause) -> Action {
        *self.visits.entry(phase).or_default() += 1;
        let name = origin.case.split('@').next().unwrap_or_default();
        let tables = [
            callouts::CASES,
            grpc::CASES,
            queues::CASES,
            headers::CASES,
            buffers::CASES,
            properties::CASES,
            metrics::CASES,
            shared_data::CASES,
            connections::CASES,
            local_reply::CASES,
            stream_control::CASES,
            general::CASES,
            foreign::CASES,
            expressions::CASES,
            declared::CASES,
            signatures::CASES,
        ];
        match tables.into_iter().flatten().find(|(listed, _)| *listed == name) {
            Some((_, case)) => case(&mut Turn::new(self, phase, origin, cause)),
            None => {
                if !name.is_empty() {
                    report::line(format_args!("! no case {name}"));
                }
                CONTINUE
            }
        }
    }

    fn name_of(&self, context: u32) -> &'static str {
        if context == self.root {
            "root"
        } else if self.streams.contains_key(&context) {
            "stream"
        } else {
            "another context"
        }
    }
}

/// The words of the VM's or the plugin's configuration.
fn configuration(buffer: u32) -> Vec<String> {
    match host::get_buffer_bytes(buffer, 0, 4096, Place::Here).written {
        Written::Bytes(bytes) => String::from_utf8_lossy(&bytes).split_whitespace().map(str::to_owned).collect(),
        Written::Nothing | Written::Null(_) => Vec::new(),
    }
}

/// What a turn is about, besides its phase.
#[derive(Clone, Copy, Debug, Default)]
struct Cause {
    queue: u32,
    call: u32,
    token: u32,
}

/// One callback, as a case sees it.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Which callback it is.
    pub(crate) phase: Phase,
    probe: &'a mut Probe,
    origin: Origin,
    cause: Cause,
}

impl<'a> Turn<'a> {
    fn new(probe: &'a mut Probe, phase: Phase, origin: Origin, cause: Cause) -> Self {
        Self { phase, probe, origin, cause }
    }

    /// Reports a hostcall and its answer.
    pub(crate) fn say(&self, call: fmt::Arguments<'_>, answer: impl fmt::Display) {
        report::line(format_args!("{} {call} = {answer}", self.phase.name()));
    }

    /// Whether this is the first callback of a stream or a connection.
    pub(crate) fn begins(&self) -> bool {
        matches!(self.phase, Phase::RequestHeaders | Phase::NewConnection)
    }

    /// What follows the `@` in the case's name.
    pub(crate) fn choice(&self) -> String {
        self.origin.case.split_once('@').map(|(_, choice)| choice.to_owned()).unwrap_or_default()
    }

    /// Whether the case chose this phase by `@`.
    pub(crate) fn is_chosen(&self) -> bool {
        self.choice() == self.phase.name()
    }

    /// How many callbacks of this phase the case has had, this one included.
    pub(crate) fn visit(&self) -> u32 {
        self.probe.visits.get(&self.phase).copied().unwrap_or_default()
    }

    /// The number of the callout that was answered.
    pub(crate) fn call(&self) -> u32 {
        self.cause.call
    }

    /// The token of the gRPC callout that the callback is about.
    pub(crate) fn token(&self) -> u32 {
        self.cause.token
    }

    /// The token of the case's callout of this number.
    pub(crate) fn token_of(&self, number: u32) -> Option<u32> {
        let is_it = |call: &Call| call.number == number && call.origin.case == self.origin.case;
        self.probe.calls.iter().rev().find(|(_, call)| is_it(call)).map(|(token, _)| *token)
    }

    /// The queue that is ready.
    pub(crate) fn queue(&self) -> u32 {
        self.cause.queue
    }

    /// Numbers a callout that was made.
    pub(crate) fn expect_answer(&mut self, token: u32) -> u32 {
        self.probe.calls_made += 1;
        let number = self.probe.calls_made;
        self.probe.calls.insert(token, Call { number, origin: self.origin.clone() });
        number
    }

    /// Names a queue.
    pub(crate) fn expect_queue(&mut self, queue: u32, name: String) {
        self.probe.queues.insert(queue, Queue { name, origin: self.origin.clone() });
    }

    /// The name of a queue that some case registered.
    pub(crate) fn name_of_queue(&self, queue: u32) -> Option<&str> {
        self.probe.queues.get(&queue).map(|queue| queue.name.as_str())
    }

    /// The queue of that name.
    pub(crate) fn queue_named(&self, name: &str) -> Option<u32> {
        self.probe.queues.iter().find(|(_, queue)| queue.name == name).map(|(id, _)| *id)
    }

    /// Has the case run in the next tick; if a request asks for it as it begins, in the first one that finds it held or over.
    pub(crate) fn expect_tick(&mut self) {
        let patient = self.phase == Phase::RequestHeaders;
        self.probe.on_tick.push(Awaited { origin: self.origin.clone(), patient, early: false });
        self.say(format_args!("set_tick_period_milliseconds(100)"), host::set_tick_period(100));
    }

    /// Turns to the stream that the case belongs to.
    pub(crate) fn enter_stream(&self) -> Status {
        let status = host::set_effective_context(self.origin.stream.unwrap_or(u32::MAX));
        self.say(format_args!("set_effective_context(stream)"), status);
        status
    }

    /// Turns to the root context.
    pub(crate) fn enter_root(&self) {
        self.say(format_args!("set_effective_context(root)"), host::set_effective_context(self.probe.root));
    }
}
