//! `edge-observer replay`: the requests of an access log through the filter, and its counts compared with the log.
//!
//! The upstream answers each request with the log's own status and size. It knows which request it has before it by a header of this tool's
//! ([`REPLAY_ID`]) that the filter does not look at; method, target, `Referer` and `User-Agent` go out as the log has them. Requests of HTTP/1.0 are
//! sent as HTTP/1.1, those of HTTP/2 and 3 and those with a method of their own as HTTP/2.

mod compare;
pub mod explain;
mod request;
mod sender;
mod upstream;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, stdin};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use access_log::AccessLog;
use anyhow::bail;
use tokio_util::sync::CancellationToken;

pub use compare::{CountRow, Left, Replayed};
pub use request::{Unsendable, Wire};
pub use upstream::{REPLAY_ID, ReplayUpstream};

use crate::Usage;
use crate::config_file;
use crate::proxy::{self, Proxy, ProxyKind, ProxyOptions};
use crate::scrape;
use crate::table::plural;
use crate::up;

/// How long the filter may take to hand over its last counts.
const HAND_OVER: Duration = Duration::from_secs(60);

/// What `replay` is to do.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Which proxy.
    pub proxy: ProxyKind,
    /// The access log; `-` is standard input.
    pub access_log: PathBuf,
    /// The plugin configuration; `None` is the EUCORA profile.
    pub config: Option<PathBuf>,
    /// The module; `None` is the one that `cargo xtask build` writes.
    pub module: Option<PathBuf>,
    /// Worker threads of the proxy.
    pub workers: u32,
    /// Connections to the proxy.
    pub connections: usize,
    /// No progress bar.
    pub quiet: bool,
    /// Ends it, as Ctrl-C does.
    pub stop: CancellationToken,
}

impl ReplayOptions {
    /// A replay of this log in the embedded host.
    pub fn new(access_log: impl Into<PathBuf>) -> Self {
        Self {
            proxy: ProxyKind::default(),
            access_log: access_log.into(),
            config: None,
            module: None,
            workers: 2,
            connections: 8,
            quiet: true,
            stop: CancellationToken::new(),
        }
    }
}

/// Reads the log, sends its requests, and compares.
///
/// # Errors
/// When the log cannot be read or holds no request, or something cannot be started. Differences are no error but in the result.
pub async fn run(options: ReplayOptions) -> anyhow::Result<Replayed> {
    let path = options.access_log.clone();
    let reading = tokio::task::spawn_blocking(move || read(&path));
    let log = tokio::select! {
        log = reading => log??,
        () = options.stop.cancelled() => bail!("stopped"),
    };
    let config = options.config.clone();
    let reading = tokio::task::spawn_blocking(move || up::load_config(config.as_deref()));
    let loaded = tokio::select! {
        loaded = reading => loaded??,
        () = options.stop.cancelled() => bail!("stopped"),
    };
    let module = proxy::module_path(options.module.as_deref())?;
    let wires: Vec<(usize, Result<Wire, Unsendable>)> =
        log.entries.iter().map(|(line, entry)| (*line, Wire::new(entry))).collect();
    let mut sendable = Vec::new();
    let mut left = Vec::new();
    for (line, wire) in wires {
        match wire {
            Ok(wire) => sendable.push(wire),
            Err(reason) => left.push((line, reason)),
        }
    }
    if sendable.is_empty() {
        let reasons = log.skipped.iter().map(|(reason, skipped)| (skipped.lines, reason.to_string()));
        let reasons = reasons.chain(left.iter().map(|(_, reason)| (1, reason.to_string())));
        let why = reasons.max_by_key(|(lines, _)| *lines).map_or_else(String::new, |(_, reason)| format!(": {reason}"));
        bail!(
            "{} holds no request that could be sent ({}{why})",
            options.access_log.display(),
            plural(log.lines as u64, "line")
        );
    }
    let sendable = Arc::new(sendable);
    let upstream = ReplayUpstream::start(Arc::clone(&sendable)).await?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let starting = Proxy::start(ProxyOptions {
        kind: options.proxy,
        module,
        configuration: loaded.json.clone(),
        upstream: upstream.address().into(),
        listen: any,
        admin: any,
        metrics: None,
        workers: options.workers,
    });
    let proxy = tokio::select! {
        proxy = starting => proxy?,
        () = options.stop.cancelled() => bail!("stopped"),
    };
    let compared = send_and_compare(&options, &loaded, &log, &sendable, &left, &proxy).await;
    let stopped = proxy.stop().await;
    let replayed = compared?;
    stopped?;
    Ok(replayed)
}

