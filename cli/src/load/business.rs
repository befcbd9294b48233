//! What the EUCORA profile's rules should have counted, reckoned by the client on its own: from what it sent and what came back, with none of the
//! filter's code.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use rand::{Rng, RngExt as _};

use super::Planned;

/// The header that repetitions have in common.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

const RISK_LEVELS: [&str; 4] = ["low", "medium", "high", "critical"];
const OPERATIONS: [&str; 7] = ["deploy", "update", "remove", "rollback", "sync", "scan", "health"];
const CONNECTORS: [&str; 5] = ["intune", "jamf", "sccm", "landscape", "ansible"];

/// What a request is about, beyond a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Business<'a> {
    /// A decision of the change advisory board.
    Decision(&'static str),
    /// An operation of a connector, where the path says which.
    Operation(&'a str, Option<&'static str>),
}

impl<'a> Business<'a> {
    fn of(method: &Method, target: &'a str) -> Option<Self> {
        if method != Method::POST {
            return None;
        }
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let path = path.strip_prefix("/api/v1/")?;
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match segments.as_slice() {
            ["approvals" | "cab" | "deployments", _, "approve"] => Some(Self::Decision("approved")),
            ["approvals" | "cab" | "deployments", _, "reject"] => Some(Self::Decision("rejected")),
            ["connectors", connector, "deploy"] => Some(Self::Operation(connector, Some("deploy"))),
            ["connectors", connector, "operations", _, "cancel"] => Some(Self::Operation(connector, Some("cancel"))),
            ["connectors", connector, "operations"] => Some(Self::Operation(connector, None)),
            _ => None,
        }
    }
}

/// Whether a rule of the profile is about a request.
pub(super) fn is_one(planned: &Planned) -> bool {
    Business::of(&planned.method, &planned.target).is_some()
}

/// The body of such a request, and now and then a key by which a repetition would be known.
pub(super) fn dress(planned: &mut Planned, number: u64, rng: &mut impl Rng) {
    let Some(business) = Business::of(&planned.method, &planned.target) else { return };
    let mut body = serde_json::json!({
        "deployment_id": format!("dep-{}", rng.random_range(1..500)),
        "risk_score": f64::from(rng.random_range(0..1000)) / 10.0,
    });
    let mut put = |name: &str, value: &str| {
        if let Some(object) = body.as_object_mut() {
            object.insert(name.to_owned(), value.into());
        }
    };
    match business {
        Business::Decision(decision) => {
            put("decision", decision);
            put("approved_by", ["ana", "bo", "cem"].get(rng.random_range(0..3)).unwrap_or(&"ana"));
            put("requested_by", ["ana", "dee", "eli"].get(rng.random_range(0..3)).unwrap_or(&"dee"));
            // Sometimes only the answer says it, and sometimes the word is none that counts.
            match rng.random_range(0..10) {
                0 => {}
                1 => put("risk_level", "extreme"),
                place => put("risk_level", RISK_LEVELS.get(place % 4).unwrap_or(&"low")),
            }
        }
        Business::Operation(..) => {
            put("operation", OPERATIONS.get(rng.random_range(0..OPERATIONS.len() + 1)).unwrap_or(&"dance"));
        }
    }
    planned.body = Bytes::from(body.to_string());
    planned.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if rng.random_bool(0.7)
        && let Ok(key) = HeaderValue::try_from(format!("key-{number}-{:08x}", rng.random::<u32>()))
    {
        planned.headers.insert(IDEMPOTENCY_KEY, key);
    }
}

/// A series: the metric's name after the namespace, and its labels' values in the order of the labels' names.
pub type Series = (&'static str, Vec<String>);

/// What the rules should have counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BusinessLedger {
    /// What counts each time.
    each: BTreeMap<Series, u64>,
    /// What counts once for each path and key.
    once: BTreeMap<Series, BTreeSet<(String, String)>>,
    /// Tries that came after another one had counted, as far as one ledger knows.
    pub repetitions: u64,
}

