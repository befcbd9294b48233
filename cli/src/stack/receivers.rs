//! Stands in for PagerDuty, Opsgenie and a heartbeat monitor on loopback: takes what Alertmanager sends and says what is wrong with it.
//!
//! One server, a path for each:
//!
//! | path | stands in for | receiver of `prometheus/alertmanager.yml` |
//! |---|---|---|
//! | `/v2/enqueue` | PagerDuty, Events API v2 | `oncall-pagerduty` |
//! | `/jsm/ops/integration/v2/alerts…` | Jira Service Management Operations | `oncall-opsgenie` |
//! | `/v2/alerts…` | Opsgenie, Alert API | `oncall-opsgenie` |
//! | `/tickets/v2/alerts…` | either, for tickets | `tickets` |
//! | `/heartbeat` | a monitor that calls when nothing comes | `heartbeat` |
//!
//! `GET /` lists what came. Each checks credentials and formats as its vendor does, and answers in the vendor's words.

mod heartbeat;
mod opsgenie;
mod pagerduty;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::accept;

pub use heartbeat::TOKEN as HEARTBEAT_TOKEN;
pub use opsgenie::KEY as OPSGENIE_KEY;
pub use pagerduty::KEY as PAGERDUTY_KEY;

/// What is kept of deliveries, in bytes of their bodies; the oldest go first.
const KEPT_BYTES: usize = 64 << 20;
/// And so many of them.
const KEPT: usize = 10_000;
/// More than any vendor takes; what is longer is cut off by closing the connection.
const LONGEST_BODY: usize = 8 << 20;

/// One of the receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Receiver {
    /// PagerDuty.
    PagerDuty,
    /// Opsgenie, or Jira Service Management, for pages.
    Opsgenie,
    /// The same for tickets.
    Tickets,
    /// The heartbeat monitor.
    Heartbeat,
}

impl Receiver {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PagerDuty, Self::Opsgenie, Self::Tickets, Self::Heartbeat];

    /// Its name in `prometheus/alertmanager.yml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PagerDuty => "oncall-pagerduty",
            Self::Opsgenie => "oncall-opsgenie",
            Self::Tickets => "tickets",
            Self::Heartbeat => "heartbeat",
        }
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a delivery asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Opens something, or adds to what is open.
    Trigger,
    /// Closes it.
    Resolve,
    /// Anything else, such as a new text for what is open.
    Update,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trigger => "trigger",
            Self::Resolve => "resolve",
            Self::Update => "update",
        })
    }
}

/// How a receiver treats calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// It takes those that are well formed.
    #[default]
    Well,
    /// 429 to all.
    Busy,
    /// 500 to all.
    Fail,
    /// It never answers.
    Hang,
}

/// One call that came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Counts all deliveries from 1, so that a reader can ask for those after one.
    pub number: u64,
    /// Who got it.
    pub receiver: Receiver,
    /// The names of the alerts in it; those of the trigger with the same key where it says none.
    pub alerts: Vec<String>,
    /// What it asks for.
    pub action: Action,
    /// The deduplication key, or alias: the same for trigger and resolve. Empty for a heartbeat.
    pub key: String,
    /// PagerDuty's severity or Opsgenie's priority; empty where it says none.
    pub severity: String,
    /// Its one line of text; empty where it has none.
    pub summary: String,
    /// Custom details of PagerDuty, details of Opsgenie, common labels of a heartbeat.
    pub details: BTreeMap<String, String>,
    /// When it came.
    pub at: SystemTime,
    /// The status of the answer; none while there is none.
    pub status: Option<u16>,
    /// What is wrong with it. Misbehaviour that was asked for is not.
    pub complaint: Option<String>,
    /// As it came.
    pub body: Bytes,
}

impl Delivery {
    /// Whether the receiver took it.
    pub fn accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether it is about an alert of this name.
    pub fn is_about(&self, alert: &str) -> bool {
        self.alerts.iter().any(|name| name == alert)
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}  {:16}  {:7}  {:8}  ", self.number, self.receiver, self.action, self.severity)?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("---")?,
        }
        write!(f, "  {}", self.alerts.join(", "))?;
        match &self.complaint {
            Some(complaint) => write!(f, "  ({complaint})"),
            None => Ok(()),
        }
    }
}

