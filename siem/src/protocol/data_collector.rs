//! Azure Monitor's HTTP Data Collector API, version 2016-04-01, for the clouds that still have it: the public one closed it on 2026-09-14.
//!
//! Source: Microsoft, "Send log data to Azure Monitor by using the HTTP Data Collector API"
//! (<https://learn.microsoft.com/azure/azure-monitor/logs/data-collector-api>).
//!
//! - `POST /api/logs?api-version=2016-04-01` to `<workspace>.ods.opinsights.azure.com` (`.us`, `.cn`) with a JSON array.
//! - `authorization: SharedKey <workspace>:<signature>`; the signature is the base64 of the HMAC-SHA-256, with the decoded shared key, of
//!   `POST\n<length>\napplication/json\nx-ms-date:<date>\n/api/logs`. The length counts *bytes*.
//! - `log-type` names the table, to which the service adds `_CL`. `time-generated-field` is `Timestamp` for native and CEF records, `EventStartTime`
//!   for ASIM; OCSF has no such text, so its time is that of the ingestion.
//! - 200 is success. 400 may be one event's fault. 404 may mean that the body is too large, so it is treated like 400. 403 is a wrong key, or a
//!   clock that is wrong by more than 15 minutes: the events go to the log.
//! - A call has at most 30,000,000 bytes, a field at most 32,768, a name at most 45 characters; `TimeGenerated` is reserved, so it is left out.

use super::headers::check_part;
use super::{Headers, Moment, post};
use crate::format::Format;
use crate::hmac::hmac_sha256;
use crate::settings::{self, Secret, SettingsError};
use crate::{base64, time};

/// The largest call, in bytes.
pub const MAX_BYTES: usize = 30_000_000;

/// Settings of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The workspace's ID, a GUID.
    pub workspace_id: String,
    /// The table, to which the service adds `_CL`: letters, digits and `_`, at most 100.
    pub log_type: String,
}

impl Settings {
    pub(super) fn headers(
        &self,
        settings: &settings::Settings,
        secret: &Secret,
        moment: Moment<'_>,
        body: &str,
    ) -> Headers {
        let date = time::rfc1123(moment.now_ns);
        // The key was looked at when the sender was made.
        let key = base64::decode(secret.reveal()).unwrap_or_default();
        let authorization = format!("SharedKey {}:{}", self.workspace_id, sign(&key, body.len(), &date));
        let mut headers = post(&settings.authority, "/api/logs?api-version=2016-04-01", "application/json");
        headers.push(("authorization".into(), authorization.into_bytes()));
        headers.push(("log-type".into(), self.log_type.as_str().into()));
        headers.push(("x-ms-date".into(), date.into_bytes()));
        let time_field = match settings.format {
            Format::Native | Format::Cef => Some("Timestamp"),
            Format::Asim => Some("EventStartTime"),
            Format::Ocsf => None,
        };
        headers.extend(time_field.map(|field| ("time-generated-field".into(), field.into())));
        headers
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        check_part("workspace_id", &self.workspace_id)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if self.log_type.is_empty() || self.log_type.len() > 100 || !self.log_type.bytes().all(is_plain) {
            return Err(SettingsError { field: "log_type", problem: "is not 1 to 100 letters, digits and `_`" });
        }
        Ok(())
    }
}

pub(super) fn check_key(secret: &Secret) -> Result<(), SettingsError> {
    match base64::decode(secret.reveal()) {
        Some(key) if !key.is_empty() => Ok(()),
        _ => Err(SettingsError { field: "secret", problem: "is not base64" }),
    }
}

fn sign(key: &[u8], length: usize, date: &str) -> String {
    let text = format!("POST\n{length}\napplication/json\nx-ms-date:{date}\n/api/logs");
    base64::encode(&hmac_sha256(key, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;
    use crate::testing::{SHARED_KEY, data_collector, settings};

    /// Computed with Python's `hmac`, the first with `openssl dgst` as well.
    #[test]
    fn signatures_are_those_of_other_implementations() {
        let key = base64::decode(SHARED_KEY).unwrap();
        let check = |length, date, expected| assert_eq!(sign(&key, length, date), expected);
        check(1024, "Mon, 04 Apr 2016 08:00:00 GMT", "9WOOz5W3lYV8+wcm1hn0Z+Qbwms0CpeReXxZI4uyNik=");
        check(2, "Fri, 30 Jan 2026 10:30:00 GMT", "w5Q6FQ67qw76/MfVZsm4xKM3XXRXVEPPEd1tCChlFdw=");
        check(
            "[{\"a\": \"é\"}]".len(),
            "Fri, 30 Jan 2026 10:30:00 GMT",
            "ucI49npjFsrjt8FVp79HrPMPMFvXs/O2zVhXZMFkeZE=",
        );
    }

    #[test]
    fn the_length_that_is_signed_counts_bytes() {
        let settings = settings(Protocol::DataCollector(data_collector()));
        let moment = Moment { now_ns: 1_769_769_000_000_000_000, batch: [0; 16], token: "", channel: [0; 16] };
        let headers = data_collector().headers(&settings, &Secret::new(SHARED_KEY), moment, "[{\"a\": \"é\"}]");
        let value = |name: &str| {
            let value = headers.iter().find(|(known, _)| known == name);
            String::from_utf8(value.unwrap().1.clone()).unwrap()
        };
        assert_eq!(
            value("authorization"),
            "SharedKey 97ce69d9-b4be-4241-8dbd-d265edcf06c4:ucI49npjFsrjt8FVp79HrPMPMFvXs/O2zVhXZMFkeZE="
        );
        assert_eq!(value("x-ms-date"), "Fri, 30 Jan 2026 10:30:00 GMT");
        assert_eq!(value("log-type"), "EUCORA_SecurityEvents");
        assert_eq!(value("time-generated-field"), "Timestamp");
        assert_eq!(value(":path"), "/api/logs?api-version=2016-04-01");
    }
}
