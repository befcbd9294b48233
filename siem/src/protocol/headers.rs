//! Headers of calls, and what may be in them.

use std::borrow::Cow;

use crate::settings::SettingsError;

/// Headers of a call, the pseudo-headers first.
pub(crate) type Headers = Vec<(Cow<'static, str>, Vec<u8>)>;

/// Those of every call.
pub(crate) fn post(authority: &str, path: &str, content_type: &str) -> Headers {
    vec![
        (":method".into(), b"POST".to_vec()),
        (":path".into(), path.into()),
        (":authority".into(), authority.into()),
        ("content-type".into(), content_type.into()),
        ("accept".into(), b"application/json".to_vec()),
    ]
}

/// Visible ASCII and, inside, spaces: no header value can be forged or refused by the host.
pub(crate) fn check_value(field: &'static str, value: &str) -> Result<(), SettingsError> {
    let problem = if value.is_empty() {
        "is empty"
    } else if value.trim() != value || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        "has white space around it or characters beyond visible ASCII"
    } else {
        return Ok(());
    };
    Err(SettingsError { field, problem })
}

/// A name in lower case (RFC 9110, section 5.1) that is none of those that the protocol sets itself.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), SettingsError> {
    let is_token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let problem = if name.is_empty() || !name.bytes().all(is_token) {
        "is not a header name in lower case; use letters, digits and `-`"
    } else if ["content-type", "content-length", "transfer-encoding", "host", "connection", "accept"].contains(&name) {
        "is a header that the call sets itself"
    } else {
        return Ok(());
    };
    Err(SettingsError { field, problem })
}

/// A part of a path that needs no encoding.
pub(crate) fn check_part(field: &'static str, part: &str) -> Result<(), SettingsError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if part.is_empty() || part.len() > 256 || !part.bytes().all(is_plain) || part.bytes().all(|byte| byte == b'.') {
        return Err(SettingsError { field, problem: "is not 1 to 256 letters, digits, `-`, `_` and `.`" });
    }
    Ok(())
}

/// A whole path, as it goes over the wire.
pub(crate) fn check_path(field: &'static str, path: &str) -> Result<(), SettingsError> {
    if !path.starts_with('/') || !path.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
        return Err(SettingsError {
            field,
            problem: "does not begin with `/`, or has characters that a path may not have",
        });
    }
    Ok(())
}

/// A host with or without a port.
pub(crate) fn check_authority(field: &'static str, authority: &str) -> Result<(), SettingsError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(is_plain) {
        return Err(SettingsError { field, problem: "is not a host, or a host and a port, without scheme and path" });
    }
    Ok(())
}
