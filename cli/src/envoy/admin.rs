//! The few questions that are put to Envoy's admin interface.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{EnvoyError, render::FILTER};

/// How long an answer may take: statistics of 50,000 series take a quarter of a second.
const LIMIT: Duration = Duration::from_secs(10);

/// What Envoy has made of the watched file so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EcdsStats {
    /// Versions that were put in place.
    pub update_success: u64,
    /// Versions that Envoy or the filter refused.
    pub update_rejected: u64,
    /// Versions that could not be read.
    pub update_failure: u64,
    /// Versions that the filter's factory failed on; Envoy counts most of them as rejected too.
    pub config_fail: u64,
}

impl EcdsStats {
    /// Whether nothing was refused after `before`.
    pub(super) fn refused_since(&self, before: &Self) -> bool {
        self.update_rejected > before.update_rejected
            || self.update_failure > before.update_failure
            || self.config_fail > before.config_fail
    }
}

/// An HTTP request to the admin interface; the body of a 200, else an error.
pub(super) async fn request(admin: SocketAddr, method: http::Method, path: &str) -> Result<String, EnvoyError> {
    let failed = |reason: String| EnvoyError::Admin { path: path.to_owned(), reason };
    let exchange = async {
        let stream = TcpStream::connect(admin).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, admin.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        driver.abort();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == http::StatusCode::OK { Ok(body) } else { Err(format!("{status} {}", body.trim())) }
    };
    match tokio::time::timeout(LIMIT, exchange).await {
        Ok(outcome) => outcome.map_err(failed),
        Err(_) => Err(failed(format!("no answer within {}s", LIMIT.as_secs()))),
    }
}

/// One counter or gauge, by its full stat name.
pub(super) async fn stat(admin: SocketAddr, name: &str) -> Result<Option<u64>, EnvoyError> {
    // Envoy's filter is a regular expression, and names have its signs in them: ask for the part before, compare whole lines.
    let plain: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')).collect();
    let text = request(admin, http::Method::GET, &format!("/stats?filter=^{}", plain.replace('.', "[.]"))).await?;
    Ok(value_of(&text, name))
}

/// What Envoy has made of the watched file so far.
pub(super) async fn ecds_stats(admin: SocketAddr) -> Result<EcdsStats, EnvoyError> {
    let prefix = format!("extension_config_discovery.http_filter.{FILTER}.");
    let text = request(admin, http::Method::GET, "/stats?filter=^extension_config_discovery").await?;
    let value = |name: &str| value_of(&text, &format!("{prefix}{name}")).unwrap_or(0);
    Ok(EcdsStats {
        update_success: value("update_success"),
        update_rejected: value("update_rejected"),
        update_failure: value("update_failure"),
        config_fail: value("config_fail"),
    })
}

/// The address of a listener, once it is bound.
pub(super) async fn listener(admin: SocketAddr, name: &str) -> Result<Option<SocketAddr>, EnvoyError> {
    let text = request(admin, http::Method::GET, "/listeners").await?;
    Ok(text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("::")?.trim().parse().ok()))
}

/// A stat's value in the answer to `/stats`, `NAME: VALUE` a line. Names may have `: ` in them, values not.
fn value_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (found, value) = line.rsplit_once(": ")?;
        (found == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::value_of;

    #[test]
    fn stats_are_found_by_their_whole_name() {
        let text = "a.b: 1\na.bc: 2\nwasmcustom.x.endpoint=.=/a: b;.;: 3\nh: No recorded values\n";
        assert_eq!(value_of(text, "a.b"), Some(1));
        assert_eq!(value_of(text, "wasmcustom.x.endpoint=.=/a: b;.;"), Some(3));
        assert_eq!(value_of(text, "h"), None);
        assert_eq!(value_of(text, "a"), None);
    }
}
