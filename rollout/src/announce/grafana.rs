//! Annotations in Grafana: <https://grafana.com/docs/grafana/latest/developers/http_api/annotations/>.
//!
//! They belong to no dashboard, so that each that asks for the tag `rollout` shows them. What takes time is a region: it is begun by a `POST` and gets its
//! end by a `PATCH`, or is made whole at its end where the beginning did not get through or another process made it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

use super::AnnounceError;
use super::http::{agent, call};
use super::notice::{Kind, Notice, Whose};
use super::queue::Queue;
use crate::plan::GrafanaPlan;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause after a failure; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long an annotation is tried.
const PATIENCE: Duration = Duration::from_secs(600);
/// The most of a text, in characters.
const MAX_TEXT: usize = 1_000;
/// The longest tag that Grafana keeps, in characters.
const MAX_TAG: usize = 100;

/// What goes on and has no end yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Region {
    from_ms: i64,
    /// As Grafana has it, where it is known to have it.
    id: Option<u64>,
}

/// The thread for Grafana.
pub(super) struct Worker {
    agent: Agent,
    url: String,
    token: Option<String>,
    token_env: Option<String>,
    whose: Whose,
    /// By ring; the rollback's is under `None`.
    open: BTreeMap<Option<String>, Region>,
}

enum Failure {
    /// It may work later.
    Again(String),
    /// It will not.
    Never(String),
}

impl Worker {
    pub(super) fn new(
        plan: &GrafanaPlan,
        whose: Whose,
        past: &[Notice],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, AnnounceError> {
        let token = match &plan.token_env {
            Some(name) => Some(variable(name).ok_or_else(|| AnnounceError::NoSecret {
                field: "announce.grafana.token_env",
                variable: name.clone(),
            })?),
            None => None,
        };
        let (url, token_env) = (plan.url.clone(), plan.token_env.clone());
        let mut worker = Self { agent: agent(), url, token, token_env, whose, open: BTreeMap::new() };
        for notice in past {
            for key in worker.ends(notice) {
                worker.open.remove(&key);
            }
            if let Some(key) = begins(notice) {
                worker.open.insert(key, Region { from_ms: notice.at.as_millisecond(), id: None });
            }
        }
        Ok(worker)
    }

    pub(super) fn run(mut self, queue: &Queue<Notice>) {
        while let Some(notice) = queue.take(None) {
            if let Kind::Started { rollout, .. } = &notice.kind {
                self.whose.rollout.clone_from(rollout);
            }
            match self.announce(&notice, queue) {
                Ok(()) => queue.delivered(1),
                Err(why) => queue.failed(1, &why),
            }
        }
    }

    /// The regions that a notice ends.
    fn ends(&self, notice: &Notice) -> Vec<Option<String>> {
        match &notice.kind {
            Kind::RingPromoted => vec![notice.ring.clone()],
            Kind::RollingBack | Kind::Finished(_) => self.open.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    fn announce(&mut self, notice: &Notice, queue: &Queue<Notice>) -> Result<(), String> {
        let at = notice.at.as_millisecond();
        let mut result = Ok(());
        let mut ended_itself = false;
        for key in self.ends(notice) {
            let Some(region) = self.open.remove(&key) else { continue };
            ended_itself |= key.is_none() || key == notice.ring;
            let body = json!({
                "time": region.from_ms,
                // A region of no length would be a point, which has no end to be seen.
                "timeEnd": at.max(region.from_ms + 1),
                "tags": self.tags(key.as_deref(), notice.kind.outcome()),
                "text": text(notice),
            });
            result = result.and(self.end(region, &body, queue));
        }
        if let Some(key) = begins(notice) {
            // It is open even if Grafana does not hear of its beginning.
            self.open.insert(key.clone(), Region { from_ms: at, id: None });
            let id = self.post(&self.point(notice, at), queue).map(|id| {
                if let Some(region) = self.open.get_mut(&key) {
                    region.id = id;
                }
            });
            return result.and(id);
        }
        if ended_itself { result } else { result.and(self.post(&self.point(notice, at), queue).map(drop)) }
    }

    fn point(&self, notice: &Notice, at: i64) -> Value {
        json!({"time": at, "tags": self.tags(notice.ring.as_deref(), notice.kind.outcome()), "text": text(notice)})
    }

    fn tags(&self, ring: Option<&str>, outcome: &str) -> Vec<String> {
        let mut tags = vec!["rollout".to_owned(), "edge-observer".to_owned()];
        tags.push(self.whose.name.clone());
        tags.push(format!("rollout:{}", self.whose.rollout));
        tags.extend(ring.map(|ring| format!("ring:{ring}")));
        tags.push(outcome.to_owned());
        // A rollout that is named like a tag has it once.
        let mut seen = std::collections::BTreeSet::new();
        tags.into_iter()
            .map(|tag| tag.chars().take(MAX_TAG).collect::<String>())
            .filter(|tag| seen.insert(tag.clone()))
            .collect()
    }

    fn end(&self, region: Region, body: &Value, queue: &Queue<Notice>) -> Result<(), String> {
        if let Some(id) = region.id {
            let path = format!("/api/annotations/{id}");
            match self.retried(&Method::PATCH, &path, body, queue) {
                // Somebody took it away: it is made again.
                Err(why) if why.starts_with("it answered 404") => {}
                other => return other.map(drop),
            }
        }
        self.post(body, queue).map(drop)
    }

    /// Makes an annotation, and says its ID.
    fn post(&self, body: &Value, queue: &Queue<Notice>) -> Result<Option<u64>, String> {
        self.retried(&Method::POST, "/api/annotations", body, queue)
            .map(|reply| reply.get("id").and_then(Value::as_u64))
    }

    fn retried(&self, method: &Method, path: &str, body: &Value, queue: &Queue<Notice>) -> Result<Value, String> {
        let (began, mut pause) = (Instant::now(), PAUSE);
        loop {
            match self.call(method, path, body, queue.at_most(TIMEOUT)) {
                Ok(reply) => return Ok(reply),
                Err(Failure::Never(why)) => return Err(why),
                Err(Failure::Again(why)) => {
                    if began.elapsed() >= PATIENCE || !queue.rest(pause) {
                        return Err(why);
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn call(&self, method: &Method, path: &str, body: &Value, timeout: Duration) -> Result<Value, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let reply = call(&self.agent, request, body.to_string().as_bytes(), timeout).map_err(Failure::Again)?;
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = value.get("message").and_then(Value::as_str).map(|said| said.chars().take(200).collect::<String>());
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let why = format!("it answered {}{said}", reply.status);
        match reply.status {
            200..=299 => Ok(value),
            401 | 403 => Err(Failure::Never(match &self.token_env {
                Some(name) => format!(
                    "{why}; the token in `{name}` has to be one of a service account that may write annotations"
                ),
                None => format!("{why}; name a variable with a token in `announce.grafana.token_env`"),
            })),
            408 | 429 | 500..=599 => Err(Failure::Again(why)),
            _ => Err(Failure::Never(why)),
        }
    }
}

/// The region that a notice begins.
fn begins(notice: &Notice) -> Option<Option<String>> {
    match notice.kind {
        Kind::RingStarted => Some(notice.ring.clone()),
        Kind::RollingBack => Some(None),
        _ => None,
    }
}

/// Grafana shows texts as HTML.
fn text(notice: &Notice) -> String {
    let what = match notice.kind {
        Kind::Finished(_) => format!("rollout {}", notice.text),
        _ => notice.text.clone(),
    };
    let whole = format!("{what} ({})", notice.who);
    let cut: String = whole.chars().take(MAX_TEXT).collect();
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
