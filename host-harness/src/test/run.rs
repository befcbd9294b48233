//! Requests on their way through the filter, alone or side by side.

use std::net::SocketAddr;
use std::time::Duration;

use super::events::nanoseconds;
use super::{Answer, Exchange, Host, Message, Reply, Request};
use crate::{
    BodyOutcome, FinishedStream, HeaderMap, HeadersOutcome, LocalReply, StreamEnd, StreamEvent, StreamFacts, StreamId,
    UpstreamFacts, Worker,
};

/// How long a stream that the module holds is waited for: Envoy's idle timeout of a stream.
const IDLE: Duration = Duration::from_secs(300);

/// Why a stream ended otherwise than it should have, as access logs have it.
const NOT_CONNECTED: u64 = 0x20;
const CONNECTION_CLOSED: u64 = 0x40;
const UPSTREAM_RESET: u64 = 0x10;
const DOWNSTREAM_LEFT: u64 = 0x4000;

/// One stream on its way.
struct Run {
    worker: usize,
    stream: StreamId,
    start_ns: u64,
    /// Whether the request is on its way, and not the response.
    request: bool,
    /// What is still to come in this direction.
    parts: Parts,
    /// What has arrived in this direction.
    message: Message,
    state: State,
    upstream: SocketAddr,
    answer: Option<Answer>,
    /// The response breaks off after its headers.
    breaks_off: bool,
    takes: Duration,
    end_alone: bool,
    exchange: Exchange,
    end: StreamEnd,
}

/// A part of a message; those that may be the last say whether they are.
enum Part {
    Headers(HeaderMap, bool),
    Piece(Vec<u8>, bool),
    Trailers(HeaderMap),
}

/// A part that the module has seen.
#[derive(Clone, Copy)]
enum Seen {
    Headers,
    LastPiece,
    Trailers,
}

enum State {
    Goes,
    /// The module holds it; given up at this time.
    Held(Seen, u64),
    /// The upstream answers at this time.
    Waits(u64),
    Over,
}

/// Why a stream does not go on.
enum Halt {
    LocalReply(LocalReply),
    Reset,
    Stuck,
}

/// Takes a request through a worker.
pub(super) fn one(host: &mut Host, worker: usize, request: Request) -> Exchange {
    let mut run = [Run::open(host, worker, request)];
    drive(host, &mut run);
    let [run] = run;
    run.exchange
}

/// Takes each request through its worker. The results come in the order of the requests.
pub(super) fn all(host: &mut Host, requests: impl Iterator<Item = (usize, Request)>) -> Vec<Exchange> {
    let mut runs: Vec<Run> = requests.map(|(worker, request)| Run::open(host, worker, request)).collect();
    drive(host, &mut runs);
    runs.into_iter().map(|run| run.exchange).collect()
}

fn drive(host: &mut Host, runs: &mut [Run]) {
    while !runs.iter().all(|run| matches!(run.state, State::Over)) {
        let mut moved = false;
        for place in 0..runs.len() {
            if let Some(run) = runs.get_mut(place) {
                moved |= run.step(host);
            }
            hear(host, runs);
        }
        if !moved {
            wait(host, runs);
        }
    }
}

/// Hands out what modules asked for outside the callback concerned.
fn hear(host: &mut Host, runs: &mut [Run]) {
    for number in 0..host.workers.len() {
        for (id, event) in host.worker(number).take_events() {
            if let Some(run) = runs.iter_mut().find(|run| run.worker == number && run.stream == id) {
                run.hear(host, event);
            }
        }
    }
}

/// No stream can go on: something happens that was due, or time passes.
fn wait(host: &mut Host, runs: &mut [Run]) {
    let until = runs.iter().filter_map(Run::until).min().unwrap_or(u64::MAX);
    if runs.iter().any(|run| matches!(run.state, State::Waits(_))) {
        if !host.run_next(until) {
            host.shared.clock().advance_to(until);
            for run in &mut *runs {
                match run.state {
                    State::Waits(due) if due <= until => run.respond(host),
                    State::Held(_, due) if due <= until => run.halt(host, Halt::Stuck),
                    _ => {}
                }
            }
        }
    } else if !(host.owes() && host.run_next(until))
        && let Some(first) = runs.iter_mut().filter(|run| run.until().is_some()).min_by_key(|run| run.until())
    {
        first.halt(host, Halt::Stuck);
    }
    hear(host, runs);
}

impl Run {
    fn open(host: &mut Host, worker: usize, request: Request) -> Self {
        host.connections += 1;
        let facts = StreamFacts { connection_id: host.connections, ..request.facts() };
        let start_ns = host.now_ns();
        let stream = host.worker(worker).open_stream(facts);
        let Request { headers, body, trailers, upstream, answer, takes, code_details, flags, end_alone, .. } = request;
        let request_size = body.iter().map(|piece| piece.len() as u64).sum();
        Self {
            worker,
            stream,
            start_ns,
            request: true,
            parts: Parts::new(headers, body, trailers, end_alone),
            message: Message::default(),
            state: State::Goes,
            upstream,
            answer,
            breaks_off: false,
            takes,
            end_alone,
            exchange: Exchange::default(),
            end: StreamEnd { details: code_details.to_owned(), flags, request_size, ..StreamEnd::default() },
        }
    }

