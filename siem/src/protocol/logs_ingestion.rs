//! Azure Monitor's Logs Ingestion API, version 2023-01-01.
//!
//! Source: Microsoft, "Logs Ingestion API in Azure Monitor"
//! (<https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>) and, for the token, "OAuth 2.0 client credentials flow"
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).
//!
//! - `POST /dataCollectionRules/{rule}/streams/{stream}?api-version=2023-01-01` with a JSON array; `x-ms-client-request-id` is the batch's ID, the
//!   same whenever it is sent again.
//! - 204 is success. 401 fetches a new token, once without a pause. 403 means that the client lacks the role *Monitoring Metrics Publisher* on the
//!   rule (a new assignment takes up to 30 minutes): the events go to the log. 413 splits. 429 has `retry-after`: a rule takes 12,000 calls and
//!   2 GB a minute.
//! - A call has at most 1,048,576 bytes, compressed *and* uncompressed; a field of more than 65,536 bytes would be cut, and none of ours is so long.
//! - No compression: deflate would be a good part of the module's size, and the limit counts uncompressed bytes as well, so no call is saved.
//! - The service removes no duplicates: `EventUid` is for that.
//! - The column `TimeGenerated` is in native, ASIM and CEF records. OCSF allows no other member: its rule needs a transformation such as
//!   `source | extend TimeGenerated = datetime(1970-01-01) + time * 1ms`.
//!
//! The token is fetched when there is something to send, kept until five minutes before its end (half of its life if that is shorter), and replaced
//! while it still serves. Its endpoint has its own cluster, and its own backoff: a refusal there stops no clock, so events that wait for a token
//! end in the log as `expired`.

use super::headers::{check_authority, check_part, check_path};
use super::{Headers, Moment, post};
use crate::json::{as_text, as_u64, member};
use crate::settings::{Secret, SettingsError};

/// The largest call, in bytes.
pub const MAX_BYTES: usize = 1_048_576;

/// The longest token that is taken, in bytes.
const MAX_TOKEN: usize = 16_384;

/// Settings of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The data collection rule's immutable ID, `dcr-…`.
    pub rule: String,
    /// The stream, `Custom-<Table>` or `Microsoft-<Table>`.
    pub stream: String,
    /// The cluster that leads to the token endpoint.
    pub token_cluster: String,
    /// The token endpoint's authority, such as `login.microsoftonline.com`.
    pub token_authority: String,
    /// The token endpoint's path, such as `/<tenant>/oauth2/v2.0/token`.
    pub token_path: String,
    /// The client's ID.
    pub client_id: String,
    /// What the token is for: `https://monitor.azure.com/.default`, or the same with `.us` or `.cn`.
    pub scope: String,
}

/// A token and how long it lives.
pub(crate) struct Grant {
    pub(crate) token: String,
    pub(crate) lifetime_s: u64,
}

impl Settings {
    pub(super) fn headers(&self, authority: &str, moment: Moment<'_>) -> Headers {
        let path = format!("/dataCollectionRules/{}/streams/{}?api-version=2023-01-01", self.rule, self.stream);
        let mut headers = post(authority, &path, "application/json");
        headers.push(("authorization".into(), format!("Bearer {}", moment.token).into_bytes()));
        let mut id = String::new();
        crate::uuid::write(moment.batch, &mut id);
        headers.push(("x-ms-client-request-id".into(), id.into_bytes()));
        headers
    }

    pub(crate) fn token_request(&self, secret: &Secret) -> (Headers, String) {
        let mut form = "grant_type=client_credentials".to_owned();
        for (name, value) in
            [("client_id", self.client_id.as_str()), ("client_secret", secret.reveal()), ("scope", &self.scope)]
        {
            form.extend(["&", name, "="]);
            encode(value, &mut form);
        }
        (post(&self.token_authority, &self.token_path, "application/x-www-form-urlencoded"), form)
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        check_part("rule", &self.rule)?;
        check_part("stream", &self.stream)?;
        check_authority("token_authority", &self.token_authority)?;
        check_path("token_path", &self.token_path)?;
        for (field, value) in
            [("token_cluster", &self.token_cluster), ("client_id", &self.client_id), ("scope", &self.scope)]
        {
            if value.is_empty() {
                return Err(SettingsError { field, problem: "is empty" });
            }
        }
        Ok(())
    }
}

/// The token of an answer. A token with anything but visible ASCII is none: it would be a header's value.
pub(crate) fn grant(status: u16, body: &[u8]) -> Option<Grant> {
    let token = member(body, "access_token").filter(|_| status == 200).and_then(as_text)?;
    if token.is_empty() || token.len() > MAX_TOKEN || token.contains(' ') {
        return None;
    }
    // RFC 6749 only recommends `expires_in`. The bounds keep a nonsensical value from asking for a token with every call.
    let lifetime_s = member(body, "expires_in").and_then(as_u64).unwrap_or(600).clamp(60, 86_400);
    Some(Grant { token, lifetime_s })
}

/// As `application/x-www-form-urlencoded` has it, with `%20` for a space, which all readers take.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend([byte >> 4, byte & 0xf].map(digit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::logs_ingestion;

    #[test]
    fn the_token_request_is_a_form() {
        let (headers, form) = logs_ingestion().token_request(&Secret::new("a~b+c/d=&é %"));
        assert_eq!(
            form,
            "grant_type=client_credentials&client_id=97ce69d9-b4be-4241-8dbd-d265edcf06c4&client_secret=a~b%2Bc%2Fd%3D%26%C3%A9%20%25&scope=https%3A%2F%2Fmonitor.azure.com%2F.default"
        );
        assert_eq!(headers[1].1, b"/tenant/oauth2/v2.0/token");
        assert_eq!(headers[2].1, b"login.microsoftonline.com");
        assert_eq!(headers[3].1, b"application/x-www-form-urlencoded");
    }

    #[test]
    fn a_batch_is_posted_to_its_stream() {
        let moment = Moment { now_ns: 0, batch: [0x11; 16], token: "t", channel: [0; 16] };
        let headers = logs_ingestion().headers("x.ingest.monitor.azure.com", moment);
        assert_eq!(
            headers[1].1,
            b"/dataCollectionRules/dcr-1/streams/Custom-EUCORA_SecurityEvents_CL?api-version=2023-01-01"
        );
        assert!(headers.contains(&("authorization".into(), b"Bearer t".to_vec())));
        assert!(headers.contains(&("x-ms-client-request-id".into(), b"11111111-1111-1111-1111-111111111111".to_vec())));
    }

    #[test]
    fn a_grant_is_read_strictly() {
        let grant = |status, body: &str| grant(status, body.as_bytes()).map(|grant| (grant.token, grant.lifetime_s));
        let token = |lifetime| Some(("ey.J-_".to_owned(), lifetime));
        assert_eq!(
            grant(200, r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"ey.J-_"}"#),
            token(3599)
        );
        assert_eq!(grant(200, r#"{"expires_in":"3599","access_token":"ey.J-_"}"#), token(3599));
        assert_eq!(grant(200, r#"{"expires_in":0,"access_token":"ey.J-_"}"#), token(60));
        assert_eq!(grant(200, r#"{"access_token":"ey.J-_"}"#), token(600));
        assert_eq!(grant(400, r#"{"access_token":"ey.J-_"}"#), None);
        for body in ["", "[]", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nx: y"}"#, r#"{"access_token":7}"#] {
            assert_eq!(grant(200, body), None, "{body}");
        }
        assert_eq!(grant(200, &format!(r#"{{"access_token":"{}"}}"#, "a".repeat(MAX_TOKEN + 1))), None);
    }
}