impl BusinessLedger {
    /// Takes an answer.
    pub(super) fn answer(&mut self, planned: &Planned, status: u16, headers: &HeaderMap) {
        let Some(business) = Business::of(&planned.method, &planned.target) else { return };
        let body: serde_json::Value = serde_json::from_slice(&planned.body).unwrap_or_default();
        let in_body = |name: &str| body.get(name).and_then(serde_json::Value::as_str);
        let in_answer = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_done = (200..300).contains(&status) && status != 202;
        let series = match business {
            Business::Decision(decision) => {
                if !is_done {
                    return;
                }
                let known = |text: &&str| RISK_LEVELS.contains(text);
                let risk = in_body("risk_level").filter(known).or_else(|| in_answer("x-risk-level").filter(known));
                ("cab_approvals_total", vec![decision.to_owned(), risk.unwrap_or("unknown").to_owned()])
            }
            Business::Operation(connector, operation) => {
                if !is_done && !(400..600).contains(&status) {
                    return;
                }
                let connector = if CONNECTORS.contains(&connector) { connector } else { "other" };
                let named = in_body("operation").filter(|name| OPERATIONS.contains(name));
                let operation = operation.or(named).unwrap_or("other");
                let known = |text: &&str| ["success", "failed", "skipped", "timeout"].contains(text);
                let outcome = in_answer("x-operation-status").filter(known).unwrap_or(match status {
                    408 | 504 => "timeout",
                    200..=299 => "success",
                    _ => "failed",
                });
                ("connector_operations_total", [connector, operation, outcome].map(str::to_owned).to_vec())
            }
        };
        let key = planned.headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
        match key.filter(|_| is_done) {
            Some(key) => {
                let keys = self.once.entry(series).or_default();
                self.repetitions += u64::from(!keys.insert((planned.target.clone(), key.to_owned())));
            }
            None => *self.each.entry(series).or_default() += 1,
        }
    }

    /// Adds another ledger.
    pub(super) fn merge(&mut self, other: Self) {
        for (series, count) in other.each {
            *self.each.entry(series).or_default() += count;
        }
        for (series, keys) in other.once {
            let known = self.once.entry(series).or_default();
            for key in keys {
                self.repetitions += u64::from(!known.insert(key));
            }
        }
        self.repetitions += other.repetitions;
    }

    /// How often each series should have been counted.
    pub fn counts(&self) -> BTreeMap<Series, u64> {
        let mut counts = self.each.clone();
        for (series, keys) in &self.once {
            *counts.entry(series.clone()).or_default() += keys.len() as u64;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Mix, MixOptions};

    fn planned(target: &str, body: &str, key: Option<&'static str>) -> Planned {
        let mut planned = Mix::new(&MixOptions {
            shares: crate::load::Shares { unknown_path: 1.0, ..crate::load::Shares::default() },
            ..MixOptions::default()
        })
        .unwrap()
        .request(0);
        planned.method = Method::POST;
        planned.target = target.to_owned();
        planned.body = Bytes::from(body.to_owned());
        if let Some(key) = key {
            planned.headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(key));
        }
        planned
    }

    fn answer(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        headers.iter().map(line).collect()
    }

    #[test]
    fn a_decision_counts_once_and_acceptance_is_none() {
        let mut ledger = BusinessLedger::default();
        let high = planned("/api/v1/cab/7/approve/", r#"{"risk_level": "high"}"#, Some("k"));
        ledger.answer(&high, 500, &answer(&[]));
        ledger.answer(&high, 202, &answer(&[]));
        ledger.answer(&high, 200, &answer(&[]));
        let mut other = BusinessLedger::default();
        other.answer(&high, 201, &answer(&[]));
        other.answer(
            &planned("/api/v1/deployments/7/reject/", "no JSON", None),
            200,
            &answer(&[("x-risk-level", "low")]),
        );
        other.answer(&planned("/api/v1/deployments/7/reject/", "{}", None), 200, &answer(&[]));
        ledger.merge(other);
        let series = |decision: &str, risk: &str| ("cab_approvals_total", vec![decision.to_owned(), risk.to_owned()]);
        assert_eq!(
            ledger.counts().into_iter().collect::<Vec<_>>(),
            [(series("approved", "high"), 1), (series("rejected", "low"), 1), (series("rejected", "unknown"), 1),]
        );
        assert_eq!(ledger.repetitions, 1);
    }

    #[test]
    fn operations_that_failed_count_each_time() {
        let mut ledger = BusinessLedger::default();
        let sync = planned("/api/v1/connectors/jamf/operations/", r#"{"operation": "sync"}"#, Some("k"));
        for (status, headers) in
            [(504, &[][..]), (503, &[]), (503, &[]), (202, &[]), (201, &[("x-operation-status", "skipped")])]
        {
            ledger.answer(&sync, status, &answer(headers));
        }
        let counts = ledger.counts();
        let of = |outcome: &str| {
            counts.get(&("connector_operations_total", vec!["jamf".to_owned(), "sync".to_owned(), outcome.to_owned()]))
        };
        assert_eq!((of("timeout"), of("failed"), of("skipped"), of("success")), (Some(&1), Some(&2), Some(&1), None));
    }

    #[test]
    fn other_requests_are_not_about_business() {
        for target in
            ["/api/v1/cab/submit/", "/api/v1/cab/exceptions/", "/api/v1/connectors/", "/", "/api/v1/cab/1/approve/x"]
        {
            assert!(!is_one(&planned(target, "", None)), "{target}");
        }
    }
}
