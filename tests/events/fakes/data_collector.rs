//! Azure Monitor's Data Collector API: the signature is verified over what came, by another implementation than the filter's.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use super::{Behaviour, Kind, Said, Seen, State, array, misbehaviour, now};

pub(super) const WORKSPACE: &str = "7e4a4700-0000-4000-8000-000000000002";
/// The largest call.
const MAX_BYTES: usize = 30_000_000;
/// How wrong a client's clock may be, in seconds.
const SKEW_S: u64 = 15 * 60;

pub(super) fn collect(state: &mut State, seen: &Seen, behaviour: Behaviour) -> Said {
    if seen.path != "/api/logs" || seen.query != "api-version=2016-04-01" {
        return state.complain(Said::new(404, ""), format!("POST {}?{}", seen.path, seen.query));
    }
    let date = seen.header("x-ms-date");
    let text = format!("POST\n{}\napplication/json\nx-ms-date:{date}\n/api/logs", seen.sent);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(Kind::DataCollector.secret()).unwrap());
    let signature = seen.header("authorization").strip_prefix(&format!("SharedKey {WORKSPACE}:"));
    let signature = signature.and_then(|signature| BASE64_STANDARD.decode(signature).ok()).unwrap_or_default();
    if hmac::verify(&key, text.as_bytes(), &signature).is_err() {
        let said = Said::new(403, r#"{"Error":"InvalidAuthorization","Message":"An invalid signature was specified"}"#);
        return state.complain(said, "the signature is wrong");
    }
    if seconds(date).is_none_or(|then| then.abs_diff(now().as_secs()) > SKEW_S) {
        return state.complain(Said::new(403, r#"{"Error":"InvalidAuthorization"}"#), format!("x-ms-date: {date}"));
    }
    let table = seen.header("log-type");
    if table.is_empty() || table.len() > 100 || !table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return state.complain(Said::new(400, r#"{"Error":"InvalidLogType"}"#), format!("log-type: {table}"));
    }
    if seen.body.len() > MAX_BYTES {
        return state.complain(Said::new(404, ""), format!("{} bytes in one call", seen.body.len()));
    }
    match (behaviour, misbehaviour(behaviour, seen.body.len())) {
        // This is how it says that a call is too large.
        (Behaviour::Small(_), Some(_)) => return Said::new(404, ""),
        (_, Some(said)) => return said,
        (_, None) => {}
    }
    match array(&seen.body) {
        Ok(records) if seen.header("content-type") == "application/json" => {
            state.take(records);
            Said::new(200, "")
        }
        problem => state.complain(
            Said::new(400, r#"{"Error":"InvalidDataFormat"}"#),
            format!("{problem:?}, {}", seen.header("content-type")),
        ),
    }
}

/// A date such as `Mon, 04 Apr 2016 08:00:00 GMT`, in seconds since 1970.
fn seconds(date: &str) -> Option<u64> {
    let time =
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok().filter(|_| date.ends_with(" GMT"))?;
    time.as_second().try_into().ok()
}
