//! Events for a SIEM, by the sender and in the forms of the crate `siem`: those of the filter itself.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siem::event::{Class, Event, Severity, Text};
use siem::sender::{Answer, Call, Sender, Settled};
use siem::settings::Secret;
use telemetry::config::Config;
use ureq::Agent;
use ureq::http::{Request, Uri};

use super::AnnounceError;
use super::http::{agent, call};
use super::notice::{Kind, Notice, Whose};
use super::queue::Queue;
use crate::journal::entry::Outcome;
use crate::plan::SiemPlan;

/// How often the sender is asked for calls while events wait.
const TICK: Duration = Duration::from_millis(100);

/// The thread for a SIEM.
pub(super) struct Worker {
    agent: Agent,
    /// Without a slash at its end.
    url: String,
    /// The sink's cluster: calls to it go to `url`.
    cluster: String,
    sender: Sender,
    whose: Whose,
    random: RandomState,
    drawn: u64,
    /// How often a call came to nothing, by why: the sender's reasons do not say what a receiver answered.
    answers: BTreeMap<String, u64>,
}

impl Worker {
    pub(super) fn new(
        plan: &SiemPlan,
        whose: Whose,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, AnnounceError> {
        let config =
            Config::from_value(json!({"events": {"device": whose.name, "sinks": [sink(plan)]}})).map_err(|errors| {
                AnnounceError::Sink(errors.to_string().replace("events.sinks[0]", "announce.siem.sink"))
            })?;
        let Some(sink) = config.events().sinks().first() else {
            return Err(AnnounceError::Sink("announce.siem.sink: is no sink".to_owned()));
        };
        let secret = match sink.secret_env() {
            Some(name) => variable(name).ok_or_else(|| AnnounceError::NoSecret {
                field: "announce.siem.sink.secret_env",
                variable: name.to_owned(),
            })?,
            None => String::new(),
        };
        let cluster = sink.settings().cluster.clone();
        let sender = Sender::new(sink.settings().clone(), sink.limits().clone(), Secret::new(secret))
            .map_err(|error| AnnounceError::Sink(format!("announce.siem.sink.{error}")))?;
        let url = plan.url.trim_end_matches('/').to_owned();
        let (random, answers) = (RandomState::new(), BTreeMap::new());
        Ok(Self { agent: agent(), url, cluster, sender, whose, random, drawn: 0, answers })
    }

    pub(super) fn run(mut self, queue: &Queue<Notice>) {
        loop {
            let waits = self.sender.counts().queued > 0;
            let next = queue.take(waits.then(|| Instant::now() + TICK));
            if let Some(notice) = next {
                if let Kind::Started { rollout, .. } = &notice.kind {
                    self.whose.rollout.clone_from(rollout);
                }
                // One without room is not settled: it is here.
                if self.sender.push(event(&notice, &self.whose), now_ns()).is_err() {
                    queue.failed(1, "more waited than there is room for");
                }
            } else if queue.is_ending() && self.sender.counts().queued == 0 {
                return;
            }
            self.send(queue);
            self.settle(queue);
            if queue.is_ending() && self.sender.counts().queued > 0 && !queue.rest(TICK) {
                self.sender.abandon();
                self.settle(queue);
                return;
            }
        }
    }

    /// Makes the calls that are due.
    fn send(&mut self, queue: &Queue<Notice>) {
        loop {
            let (random, drawn) = (&self.random, &mut self.drawn);
            let mut draw = || {
                *drawn += 1;
                random.hash_one(*drawn)
            };
            let Some(due) = self.sender.poll(now_ns(), &mut draw) else { return };
            let timeout = queue.at_most(Duration::from_millis(due.timeout_ms.into()));
            let reply = self.request(&due).and_then(|request| call(&self.agent, request, &due.body, timeout));
            match &reply {
                Ok(reply) => {
                    if !(200..=299).contains(&reply.status) {
                        self.note(&format!("it answered {}", reply.status));
                    }
                    let header = |name: &str| reply.headers.get(name).map(|value| value.as_bytes().to_vec());
                    let answer = Answer { status: Some(reply.status), header: &header, body: &reply.body };
                    self.sender.answer(due.id, now_ns(), &answer);
                }
                Err(why) => {
                    self.note(why);
                    self.sender.not_sent(due.id, now_ns());
                }
            }
            if queue.is_ending() && !queue.rest(Duration::ZERO) {
                return;
            }
        }
    }

    /// The sink's own cluster is at the plan's URL; another one, a token's, is found by its authority.
    fn request(&self, due: &Call) -> Result<ureq::http::request::Builder, String> {
        let mut request = Request::builder();
        let (mut method, mut path, mut authority) = (&b"POST"[..], &b"/"[..], &b""[..]);
        for (name, value) in &due.headers {
            match name.as_ref() {
                ":method" => method = value,
                ":path" => path = value,
                ":authority" => authority = value,
                name => request = request.header(name, value.as_slice()),
            }
        }
        let path = String::from_utf8_lossy(path);
        let authority = String::from_utf8_lossy(authority).into_owned();
        let uri = if due.cluster == self.cluster {
            request = request.header("host", &authority);
            format!("{}{path}", self.url)
        } else {
            format!("https://{authority}{path}")
        };
        let method = ureq::http::Method::from_bytes(method).map_err(|error| error.to_string())?;
        let uri: Uri = uri.parse().map_err(|error: ureq::http::uri::InvalidUri| error.to_string())?;
        Ok(request.method(method).uri(uri))
    }

    fn note(&mut self, why: &str) {
        // What repeats is what people want to know; a few others are enough.
        if self.answers.len() < 8 || self.answers.contains_key(why) {
            *self.answers.entry(why.to_owned()).or_insert(0) += 1;
        }
    }

    fn settle(&mut self, queue: &Queue<Notice>) {
        while let Some(settled) = self.sender.next_settled() {
            match settled {
                Settled::Delivered { .. } => queue.delivered(1),
                Settled::Logged { reason, .. } => {
                    let most = self.answers.iter().max_by_key(|(_, count)| **count);
                    let why = most.map(|(why, _)| format!("; {why}")).unwrap_or_default();
                    queue.failed(1, &format!("{}{why}", reason.as_str()));
                }
            }
        }
    }
}

/// The sink with what the plan's URL says in place of a cluster.
fn sink(plan: &SiemPlan) -> Value {
    let mut sink = plan.sink.clone();
    let authority = plan.url.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    if let Some(fields) = sink.as_object_mut() {
        for (field, value) in [("name", "siem"), ("cluster", "siem"), ("authority", &authority.unwrap_or_default())] {
            fields.entry(field).or_insert_with(|| value.into());
        }
    }
    sink
}

/// Nanoseconds since 1970.
fn now_ns() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}

