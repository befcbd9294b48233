//! What Envoy's admin interface says.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::MODULE_PREFIX;
use crate::suite::check::{MetricSeen, Metrics};

/// The longest page that is read.
const MOST_BYTES: usize = 64 << 20;

/// How long a page may take.
const WITHIN: Duration = Duration::from_secs(5);

/// A page, where it is there and its status is 200.
pub(super) async fn get(admin: SocketAddr, path: &str) -> Option<Vec<u8>> {
    tokio::time::timeout(WITHIN, page(admin, path)).await.ok().flatten()
}

async fn page(admin: SocketAddr, path: &str) -> Option<Vec<u8>> {
    let socket = TcpStream::connect(admin).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.ok()?;
    let request = Request::get(path).header(header::HOST, "admin").body(Empty::<Bytes>::new()).ok()?;
    let page = async {
        let response = sender.send_request(request).await.ok()?;
        let is_there = response.status().is_success();
        let page = Limited::new(response.into_body(), MOST_BYTES).collect().await.ok()?;
        is_there.then(|| page.to_bytes().to_vec())
    };
    tokio::pin!(page);
    tokio::select! {
        biased;
        page = &mut page => page,
        _ = connection => page.await,
    }
}

/// The module's metrics.
pub(super) async fn metrics(admin: SocketAddr) -> Option<Metrics> {
    let page = get(admin, "/stats?filter=%5Ewasmcustom%5C.&format=json&histogram_buckets=detailed").await?;
    Some(parse(&serde_json::from_slice(&page).ok()?))
}

/// How many configurations of the filter Envoy has taken, and how many it has refused.
pub(super) async fn updates(admin: SocketAddr) -> Option<(u64, u64)> {
    let page = get(admin, "/stats?filter=extension_config_discovery").await?;
    let page = String::from_utf8(page).ok()?;
    let sum = |names: &[&str]| {
        let lines = page.lines().filter_map(|line| line.split_once(": "));
        let wanted = lines.filter(|(name, _)| names.iter().any(|wanted| name.ends_with(wanted)));
        wanted.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    };
    Some((sum(&[".config_reload"]), sum(&[".config_fail", ".update_rejected"])))
}

fn parse(page: &Value) -> Metrics {
    let mut metrics = Metrics::new();
    let mut add = |stat: &Value, metric| {
        if let Some(name) = stat.get("name").and_then(|name| name.as_str()?.strip_prefix(MODULE_PREFIX)) {
            metrics.entry(name.to_owned()).or_default().push(metric);
        }
    };
    for stat in page.get("stats").and_then(Value::as_array).into_iter().flatten() {
        if let Some(value) = stat.get("value").and_then(Value::as_u64) {
            add(stat, MetricSeen::Value(value));
        }
        let details = stat.get("histograms").and_then(|histograms| histograms.get("details")).and_then(Value::as_array);
        for histogram in details.into_iter().flatten() {
            let bins = histogram.get("totals").and_then(Value::as_array).into_iter().flatten();
            let count = bins.filter_map(|bin| bin.get("count").and_then(Value::as_u64)).sum();
            add(histogram, MetricSeen::Observations(count));
        }
    }
    metrics
}
