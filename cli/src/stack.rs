//! `up --stack`: Prometheus with the shipped rules, and Alertmanager whose receivers are on loopback, beside the proxy.

pub mod alertmanager;
mod program;
pub mod prometheus;
pub mod receivers;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::tools::{Fetch, Tools};
use alertmanager::{Alertmanager, LoopbackOptions};
pub use program::Program;
use prometheus::{Prometheus, PrometheusOptions};
use receivers::Receivers;

/// Where Prometheus is when nothing is said, and the port is free.
const PROMETHEUS: u16 = 9090;
/// The same for Alertmanager.
const ALERTMANAGER: u16 = 9093;
/// How often everything is scraped, and rules are evaluated: more often than as shipped, so that there is something to see at once.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Prometheus, Alertmanager and the receivers. Dropping them ends them.
#[derive(Debug)]
pub struct Stack {
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    receivers: Receivers,
    /// Kept for its `Drop`, which must come after the programs are gone.
    _folder: TempDir,
}

impl Stack {
    /// Starts them; `edge` is the proxy's listener for Prometheus. With `usual_ports` they are where one looks for them, when those are free.
    ///
    /// # Errors
    /// When a program is not there, or does not start with the shipped files.
    pub async fn start(edge: SocketAddr, usual_ports: bool) -> anyhow::Result<Self> {
        let tools = Tools::new(Fetch::Never);
        let (prometheus, alertmanager) = (tools.prometheus()?.path, tools.alertmanager()?.path);
        let folder = tempfile::Builder::new().prefix("edge-observer-stack-").tempdir()?;
        let receivers = Receivers::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let place = folder.path().join("alertmanager");
        // Whoever tries it in the evening is to see tickets too.
        let config = LoopbackOptions { mute_times: false, ..LoopbackOptions::default() };
        let config = alertmanager::loopback_config(receivers.address(), &place, &config)?;
        let alertmanager = Alertmanager::start(&alertmanager, &config, port(ALERTMANAGER, usual_ports)?).await?;
        let listen = port(PROMETHEUS, usual_ports)?;
        let mut options = PrometheusOptions::new(prometheus, listen, folder.path().join("prometheus"));
        options.interval = Some(INTERVAL);
        options.alertmanager = Some(alertmanager.address());
        // What fires before Alertmanager is known is not told.
        options.resend = Some(2 * INTERVAL);
        options.targets = BTreeMap::from([
            ("control-plane".to_owned(), vec![edge.to_string()]),
            ("edge".to_owned(), vec![edge.to_string()]),
            ("prometheus".to_owned(), vec![listen.to_string()]),
            ("alertmanager".to_owned(), vec![alertmanager.address().to_string()]),
        ]);
        let prometheus = Prometheus::start(&options).await?;
        Ok(Self { prometheus, alertmanager, receivers, _folder: folder })
    }

    /// Prometheus.
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// What stands in for PagerDuty, Opsgenie and the heartbeat monitor.
    pub fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// Where to look.
    pub fn addresses(&self) -> String {
        let (prometheus, alertmanager) = (self.prometheus.address(), self.alertmanager.address());
        let rows = [
            ("Prometheus", format!("{prometheus}/alerts"), "the rules, and what fires".to_owned()),
            ("", format!("{prometheus}/targets"), format!("what is scraped, every {} s", INTERVAL.as_secs())),
            ("Alertmanager", format!("{alertmanager}/#/alerts"), "who would be told".to_owned()),
            (
                "receivers",
                format!("{}/", self.receivers.address()),
                "what was sent: PagerDuty, Opsgenie, heartbeat".to_owned(),
            ),
        ];
        let line = |(name, url, what): (&str, String, String)| format!("{name:<14}http://{url:<26}  {what}\n");
        rows.into_iter().map(line).collect()
    }

    /// Ends them.
    ///
    /// # Errors
    /// When one does not end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.prometheus.stop().await?;
        self.alertmanager.stop().await
    }
}

/// The usual port when it is wanted and free; else any free one.
fn port(usual: u16, wanted: bool) -> anyhow::Result<SocketAddr> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bind = |port| TcpListener::bind(loopback(port)).and_then(|listener| listener.local_addr());
    let usual = if wanted { bind(usual).ok() } else { None };
    usual.map_or_else(|| bind(0), Ok).context("no port of loopback is free")
}
