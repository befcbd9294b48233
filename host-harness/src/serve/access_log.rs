//! One JSON line for each stream, with the fields of the shipped Envoy configuration's access log.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::Version;
use serde_json::{Map, Value, json};

use super::stream::flags;
use crate::{FinishedStream, HeaderMap, StreamEnd};

/// A file that lines are appended to; clones append to the same one.
#[derive(Debug, Clone)]
pub(super) struct AccessLog(Arc<Mutex<File>>);

/// What a line tells.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) start_ns: u64,
    pub(super) version: Version,
    pub(super) end: &'a StreamEnd,
    pub(super) finished: &'a FinishedStream,
    /// Headers of a request that the module did not see.
    pub(super) unseen: Option<&'a HeaderMap>,
    pub(super) upstream_us: Option<u64>,
    pub(super) client: SocketAddr,
}

impl AccessLog {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Appends a stream's line.
    pub(super) fn write(&self, line: &Line<'_>) {
        self.append(&line.to_json());
    }

    /// Appends a line. A full disk must not stop traffic: what cannot be written is lost.
    pub(super) fn append(&self, line: &Value) {
        let mut text = line.to_string();
        text.push('\n');
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}

impl Line<'_> {
    fn to_json(&self) -> Value {
        let headers = self.unseen.unwrap_or(&self.finished.request_headers);
        let header = |name: &str| text(headers.get(name));
        let end = self.end;
        let mut line = Map::new();
        line.insert(String::from("timestamp"), json!(timestamp(self.start_ns)));
        add_filter_state(&mut line, &self.finished.filter_state);
        let path = headers.get(":path").map(|path| path.split(|byte| *byte == b'?').next().unwrap_or(path));
        let fields = [
            ("method", header(":method")),
            ("path", text(path)),
            ("host", header(":authority")),
            ("protocol", json!(if self.version == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" })),
            ("status", json!(end.code.unwrap_or(0))),
            ("flags", json!(flags::text(end.flags))),
            ("details", json!(end.details)),
            ("duration_ms", json!(end.duration_ns.map(|ns| ns / 1_000_000))),
            ("duration_us", json!(end.duration_ns.map(|ns| ns / 1000))),
            ("upstream_us", json!(self.upstream_us)),
            ("bytes_received", json!(end.request_size)),
            ("bytes_sent", json!(end.response_size)),
            ("upstream", json!(end.upstream)),
            ("client", json!(self.client.ip())),
            ("user_agent", header("user-agent")),
            ("request_id", header("x-request-id")),
            ("traceparent", header("traceparent")),
        ];
        for (name, value) in fields {
            line.insert(String::from(name), value);
        }
        Value::Object(line)
    }
}

/// `wasm.<namespace>.<key>` of any filter is the field `<key>`.
pub(super) fn add_filter_state(line: &mut Map<String, Value>, filter_state: &[(String, Vec<u8>)]) {
    for (name, value) in filter_state {
        let key = name.rsplit('.').next().unwrap_or(name);
        line.insert(String::from(key), text(Some(value)));
    }
}

/// Text of a header; bytes that are not UTF-8 are replaced, as JSON has no way to carry them.
fn text(value: Option<&[u8]>) -> Value {
    value.map_or(Value::Null, |value| Value::String(String::from_utf8_lossy(value).into_owned()))
}

/// `2026-01-31T23:59:59.999Z` of nanoseconds since the Unix epoch.
pub(super) fn timestamp(unix_ns: u64) -> String {
    let ms = unix_ns / 1_000_000;
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day since 1970-01-01, by counting in years that begin in March and eras of 400 years.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_with_milliseconds() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_767_225_599, "2025-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(timestamp(seconds * 1_000_000_000 + 7_999_999), format!("{wanted}.007Z"));
        }
    }

    #[test]
    fn flags_are_written_as_envoy_writes_them() {
        assert_eq!(flags::text(0), "-");
        assert_eq!(flags::text(flags::CONNECTION_FAILURE), "UF");
        assert_eq!(flags::text(flags::UPSTREAM_TIMEOUT | flags::DOWNSTREAM_TERMINATION), "UT,DC");
    }
}
