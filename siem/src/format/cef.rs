//! The Common Event Format, version 0 (ArcSight, "Implementing ArcSight Common Event Format (CEF)", version 25).
//!
//! `CEF:0|vendor|product|version|EventType|name|severity|extension`. In the header `|` and `\` are escaped, in the extension `=` and `\`, and line
//! breaks are `\n` and `\r`. Other control characters, and what some readers take for a line break, become a space: the format has no escape for
//! them. So no value can make a field, end the header or begin a line.
//!
//! | key | what |
//! |---|---|
//! | `rt`, `externalId`, `cnt`, `dvchost` | time in milliseconds, `EventUid`, count, device |
//! | `src`, or `c6a2` for IPv6 | source address; left out if it is none |
//! | `requestMethod`, `request`, `outcome`, `cn1` | method, endpoint, `success` or `failure`, status |
//! | `act`, `suser` | decision, who decided |
//! | `cs1` to `cs4`, `cfp1` | correlation ID, deployment ID, ring, what only some events have (as JSON), risk score |

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Observer;
use crate::event::{Class, Event, Number, Severity, Text};
use crate::json::Object;

pub(super) fn write(event: &Event, observer: &Observer, out: &mut String) {
    out.push_str("CEF:0");
    let (name, category) = match event.class {
        Class::Decision => ("Change decision", "decision"),
        Class::Authentication => ("Authentication failure", "authentication"),
        Class::Authorization => ("Authorization failure", "authorization"),
        Class::PrivilegedOperation => ("Privileged operation", "privileged_operation"),
        Class::Probe => ("Probe", "probe"),
    };
    let severity = match event.severity {
        Severity::Informational => "1",
        Severity::Low => "3",
        Severity::Medium => "5",
        Severity::High => "8",
        Severity::Critical => "10",
    };
    for field in [&observer.vendor, &observer.product, &observer.version, event.kind.as_str(), name, severity] {
        out.push('|');
        escape(field, '|', out);
    }
    let _ = write!(out, "|rt={} cnt={} externalId=", event.time_ns / 1_000_000, event.count);
    crate::uuid::write(event.uid, out);
    let mut extension = Extension(out);
    extension.field("cat", category).field("dvchost", &observer.device);
    let source = event.source.as_ref().map_or("", Text::as_str);
    match source.parse() {
        Ok(IpAddr::V4(_)) => extension.field("src", source),
        Ok(IpAddr::V6(_)) => extension.labelled("c6a2", "Source IPv6 Address", source),
        Err(_) => &mut extension,
    };
    if let Some(status) = event.status {
        extension.field("outcome", if status < 400 { "success" } else { "failure" });
        extension.labelled("cn1", "Status", &status.to_string());
    }
    let texts = [
        ("requestMethod", event.method.as_ref().map(Text::as_str)),
        ("request", event.endpoint.as_ref().map(Text::as_str)),
        ("act", event.decision.as_ref().map(Text::as_str)),
        ("suser", event.approved_by.as_ref().map(Text::as_str)),
    ];
    for (key, value) in texts {
        value.into_iter().for_each(|value| _ = extension.field(key, value));
    }
    let labelled = [
        ("cs1", "CorrelationId", event.correlation_id.as_ref().map(Text::as_str)),
        ("cs2", "DeploymentId", event.deployment_id.as_ref().map(Text::as_str)),
        ("cs3", "Ring", event.ring.as_ref().map(Text::as_str)),
        ("cfp1", "RiskScore", event.risk_score.as_ref().map(Number::as_str)),
    ];
    for (key, label, value) in labelled {
        value.into_iter().for_each(|value| _ = extension.labelled(key, label, value));
    }
    if event.extra.iter().next().is_some() {
        let mut json = String::new();
        let mut object = Object::new(&mut json);
        for (name, value) in event.extra.iter() {
            object.text(name, value);
        }
        object.finish();
        extension.labelled("cs4", "Extra", &json);
    }
}

struct Extension<'a>(&'a mut String);

impl Extension<'_> {
    fn field(&mut self, key: &str, value: &str) -> &mut Self {
        self.0.extend([" ", key, "="]);
        escape(value, '=', self.0);
        self
    }

    /// A key whose meaning is in another.
    fn labelled(&mut self, key: &str, label: &str, value: &str) -> &mut Self {
        self.field(key, value);
        self.0.extend([" ", key, "Label=", label]);
        self
    }
}