fn event(notice: &Notice, whose: &Whose) -> Event {
    let (class, severity) = match notice.kind {
        Kind::Approved => (Class::Decision, Severity::Informational),
        Kind::RollingBack => (Class::PrivilegedOperation, Severity::High),
        Kind::Finished(Outcome::RolledBack | Outcome::Refused) => (Class::PrivilegedOperation, Severity::Medium),
        Kind::Started { .. } | Kind::RingStarted | Kind::Waiting => (Class::PrivilegedOperation, Severity::Low),
        _ => (Class::PrivilegedOperation, Severity::Informational),
    };
    let time_ns = u64::try_from(notice.at.as_nanosecond()).unwrap_or_default();
    let mut event = Event::new(notice.uid(&whose.rollout), notice.kind.event(), class, time_ns);
    event.severity = severity;
    event.correlation_id = Some(Text::new(&whose.rollout));
    event.ring = notice.ring.as_ref().map(Text::new);
    if notice.kind == Kind::Approved {
        event.decision = Some(Text::new("APPROVED"));
        event.approved_by = Some(Text::new(&notice.who));
    }
    let mut add = |name: &str, value: &str| event.extra.add(Text::new(name), Text::new(value));
    add("Rollout", &whose.name);
    add("Operator", &notice.who);
    add("Detail", &notice.text);
    match &notice.kind {
        Kind::Started { module_sha256, .. } => _ = add("ModuleSha256", module_sha256),
        Kind::Finished(_) => _ = add("Outcome", notice.kind.outcome()),
        _ => {}
    }
    event
}