/// The receivers, on a port of loopback; they end when dropped.
#[derive(Debug)]
pub struct Receivers {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<Infallible>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The number of the last delivery whose answer is known.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    behaviours: HashMap<Receiver, (Behaviour, Option<u32>)>,
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    last: u64,
    /// The alerts' names by receiver and key, for what closes them; the oldest go first.
    names: HashMap<(Receiver, String), Vec<String>>,
    named: VecDeque<(Receiver, String)>,
}

impl Receivers {
    /// Starts them; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(listen: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("the receivers cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: watch::Sender::new(0) });
        let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, Arc::clone(&shared))));
        Ok(Self { address, shared, _serving: serving })
    }

    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came, in its order. The oldest are forgotten after 10,000, or 64 MiB of bodies.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.state().deliveries.iter().cloned().collect()
    }

    /// What should not have been sent.
    pub fn complaints(&self) -> Vec<String> {
        let complaint =
            |delivery: &Delivery| delivery.complaint.as_ref().map(|text| format!("{}: {text}", delivery.receiver));
        self.shared.state().deliveries.iter().filter_map(complaint).collect()
    }

    /// The first delivery for which `wanted` holds, that is there or comes within `timeout`. It is shown each with its answer's status.
    pub async fn wait_for(&self, wanted: impl Fn(&Delivery) -> bool, timeout: Duration) -> Option<Delivery> {
        let mut changed = self.shared.changed.subscribe();
        let search = async {
            loop {
                let found = self.shared.state().deliveries.iter().find(|delivery| wanted(delivery)).cloned();
                if found.is_some() || changed.changed().await.is_err() {
                    return found;
                }
            }
        };
        tokio::time::timeout(timeout, search).await.ok().flatten()
    }

    /// From now on.
    pub fn behave(&self, receiver: Receiver, behaviour: Behaviour) {
        self.shared.state().behaviours.insert(receiver, (behaviour, None));
    }

    /// For the next `times` calls, and well after them.
    pub fn misbehave(&self, receiver: Receiver, behaviour: Behaviour, times: u32) {
        self.shared.state().behaviours.insert(receiver, (behaviour, Some(times)));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How to treat this call.
    fn behaviour(&mut self, receiver: Receiver) -> Behaviour {
        match self.behaviours.get_mut(&receiver) {
            None | Some((_, Some(0))) => Behaviour::Well,
            Some((behaviour, Some(times))) => {
                *times -= 1;
                *behaviour
            }
            Some((behaviour, None)) => *behaviour,
        }
    }

    /// Writes down a call and the answer that it gets.
    fn record(&mut self, call: Call, mut read: Reading, status: Option<u16>) {
        let named = (call.receiver, read.key.clone());
        if read.alerts.is_empty() {
            read.alerts = self.names.get(&named).cloned().unwrap_or_default();
        } else if !read.key.is_empty() && self.names.insert(named.clone(), read.alerts.clone()).is_none() {
            self.named.push_back(named);
            if self.named.len() > KEPT
                && let Some(oldest) = self.named.pop_front()
            {
                self.names.remove(&oldest);
            }
        }
        self.last += 1;
        self.bytes += call.body.len();
        self.deliveries.push_back(Delivery {
            number: self.last,
            receiver: call.receiver,
            alerts: read.alerts,
            action: read.action,
            key: read.key,
            severity: read.severity,
            summary: read.summary,
            details: read.details,
            at: SystemTime::now(),
            status,
            complaint: read.complaint,
            body: call.body,
        });
        while self.deliveries.len() > KEPT || (self.bytes > KEPT_BYTES && self.deliveries.len() > 1) {
            self.bytes -= self.deliveries.pop_front().map_or(0, |oldest| oldest.body.len());
        }
    }
}

/// A call to one of the receivers.
#[derive(Debug)]
struct Call {
    receiver: Receiver,
    method: http::Method,
    /// What comes after the receiver's own prefix.
    path: String,
    query: String,
    /// Whether it came by the successor's address.
    successor: bool,
    authorization: String,
    content_type: String,
    body: Bytes,
}

/// What a receiver read in a call.
#[derive(Debug)]
struct Reading {
    action: Action,
    alerts: Vec<String>,
    key: String,
    severity: String,
    summary: String,
    details: BTreeMap<String, String>,
    complaint: Option<String>,
}

impl Reading {
    fn new(action: Action) -> Self {
        Self {
            action,
            alerts: Vec::new(),
            key: String::new(),
            severity: String::new(),
            summary: String::new(),
            details: BTreeMap::new(),
            complaint: None,
        }
    }
}

