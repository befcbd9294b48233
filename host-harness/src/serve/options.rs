//! What a proxy is to do.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::stats_config::StatsConfig;
use crate::{Conformance, LogSink, Module, PluginConfig, Xds};

/// What a proxy passes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Requests and responses: the module is an HTTP filter.
    #[default]
    Http,
    /// Bytes: the module is a network filter.
    Tcp,
}

/// What a proxy is to do. `new` fills in what is usually wanted; the fields are there to be changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Where clients connect; port 0 takes a free one. By default any free port on loopback.
    pub listen: SocketAddr,
    /// Where the admin pages are; port 0 takes a free one. By default any free port on loopback.
    pub admin: SocketAddr,
    /// What passes between clients and the upstream. By default HTTP.
    pub protocol: Protocol,
    /// Where requests or connections go.
    pub upstream: Endpoint,
    /// Where the module's callouts go, by the name of the cluster: HTTP ones over HTTP/1.1, gRPC ones over HTTP/2. One without an endpoint is known, and callouts to it fail
    /// at once.
    pub clusters: Vec<(String, Option<Endpoint>)>,
    /// Number of worker threads; at least 1. By default 2.
    pub workers: usize,
    /// The filter.
    pub module: Module,
    /// Its configuration.
    pub plugin: PluginConfig,
    /// How stats are named and shown.
    pub stats_config: StatsConfig,
    /// Where a JSON line for each request or TCP connection is appended, if anywhere; `/dev/stdout` works.
    pub access_log: Option<PathBuf>,
    /// How long the upstream may take for a whole response before the client gets 504. By default 15 s, as in Envoy.
    pub route_timeout: Duration,
    /// How long a new connection to the upstream or a cluster may take. By default 5 s, as in Envoy.
    pub connect_timeout: Duration,
    /// How long a TCP connection may be without data before it is closed. By default 1 h, as in Envoy.
    pub idle_timeout: Duration,
    /// How long requests in flight and TCP connections may go on after `shutdown`. By default 10 s.
    pub drain_timeout: Duration,
    /// Bytes of a request's head beyond which the client gets 431. By default 96 KiB, as the shipped Envoy configuration
    /// has it.
    pub max_request_headers: usize,
    /// The name of the connection manager in its own stats, `http.<stat_prefix>.…`, or of the TCP proxy, `tcp.<stat_prefix>.…`.
    /// By default `ingress`.
    pub stat_prefix: String,
    /// What configuration calls the route, the cluster and the like: the properties `xds.…`.
    pub xds: Xds,
    /// Where the module's log goes. By default kept in memory; see `Shared::logs`.
    pub log: LogSink,
    /// Seed of the module's randomness; drawn from the system when there is none.
    pub seed: Option<u64>,
    /// Whose behaviour the host has where Envoy and the specification differ.
    pub conformance: Conformance,
}

impl ServeOptions {
    /// A proxy in front of `upstream`, with everything else as usual.
    #[must_use]
    pub fn new(module: Module, plugin: PluginConfig, upstream: Endpoint) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            protocol: Protocol::Http,
            upstream,
            clusters: Vec::new(),
            workers: 2,
            module,
            plugin,
            stats_config: StatsConfig::default(),
            access_log: None,
            route_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(3600),
            drain_timeout: Duration::from_secs(10),
            max_request_headers: 96 << 10,
            stat_prefix: String::from("ingress"),
            xds: Xds::default(),
            log: LogSink::default(),
            seed: None,
            conformance: Conformance::default(),
        }
    }
}

/// An upstream: the host and port of an `http://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, where it is not a name that has to be looked up.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }

    /// Port number.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// An upstream by its URL, and what is spoken with it: `http://HOST:PORT`, or `tcp://HOST:PORT` for bare connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where it is.
    pub endpoint: Endpoint,
}

impl FromStr for Upstream {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(place) = text.strip_prefix("tcp://") else {
            return Ok(Self { protocol: Protocol::Http, endpoint: text.parse()? });
        };
        let fail = |why| Err(EndpointError(String::from(text), why));
        let url = format!("http://{place}");
        match url.parse() {
            // There is no usual port.
            Ok(_) if url.parse::<http::Uri>().is_ok_and(|uri| uri.port().is_none()) => fail("it has no port"),
            Ok(endpoint) => Ok(Self { protocol: Protocol::Tcp, endpoint }),
            Err(EndpointError(_, why)) => fail(why),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is not an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an upstream: {1}; write it as {scheme}://HOST:PORT", scheme = if .0.starts_with("tcp:") { "tcp" } else { "http" })]
pub struct EndpointError(String, &'static str);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |why| Err(EndpointError(String::from(text), why));
        let uri = match text.parse::<http::Uri>() {
            Ok(uri) => uri,
            Err(_) => return fail("it is not a URL"),
        };
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return fail("TLS to the upstream is not supported"),
            Some(_) => return fail("its scheme is not http"),
            None => return fail("it has no scheme"),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return fail("it has a path");
        }
        let Some(authority) = uri.authority() else {
            return fail("it has no host");
        };
        if authority.as_str().contains('@') {
            return fail("it has a user name");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return fail("it has no host");
        }
        if authority.port().is_some() && authority.port_u16().is_none_or(|port| port == 0) {
            return fail("its port is not a port number");
        }
        Ok(Self { host: String::from(host), port: authority.port_u16().unwrap_or(80) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Result<String, String> {
        text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_upstream_is_a_plain_http_url() {
        assert_eq!(endpoint("http://127.0.0.1:8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(endpoint("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080");
        assert_eq!(endpoint("http://api.internal").unwrap(), "api.internal:80");
        assert_eq!(endpoint("http://[::1]:8000").unwrap(), "[::1]:8000");
    }

    #[test]
    fn a_tcp_upstream_has_host_and_port() {
        let upstream = |text: &str| text.parse::<Upstream>().map_err(|error| error.to_string());
        let wanted = Upstream { protocol: Protocol::Tcp, endpoint: "http://[::1]:5432".parse().unwrap() };
        assert_eq!(upstream("tcp://[::1]:5432"), Ok(wanted));
        assert_eq!(upstream("http://a:1").unwrap().protocol, Protocol::Http);
        for text in [
            "tcp://a",
            "tcp://127.0.0.1",
            "tcp://[::1]",
            "tcp://a:x",
            "tcp://a:0",
            "tcp://",
            "tcp://a:1/b",
            "udp://a:1",
        ] {
            let message = upstream(text).unwrap_err();
            assert!(message.starts_with(&format!("`{text}` is not an upstream: it")), "{message}");
            let scheme = if text.starts_with("tcp") { "tcp" } else { "http" };
            assert!(message.ends_with(&format!("; write it as {scheme}://HOST:PORT")), "{message}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (text, why) in [
            ("https://a:1", "TLS"),
            ("ftp://a:1", "scheme is not http"),
            ("127.0.0.1:8080", "no scheme"),
            ("http://a:1/api", "path"),
            ("http://a:1?x", "path"),
            ("http://u@a:1", "user name"),
            ("http://a:0", "port"),
            ("not a url", "not a URL"),
        ] {
            let message = endpoint(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
            assert!(message.ends_with("write it as http://HOST:PORT"), "{message}");
        }
    }
}
