//! Receivers of events that check what the real ones check, keep what they accepted, and misbehave when told to.

mod azure;
mod data_collector;
mod splunk;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// Azure Monitor's limit of a call.
const MEBIBYTE: usize = 1 << 20;

/// Whose protocol it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Microsoft Entra's token endpoint and Azure Monitor's Logs Ingestion API.
    LogsIngestion,
    /// Azure Monitor's Data Collector API.
    DataCollector,
    /// Splunk's HTTP Event Collector, its token without acknowledgement.
    Splunk,
    /// The same with acknowledgement.
    SplunkAck,
    /// A JSON array to a path, with a bearer token.
    Json,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::LogsIngestion, Self::DataCollector, Self::Splunk, Self::SplunkAck, Self::Json];

    /// The one secret that its clients know.
    pub(crate) fn secret(self) -> &'static str {
        match self {
            Self::LogsIngestion => "s3cr3t~of+the/client=",
            // Base64 of `s3cr3t-shared-key-of-the-workspace`.
            Self::DataCollector => "czNjcjN0LXNoYXJlZC1rZXktb2YtdGhlLXdvcmtzcGFjZQ==",
            Self::Splunk | Self::SplunkAck => "5ec2e70c-0000-4000-8000-5ec2e75ec2e7",
            Self::Json => "s3cr3t-bearer-token",
        }
    }

    /// The sink of the filter's configuration that goes with it.
    pub(crate) fn sink(self) -> Value {
        match self {
            Self::LogsIngestion => serde_json::json!({ "logs_ingestion": {
                "rule": azure::RULE,
                "stream": azure::STREAM,
                "client_id": azure::CLIENT,
                "token_cluster": "token",
                "token_authority": "login.example",
                "token_path": azure::TOKEN_PATH,
            } }),
            Self::DataCollector => {
                serde_json::json!({ "data_collector": { "workspace_id": data_collector::WORKSPACE } })
            }
            Self::Splunk => serde_json::json!({ "splunk_hec": { "sourcetype": "eucora:edge" } }),
            Self::SplunkAck => {
                serde_json::json!({ "splunk_hec": { "sourcetype": "eucora:edge", "acknowledge": true } })
            }
            Self::Json => serde_json::json!({ "json": { "path": JSON_PATH, "authorization": "bearer" } }),
        }
    }
}

/// Where the generic receiver takes events.
const JSON_PATH: &str = "/events";

/// How it treats well-formed calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// It takes them.
    Well,
    /// 403: the credentials do not suffice.
    Refuse,
    /// It never answers.
    Hang,
    /// 429 with `retry-after: 1`; in Splunk's words, 503.
    Busy,
    /// 413 to what has more bytes than this.
    Small(usize),
    /// 500.
    Fail,
    /// It closes the connection instead of an answer, every second time after it has taken the events.
    Drop,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names are in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// As it was before compression.
    pub(crate) body: Vec<u8>,
    /// As it was sent.
    pub(crate) sent: usize,
}

impl Seen {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Said {
    fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body: body.into() }
    }
}

/// What has happened so far.
#[derive(Debug, Default)]
struct State {
    behaviour: Option<Behaviour>,
    once: Option<Behaviour>,
    /// By `EventUid`.
    accepted: BTreeMap<String, Value>,
    /// Each request, and the status that it got; none where it got no answer.
    seen: Vec<(Seen, Option<u16>)>,
    complaints: Vec<String>,
    tokens: azure::Tokens,
    acks: splunk::Acks,
    drops: u64,
}

/// A receiver.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    kind: Kind,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// One that is well.
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = Some(behaviour);
    }

    /// At the next call alone.
    pub(crate) fn misbehave_once(&self, behaviour: Behaviour) {
        self.state().once = Some(behaviour);
    }

    /// No token that it gave out is good any more.
    pub(crate) fn revoke_tokens(&self) {
        self.state().tokens = azure::Tokens::default();
    }

    /// The events that it has, by `EventUid`, as they came.
    pub(crate) fn accepted(&self) -> BTreeMap<String, Value> {
        self.state().accepted.clone()
    }

    /// Every request and the status that it got.
    pub(crate) fn seen(&self) -> Vec<(Seen, Option<u16>)> {
        self.state().seen.clone()
    }

    /// What no client should have sent.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.state().complaints.clone()
    }

    /// What it answers; none where it does not.
    pub(crate) fn answer(&self, seen: Seen) -> Answer {
        let mut state = self.state();
        let is_token = azure::is_entra(&seen);
        let once = if is_token { None } else { state.once.take() };
        let behaviour = once.or(state.behaviour).unwrap_or(Behaviour::Well);
        let answer = match behaviour {
            Behaviour::Hang if !is_token => Answer::Silence,
            Behaviour::Drop if !is_token => {
                state.drops += 1;
                if state.drops.is_multiple_of(2) {
                    self.judge(&mut state, &seen, Behaviour::Well);
                }
                Answer::Close
            }
            behaviour => Answer::Said(self.judge(&mut state, &seen, behaviour)),
        };
        let status = if let Answer::Said(said) = &answer { Some(said.status) } else { None };
        state.seen.push((seen, status));
        answer
    }

    fn judge(&self, state: &mut State, seen: &Seen, behaviour: Behaviour) -> Said {
        if self.kind == Kind::LogsIngestion && seen.path == azure::DISCOVERY_PATH {
            return azure::discovery();
        }
        if seen.method != "POST" {
            state.complaints.push(format!("{} {}", seen.method, seen.path));
            return Said::new(405, "");
        }
        match self.kind {
            Kind::LogsIngestion if seen.path == azure::TOKEN_PATH => azure::token(state, seen),
            Kind::LogsIngestion => azure::ingest(state, seen, behaviour),
            Kind::DataCollector => data_collector::collect(state, seen, behaviour),
            Kind::Splunk | Kind::SplunkAck => splunk::collect(state, seen, behaviour, self.kind == Kind::SplunkAck),
            Kind::Json => json(state, seen, behaviour),
        }
    }
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A response.
    Said(Said),
    /// Nothing, ever.
    Silence,
    /// The connection is closed.
    Close,
}

