//! What is sent, and the load generator: h2load, which counts by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::upstream;

/// The header that asks Envoy to answer by itself.
pub(crate) const ANSWER: http::HeaderName = http::HeaderName::from_static("x-answer");

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// HTTP/1.1, a few headers, answered by Envoy itself without a body.
    Tiny,
    /// The same with 50 headers more.
    Headers,
    /// HTTP/2, eight streams at a time on each connection.
    Http2,
    /// An upstream answers with 1 KiB.
    Proxied,
    /// An upstream answers with 1 MiB.
    Streamed,
}

impl Workload {
    /// The name on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Headers => "headers",
            Self::Http2 => "http2",
            Self::Proxied => "proxied",
            Self::Streamed => "streamed",
        }
    }

    /// Requests of one run, when a tiny one's run has so many.
    pub(crate) fn requests(self, tiny: u32) -> u32 {
        match self {
            Self::Tiny | Self::Headers | Self::Http2 => tiny,
            Self::Proxied => tiny / 2,
            Self::Streamed => (tiny / 50).max(16),
        }
    }

    fn arguments(self) -> Vec<String> {
        let mut arguments: Vec<String> = match self {
            Self::Tiny | Self::Headers | Self::Proxied | Self::Streamed => vec!["--h1".into(), "-c8".into()],
            Self::Http2 => vec!["-c4".into(), "-m8".into()],
        };
        let mut header = |name: &str, value: &str| arguments.extend(["-H".to_owned(), format!("{name}: {value}")]);
        match self {
            Self::Tiny | Self::Headers | Self::Http2 => header(ANSWER.as_str(), "200"),
            Self::Proxied => header(upstream::SIZE.as_str(), "1024"),
            Self::Streamed => header(upstream::SIZE.as_str(), "1048576"),
        }
        if self == Self::Headers {
            for number in 0..50 {
                header(&format!("x-header-{number:02}"), "a value of the length that many have");
            }
        }
        arguments
    }
}

/// What the load generator reads and writes.
#[derive(Debug)]
pub(crate) struct Files {
    /// It goes with this.
    _folder: TempDir,
    uris: PathBuf,
    log: PathBuf,
}

impl Files {
    /// For requests of these paths in turn.
    pub(crate) fn new(paths: &[String]) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let (uris, log) = (folder.path().join("uris"), folder.path().join("log"));
        let lines: String = paths.iter().map(|path| format!("http://edge{path}\n")).collect();
        std::fs::write(&uris, lines).context("cannot write the requests")?;
        Ok(Self { _folder: folder, uris, log })
    }
}

/// What one run of the load generator measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) seconds: f64,
    /// Of each request, in microseconds.
    pub(crate) latencies: Vec<f64>,
}

/// Sends so many requests and waits for their answers; all of them have to be 200.
pub(crate) async fn send(to: SocketAddr, workload: Workload, requests: u32, files: &Files) -> Result<Sent> {
    let Files { uris, log, .. } = files;
    // It appends.
    if log.exists() {
        std::fs::remove_file(log)?;
    }
    let output = tokio::process::Command::new("h2load")
        .args(["-t1", "-n", &requests.to_string(), "--base-uri", &format!("http://{to}")])
        .args(workload.arguments())
        .arg("--input-file")
        .arg(uris)
        .arg("--log-file")
        .arg(log)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run h2load; it is part of nghttp2: `apt-get install nghttp2-client`")?;
    ensure!(output.status.success(), "h2load: {}", String::from_utf8_lossy(&output.stderr).trim());
    let said = String::from_utf8_lossy(&output.stdout);
    let seconds = seconds(&said).with_context(|| format!("h2load said no time:\n{said}"))?;
    let mut latencies = Vec::with_capacity(requests as usize);
    for line in std::fs::read_to_string(log).context("h2load wrote no log")?.lines() {
        let mut fields = line.split('\t').skip(1);
        let (status, microseconds) = (fields.next(), fields.next().and_then(|field| field.parse::<f64>().ok()));
        match (status, microseconds) {
            (Some("200"), Some(microseconds)) => latencies.push(microseconds),
            _ => bail!("a request was not answered with 200: `{line}`"),
        }
    }
    ensure!(latencies.len() == requests as usize, "{} of {requests} requests were answered:\n{said}", latencies.len());
    Ok(Sent { seconds, latencies })
}

/// The time in `finished in 1.23s, …`.
fn seconds(said: &str) -> Option<f64> {
    let (_, rest) = said.split_once("finished in ")?;
    let (time, _) = rest.split_once(',')?;
    let unit = time.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = time.split_at_checked(unit)?;
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_a_unit() {
        assert_eq!(seconds("\nfinished in 1.50s, 10 req/s, 1KB/s\n"), Some(1.5));
        assert_eq!(seconds("finished in 250.00ms, 10 req/s"), Some(0.25));
        assert_eq!(seconds("finished in 1min, 10 req/s"), None);
        assert_eq!(seconds("nothing"), None);
    }
}
