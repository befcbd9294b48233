//! The format of `tests/corpus/*.json`.
//!
//! A file has a `base` configuration and `cases`; a case's `config` is merged over the base. A string stands for bytes, one
//! for each character up to U+00FF; `{"repeat": "a", "times": 65536}` stands for a long one. An expected header is its only
//! value, `null` for absence, or `{"form": "uuidv7" | "uuidv4" | "traceparent"}`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::values;
use crate::correlation::is_uuid;

/// Runs streams and tells what became of them.
pub(crate) trait Driver {
    /// One stream, from its first callback to its last.
    fn request(&mut self, step: &Step) -> Observed;
    /// All counters by stat name, after everything was handed over.
    fn counters(&mut self) -> BTreeMap<String, u64>;
}

/// Header lines in order.
pub(crate) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// What became of a stream.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// What the upstream was sent.
    pub(crate) upstream: Headers,
    /// What the client was answered.
    pub(crate) response: Headers,
    /// Filter state, without the namespace.
    pub(crate) state: BTreeMap<String, Vec<u8>>,
}

/// A case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The claim.
    pub(crate) name: String,
    /// The plugin configuration.
    #[serde(default)]
    pub(crate) config: Value,
    /// Streams, one after the other.
    pub(crate) requests: Vec<Step>,
    /// Counters that must have these values at the end.
    #[serde(default)]
    pub(crate) counters: BTreeMap<String, Vec<Series>>,
}

/// One series of a counter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Series {
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its value.
    pub(crate) value: u64,
}

/// One stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The request's head; without any header where the proxy could not read one.
    pub(crate) request: Head,
    /// The answer.
    #[serde(default)]
    pub(crate) response: Option<Answer>,
    /// The client leaves before an answer.
    #[serde(default)]
    pub(crate) abort: bool,
    /// The proxy answers before the filter sees the request: `on_log` is the only callback.
    #[serde(default)]
    pub(crate) log_only: bool,
    /// The sender's address.
    #[serde(default)]
    pub(crate) source: Option<String>,
    /// From the request's headers to the end.
    #[serde(default)]
    pub(crate) duration_us: u64,
    /// What must become of it.
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// A request's head.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// Header lines, pseudo-headers first.
    pub(crate) headers: Vec<(Text, Text)>,
}

/// An answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// Its code.
    pub(crate) status: u16,
    /// Its other header lines.
    #[serde(default)]
    pub(crate) headers: Vec<(Text, Text)>,
    /// Its trailers.
    #[serde(default)]
    pub(crate) trailers: Vec<(Text, Text)>,
}

/// Bytes, as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    /// As written.
    Plain(String),
    /// A long one.
    Repeat {
        /// What stands before.
        #[serde(default)]
        prefix: String,
        /// What is repeated.
        repeat: String,
        /// How often.
        times: usize,
    },
}

impl Text {
    /// The bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let text = match self {
            Self::Plain(text) => text.clone(),
            Self::Repeat { prefix, repeat, times } => format!("{prefix}{}", repeat.repeat(*times)),
        };
        text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or_else(|_| panic!("{c:?} is no byte"))).collect()
    }

    /// Header lines as bytes.
    pub(crate) fn headers(lines: &[(Self, Self)]) -> Headers {
        lines.iter().map(|(name, value)| (name.bytes(), value.bytes())).collect()
    }
}

/// What must become of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(default)]
    upstream: BTreeMap<String, Value>,
    #[serde(default)]
    response: BTreeMap<String, Value>,
    #[serde(default)]
    state: BTreeMap<String, Value>,
}

impl Expect {
    /// What is not as it must be.
    pub(crate) fn check(&self, observed: &Observed) -> Vec<String> {
        let mut failures = Vec::new();
        for (side, expected, headers) in
            [("upstream", &self.upstream, &observed.upstream), ("response", &self.response, &observed.response)]
        {
            for (name, expected) in expected {
                let found = values(headers, name);
                let ok = match found.as_slice() {
                    [] => expected.is_null(),
                    [one] => matches(expected, one),
                    _ => false,
                };
                if !ok {
                    let found: Vec<_> = found.iter().map(|v| Observed::text(v)).collect();
                    failures.push(format!("{side} header {name}: {found:?} found, {expected} expected"));
                }
            }
        }
        for (key, expected) in &self.state {
            let found = observed.state.get(key);
            if !found.map_or(expected.is_null(), |found| matches(expected, found)) {
                let found = found.map(|v| Observed::text(v));
                failures.push(format!("filter state {key}: {found:?} found, {expected} expected"));
            }
        }
        // One ID everywhere.
        let ids: Vec<_> =
            [values(&observed.upstream, "x-correlation-id"), values(&observed.response, "x-correlation-id")]
                .into_iter()
                .flatten()
                .chain(observed.state.get("correlation_id").map(Vec::as_slice))
                .collect();
        if ids.windows(2).any(|pair| pair[0] != pair[1]) {
            failures.push(format!("the ID differs: {:?}", ids.iter().map(|id| Observed::text(id)).collect::<Vec<_>>()));
        }
        failures
    }
}

fn matches(expected: &Value, found: &[u8]) -> bool {
    let text = Observed::text(found);
    match expected {
        Value::String(exact) => *exact == text,
        Value::Object(form) => match form.get("form").and_then(Value::as_str) {
            Some("uuidv7") => is_uuid(&text, '7'),
            Some("uuidv4") => is_uuid(&text, '4'),
            Some("traceparent") => {
                let parts: Vec<_> = text.split('-').collect();
                let hex = |part: &str, length| {
                    part.len() == length
                        && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                        && part.bytes().any(|b| b != b'0')
                };
                matches!(parts.as_slice(), ["00", trace, parent, "00"] if hex(trace, 32) && hex(parent, 16))
            }
            other => panic!("unknown form {other:?}"),
        },
        other => panic!("{other} is no expectation"),
    }
}

/// Every case of every file, its configuration merged over the file's base.
pub(crate) fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(rename = "about")]
        _about: String,
        base: Value,
        cases: Vec<Case>,
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "json"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for mut case in file.cases {
            let mut config = file.base.clone();
            merge(&mut config, std::mem::take(&mut case.config));
            case.config = config;
            all.push(case);
        }
    }
    all
}

fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over,
    }
}
