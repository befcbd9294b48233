//! A real Alertmanager with the shipped configuration, alerts that come and go, and receivers on loopback that check what they get.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use edge_observer::client::{Connection, Protocol, RequestBody};
use edge_observer::stack::alertmanager::{Alertmanager, LoopbackOptions, Timings, loopback_config};
use edge_observer::stack::receivers::{Action, Behaviour, Delivery, Receiver, Receivers};
use edge_observer::tools::Tools;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::said;

/// Long enough for a slow machine; what is awaited comes after about two seconds.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Alertmanager and what it reports to.
pub(super) struct Stand {
    pub(super) receivers: Receivers,
    alertmanager: Alertmanager,
    configuration: PathBuf,
    _folder: tempfile::TempDir,
}

/// One second for everything, at every hour.
pub(super) fn quick() -> LoopbackOptions {
    LoopbackOptions { timings: Some(Timings::short()), mute_times: false, inhibition: true }
}

impl Stand {
    pub(super) async fn start(options: &LoopbackOptions) -> Option<Self> {
        Self::start_with(options, |text| text).await
    }

    /// With an edit of the configuration's text.
    async fn start_with(options: &LoopbackOptions, edit: impl FnOnce(String) -> String) -> Option<Self> {
        let program = crate::stack::tool(Tools::alertmanager)?;
        let folder = tempfile::tempdir().unwrap();
        let receivers = Receivers::start(LOOPBACK).await.unwrap();
        let configuration = loopback_config(receivers.address(), folder.path(), options).unwrap();
        let text = std::fs::read_to_string(&configuration).unwrap();
        std::fs::write(&configuration, edit(text)).unwrap();
        let alertmanager = Alertmanager::start(&program, &configuration, LOOPBACK).await.unwrap();
        Some(Self { receivers, alertmanager, configuration, _folder: folder })
    }

    async fn call(&self, request: Request<RequestBody>) -> Value {
        let mut connection = Connection::open(self.alertmanager.address(), Protocol::Http1).await.unwrap();
        let response = connection.send(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// Sends alerts as Prometheus does.
    pub(super) async fn send(&self, alerts: &[Alert]) {
        let alerts: Vec<_> = alerts.iter().map(Alert::json).collect();
        let request = Request::post("/api/v2/alerts")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(RequestBody::from(json!(alerts).to_string()))
            .unwrap();
        self.call(request).await;
    }

    /// The alerts that it has.
    pub(super) async fn alerts(&self) -> Vec<Value> {
        let request = Request::get("/api/v2/alerts").header("host", "localhost").body(RequestBody::default()).unwrap();
        self.call(request).await.as_array().unwrap().clone()
    }

    async fn reload(&self, edit: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.configuration).unwrap();
        std::fs::write(&self.configuration, edit(text)).unwrap();
        let request = Request::post("/-/reload").header("host", "localhost").body(RequestBody::default()).unwrap();
        self.call(request).await;
    }

    pub(super) async fn delivered(&self, receiver: Receiver, alert: &str, action: Action) -> Delivery {
        let wanted = |delivery: &Delivery| {
            delivery.receiver == receiver
                && delivery.is_about(alert)
                && delivery.action == action
                && delivery.accepted()
        };
        match self.receivers.wait_for(wanted, PATIENCE).await {
            Some(delivery) => delivery,
            None => panic!("no {action} of {alert} at {receiver}: {:#?}", self.shown()),
        }
    }

    fn shown(&self) -> Vec<String> {
        self.receivers.deliveries().iter().map(ToString::to_string).collect()
    }

    /// What came about an alert, in any state.
    fn about(&self, alert: &str) -> Vec<Delivery> {
        self.receivers.deliveries().into_iter().filter(|delivery| delivery.is_about(alert)).collect()
    }

    /// Sends one more alert to each receiver and waits for it: what was to come before it has come by then.
    async fn settle(&self, mark: &str) {
        let critical = Alert::new(mark, "critical").with("team", "settling").with("service", "settling");
        let warning = Alert::new(&format!("{mark}Ticket"), "warning").with("team", "settling").with("service", "other");
        self.send(&[critical, warning]).await;
        self.delivered(Receiver::PagerDuty, mark, Action::Trigger).await;
        self.delivered(Receiver::Opsgenie, mark, Action::Trigger).await;
        self.delivered(Receiver::Tickets, &format!("{mark}Ticket"), Action::Trigger).await;
    }

    pub(super) async fn end(self) {
        assert_eq!(self.receivers.complaints(), Vec::<String>::new());
        self.alertmanager.stop().await.unwrap();
    }
}

/// An alert as a rule of ours makes it.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    since: Option<SystemTime>,
    ended: bool,
}