async fn send_and_compare(
    options: &ReplayOptions,
    loaded: &config_file::Loaded,
    log: &AccessLog,
    sendable: &Arc<Vec<Wire>>,
    left: &[(usize, Unsendable)],
    proxy: &Proxy,
) -> anyhow::Result<Replayed> {
    let bar = up::progress_bar(sendable.len() as u64, options.quiet);
    let sender = sender::Sender::new(proxy.listen(), Arc::clone(sendable));
    let progress = sender.progress();
    let ledger = {
        let mut running = std::pin::pin!(sender.run(options.connections));
        loop {
            tokio::select! {
                ledger = &mut running => break ledger?,
                () = tokio::time::sleep(Duration::from_millis(100)) => bar.set_position(progress.load(Ordering::Relaxed)),
                () = options.stop.cancelled() => bail!("stopped after {} of {} requests", progress.load(Ordering::Relaxed), sendable.len()),
            }
        }
    };
    bar.finish_and_clear();
    let books = compare::Books {
        config: &loaded.config,
        normalised: proxy.kind() == ProxyKind::Envoy,
        log,
        sendable,
        left,
        ledger: &ledger,
    };
    let admin = proxy.admin();
    let waited = scrape::wait_until(admin, HAND_OVER, |scrape| books.compare(scrape).is_exact()).await?;
    // One more tick: what comes too much, comes late.
    tokio::time::sleep(Duration::from_millis(u64::from(loaded.config.metrics().flush_interval_ms()) + 200)).await;
    let last = scrape::fetch(admin).await.unwrap_or(waited.scrape);
    Ok(books.compare(&last))
}

fn read(path: &Path) -> anyhow::Result<AccessLog> {
    let reader: Box<dyn Read> = if path.as_os_str() == config_file::STDIN {
        Box::new(stdin())
    } else {
        Box::new(File::open(path).map_err(|error| Usage::error(format!("cannot read {}: {error}", path.display())))?)
    };
    let mut reader = BufReader::new(reader);
    if reader.fill_buf().is_ok_and(|start| start.starts_with(&[0x1f, 0x8b])) {
        let name = path.display();
        return Err(Usage::error(format!("{name} is compressed; unpack it, or use `zcat FILE | … --access-log -`")));
    }
    AccessLog::read(reader).map_err(|error| Usage::error(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_that_cannot_be_replayed_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("module.wasm");
        std::fs::write(&module, "").unwrap();
        let tunnel: &[u8] = b"h - - [17/May/2015:10:05:03 +0000] \"CONNECT h:443 HTTP/1.1\" 200 0\n";
        for (name, content, expected) in [
            ("empty", &b""[..], "empty holds no request that could be sent (0 lines)"),
            ("garbage", b"\xff\n", "garbage holds no request that could be sent (1 line: "),
            ("tunnel", tunnel, "(1 line: CONNECT is a tunnel, not a request)"),
            ("log.gz", b"\x1f\x8b\x08", "log.gz is compressed"),
        ] {
            let log = folder.path().join(name);
            std::fs::write(&log, content).unwrap();
            let options = ReplayOptions { module: Some(module.clone()), ..ReplayOptions::new(&log) };
            let message = run(options).await.unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
