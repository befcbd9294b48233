//! For every alert: its cause, that it fires and is delivered; its cause mended, that it resolves and the resolution is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use edge_observer::envoy::EnvoyError;
use edge_observer::sample_api::Summary;
use edge_observer::stack::prometheus::RULES;
use edge_observer::stack::receivers::{Action, Receiver};
use edge_observer::table::{Column, Table};
use serde_yaml_ng::Value;

use super::scene::{Scene, repeat, troubled};
use crate::events::fakes::Behaviour;
use crate::support::mortal::kill_a_vm;

/// How long alerts may take to get to a state: the longest window is 35 s, and two cores may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(180);

/// The names of all alerts that are shipped, with their severity.
fn shipped() -> BTreeMap<String, String> {
    let mut alerts = BTreeMap::new();
    for (_, text) in RULES {
        let file: Value = serde_yaml_ng::from_str(text).unwrap();
        for group in file["groups"].as_sequence().unwrap() {
            for rule in group["rules"].as_sequence().unwrap() {
                if let Some(name) = rule["alert"].as_str() {
                    alerts.insert(name.to_owned(), rule["labels"]["severity"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    alerts
}

/// What was seen of one alert, as seconds since the matrix began.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    /// Deliveries up to this number were before the cause.
    from: u64,
    fired: Option<u64>,
    delivered: Option<u64>,
    resolved: Option<u64>,
    told: Option<u64>,
}

/// Watches Prometheus and the receivers.
struct Watch<'a> {
    scene: &'a Scene,
    begun: Instant,
    severities: BTreeMap<String, String>,
    rows: BTreeMap<String, Row>,
}

impl Watch<'_> {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// The names of the alerts that fire; each is written down, with what came of it at the receivers.
    async fn look(&mut self) -> BTreeSet<String> {
        let alerts = self.scene.prometheus.alerts().await.unwrap();
        let firing: BTreeSet<String> = alerts
            .into_iter()
            .filter(|alert| alert.state == "firing")
            .map(|mut alert| alert.labels.remove("alertname").unwrap())
            .collect();
        let (now, deliveries) = (self.now(), self.scene.receivers.deliveries());
        for (name, severity) in &self.severities {
            let row = self.rows.entry(name.clone()).or_default();
            if firing.contains(name) {
                row.fired.get_or_insert(now);
                (row.resolved, row.told) = (None, None);
            } else if row.fired.is_some() {
                row.resolved.get_or_insert(now);
            }
            let wanted: &[Receiver] = match (name.as_str(), severity.as_str()) {
                ("Watchdog", _) => &[Receiver::Heartbeat],
                (_, "critical") => &[Receiver::PagerDuty, Receiver::Opsgenie],
                _ => &[Receiver::Tickets],
            };
            // By every receiver that should be told: that it is, and the last word of each.
            let from = row.from;
            let words = |receiver: Receiver| {
                deliveries
                    .iter()
                    .rev()
                    .filter(move |one| one.number > from && one.receiver == receiver && one.accepted())
                    .filter(|one| one.is_about(name))
                    .map(|one| one.action)
            };
            if wanted.iter().all(|receiver| words(*receiver).any(|word| word == Action::Trigger)) {
                row.delivered.get_or_insert(now);
            }
            let last = |receiver: &Receiver| words(*receiver).find(|word| *word != Action::Update);
            if row.resolved.is_some() && wanted.iter().all(|receiver| last(receiver) == Some(Action::Resolve)) {
                row.told.get_or_insert(now);
            }
        }
        firing
    }

    /// Forgets what was seen of these so far: their cause is about to begin.
    async fn begin(&mut self, names: &[&str]) {
        let firing = self.look().await;
        let last = self.scene.receivers.deliveries().last().map_or(0, |delivery| delivery.number);
        for name in names {
            assert!(!firing.contains(*name), "{name} fires before its cause");
            self.rows.insert((*name).to_owned(), Row { from: last, ..Row::default() });
        }
    }

    /// Waits until this holds of the rows of these alerts.
    async fn until(&mut self, what: &str, names: &[&str], holds: impl Fn(&Row) -> bool) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let firing = self.look().await;
            let left: Vec<&str> = names.iter().filter(|name| !holds(&self.rows[**name])).copied().collect();
            if left.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                let deliveries: Vec<String> =
                    self.scene.receivers.deliveries().iter().map(ToString::to_string).collect();
                let alerts = self.scene.prometheus.alerts().await.unwrap();
                panic!(
                    "not {what} within {} s: {left:?}; firing: {firing:?}\n{}\n{alerts:#?}\n{}",
                    LIMIT.as_secs(),
                    deliveries.join("\n"),
                    self.table()
                );
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn fired_and_delivered(&mut self, names: &[&str]) {
        self.until("fired and delivered", names, |row| row.fired.is_some() && row.delivered.is_some()).await;
    }

    /// Waits until none of these fires.
    async fn quiet_of(&mut self, names: &[&str]) {
        let deadline = Instant::now() + LIMIT;
        while self.look().await.iter().any(|firing| names.contains(&firing.as_str())) {
            assert!(Instant::now() < deadline, "fires without a cause: {:#?}", self.scene.prometheus.alerts().await);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn resolved_and_told(&mut self, names: &[&str]) {
        self.until("resolved and told", names, |row| row.resolved.is_some() && row.told.is_some()).await;
    }

    fn table(&self) -> String {
        let mut table = Table::new([
            ("alert", Column::Text),
            ("severity", Column::Text),
            ("fired", Column::Number),
            ("delivered", Column::Number),
            ("resolved", Column::Number),
            ("resolution delivered", Column::Number),
        ]);
        let seconds = |at: Option<u64>| at.map_or_else(|| "no".to_owned(), |at| format!("{at} s"));
        for (name, row) in &self.rows {
            let ends = name != "Watchdog";
            table.row([
                name.clone(),
                self.severities[name].clone(),
                seconds(row.fired),
                seconds(row.delivered),
                if ends { seconds(row.resolved) } else { "never".to_owned() },
                if ends { seconds(row.told) } else { "never".to_owned() },
            ]);
        }
        table.render()
    }
}

/// What shows in requests, in what the API's own summary says, in certificates and in configurations.
const FIRST: &[&str] = &[
    "CABQueueDepthHigh",
    "CertificateExpiringSoon",
    "CertificateExpiringVerySoon",
    "ConnectorFailures",
    "DatabaseConnectionsHigh",
    "EdgeBucketsUnexpected",
    "EdgeBuildMismatch",
    "EdgeConfigRejected",
    "EdgeEndpointOverflow",
    "EdgeEventQueueAge",
    "EdgeEventsUndelivered",
    "EdgeHeartbeatMissing",
    "EdgeHostcallFaults",
    "EdgePollStale",
    "EdgeSeriesBudget",
    "EdgeVmReloads",
    "ErrorBudgetBurnFast",
    "ErrorBudgetBurnSlow",
    "HighErrorRate",
    "RedisMemoryHigh",
    "SlowResponseTime",
    "StuckDeployments",
];

/// What is away altogether, or counted no more.
const SECOND: &[&str] =
    &["CeleryWorkerDown", "DatabaseDown", "EdgeCountsDiffer", "EdgeWorkerWithoutFilter", "RedisDown", "TargetDown"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_fires_is_delivered_and_resolves() {
    let Some(mut scene) = Scene::start().await else { return };
    let (first, second) = (scene.first.listen(), scene.second.listen());
    let mut rows = BTreeMap::new();
    let begun = Instant::now();
    let severities = shipped();
    let mut all: BTreeSet<&str> = FIRST.iter().chain(SECOND).copied().collect();
    all.extend(["EdgeRequestMetricsAbsent", "Watchdog"]);
    assert_eq!(all, severities.keys().map(String::as_str).collect::<BTreeSet<_>>(), "an alert without a cause here");

    macro_rules! watch {
        () => {
            &mut Watch { scene: &scene, begun, severities: severities.clone(), rows: std::mem::take(&mut rows) }
        };
    }

    // Before the first request.
    let watch = watch!();
    watch.fired_and_delivered(&["EdgeRequestMetricsAbsent", "Watchdog"]).await;
    scene.api.summarise(Summary::Still { pending: 1, cab_queue: 3 });
    let load = scene.load(60.0);
    scene.fill_second(4_000).await;
    let steady = repeat(second, 120.0, |number| format!("GET /api/v1/deployments/{number}/"));
    scene.backing.send_tasks();
    watch.resolved_and_told(&["EdgeRequestMetricsAbsent"]).await;

    // In health nothing but the watchdog fires, and it is not a matter of having looked too early.
    let mut quiet_since = Instant::now();
    let deadline = Instant::now() + LIMIT;
    while quiet_since.elapsed() < Duration::from_secs(8) {
        let firing = watch.look().await;
        if firing.iter().any(|name| name != "Watchdog") {
            quiet_since = Instant::now();
        }
        assert!(Instant::now() < deadline, "fires without a cause: {firing:?} {:#?}", scene.prometheus.alerts().await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let healthy: BTreeSet<&str> =
        watch.rows.iter().filter(|(_, row)| row.fired.is_some()).map(|(name, _)| name.as_str()).collect();
    eprintln!("fired before any cause: {healthy:?}");

    super::queries::all_have_answers(&scene.prometheus).await;

    // The first half.
    watch.begin(FIRST).await;
    rows = std::mem::take(&mut watch.rows);
    drop(steady);
    scene.api.summarise(Summary::Still { pending: 5, cab_queue: 30 });
    scene.certify(3);
    scene.collector.behave(Behaviour::Fail);
    scene.backing.fill_redis();
    let connections = scene.backing.hold_connections();
    let errors = repeat(first, 15.0, |_| "GET /api/v1/deployments/?status=503".to_owned());
    let slow = repeat(first, 4.0, |_| "GET /api/v1/policies/?wait=2.2".to_owned());
    let failing = repeat(first, 4.0, |_| "POST /api/v1/connectors/jamf/deploy?status=502".to_owned());
    scene.second.update_config(&troubled().to_string()).await.unwrap();
    let everywhere = repeat(second, 60.0, |number| format!("GET /place-{}/{number}", number % 40));
    let decisions = repeat(second, 10.0, |number| format!("POST /decisions/{number}"));
    let refused = scene.third.update_config(r#"{"namespace": "no name"}"#).await;
    assert!(matches!(refused, Err(EnvoyError::Refused { .. })), "{refused:?}");
    scene.disable_third();
    let fourth = scene.fourth.listen();
    kill_a_vm(fourth).await;
    // It is loaded anew by the first request after a pause.
    let reloads = repeat(fourth, 5.0, |_| "GET /api/v1/deployments/".to_owned());
    let watch = watch!();
    watch.fired_and_delivered(FIRST).await;

    // Mended.
    rows = std::mem::take(&mut watch.rows);
    drop((errors, slow, failing, everywhere, decisions, reloads));
    scene.api.summarise(Summary::Still { pending: 1, cab_queue: 3 });
    scene.certify(365);
    scene.collector.behave(Behaviour::Well);
    scene.backing.empty_redis();
    connections.stop().await.unwrap();
    scene.second.update_config(&Scene::sound()).await.unwrap();
    scene.third.update_config(&Scene::sound()).await.unwrap();
    let steady = repeat(second, 120.0, |number| format!("GET /api/v1/deployments/{number}/"));
    let watch = watch!();
    watch.resolved_and_told(FIRST).await;

    // The second half.
    watch.quiet_of(SECOND).await;
    watch.begin(SECOND).await;
    rows = std::mem::take(&mut watch.rows);
    scene.backing.stop_worker().await;
    scene.backing.stop_postgres().await;
    scene.backing.stop_redis().await;
    kill_a_vm(second).await;
    let watch = watch!();
    watch
        .fired_and_delivered(&[
            "RedisDown",
            "DatabaseDown",
            "CeleryWorkerDown",
            "EdgeWorkerWithoutFilter",
            "EdgeCountsDiffer",
        ])
        .await;
    rows = std::mem::take(&mut watch.rows);
    scene.backing.stop_redis_exporter().await;
    let watch = watch!();
    watch.fired_and_delivered(SECOND).await;

    rows = std::mem::take(&mut watch.rows);
    scene.backing.start_worker().await;
    scene.backing.start_postgres().await;
    scene.backing.start_redis().await;
    scene.backing.start_redis_exporter().await;
    // A new configuration is a new VM.
    let mut renewed: serde_json::Value = serde_json::from_str(&Scene::sound()).unwrap();
    renewed["metrics"]["flush_interval_ms"] = 900.into();
    scene.second.update_config(&renewed.to_string()).await.unwrap();
    scene.second.update_config(&Scene::sound()).await.unwrap();
    let watch = watch!();
    watch.resolved_and_told(SECOND).await;
    watch.until("quiet", FIRST, |row| row.resolved.is_some() && row.told.is_some()).await;
    drop((steady, load));

    eprintln!("{}", watch.table());
    assert_eq!(scene.receivers.complaints(), Vec::<String>::new());
}