/// With `\` before itself and what ends a field there.
fn escape(text: &str, end: char, out: &mut String) {
    let is_extension = end == '=';
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c == end => {
                out.push('\\');
                out.push(c);
            }
            '\n' if is_extension => out.push_str("\\n"),
            '\r' if is_extension => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{events, is_one_line, observer};

    /// A reader that goes by the escapes alone, and refuses a key that is there twice or that is none of the format's.
    fn read(line: &str) -> (Vec<String>, BTreeMap<String, String>) {
        let mut rest = line.strip_prefix("CEF:0|").unwrap().chars();
        let mut header = vec![String::new()];
        while header.len() < 7 {
            match rest.next().unwrap() {
                '|' => header.push(String::new()),
                '\\' => header.last_mut().unwrap().push(rest.next().filter(|c| ['|', '\\'].contains(c)).unwrap()),
                c => header.last_mut().unwrap().push(c),
            }
        }
        header.pop();
        let (mut fields, mut key, mut value) = (BTreeMap::new(), None, String::new());
        let end = |key: Option<String>, value: &str, fields: &mut BTreeMap<_, _>| {
            let Some(key) = key else { return assert_eq!(value, "") };
            assert!(KEYS.contains(&key.trim_end_matches("Label")), "{key}");
            assert_eq!(fields.insert(key, value.to_owned()), None);
        };
        while let Some(c) = rest.next() {
            match c {
                // The key is what stands after the last space.
                '=' => {
                    let (before, next) = match value.rsplit_once(' ') {
                        Some((before, next)) => (before.to_owned(), next.to_owned()),
                        None => (String::new(), value.clone()),
                    };
                    end(key.replace(next), &before, &mut fields);
                    value.clear();
                }
                '\\' => value.push(match rest.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    c @ ('=' | '\\') => c,
                    c => panic!("\\{c}"),
                }),
                c => value.push(c),
            }
        }
        end(key, &value, &mut fields);
        (header, fields)
    }

    const KEYS: [&str; 18] = [
        "rt",
        "cnt",
        "externalId",
        "cat",
        "dvchost",
        "src",
        "c6a2",
        "outcome",
        "cn1",
        "requestMethod",
        "request",
        "act",
        "suser",
        "cs1",
        "cs2",
        "cs3",
        "cs4",
        "cfp1",
    ];

    /// As it comes through where there is no escape for some characters.
    fn plain(text: &str, breaks: &[char]) -> String {
        let is_lost = |c: char| (c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c)) && !breaks.contains(&c);
        text.chars().map(|c| if is_lost(c) { ' ' } else { c }).collect()
    }

    #[test]
    fn an_event_is_one_line() {
        let mut event = Event::new([0xab; 16], "CAB_APPROVAL", Class::Decision, 1_700_000_000_123_456_789);
        event.approved_by = Some(Text::new("eve\r\nCEF:0|a|b|c|d|e|9|act=APPROVED\\"));
        event.decision = Some(Text::new("REJECTED"));
        event.source = Some(Text::new("10.0.0.1"));
        event.status = Some(200);
        event.risk_score = Number::parse("45.5");
        event.extra.add(Text::new("region"), Text::new("eu"));
        let mut line = String::new();
        write(&event, &observer(), &mut line);
        assert_eq!(
            line,
            "CEF:0|EUCORA|edge-observer|0.1.0|CAB_APPROVAL|Change decision|1|rt=1700000000123 cnt=1 \
             externalId=abababab-abab-abab-abab-abababababab cat=decision dvchost=edge-1 src=10.0.0.1 outcome=success \
             cn1=200 cn1Label=Status act=REJECTED suser=eve\\r\\nCEF:0|a|b|c|d|e|9|act\\=APPROVED\\\\ cfp1=45.5 \
             cfp1Label=RiskScore cs4={\"region\":\"eu\"} cs4Label=Extra"
        );
    }

    proptest! {
        #[test]
        fn no_value_forges_a_field(event in events()) {
            let mut line = String::new();
            write(&event, &observer(), &mut line);
            prop_assert!(is_one_line(&line));
            let (header, fields) = read(&line);
            prop_assert_eq!(&header[3], &plain(event.kind.as_str(), &[]));
            let expected = [
                ("act", event.decision.as_ref().map(Text::as_str)),
                ("suser", event.approved_by.as_ref().map(Text::as_str)),
                ("request", event.endpoint.as_ref().map(Text::as_str)),
                ("requestMethod", event.method.as_ref().map(Text::as_str)),
                ("cs1", event.correlation_id.as_ref().map(Text::as_str)),
                ("cs2", event.deployment_id.as_ref().map(Text::as_str)),
                ("cs3", event.ring.as_ref().map(Text::as_str)),
                ("cfp1", event.risk_score.as_ref().map(Number::as_str)),
            ];
            for (key, value) in expected {
                let value = value.map(|value| plain(value, &['\r', '\n']));
                prop_assert_eq!(fields.get(key).cloned(), value, "{}", key);
            }
            prop_assert_eq!(fields.contains_key("cs4"), event.extra.iter().next().is_some());
        }
    }
}