/// A status and a body of JSON.
type Said = (StatusCode, Value);

impl Call {
    /// The call of a request; none for a path of no receiver.
    fn new(head: &http::request::Parts, body: Bytes) -> Option<Self> {
        let path = head.uri.path();
        let (receiver, rest, successor) = if let Some(rest) = path.strip_prefix("/tickets") {
            (Receiver::Tickets, rest, false)
        } else if let Some(rest) = path.strip_prefix("/jsm/ops/integration") {
            (Receiver::Opsgenie, rest, true)
        } else if path == pagerduty::PATH {
            (Receiver::PagerDuty, path, false)
        } else if path.starts_with(opsgenie::PATH) {
            (Receiver::Opsgenie, path, false)
        } else if path == heartbeat::PATH {
            (Receiver::Heartbeat, path, false)
        } else {
            return None;
        };
        let text = |name| {
            head.headers.get(name).map_or(String::new(), |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Some(Self {
            receiver,
            method: head.method.clone(),
            path: rest.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            successor,
            authorization: text(header::AUTHORIZATION),
            content_type: text(header::CONTENT_TYPE),
            body,
        })
    }

    /// The receiver's judgement.
    fn judge(&self) -> (Reading, Said) {
        match self.receiver {
            Receiver::PagerDuty => pagerduty::judge(self),
            Receiver::Opsgenie | Receiver::Tickets => opsgenie::judge(self),
            Receiver::Heartbeat => heartbeat::judge(self),
        }
    }

    /// What the vendor says when it is `behaviour`; none for a call that it judges.
    fn misbehaviour(&self, behaviour: Behaviour) -> Option<Said> {
        let (status, text) = match behaviour {
            Behaviour::Well | Behaviour::Hang => return None,
            Behaviour::Busy => (StatusCode::TOO_MANY_REQUESTS, "You are making too many requests!"),
            Behaviour::Fail => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
        };
        let said = match self.receiver {
            Receiver::PagerDuty => serde_json::json!({ "status": "error", "message": text, "errors": [text] }),
            Receiver::Opsgenie | Receiver::Tickets | Receiver::Heartbeat => serde_json::json!({ "message": text }),
        };
        Some((status, said))
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) -> Infallible {
    accept::connections(listener, |stream| {
        let shared = Arc::clone(&shared);
        async move {
            let service = service_fn(move |request| respond(Arc::clone(&shared), request));
            // A connection that ends early is Alertmanager's business.
            drop(auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
        }
    })
    .await
}

async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    let Some(call) = Call::new(&head, body) else {
        return Ok(match (&head.method, head.uri.path()) {
            (&http::Method::GET, "/") => Response::new(Full::new(list(&shared.state()).into())),
            _ => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default())?,
        });
    };
    let (reading, judged) = call.judge();
    let behaviour = shared.state().behaviour(call.receiver);
    let said = if behaviour == Behaviour::Hang { None } else { Some(call.misbehaviour(behaviour).unwrap_or(judged)) };
    shared.state().record(call, reading, said.as_ref().map(|(status, _)| status.as_u16()));
    shared.changed.send_modify(|changes| *changes += 1);
    let Some((status, said)) = said else { return std::future::pending().await };
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    Ok(response.body(Full::new(said.to_string().into()))?)
}

/// A line for each delivery.
fn list(state: &State) -> String {
    let mut text = match state.deliveries.len() {
        0 => "nothing was sent yet\n".to_owned(),
        _ => format!("{:>5}  {:16}  {:7}  {:8}  answer  alerts\n", "", "receiver", "action", "severity"),
    };
    for delivery in &state.deliveries {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{delivery}");
    }
    text
}

/// The text of a field; empty when it is none.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A map of texts; what is no text is shown as JSON.
fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value
        .and_then(Value::as_object)
        .map(|fields| fields.iter().map(|(name, value)| (name.clone(), text(value))).collect())
        .unwrap_or_default()
}

/// The names in a list such as `A, B`.
fn names(list: &str) -> Vec<String> {
    list.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Complains when `text` has more than `limit` characters.
fn at_most(text: &str, limit: usize, field: &str, errors: &mut Vec<String>) {
    let length = text.chars().count();
    if length > limit {
        errors.push(format!("{field} has {length} characters, and at most {limit} are taken"));
    }
}
