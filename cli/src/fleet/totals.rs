//! What became of the requests of a fleet, by three counts of each proxy: the client's, Envoy's and the filter's.

use std::collections::BTreeMap;
use std::time::Duration;

use telemetry::config::Config;
use telemetry::metrics::catalogue::REQUESTS;

use super::Member;
use crate::load::{Ledger, Pace};
use crate::up::{metric_name, proxy_total};
use crate::{process, scrape};

/// How long the filter may take to hand over its last counts.
const HAND_OVER: Duration = Duration::from_secs(10);

/// The counts of one proxy.
#[derive(Debug, Clone)]
pub struct ProxyTotals {
    /// Its ring.
    pub ring: String,
    /// Its name.
    pub name: String,
    /// What the client saw.
    pub client: Ledger,
    /// What Envoy counted.
    pub envoy: u64,
    /// What the filter counted.
    pub filter: u64,
    /// The processor time that it took, where there is a `/proc`.
    pub cpu: Option<Duration>,
}

/// The counts of a fleet.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Each proxy's.
    pub proxies: Vec<ProxyTotals>,
    /// How long it ran.
    pub ran: Duration,
    /// The processor time of this process: the load and the sample API.
    pub own_cpu: Option<Duration>,
    /// The longest that a request was sent after its time.
    pub late: Duration,
}

impl Totals {
    /// All requests that were sent.
    pub fn requests(&self) -> u64 {
        self.proxies.iter().map(|proxy| proxy.client.total()).sum()
    }

    /// Requests that got no answer, or half of one.
    pub fn failed(&self) -> u64 {
        self.proxies.iter().map(|proxy| proxy.client.unanswered_total() + proxy.client.truncated).sum()
    }

    /// Whether every request was answered, and all three counted the same on each proxy.
    pub fn is_exact(&self) -> bool {
        let same = |proxy: &ProxyTotals| proxy.client.total() == proxy.envoy && proxy.envoy == proxy.filter;
        self.failed() == 0 && self.proxies.iter().all(same)
    }
}

pub(super) async fn of(
    members: &[Member],
    config: &Config,
    mut ledgers: BTreeMap<String, Ledger>,
    pace: &Pace,
    ran: Duration,
) -> anyhow::Result<Totals> {
    let requests = metric_name(config, &REQUESTS);
    let filter = |page: &scrape::Scrape| page.count(&requests, &[]);
    let mut proxies = Vec::new();
    for member in members {
        let client = ledgers.remove(&member.name).unwrap_or_default();
        let sent = client.total();
        let done = |page: &scrape::Scrape| proxy_total(page) >= sent && filter(page) >= sent;
        let page = scrape::wait_until(member.envoy.admin(), HAND_OVER, done).await?.scrape;
        proxies.push(ProxyTotals {
            ring: member.ring.clone(),
            name: member.name.clone(),
            client,
            envoy: proxy_total(&page),
            filter: filter(&page),
            cpu: member.envoy.pid().and_then(process::cpu),
        });
    }
    Ok(Totals { proxies, ran, own_cpu: process::cpu(std::process::id()), late: pace.worst() })
}