impl Alert {
    pub(super) fn new(name: &str, severity: &str) -> Self {
        let labels = [
            ("alertname", name),
            ("severity", severity),
            ("team", "api"),
            ("service", "eucora-api"),
            ("environment", "production"),
            ("cluster", "eucora"),
        ];
        let runbook = format!("https://github.com/edge-observer/edge-observer/blob/main/docs/runbooks/{name}.md");
        let annotations = [
            ("summary", "One line about it"),
            ("description", "More about it."),
            ("runbook_url", &runbook),
            ("dashboard_url", "/d/eucora-slo"),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self { labels: labels.map(owned).into(), annotations: annotations.map(owned).into(), since: None, ended: false }
    }

    pub(super) fn with(mut self, label: &str, value: &str) -> Self {
        self.labels.insert(label.to_owned(), value.to_owned());
        self
    }

    fn says(mut self, annotation: &str, value: &str) -> Self {
        self.annotations.insert(annotation.to_owned(), value.to_owned());
        self
    }

    fn ended(&self) -> Self {
        Self { since: Some(SystemTime::now() - Duration::from_secs(60)), ended: true, ..self.clone() }
    }

    fn json(&self) -> Value {
        let now = SystemTime::now();
        let time = |time: SystemTime| jiff::Timestamp::try_from(time).unwrap().to_string();
        let ends = if self.ended { now } else { now + Duration::from_secs(3600) };
        json!({
            "labels": self.labels,
            "annotations": self.annotations,
            // Now: what has lasted longer than `group_wait` is sent at once, alone.
            "startsAt": time(self.since.unwrap_or(now)),
            "endsAt": time(ends),
            "generatorURL": "http://prometheus.example/graph?g0.expr=up",
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_goes_to_both_vendors_and_is_closed_with_the_same_key() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    let alert = Alert::new("HighErrorRate", "critical").with("instance", "edge-1");
    stand.send(std::slice::from_ref(&alert)).await;
    let page = stand.delivered(Receiver::PagerDuty, "HighErrorRate", Action::Trigger).await;
    let other = stand.delivered(Receiver::Opsgenie, "HighErrorRate", Action::Trigger).await;
    assert_eq!((page.severity.as_str(), other.severity.as_str()), ("critical", "P1"));
    assert_eq!(page.summary, "HighErrorRate eucora-api (production): One line about it");
    assert_eq!(other.summary, page.summary);
    let event: Value = serde_json::from_slice(&page.body).unwrap();
    let runbook = "https://github.com/edge-observer/edge-observer/blob/main/docs/runbooks/HighErrorRate.md";
    let dashboard = "https://grafana.example.com/d/eucora-slo";
    assert_eq!(event["links"][0], json!({ "text": "Runbook", "href": runbook }));
    assert_eq!(event["links"][1], json!({ "text": "Dashboard", "href": dashboard }));
    let payload = &event["payload"];
    assert_eq!(payload["class"], "HighErrorRate");
    assert_eq!(payload["component"], "eucora-api");
    assert_eq!(payload["group"], "production/eucora");
    assert_eq!(payload["source"], "edge-1");
    for delivery in [&page, &other] {
        assert_eq!(delivery.details["runbook"], runbook);
        assert_eq!(delivery.details["dashboard"], dashboard);
        assert_eq!(delivery.details["instances"], "edge-1");
    }
    assert_eq!(page.details["team"], "api");
    let alert_of_opsgenie: Value = serde_json::from_slice(&other.body).unwrap();
    assert_eq!(alert_of_opsgenie["responders"], json!([{ "type": "team", "name": "api" }]));
    assert_eq!(alert_of_opsgenie["tags"], json!(["eucora", "critical", "api", "eucora-api", "production"]));
    let description = alert_of_opsgenie["description"].as_str().unwrap();
    for part in [runbook, dashboard, "One line about it", "More about it.", "instance = edge-1"] {
        assert!(description.contains(part), "{part} is not in {description}");
    }

    stand.send(&[alert.ended()]).await;
    let closed = stand.delivered(Receiver::PagerDuty, "HighErrorRate", Action::Resolve).await;
    let other_closed = stand.delivered(Receiver::Opsgenie, "HighErrorRate", Action::Resolve).await;
    assert_eq!(closed.key, page.key);
    assert_eq!(other_closed.key, other.key);
    stand.settle("Mark").await;
    assert_eq!(stand.about("HighErrorRate").len(), 4, "{:#?}", stand.shown());
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warning_is_a_ticket_and_what_is_for_dashboards_is_nothing() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    let alert = Alert::new("CABQueueDepthHigh", "warning");
    let others = [Alert::new("ForDashboards", "info"), Alert::new("ForInhibition", "none")];
    stand.send(std::slice::from_ref(&alert)).await;
    stand.send(&others).await;
    let ticket = stand.delivered(Receiver::Tickets, "CABQueueDepthHigh", Action::Trigger).await;
    assert_eq!(ticket.severity, "P3");
    stand.send(&[alert.ended()]).await;
    let closed = stand.delivered(Receiver::Tickets, "CABQueueDepthHigh", Action::Resolve).await;
    assert_eq!(closed.key, ticket.key);
    // A severity that nobody has thought of is seen.
    stand.send(&[Alert::new("Odd", "page")]).await;
    assert_eq!(stand.delivered(Receiver::Tickets, "Odd", Action::Trigger).await.severity, "P4");
    stand.settle("Mark").await;
    assert_eq!(stand.about("CABQueueDepthHigh").len(), 2, "{:#?}", stand.shown());
    assert!(stand.about("ForDashboards").is_empty() && stand.about("ForInhibition").is_empty(), "{:#?}", stand.shown());
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heart_beats_while_there_is_a_watchdog_and_then_falls_silent() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    let watchdog = Alert::new("Watchdog", "none");
    stand.send(std::slice::from_ref(&watchdog)).await;
    for beats in [1, 3, 5] {
        let enough = |delivery: &Delivery| delivery.receiver == Receiver::Heartbeat && delivery.number >= beats;
        let beat = stand.receivers.wait_for(enough, PATIENCE).await;
        assert!(beat.is_some_and(|beat| beat.accepted() && beat.is_about("Watchdog")), "{:#?}", stand.shown());
    }
    stand.send(&[watchdog.ended()]).await;
    stand.settle("Mark").await;
    let before = stand.about("Watchdog").len();
    stand.settle("LaterMark").await;
    let beats = stand.about("Watchdog");
    assert_eq!(beats.len(), before, "it beats on: {:#?}", stand.shown());
    assert!(beats.iter().all(|beat| beat.receiver == Receiver::Heartbeat && beat.action == Action::Trigger));
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_vendor_refuses_for_a_while_comes_once_and_the_other_does_not_wait() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    for (alert, behaviour) in [("WhileBusy", Behaviour::Busy), ("WhileFailing", Behaviour::Fail)] {
        stand.receivers.misbehave(Receiver::PagerDuty, behaviour, 2);
        stand.receivers.misbehave(Receiver::Opsgenie, behaviour, 1);
        stand.send(&[Alert::new(alert, "critical")]).await;
        stand.delivered(Receiver::PagerDuty, alert, Action::Trigger).await;
        stand.delivered(Receiver::Opsgenie, alert, Action::Trigger).await;
        stand.settle(&format!("{alert}Mark")).await;
        let at = |receiver| {
            let answers = stand.about(alert).into_iter().filter(move |delivery| delivery.receiver == receiver);
            answers.map(|delivery| delivery.status.unwrap()).collect::<Vec<_>>()
        };
        let refused = if behaviour == Behaviour::Busy { 429 } else { 500 };
        assert_eq!(at(Receiver::PagerDuty), [refused, refused, 202]);
        assert_eq!(at(Receiver::Opsgenie), [refused, 202]);
    }
    stand.receivers.behave(Receiver::PagerDuty, Behaviour::Hang);
    stand.send(&[Alert::new("WhileSilent", "critical")]).await;
    let asked = |delivery: &Delivery| delivery.receiver == Receiver::PagerDuty && delivery.is_about("WhileSilent");
    assert_eq!(stand.receivers.wait_for(asked, PATIENCE).await.unwrap().status, None);
    stand.delivered(Receiver::Opsgenie, "WhileSilent", Action::Trigger).await;
    stand.receivers.behave(Receiver::PagerDuty, Behaviour::Well);
    // Alertmanager gives up the call that hangs, and tries again.
    stand.delivered(Receiver::PagerDuty, "WhileSilent", Action::Trigger).await;
    stand.end().await;
}

/// The shipped mute time of tickets, made to be always or never.
fn office_closed(text: String, closed: bool) -> String {
    let mut file: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    let years = if closed { "['1970:2999']" } else { "['1970']" };
    let mut edited = 0;
    for interval in file["time_intervals"].as_sequence_mut().unwrap() {
        if interval["name"] == "outside-office-hours" {
            interval["time_intervals"] = serde_yaml_ng::from_str(&format!("[{{years: {years}}}]")).unwrap();
            edited += 1;
        } else {
            // Nor may the day of this test matter.
            interval["time_intervals"] = serde_yaml_ng::from_str("[{years: ['1970']}]").unwrap();
        }
    }
    assert_eq!(edited, 1);
    serde_yaml_ng::to_string(&file).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_wait_for_office_hours_and_pages_do_not() {
    let options = LoopbackOptions { mute_times: true, ..quick() };
    let Some(stand) = Stand::start_with(&options, |text| office_closed(text, true)).await else { return };
    let (ticket, page) = (Alert::new("AtNight", "warning").with("team", "edge"), Alert::new("AlsoAtNight", "critical"));
    stand.send(std::slice::from_ref(&ticket)).await;
    stand.send(&[page]).await;
    stand.delivered(Receiver::PagerDuty, "AlsoAtNight", Action::Trigger).await;
    // A page that comes later, so that the ticket has had its time.
    stand.send(&[Alert::new("Mark", "critical")]).await;
    stand.delivered(Receiver::Opsgenie, "Mark", Action::Trigger).await;
    assert!(stand.about("AtNight").is_empty(), "{:#?}", stand.shown());
    // In the morning.
    stand.reload(|text| office_closed(text, false)).await;
    stand.delivered(Receiver::Tickets, "AtNight", Action::Trigger).await;
    stand.send(&[ticket.ended()]).await;
    stand.delivered(Receiver::Tickets, "AtNight", Action::Resolve).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sidecars_are_one_page() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    let sidecars: Vec<_> = (0..50)
        .map(|number| Alert::new("EdgeHeartbeatMissing", "critical").with("instance", &format!("10.0.0.{number}")))
        .collect();
    stand.send(&sidecars).await;
    let page = stand.delivered(Receiver::PagerDuty, "EdgeHeartbeatMissing", Action::Trigger).await;
    stand.delivered(Receiver::Opsgenie, "EdgeHeartbeatMissing", Action::Trigger).await;
    assert!(page.summary.starts_with("EdgeHeartbeatMissing x50 eucora-api (production): "), "{}", page.summary);
    assert_eq!(page.details["instances"].matches("10.0.0.").count(), 40, "{}", page.details["instances"]);
    assert_eq!(page.details["num_firing"], "50");
    // Half of them get well: the page stays, and nobody is called again.
    let well: Vec<_> = sidecars[..25].iter().map(Alert::ended).collect();
    stand.send(&well).await;
    stand.settle("Mark").await;
    let well: Vec<_> = sidecars.iter().map(Alert::ended).collect();
    stand.send(&well).await;
    let closed = stand.delivered(Receiver::PagerDuty, "EdgeHeartbeatMissing", Action::Resolve).await;
    stand.delivered(Receiver::Opsgenie, "EdgeHeartbeatMissing", Action::Resolve).await;
    assert_eq!(closed.key, page.key);
    let keys: std::collections::BTreeSet<_> =
        stand.about("EdgeHeartbeatMissing").into_iter().map(|delivery| (delivery.receiver, delivery.key)).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_breaks_a_message_or_its_limits() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    let hostile = [
        r#"quotes " ' \ ` and "}],"x":{"#.to_owned(),
        "lines\nand\r\nmore\tof\u{0}\u{7f}\u{1b}[31m".to_owned(),
        r#"{{ .Nothing.Here }} {{ template "site.grafana" . }} {{ end }} {{ range }}"#.to_owned(),
        "<script>alert(1)</script>&amp;, https://x/?a=b, c, d".to_owned(),
        "ringgröße 環 🔔\u{202e}\u{feff}é".repeat(30),
        "x".repeat(10_000),
        "🔔".repeat(10_000),
        String::new(),
    ];
    for (number, value) in hostile.iter().enumerate() {
        for (name, severity) in [("HostilePage", "critical"), ("HostileTicket", "warning")] {
            let alert = Alert::new(&format!("{name}{number}"), severity).with("service", value).with("endpoint", value);
            let alert =
                alert.with("instance", value).with("certificate", value).with("team", value).says("summary", value);
            let alert = alert.says("description", value).with("case", &number.to_string());
            stand.send(&[alert]).await;
        }
    }
    // Many at once, each of them long.
    let crowd: Vec<_> = (0..60)
        .map(|number| {
            let alert =
                Alert::new("HostileCrowd", "critical").with("instance", &format!("{number}{}", "🔔".repeat(2000)));
            alert.says("summary", &"ü".repeat(2000)).says("description", &"\n".repeat(5000))
        })
        .collect();
    stand.send(&crowd).await;
    for number in 0..hostile.len() {
        let page = format!("HostilePage{number}");
        stand.delivered(Receiver::PagerDuty, &page, Action::Trigger).await;
        stand.delivered(Receiver::Opsgenie, &page, Action::Trigger).await;
    }
    for receiver in [Receiver::PagerDuty, Receiver::Opsgenie] {
        stand.delivered(receiver, "HostileCrowd", Action::Trigger).await;
    }
    stand.settle("Mark").await;
    let template = stand.delivered(Receiver::PagerDuty, "HostilePage2", Action::Trigger).await;
    assert!(template.details["firing"].contains(&hostile[2]), "a value was changed: {}", template.details["firing"]);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opsgenie_itself_takes_what_its_successor_takes() {
    let address = |text: String| {
        assert_eq!(text.matches("/jsm/ops/integration/").count(), 1, "{text}");
        text.replace("/jsm/ops/integration/", "/")
    };
    let Some(stand) = Stand::start_with(&quick(), address).await else { return };
    let alert = Alert::new("HighErrorRate", "critical");
    stand.send(std::slice::from_ref(&alert)).await;
    let page = stand.delivered(Receiver::Opsgenie, "HighErrorRate", Action::Trigger).await;
    stand.send(&[alert.ended()]).await;
    assert_eq!(stand.delivered(Receiver::Opsgenie, "HighErrorRate", Action::Resolve).await.key, page.key);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_needs_no_restart() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    let file = stand.configuration.with_file_name("secrets").join("pagerduty-routing-key");
    let key = std::fs::read(&file).unwrap();
    std::fs::write(&file, "f".repeat(32)).unwrap();
    stand.send(&[Alert::new("WithAnOldKey", "critical")]).await;
    let refused = |delivery: &Delivery| delivery.receiver == Receiver::PagerDuty && delivery.status == Some(400);
    let refused = stand.receivers.wait_for(refused, PATIENCE).await.unwrap();
    assert_eq!(refused.complaint.as_deref(), Some("routing_key is of no integration"));
    // What was refused is tried again, with the group's next message.
    std::fs::write(&file, key).unwrap();
    stand.delivered(Receiver::PagerDuty, "WithAnOldKey", Action::Trigger).await;
    stand.alertmanager.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amtool_sees_what_is_inhibited() {
    let (Some(amtool), Some(stand)) = (super::the_amtool(), Stand::start(&quick()).await) else { return };
    stand.send(&[Alert::new("HighErrorRate", "critical"), Alert::new("SlowResponseTime", "warning")]).await;
    stand.send(&[Alert::new("SlowResponseTime", "warning").with("service", "another")]).await;
    let ticket = stand.delivered(Receiver::Tickets, "SlowResponseTime", Action::Trigger).await;
    assert_eq!(ticket.summary, "SlowResponseTime another (production): One line about it");
    stand.settle("Mark").await;
    assert_eq!(stand.about("SlowResponseTime").len(), 1, "{:#?}", stand.shown());
    let query = |more: &'static str| {
        let output = Command::new(&amtool)
            .args(["alert", "query", "--output=json", more, "alertname=SlowResponseTime"])
            .arg(format!("--alertmanager.url=http://{}", stand.alertmanager.address()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let alerts: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        alerts.iter().map(|alert| alert["labels"]["service"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let active = query("--active");
    assert!(active.contains(&"another".to_owned()), "{active:?}");
    let inhibited = query("--inhibited");
    assert!(inhibited.contains(&"eucora-api".to_owned()), "{inhibited:?}");
    stand.end().await;
}