    fn until(&self) -> Option<u64> {
        match self.state {
            State::Held(_, until) | State::Waits(until) => Some(until),
            State::Goes | State::Over => None,
        }
    }

    /// Goes one callback further. Says whether it could.
    fn step(&mut self, host: &mut Host) -> bool {
        if !matches!(self.state, State::Goes) {
            return false;
        }
        let stream = self.stream;
        let worker = host.worker(self.worker);
        match self.parts.next() {
            None => self.arrived(host),
            Some(Part::Headers(map, end)) => {
                let outcome = if self.request {
                    worker.request_headers(stream, map, end)
                } else {
                    worker.response_headers(stream, map, end)
                };
                self.judge(host, Seen::Headers, outcome);
            }
            Some(Part::Trailers(map)) => {
                let outcome = if self.request {
                    worker.request_trailers(stream, map)
                } else {
                    worker.response_trailers(stream, map)
                };
                self.judge(host, Seen::Trailers, outcome);
            }
            Some(Part::Piece(piece, end)) => {
                let outcome = if self.request {
                    worker.request_body(stream, &piece, end)
                } else {
                    worker.response_body(stream, &piece, end)
                };
                match outcome {
                    BodyOutcome::Forward(bytes) => self.message.body.extend(bytes),
                    BodyOutcome::Hold if end => self.hold(host, Seen::LastPiece),
                    BodyOutcome::Hold => {}
                    BodyOutcome::LocalReply(reply) => self.halt(host, Halt::LocalReply(reply)),
                    BodyOutcome::Close => self.halt(host, Halt::Reset),
                }
            }
        }
        true
    }

    fn judge(&mut self, host: &mut Host, seen: Seen, outcome: HeadersOutcome) {
        match outcome {
            HeadersOutcome::Continue => self.pass(host, seen),
            HeadersOutcome::Pause => self.hold(host, seen),
            HeadersOutcome::LocalReply(reply) => self.halt(host, Halt::LocalReply(reply)),
            HeadersOutcome::Close => self.halt(host, Halt::Reset),
        }
    }

    fn hold(&mut self, host: &Host, seen: Seen) {
        self.state = State::Held(seen, host.now_ns().saturating_add(nanoseconds(IDLE)));
    }

    /// What the module has seen goes on.
    fn pass(&mut self, host: &mut Host, seen: Seen) {
        self.state = State::Goes;
        let worker = host.worker(self.worker);
        match seen {
            Seen::Headers => {
                let map = if self.request { worker.request_map(self.stream) } else { worker.response_map(self.stream) };
                self.message.headers = map.clone();
                if self.request {
                    let address = Some(self.upstream);
                    worker.set_upstream(self.stream, UpstreamFacts { address, ..UpstreamFacts::default() });
                }
            }
            Seen::LastPiece | Seen::Trailers => self.take_held(worker),
        }
    }

    fn take_held(&mut self, worker: &mut Worker) {
        let held = if self.request {
            worker.take_held_request_body(self.stream)
        } else {
            worker.take_held_response_body(self.stream)
        };
        self.message.body.extend(held);
    }

    fn hear(&mut self, host: &mut Host, event: StreamEvent) {
        match (event, &self.state) {
            (_, State::Over) => {}
            (StreamEvent::LocalReply(reply), _) => self.halt(host, Halt::LocalReply(reply)),
            (StreamEvent::Close, _) => self.halt(host, Halt::Reset),
            (StreamEvent::ContinueRequest, state) if self.request => self.resume(host, held(state)),
            (StreamEvent::ContinueResponse, state) if !self.request => self.resume(host, held(state)),
            (StreamEvent::ContinueRequest | StreamEvent::ContinueResponse, _) => {}
        }
    }

    fn resume(&mut self, host: &mut Host, held: Option<Seen>) {
        match held {
            Some(seen) => self.pass(host, seen),
            // Pieces were held and others are still to come.
            None => self.take_held(host.worker(self.worker)),
        }
    }

    /// A direction is through.
    fn arrived(&mut self, host: &mut Host) {
        let worker = host.worker(self.worker);
        let map = if self.request {
            worker.request_trailers_map(self.stream)
        } else {
            worker.response_trailers_map(self.stream)
        };
        self.message.trailers = (!map.is_empty()).then(|| map.clone());
        if self.request {
            self.keep_upstream();
            self.state = State::Waits(host.now_ns().saturating_add(nanoseconds(self.takes)));
        } else if self.breaks_off {
            self.end.details = "upstream_reset_after_response_started{remote_reset}".to_owned();
            self.end.flags = UPSTREAM_RESET;
            self.halt(host, Halt::Reset);
        } else {
            self.keep_response();
            self.finish(host);
        }
    }

