//! Calls to receivers.

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// The most of an answer that is read, in bytes: enough for every protocol of the crate `siem`.
const MAX_BYTES: u64 = 64 << 10;

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: ureq::http::HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A client that trusts whom the machine trusts: many a receiver is behind a company's own authority.
pub(super) fn agent() -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("edge-observer/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Makes a call.
///
/// # Errors
/// Why nothing came back.
pub(super) fn call(
    agent: &Agent,
    request: ureq::http::request::Builder,
    body: &[u8],
    timeout: Duration,
) -> Result<Reply, String> {
    let request = request.body(body).map_err(|error| error.to_string())?;
    let request = agent.configure_request(request).timeout_global(Some(timeout)).build();
    let mut response = agent.run(request).map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(MAX_BYTES).read_to_end(&mut body);
    read.map_err(|error| error.to_string())?;
    Ok(Reply { status: response.status().as_u16(), headers: response.headers().clone(), body })
}
