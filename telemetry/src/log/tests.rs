//! Lines stay lines.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::config::Config;

fn timestamp(unix_ns: u64) -> String {
    let mut out = String::new();
    siem::time::rfc3339(unix_ns, &mut out);
    out
}

#[test]
fn time_is_rfc_3339() {
    assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
    assert_eq!(timestamp(951_782_400_000_000_000), "2000-02-29T00:00:00.000000Z");
    assert_eq!(timestamp(951_868_799_999_999_999), "2000-02-29T23:59:59.999999Z");
    assert_eq!(timestamp(951_868_800_000_000_000), "2000-03-01T00:00:00.000000Z");
    assert_eq!(timestamp(1_735_689_599_000_000_000), "2024-12-31T23:59:59.000000Z");
    assert_eq!(timestamp(4_107_542_400_000_000_000), "2100-03-01T00:00:00.000000Z");
    assert_eq!(timestamp(u64::MAX), "2554-07-21T23:34:33.709551Z");
}

#[test]
fn hostile_bytes_are_escaped_or_replaced() {
    let mut writer = LineWriter::default();
    let line =
        writer.line(0, Level::Error, "l", "m\n\"\\").text("path", b"\r\0\x1b\x7f\xff\xc3\xa9\xe2\x80\xa8").finish();
    assert_eq!(
        line,
        "{\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"error\",\"logger\":\"l\",\"message\":\"m\\n\\\"\\\\\",\"path\":\"\\r\\u0000\\u001b\\u007f\u{fffd}é\\u2028\"}"
    );
}

#[test]
fn what_does_not_fit_is_cut_and_said() {
    let mut writer = LineWriter::default();
    let capacity = writer.buffer.capacity();
    let line = writer
        .line(1, Level::Info, "l", "m")
        .text("long", &[0; 10_000])
        .text("lost", b"x")
        .number("lost_too", 7)
        .finish();
    assert!(line.len() <= MAX_LINE && line.len() > MAX_LINE - 30, "{}", line.len());
    let value: Value = serde_json::from_str(line).unwrap();
    assert_eq!(value["truncated"], true);
    assert!(value.get("lost").is_none() && value.get("lost_too").is_none());
    assert_eq!(writer.buffer.capacity(), capacity, "the buffer never grows");
}

#[test]
fn keys_are_one_part_each() {
    let keys = |json: &str| FilterStateKeys::new(&Config::from_json(json.as_bytes()).unwrap());
    let all =
        keys(r#"{"namespace": "shop", "access_log": {"filter_state": ["outcome", "correlation_id", "endpoint"]}}"#);
    assert_eq!(
        [all.correlation_id, all.endpoint, all.outcome].map(Option::unwrap),
        ["shop.correlation_id", "shop.endpoint", "shop.outcome"]
    );
    let few = keys("{}");
    assert_eq!((few.correlation_id, few.endpoint.as_deref(), few.outcome), (None, Some("eucora.endpoint"), None));
    let none = keys(r#"{"access_log": {"filter_state": []}}"#);
    assert_eq!(none, FilterStateKeys { correlation_id: None, endpoint: None, outcome: None, facts: Vec::new() });
    let facts = keys(
        r#"{"facts": [{"name": "who", "from": "method"}, {"name": "risk_score", "from": "status"}], "access_log": {"facts": ["risk_score"]}}"#,
    );
    assert_eq!(facts.facts, [("eucora.risk_score".to_owned(), 1)]);
}

proptest! {
    #[test]
    fn a_line_is_one_line_of_valid_json(
        time in any::<u64>(),
        message in any::<String>(),
        fields in proptest::collection::vec((any::<String>(), proptest::collection::vec(any::<u8>(), 0..3000), any::<u64>()), 0..5),
    ) {
        let mut writer = LineWriter::default();
        let mut line = writer.line(time, Level::Warn, "edge_observer", &message);
        for (index, (name, value, number)) in fields.iter().enumerate() {
            line = line.text(&format!("{index}{name}"), value).number(&format!("n{index}{name}"), *number);
        }
        let line = line.finish();
        prop_assert!(line.len() <= MAX_LINE);
        let breaks = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
        prop_assert!(!line.contains(breaks));
        let value: Value = serde_json::from_str(line).unwrap();
        prop_assert_eq!(&value["level"], "warn");
        if value.get("truncated").is_none() {
            prop_assert_eq!(&value["message"], &Value::from(message));
            for (index, (name, bytes, number)) in fields.iter().enumerate() {
                let text = String::from_utf8_lossy(bytes);
                prop_assert_eq!(value[format!("{index}{name}")].as_str(), Some(&*text));
                prop_assert_eq!(value[format!("n{index}{name}")].as_u64(), Some(*number));
            }
        }
    }
}
