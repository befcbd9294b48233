//! A scripted day of one person: decisions and operations, tried again and again, among other requests.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::net::TcpStream;

use super::ledger::Ledger;
use crate::support::upstream::BEHAVIOUR;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Endpoints that decide, and what they decide.
const DECISIONS: [(&str, &str); 6] = [
    ("/api/v1/approvals/{}/approve/", "approved"),
    ("/api/v1/approvals/{}/reject/", "rejected"),
    ("/api/v1/cab/{}/approve/", "approved"),
    ("/api/v1/cab/{}/reject/", "rejected"),
    ("/api/v1/deployments/{}/approve/", "approved"),
    ("/api/v1/deployments/{}/reject/", "rejected"),
];
const CONNECTORS: [(&str, &str); 6] = [
    ("intune", "intune"),
    ("jamf", "jamf"),
    ("sccm", "sccm"),
    ("landscape", "landscape"),
    ("ansible", "ansible"),
    ("mystery", "other"),
];
const STATUSES: [u16; 16] = [200, 200, 200, 200, 201, 201, 204, 202, 202, 301, 400, 409, 404, 500, 503, 504];

/// The script of a day.
pub(super) struct Day {
    rng: ChaCha8Rng,
    person: usize,
    left: usize,
}

/// A request that may be tried again.
#[derive(Clone)]
struct Attempt {
    path: String,
    /// The idempotency key, or else the correlation ID.
    key: String,
    has_idempotency_key: bool,
    body: BodyKind,
    /// The value for the pointer of the rule.
    value: String,
    /// What the response header says.
    response_risk: Option<&'static str>,
    what: What,
}

#[derive(Clone)]
enum What {
    Decision { decision: &'static str },
    Operation { connector: &'static str, operation: &'static str, in_body: bool },
}

#[derive(Clone, Copy, PartialEq)]
enum BodyKind {
    Whole,
    Chunked,
    /// The value stands twice; the last one counts.
    Twice,
    Empty,
    Broken,
    Cut,
    Deep,
    Large,
    Compressed,
}

impl Day {
    pub(super) fn new(person: usize, requests: usize) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(person as u64), person, left: requests }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())]
    }

    fn attempt(&mut self) -> Attempt {
        let id = format!("{}-{:08x}", self.person, self.rng.random::<u32>());
        let has_idempotency_key = self.rng.random_ratio(3, 4);
        let kinds = [BodyKind::Whole; 6].into_iter().chain([BodyKind::Chunked; 4]).chain([
            BodyKind::Twice,
            BodyKind::Empty,
            BodyKind::Broken,
            BodyKind::Cut,
            BodyKind::Deep,
            BodyKind::Large,
            BodyKind::Compressed,
        ]);
        let body = self.pick(&kinds.collect::<Vec<_>>());
        let response_risk = self.rng.random_ratio(1, 3).then(|| self.pick(&["low", "high", "none of these"]));
        let key = format!("key-{id}-{:08x}", self.rng.random::<u32>());
        if self.rng.random_ratio(1, 2) {
            let (template, decision) = self.pick(&DECISIONS);
            let value = self.pick(&["low", "medium", "high", "critical", "LOW", "", "é\\\"\u{2028}"]).to_owned();
            let path = template.replace("{}", &id);
            return Attempt {
                path,
                key,
                has_idempotency_key,
                body,
                value,
                response_risk,
                what: What::Decision { decision },
            };
        }
        let (connector, label) = self.pick(&CONNECTORS);
        let (path, value, operation, in_body) = match self.rng.random_range(0..3) {
            0 => (format!("/api/v1/connectors/{connector}/deploy"), "", "deploy", false),
            1 => (format!("/api/v1/connectors/{connector}/operations/{id}/cancel/"), "", "cancel", false),
            _ => {
                let (value, operation) =
                    self.pick(&[("deploy", "deploy"), ("scan", "scan"), ("sync", "sync"), ("explode", "other")]);
                (format!("/api/v1/connectors/{connector}/operations/"), value, operation, true)
            }
        };
        let what = What::Operation { connector: label, operation, in_body };
        Attempt { path, key, has_idempotency_key, body, value: value.to_owned(), response_risk, what }
    }
}

impl Attempt {
    /// What the value is at the pointer of the rule, if it can be read.
    fn read(&self) -> (Option<&str>, &'static str) {
        match self.body {
            BodyKind::Whole | BodyKind::Chunked | BodyKind::Twice => (Some(&self.value), "complete"),
            BodyKind::Empty | BodyKind::Cut => (None, "incomplete"),
            BodyKind::Broken => (None, "malformed"),
            BodyKind::Deep => (None, "too_deep"),
            BodyKind::Large => (None, "too_large"),
            BodyKind::Compressed => (None, "compressed"),
        }
    }

