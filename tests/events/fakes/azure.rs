//! Microsoft Entra's token endpoint, and Azure Monitor's Logs Ingestion API.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Behaviour, Kind, MEBIBYTE, Said, Seen, State, array, misbehaviour, now, too_large};

pub(super) const RULE: &str = "dcr-00000000000000000000000000000001";
pub(super) const STREAM: &str = "Custom-EUCORA_SecurityEvents_CL";
pub(super) const CLIENT: &str = "97ce69d9-b4be-4241-8dbd-d265edcf06c4";
pub(super) const TOKEN_PATH: &str = "/7e4a4700-0000-4000-8000-000000000001/oauth2/v2.0/token";
/// Where Microsoft's library asks first where tokens are.
pub(super) const DISCOVERY_PATH: &str = "/7e4a4700-0000-4000-8000-000000000001/v2.0/.well-known/openid-configuration";
const SCOPE: &str = "https://monitor.azure.com/.default";
/// How long a token serves, as it says.
const LIFETIME: Duration = Duration::from_secs(3599);

/// Tokens by their text, and when each ends.
pub(super) type Tokens = BTreeMap<String, Duration>;

pub(super) fn is_entra(seen: &Seen) -> bool {
    [TOKEN_PATH, DISCOVERY_PATH].contains(&seen.path.as_str())
}

pub(super) fn discovery() -> Said {
    let tenant = "https://login.microsoftonline.com/7e4a4700-0000-4000-8000-000000000001";
    Said::new(
        200,
        serde_json::json!({
            "token_endpoint": format!("{tenant}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{tenant}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{tenant}/oauth2/v2.0/devicecode"),
            "jwks_uri": format!("{tenant}/discovery/v2.0/keys"),
            "issuer": format!("{tenant}/v2.0"),
        })
        .to_string(),
    )
}

pub(super) fn token(state: &mut State, seen: &Seen) -> Said {
    let form: BTreeMap<String, String> = seen
        .body
        .split(|byte| *byte == b'&')
        .filter_map(|pair| {
            let pair = String::from_utf8_lossy(pair).into_owned();
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), decode(value)))
        })
        .collect();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if !seen.header("content-type").starts_with("application/x-www-form-urlencoded") {
        return state.complain(Said::new(400, r#"{"error":"invalid_request"}"#), "a token is asked for with a form");
    }
    if field("grant_type") != "client_credentials" || field("scope") != SCOPE {
        return state.complain(Said::new(400, r#"{"error":"invalid_request"}"#), format!("token: {:?}", form.keys()));
    }
    if field("client_id") != CLIENT || field("client_secret") != Kind::LogsIngestion.secret() {
        return state.complain(Said::new(401, r#"{"error":"invalid_client"}"#), "the client is unknown");
    }
    let token = format!("eyJ0eXAiOiJKV1QifQ.{:016x}.c2ln", now().as_nanos());
    state.tokens.insert(token.clone(), now() + LIFETIME);
    let seconds = LIFETIME.as_secs();
    Said::new(
        200,
        format!(
            r#"{{"token_type":"Bearer","expires_in":{seconds},"ext_expires_in":{seconds},"access_token":"{token}"}}"#
        ),
    )
}

pub(super) fn ingest(state: &mut State, seen: &Seen, behaviour: Behaviour) -> Said {
    if seen.path != format!("/dataCollectionRules/{RULE}/streams/{STREAM}") {
        return state.complain(Said::new(404, ""), format!("POST {}", seen.path));
    }
    if seen.query != "api-version=2023-01-01" {
        return state.complain(Said::new(400, ""), format!("the API's version: {}", seen.query));
    }
    let token = seen.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
    if state.tokens.get(token).is_none_or(|end| *end < now()) {
        // A token may have been revoked, so this is no fault of the client.
        return Said::new(401, r#"{"error":{"code":"InvalidAuthenticationToken"}}"#);
    }
    if seen.body.len() > MEBIBYTE || seen.sent > MEBIBYTE {
        return state.complain(too_large(), format!("{} bytes in one call", seen.body.len()));
    }
    if let Some(said) = misbehaviour(behaviour, seen.body.len()) {
        return said;
    }
    let id = seen.header("x-ms-client-request-id");
    if id.len() != 36 {
        return state.complain(Said::new(400, ""), format!("x-ms-client-request-id: {id:?}"));
    }
    match array(&seen.body) {
        Ok(records) if seen.header("content-type") == "application/json" => {
            state.take(records);
            Said::new(204, "")
        }
        problem => state.complain(Said::new(400, ""), format!("{problem:?}, {}", seen.header("content-type"))),
    }
}

/// A value of a form.
fn decode(value: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                out.push(u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