    fn keep_upstream(&mut self) {
        let message = std::mem::take(&mut self.message);
        self.exchange.upstream = (!message.headers.is_empty()).then_some(message);
    }

    fn keep_response(&mut self) {
        let message = std::mem::take(&mut self.message);
        if !message.headers.is_empty() {
            self.exchange.response = Some(message);
        }
    }

    /// The upstream answers, or the client has left.
    fn respond(&mut self, host: &mut Host) {
        match self.answer.take() {
            None => self.finish(host),
            Some(Answer::Reply(reply)) => self.begin_response(reply),
            Some(Answer::Silence) => {
                self.end.details = "downstream_remote_disconnect".to_owned();
                self.end.flags = DOWNSTREAM_LEFT;
                self.state = State::Waits(host.now_ns().saturating_add(nanoseconds(IDLE)));
            }
            Some(Answer::Refusal) => {
                self.exchange.upstream = None;
                let reason = "remote_connection_failure|delayed_connect_error:_Connection_refused";
                self.fail(host, NOT_CONNECTED, reason, "remote connection failure");
            }
            Some(Answer::Close) => {
                self.fail(host, CONNECTION_CLOSED, "connection_termination", "connection termination");
            }
            Some(Answer::Reset) => {
                self.breaks_off = true;
                self.begin_response(Reply::status(200));
            }
        }
    }

    fn begin_response(&mut self, Reply { headers, body, trailers }: Reply) {
        self.request = false;
        self.parts = Parts::new(headers, body, trailers, self.end_alone);
        self.parts.breaks_off = self.breaks_off;
        self.state = State::Goes;
    }

    /// There is no response: the proxy answers for the upstream.
    fn fail(&mut self, host: &mut Host, flags: u64, reason: &str, text: &str) {
        let text = format!("upstream connect error or disconnect/reset before headers. reset reason: {text}");
        let details = format!("upstream_reset_before_response_started{{{reason}}}");
        host.worker(self.worker).set_response_details(self.stream, &details);
        self.end.flags = flags;
        self.end.details.clone_from(&details);
        self.exchange.local_reply = Some(details);
        let reply =
            Reply::status(503).header("content-length", text.len().to_string()).header("content-type", "text/plain");
        self.end_alone = false;
        self.begin_response(reply.chunk(text));
    }

    fn halt(&mut self, host: &mut Host, halt: Halt) {
        if self.request && self.exchange.upstream.is_none() {
            self.keep_upstream();
        } else {
            self.keep_response();
        }
        match halt {
            Halt::LocalReply(LocalReply { headers, body, details }) => {
                self.end.details.clone_from(&details);
                self.exchange.local_reply = Some(details);
                self.exchange.response = Some(Message { headers, body, trailers: None });
            }
            Halt::Reset => {
                // A response that had begun has its status in the log.
                self.end.code = self.exchange.response.take().as_ref().and_then(Message::status);
                if let Some(details) = host.worker(self.worker).reset_details(self.stream) {
                    details.clone_into(&mut self.end.details);
                }
            }
            Halt::Stuck => self.exchange.stuck = true,
        }
        self.finish(host);
    }

    fn finish(&mut self, host: &mut Host) {
        self.state = State::Over;
        let mut end = std::mem::take(&mut self.end);
        end.code = end.code.or(self.exchange.status());
        end.duration_ns = Some(host.now_ns().saturating_sub(self.start_ns));
        end.response_size = self.exchange.response.as_ref().map_or(0, |response| response.body.len() as u64);
        let FinishedStream { filter_state, cost, .. } = host.worker(self.worker).finish(self.stream, end);
        self.exchange.filter_state = filter_state;
        self.exchange.cost = cost;
        host.settle();
    }
}

fn held(state: &State) -> Option<Seen> {
    match state {
        State::Held(seen, _) => Some(*seen),
        State::Goes | State::Waits(_) | State::Over => None,
    }
}

/// A message part by part.
struct Parts {
    headers: Option<HeaderMap>,
    pieces: std::vec::IntoIter<Vec<u8>>,
    trailers: Option<HeaderMap>,
    /// Whether the end is still to come by itself.
    end_alone: bool,
    /// No end comes.
    breaks_off: bool,
}

impl Parts {
    fn new(headers: HeaderMap, body: Vec<Vec<u8>>, trailers: Option<HeaderMap>, end_alone: bool) -> Self {
        let end_alone = end_alone && !body.is_empty() && trailers.is_none();
        Self { headers: Some(headers), pieces: body.into_iter(), trailers, end_alone, breaks_off: false }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if let Some(headers) = self.headers.take() {
            let end = self.pieces.len() == 0 && self.trailers.is_none() && !self.breaks_off;
            return Some(Part::Headers(headers, end));
        }
        if let Some(piece) = self.pieces.next() {
            return Some(Part::Piece(piece, self.pieces.len() == 0 && self.trailers.is_none() && !self.end_alone));
        }
        if std::mem::take(&mut self.end_alone) {
            return Some(Part::Piece(Vec::new(), true));
        }
        self.trailers.take().map(Part::Trailers)
    }
}