    fn note(&self, status: u16, ledger: &mut Ledger) {
        let (value, outcome) = self.read();
        // Rules look at a stream, and so at its body, when its status may be theirs.
        let concerns = match &self.what {
            What::Decision { .. } => (200..300).contains(&status),
            What::Operation { .. } => !(300..400).contains(&status),
        };
        if concerns {
            ledger.body(outcome);
        }
        match &self.what {
            What::Decision { decision } => {
                let known = ["low", "medium", "high", "critical"];
                let risk = [value, self.response_risk].into_iter().flatten().find(|value| known.contains(value));
                ledger.decision(&self.path, &self.key, status, decision, risk.unwrap_or("unknown"));
            }
            What::Operation { connector, operation, in_body } => {
                let operation = if *in_body && value.is_none() { "other" } else { operation };
                ledger.operation(&self.path, &self.key, status, connector, operation);
            }
        }
    }

    fn request(&self, authority: SocketAddr, status: u16) -> Request<Body> {
        let mut behaviour = format!("status={status}");
        if let Some(risk) = self.response_risk {
            behaviour.push_str(&format!(";set-x-risk-level={risk}"));
        }
        let key = if self.has_idempotency_key { "idempotency-key" } else { "x-correlation-id" };
        let mut request = Request::post(&self.path)
            .header("host", authority.to_string())
            .header("content-type", "application/json")
            .header(key, &self.key)
            .header(BEHAVIOUR, behaviour);
        if self.body == BodyKind::Compressed {
            request = request.header("content-encoding", "gzip");
        }
        request.body(self.body()).unwrap()
    }

    fn body(&self) -> Body {
        let value = serde_json::to_string(&self.value).unwrap();
        let fields = format!(r#""risk_level": {value}, "operation": {value}, "risk_score": 45.5"#);
        let text = match self.body {
            BodyKind::Whole | BodyKind::Chunked | BodyKind::Compressed => format!("{{{fields}}}"),
            BodyKind::Twice => format!(r#"{{"risk_level": "low", "operation": {{"x": 1}}, {fields}}}"#),
            BodyKind::Empty => String::new(),
            BodyKind::Broken => format!("{{{fields},}}"),
            BodyKind::Cut => format!("{{{fields}"),
            BodyKind::Deep => format!(r#"{{{fields}, "deep": {}}}"#, "[".repeat(100)),
            BodyKind::Large => format!(r#"{{{fields}, "padding": "{}"}}"#, "x".repeat(70_000)),
        };
        let bytes = Bytes::from(text);
        if self.body == BodyKind::Chunked {
            let pieces: Vec<_> = bytes.chunks(7).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
            return StreamBody::new(stream::iter(pieces)).boxed_unsync();
        }
        Full::new(bytes).boxed_unsync()
    }
}

/// Lives through the day, over two connections, so that a second try may meet another worker than the first.
pub(super) async fn live(mut day: Day, target: SocketAddr) -> Ledger {
    let mut ledger = Ledger::default();
    let mut connections: [Option<SendRequest<Body>>; 2] = [None, None];
    while day.left > 0 {
        if day.rng.random_ratio(1, 3) {
            let path = day.pick(&["/api/v1/health/", "/api/v1/deployments/7/", "/api/v1/cab/1/approve/", "/nowhere"]);
            let request = Request::get(path).header("host", target.to_string()).header(BEHAVIOUR, "status=200");
            send(&mut connections[0], target, request.body(Full::default().boxed_unsync()).unwrap()).await;
            day.left -= 1;
            continue;
        }
        let attempt = day.attempt();
        let tries = if day.rng.random_ratio(1, 4) { day.rng.random_range(2..5) } else { 1 };
        for number in 0..tries.min(day.left) {
            let status = day.pick(&STATUSES);
            let answered = send(&mut connections[number % 2], target, attempt.request(target, status)).await;
            assert_eq!(answered, status);
            attempt.note(status, &mut ledger);
            day.left -= 1;
        }
    }
    ledger
}

async fn send(connection: &mut Option<SendRequest<Body>>, target: SocketAddr, request: Request<Body>) -> u16 {
    if connection.as_ref().is_none_or(SendRequest::is_closed) {
        let socket = TcpStream::connect(target).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (sender, driver) = http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(driver);
        *connection = Some(sender);
    }
    let sender = connection.as_mut().unwrap();
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let _ = response.into_body().collect().await;
    status
}