impl State {
    /// Refuses what no client should have sent.
    fn complain(&mut self, said: Said, why: impl Into<String>) -> Said {
        self.complaints.push(why.into());
        said
    }

    /// Takes records, every one with an `EventUid`.
    fn take(&mut self, records: Vec<Value>) {
        for record in records {
            match record["EventUid"].as_str() {
                Some(uid) => _ = self.accepted.insert(uid.to_owned(), record),
                None => self.complaints.push(format!("no EventUid: {record}")),
            }
        }
    }
}

/// What a receiver says that misbehaves, where its protocol says nothing else.
fn misbehaviour(behaviour: Behaviour, size: usize) -> Option<Said> {
    match behaviour {
        Behaviour::Refuse => Some(Said::new(403, r#"{"error":{"code":"OperationFailed"}}"#)),
        Behaviour::Busy => {
            let mut said = Said::new(429, r#"{"error":{"code":"TooManyRequests"}}"#);
            said.headers.push(("retry-after", "1".to_owned()));
            Some(said)
        }
        Behaviour::Fail => Some(Said::new(500, "")),
        Behaviour::Small(limit) if size > limit => Some(too_large()),
        Behaviour::Small(_) | Behaviour::Well | Behaviour::Hang | Behaviour::Drop => None,
    }
}

fn too_large() -> Said {
    let text = "Maximum allowed content length: 1048576 bytes (1 MB). Provided content length exceeds it.";
    Said::new(413, format!(r#"{{"error":{{"code":"ContentLengthLimitExceeded","message":"{text}"}}}}"#))
}

/// The records of a JSON array.
fn array(body: &[u8]) -> Result<Vec<Value>, String> {
    let records: Vec<Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match records.iter().find(|record| !record.is_object()) {
        Some(odd) => Err(format!("not an object: {odd}")),
        None if records.is_empty() => Err("no record".to_owned()),
        None => Ok(records),
    }
}

fn json(state: &mut State, seen: &Seen, behaviour: Behaviour) -> Said {
    if seen.path != JSON_PATH {
        return state.complain(Said::new(404, ""), format!("POST {}", seen.path));
    }
    if seen.header("authorization") != format!("Bearer {}", Kind::Json.secret()) {
        return state.complain(Said::new(401, ""), "the bearer token is wrong");
    }
    if let Some(said) = misbehaviour(behaviour, seen.body.len()) {
        return said;
    }
    match array(&seen.body) {
        Ok(records) if seen.header("content-type") == "application/json" => {
            state.take(records);
            Said::new(202, "{}")
        }
        problem => state.complain(Said::new(400, ""), format!("{problem:?}, {}", seen.header("content-type"))),
    }
}

/// A receiver on a loopback port; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    receiver: Receiver,
    task: Option<AbortOnDropHandle<()>>,
}

impl Server {
    /// Starts on a free port.
    pub(crate) async fn start(receiver: &Receiver) -> Self {
        let mut server =
            Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), receiver: receiver.clone(), task: None };
        server.come_back().await;
        server
    }

    /// Refuses connections and drops those that there are.
    pub(crate) fn go_away(&mut self) {
        self.task = None;
    }

    /// Listens on the port that it had.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let receiver = self.receiver.clone();
        self.task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let receiver = receiver.clone();
                connections.spawn(async move {
                    let serve = service_fn(move |request| serve(receiver.clone(), request));
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), serve).await;
                });
                while connections.try_join_next().is_some() {}
            }
        })));
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

async fn serve(receiver: Receiver, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (head, body) = request.into_parts();
    let sent = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: BTreeMap<String, String> =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let mut body = Vec::new();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(&*sent).read_to_end(&mut body).map_err(|_| Closed)?;
    } else {
        body = sent.to_vec();
    }
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
        sent: sent.len(),
    };
    let said = match receiver.answer(seen) {
        Answer::Said(said) => said,
        Answer::Close => return Err(Closed),
        Answer::Silence => std::future::pending().await,
    };
    let mut response = Response::builder().status(said.status);
    for (name, value) in &said.headers {
        response = response.header(*name, value);
    }
    let body = if said.status == 204 { Bytes::new() } else { Bytes::from(said.body) };
    Ok(response.body(Full::new(body)).unwrap())
}

/// So that a receiver's clock is the machine's.
fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}
