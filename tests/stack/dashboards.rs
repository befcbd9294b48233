//! The dashboards: each query parses, names only what exists, and keeps the rules of Grafana's dashboard linter.

use std::collections::BTreeSet;
use std::path::Path;

use edge_observer::tools::Tools;
use monitoring::dashboards;
use monitoring::grafana;
use monitoring::lint::{self, RULES};
use monitoring::names::Names;
use monitoring::promql::{Expression, Substitution};
use monitoring::rules::Rules;
use serde_json::{Value as Json, json};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn names() -> Names {
    Names::read(root()).unwrap()
}

fn classic(names: &Names) -> Vec<Json> {
    dashboards::all(names).unwrap().iter().map(|dashboard| grafana::classic::dashboard(dashboard, names)).collect()
}

fn all_panels(dashboard: &Json) -> impl Iterator<Item = &Json> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

#[test]
fn the_files_are_what_the_source_makes() {
    let files = grafana::files(&names()).unwrap();
    assert_eq!(files.len(), 10);
    for (path, text) in &files {
        let written = std::fs::read_to_string(root().join(path)).unwrap();
        assert!(written == *text, "{path} is out of date; run `cargo xtask gen`");
    }
    for folder in ["grafana/dashboards", "grafana/dashboards-v2"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(files.iter().any(|(made, _)| *made == path), "{path} is made by nothing");
        }
    }
}

#[test]
fn every_dashboard_keeps_every_rule() {
    let names = names();
    let dashboards = classic(&names);
    let uids: Vec<&str> = dashboards.iter().map(|dashboard| dashboard["uid"].as_str().unwrap()).collect();
    assert_eq!(
        uids,
        ["eucora-control-plane", "eucora-edge-requests", "eucora-edge-health", "eucora-slo", "eucora-rings"]
    );
    let findings: Vec<String> = lint::lint(&dashboards, &names).iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn the_five_panels_of_the_api_have_their_names_and_kinds() {
    let dashboard = classic(&names()).remove(0);
    assert_eq!(dashboard["title"], "EUCORA Control Plane");
    let panels: Vec<(&str, &str)> = all_panels(&dashboard)
        .map(|panel| (panel["title"].as_str().unwrap(), panel["type"].as_str().unwrap()))
        .collect();
    for wanted in [
        ("Request Rate", "timeseries"),
        ("P95 Latency", "gauge"),
        ("Active Deployments", "piechart"),
        ("CAB Decisions (1h)", "bargauge"),
        ("Connector Health", "stat"),
    ] {
        assert!(panels.contains(&wanted), "{wanted:?} is not among {panels:?}");
    }
}

#[test]
fn both_forms_show_the_same() {
    let names = names();
    for dashboard in dashboards::all(&names).unwrap() {
        let (classic, v2) =
            (grafana::classic::dashboard(&dashboard, &names), grafana::v2::dashboard(&dashboard, &names));
        assert_eq!((&v2["apiVersion"], &v2["kind"]), (&json!("dashboard.grafana.app/v2"), &json!("Dashboard")));
        assert_eq!(v2["metadata"]["name"], classic["uid"]);
        let elements = v2["spec"]["elements"].as_object().unwrap();
        assert_eq!(elements.len(), all_panels(&classic).count());
        for panel in all_panels(&classic) {
            let element = &elements[&format!("panel-{}", panel["id"])]["spec"];
            for field in ["id", "title", "description"] {
                assert_eq!(element[field], panel[field]);
            }
            assert_eq!(element["vizConfig"]["group"], panel["type"]);
            assert_eq!(element["vizConfig"]["spec"]["fieldConfig"], panel["fieldConfig"]);
            assert_eq!(element["vizConfig"]["spec"]["options"], panel["options"]);
            let theirs: Vec<&Json> = element["data"]["spec"]["queries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|query| &query["spec"]["query"]["spec"]["expr"])
                .collect();
            let ours: Vec<&Json> = panel["targets"].as_array().unwrap().iter().map(|target| &target["expr"]).collect();
            assert_eq!(theirs, ours);
        }
        // Each element is placed once, and at the same place below its row's heading.
        let mut placed = BTreeSet::new();
        for row in v2["spec"]["layout"]["spec"]["rows"].as_array().unwrap() {
            let heading =
                classic["panels"].as_array().unwrap().iter().find(|panel| panel["title"] == row["spec"]["title"]);
            let top = heading.unwrap()["gridPos"]["y"].as_u64().unwrap() + 1;
            for item in row["spec"]["layout"]["spec"]["items"].as_array().unwrap() {
                let (spec, name) = (&item["spec"], item["spec"]["element"]["name"].as_str().unwrap());
                let id = elements[name]["spec"]["id"].as_u64().unwrap();
                assert!(placed.insert(id), "{name} is placed twice");
                let panel = all_panels(&classic).find(|panel| panel["id"] == id).unwrap();
                let here = json!({"x": spec["x"], "y": spec["y"].as_u64().unwrap() + top, "w": spec["width"], "h": spec["height"]});
                assert_eq!(panel["gridPos"], here);
            }
        }
        assert_eq!(placed.len(), elements.len());
    }
}

#[test]
fn every_query_is_listed_without_variables() {
    let names = names();
    let all = dashboards::all(&names).unwrap();
    let queries = dashboards::queries(&all, &Substitution::all("1m", "15s", "1h"));
    let targets: usize = classic(&names)
        .iter()
        .flat_map(|dashboard| {
            all_panels(dashboard).map(|panel| panel["targets"].as_array().unwrap().len()).collect::<Vec<_>>()
        })
        .sum();
    assert_eq!(queries.iter().filter(|query| query.panel_id > 0).count(), targets);
    assert!(targets > 80, "{targets} queries");
    for query in &queries {
        assert!(!query.expr.contains('$'), "{query:?}");
        Expression::parse(&query.expr).unwrap_or_else(|error| panic!("{query:?}: {error}"));
    }
    let status = queries.iter().find(|query| query.panel == "Request Rate").unwrap();
    assert_eq!(status.expr, "sum by (status) (rate(eucora_http_requests_total{service=~\".*\",instance=~\".*\"}[1m]))");
    assert_eq!(
        (status.legend_labels.as_slice(), status.instant, status.may_be_empty),
        (&["status".to_owned()][..], false, None)
    );
    let alerts = queries.iter().find(|query| query.panel == "Alerts").unwrap();
    assert_eq!((alerts.instant, alerts.may_be_empty), (true, Some("in health nothing fires")));
    assert_eq!(alerts.legend_labels, ["alertname", "severity", "team", "alertstate"]);
}

/// The rules and the profile, with this replaced.
fn changed(in_rules: (&str, &str), in_profile: (&str, &str)) -> Result<Vec<Json>, String> {
    let mut text = String::from("groups:\n");
    for entry in std::fs::read_dir(root().join("prometheus/rules")).unwrap() {
        let file = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        text.extend(file.lines().skip_while(|line| *line != "groups:").skip(1).map(|line| format!("{line}\n")));
    }
    let profile = std::fs::read_to_string(root().join("envoy/plugin-config/eucora.yaml")).unwrap();
    for (text, (old, _)) in [(&text, in_rules), (&profile, in_profile)] {
        assert!(text.contains(old), "nothing says `{old}`");
    }
    let rules = Rules::parse(&text.replace(in_rules.0, in_rules.1))?;
    let names = Names::new(&profile.replace(in_profile.0, in_profile.1), rules)?;
    let all = dashboards::all(&names).map_err(|error| error.to_string())?;
    Ok(all.iter().map(|dashboard| grafana::classic::dashboard(dashboard, &names)).collect())
}

#[test]
fn a_renamed_metric_or_alert_leaves_no_dead_panel() {
    let kept = ("namespace", "namespace");
    assert!(changed(("eucora", "eucora"), kept).is_ok());
    let error = changed(("alert: HighErrorRate", "alert: TooManyErrors"), kept).unwrap_err();
    assert!(error.contains("no alert under prometheus/rules is called `HighErrorRate`"), "{error}");
    let old = "record: service_endpoint:eucora_http_requests:rate5m";
    let error = changed((old, "record: service_endpoint:eucora_requests:rate5m"), kept).unwrap_err();
    assert!(error.contains("records `service_endpoint:eucora_http_requests:rate5m`"), "{error}");
    let error = changed(("- name", "- name"), ("name: cab_approvals_total", "name: cab_decisions_total")).unwrap_err();
    assert!(error.contains("declares no metric `cab_approvals_total`"), "{error}");
}

#[test]
fn colours_follow_the_alerts() {
    let steps = |dashboards: &[Json], title: &str| -> Vec<f64> {
        let panel = dashboards.iter().flat_map(all_panels).find(|panel| panel["title"] == title).unwrap().clone();
        let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap().clone();
        steps.iter().filter_map(|step| step["value"].as_f64()).collect()
    };
    let kept = ("namespace", "namespace");
    let now = changed(("- name", "- name"), kept).unwrap();
    assert_eq!(steps(&now, "Server errors"), [0.05]);
    assert_eq!(steps(&now, "P95 Latency"), [2.0]);
    assert_eq!(steps(&now, "Connector Health"), [0.9]);
    assert_eq!(steps(&now, "Burn rate, windows that page"), [6.0, 14.4]);
    assert_eq!(steps(&now, "Burn rate, windows that make a ticket"), [1.0, 3.0]);
    assert_eq!(steps(&now, "Series of the budget"), [0.8]);
    assert_eq!(steps(&now, "Age of the oldest event"), [300.0]);
    let then = changed(
        (
            "service:eucora_http_requests_errors:ratio_rate5m > 0.05",
            "service:eucora_http_requests_errors:ratio_rate5m > 0.02",
        ),
        kept,
    );
    assert_eq!(steps(&then.unwrap(), "Server errors"), [0.02]);
    let then = changed(("slo:error_budget:ratio > 14.4", "slo:error_budget:ratio > 13"), kept).unwrap();
    assert_eq!(steps(&then, "Burn rate, windows that page"), [6.0, 13.0]);
}

/// A way to break a dashboard; the first of them is the control plane's, the fourth that of the objectives.
type Break = fn(&mut [Json]);

fn panel<'a>(dashboards: &'a mut [Json], title: &str) -> &'a mut Json {
    let panels = dashboards.iter_mut().flat_map(|dashboard| dashboard["panels"].as_array_mut().unwrap());
    panels.into_iter().find(|panel| panel["title"] == title).unwrap()
}

fn ask(dashboards: &mut [Json], expr: &str) {
    panel(dashboards, "Request Rate")["targets"][0]["expr"] = json!(expr);
}

/// Each rule with at least one dashboard that breaks it.
const BROKEN: &[(&str, Break)] = &[
    ("template-datasource", |all| all[0]["templating"]["list"][0]["query"] = json!("loki")),
    ("template-datasource", |all| drop(all[0]["templating"]["list"].as_array_mut().unwrap().remove(0))),
    ("template-service", |all| all[0]["templating"]["list"][1]["multi"] = json!(false)),
    ("template-instance", |all| all[0]["templating"]["list"][2]["allValue"] = json!("")),
    ("template-label-promql", |all| {
        all[0]["templating"]["list"][2]["query"]["query"] =
            json!("label_values(eucora_http_requests_total{, instance)");
    }),
    ("template-label-promql", |all| {
        all[0]["templating"]["list"][2]["query"]["query"] = json!("label_values(eucora_http_requests_total, ring)");
    }),
    ("template-on-time-change-reload", |all| all[0]["templating"]["list"][1]["refresh"] = json!(1)),
    ("panel-datasource", |all| panel(all, "Request Rate")["datasource"]["uid"] = json!("prometheus")),
    ("panel-datasource", |all| panel(all, "Request Rate")["targets"][0]["datasource"]["type"] = json!("loki")),
    ("panel-title-description", |all| panel(all, "Request Rate")["description"] = json!("")),
    ("panel-units", |all| panel(all, "Request Rate")["fieldConfig"]["defaults"]["unit"] = json!("")),
    ("panel-no-targets", |all| panel(all, "Request Rate")["targets"] = json!([])),
    ("target-promql", |all| ask(all, "sum by (status) (rate(eucora_http_requests_total[$__rate_interval])")),
    ("target-rate-interval", |all| {
        ask(
            all,
            "sum by (status) (rate(eucora_http_requests_total{service=~\"$service\",instance=~\"$instance\"}[5m]))",
        );
    }),
    ("target-service", |all| {
        ask(all, "sum by (status) (rate(eucora_http_requests_total{instance=~\"$instance\"}[$__rate_interval]))");
    }),
    ("target-instance", |all| {
        ask(all, "sum by (status) (rate(eucora_http_requests_total{service=~\"$service\"}[$__rate_interval]))");
    }),
    ("target-counter-agg", |all| {
        ask(all, "sum by (status) (eucora_http_requests_total{service=~\"$service\",instance=~\"$instance\"})");
    }),
    ("uneditable", |all| all[0]["editable"] = json!(true)),
    ("no-job", |all| {
        let by_job = "eucora_http_requests_total{job=\"edge\",service=~\"$service\",instance=~\"$instance\"}";
        ask(all, &format!("sum by (status) (rate({by_job}[$__rate_interval]))"));
    }),
    ("names-exist", |all| {
        ask(all, "sum by (status) (rate(eucora_requests_total{service=~\"$service\"}[$__rate_interval]))");
    }),
    ("names-exist", |all| {
        let by_code = "eucora_http_requests_total{code=\"200\",service=~\"$service\",instance=~\"$instance\"}";
        ask(all, &format!("sum by (status) (rate({by_code}[$__rate_interval]))"));
    }),
    ("names-exist", |all| {
        let requests = "eucora_http_requests_total{service=~\"$service\",instance=~\"$instance\"}";
        ask(all, &format!("sum by (status, code) (rate({requests}[$__rate_interval]))"));
    }),
    ("legend-labels", |all| panel(all, "Request Rate")["targets"][0]["legendFormat"] = json!("{{method}}")),
    ("legend-labels", |all| {
        panel(all, "Alerts")["targets"][0]["expr"] = json!("sum by (alertname) (ALERTS{alertname!=\"Watchdog\"})");
    }),
    ("thresholds-of-alerts", |all| {
        panel(all, "P95 Latency")["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] = json!(1.5);
    }),
    ("thresholds-of-alerts", |all| panel(all, "Server errors")["links"] = json!([])),
    ("runbooks-of-alerts", |all| {
        let url = "https://github.com/edge-observer/edge-observer/blob/main/docs/runbooks/NoSuchAlert.md";
        panel(all, "Request Rate")["links"][0]["url"] = json!(url);
    }),
    ("no-division-by-zero", |all| {
        let requests = "sum by (status) (rate(eucora_http_requests_total{service=~\"$service\",instance=~\"$instance\"}[$__rate_interval]))";
        ask(all, &format!("{requests} / {requests}"));
    }),
    ("dashboard-links", |all| all[0]["links"].as_array_mut().unwrap().truncate(1)),
    ("dashboard-links", |all| all[0]["tags"] = json!([])),
    ("dashboard-links", |all| {
        panel(all, "Request Rate")["fieldConfig"]["defaults"]["links"][0]["url"] = json!("/d/eucora-requests");
    }),
    ("annotations", |all| all[0]["annotations"]["list"].as_array_mut().unwrap().truncate(2)),
    ("annotations", |all| all[0]["annotations"]["list"][0]["enable"] = json!(false)),
    ("unique", |all| all[1]["uid"] = json!("eucora-control-plane")),
    ("unique", |all| panel(all, "P95 Latency")["id"] = json!(2)),
    ("unique", |all| panel(all, "Latency")["targets"][1]["refId"] = json!("A")),
    ("grid", |all| panel(all, "P95 Latency")["gridPos"]["x"] = json!(11)),
    ("grid", |all| panel(all, "Alerts")["gridPos"]["w"] = json!(9)),
    ("tooltip-refresh", |all| all[0]["graphTooltip"] = json!(0)),
];

#[test]
fn each_rule_catches_what_breaks_it() {
    let names = names();
    let sound = classic(&names);
    assert_eq!(lint::lint(&sound, &names), []);
    for (rule, make) in BROKEN {
        let mut broken = sound.clone();
        make(&mut broken);
        assert_ne!(broken, sound, "{rule}: nothing was broken");
        let findings = lint::lint(&broken, &names);
        assert!(findings.iter().any(|finding| finding.rule == *rule), "{rule} caught nothing; found: {findings:?}");
    }
    let (cases, rules): (BTreeSet<&str>, BTreeSet<&str>) =
        (BROKEN.iter().map(|(rule, _)| *rule).collect(), RULES.iter().map(|(rule, _)| *rule).collect());
    assert_eq!(cases, rules, "a rule without a case, or a case without a rule");
}

#[test]
fn provisioning_fits_prometheus_and_the_dashboards() {
    let read = |path: &str| -> Json {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let sources = read("grafana/provisioning/datasources/prometheus.yml");
    let sources = sources["datasources"].as_array().unwrap();
    let of_type = |wanted: &str| sources.iter().find(|source| source["type"] == wanted).unwrap();
    let prometheus = of_type("prometheus");
    assert_eq!((&prometheus["isDefault"], &prometheus["editable"]), (&json!(true), &json!(false)));
    assert_eq!(prometheus["jsonData"]["httpMethod"], "POST");
    // `$__rate_interval` is made of it.
    let scrape_interval = read("prometheus/prometheus.yml")["global"]["scrape_interval"].clone();
    assert_eq!(prometheus["jsonData"]["timeInterval"], scrape_interval);
    assert_eq!(prometheus["jsonData"]["alertmanagerUid"], of_type("alertmanager")["uid"]);
    let provider = read("grafana/provisioning/dashboards/edge-observer.yml")["providers"][0].clone();
    assert_eq!((&provider["type"], &provider["allowUiUpdates"]), (&json!("file"), &json!(false)));
}

/// Series of four instances: in ring 0 with errors, in ring 1 without, in no ring, and in ring 3 without a request. Each is told of the same deployments.
const SERIES: &[(&str, &str)] = &[
    ("eucora_edge_build_info{service='s',instance='a',version='1',config='x',ring='0'}", "1x40"),
    ("eucora_edge_build_info{service='s',instance='b',version='2',config='x',ring='1'}", "1x40"),
    ("eucora_edge_build_info{service='s',instance='b',version='1',config='x',ring='1'}", "0x40"),
    ("eucora_edge_build_info{service='s',instance='c',version='1',config='x'}", "1x40"),
    ("eucora_edge_build_info{service='s',instance='d',version='1',config='x',ring='3'}", "1x40"),
    ("eucora_http_requests_total{service='s',instance='a',method='GET',endpoint='/x',status='200'}", "0+90x40"),
    ("eucora_http_requests_total{service='s',instance='a',method='GET',endpoint='/x',status='500'}", "0+10x40"),
    ("eucora_http_requests_total{service='s',instance='b',method='GET',endpoint='/x',status='200'}", "0+100x40"),
    ("eucora_http_requests_total{service='s',instance='c',method='GET',endpoint='/x',status='200'}", "0+50x40"),
    ("eucora_http_requests_total{service='s',instance='c',method='GET',endpoint='/x',status='503'}", "0+50x40"),
    ("eucora_http_requests_total{service='idle',instance='e',method='GET',endpoint='/x',status='200'}", "7x40"),
    (
        "eucora_http_request_duration_seconds_bucket{service='idle',instance='e',method='GET',endpoint='/x',le='0.1'}",
        "7x40",
    ),
    (
        "eucora_http_request_duration_seconds_bucket{service='idle',instance='e',method='GET',endpoint='/x',le='+Inf'}",
        "7x40",
    ),
    (
        "eucora_connector_operations_total{service='s',instance='a',connector='jamf',operation='deploy',status='success'}",
        "0+9x40",
    ),
    (
        "eucora_connector_operations_total{service='s',instance='a',connector='jamf',operation='deploy',status='timeout'}",
        "0+1x40",
    ),
    (
        "eucora_connector_operations_total{service='s',instance='a',connector='jamf',operation='deploy',status='skipped'}",
        "0+99x40",
    ),
    (
        "eucora_connector_operations_total{service='s',instance='a',connector='sccm',operation='deploy',status='success'}",
        "0x40",
    ),
    ("eucora_active_deployments{service='s',instance='a',status='pending',ring='0'}", "3x40"),
    ("eucora_active_deployments{service='s',instance='a',status='pending',ring='1'}", "4x40"),
    ("eucora_active_deployments{service='s',instance='b',status='pending',ring='0'}", "3x40"),
    ("eucora_active_deployments{service='s',instance='b',status='pending',ring='1'}", "4x40"),
];

/// Labels and value of each series of an answer.
type Samples = &'static [(&'static str, f64)];

/// Panel, letter of the query, and what it must say of these series.
const FIGURES: &[(&str, &str, Samples)] = &[
    ("Rings", "A", &[("{ring='0'}", 1.0), ("{ring='1'}", 1.0), ("{ring='3'}", 1.0), ("{ring='none'}", 1.0)]),
    ("Rings", "C", &[("{ring='0'}", 0.1), ("{ring='1'}", 0.0), ("{ring='none'}", 0.5)]),
    // Of the ring before; what has none, or is none, is left out.
    ("Rings", "D", &[("{ring='1'}", 0.1)]),
    ("Server error share against the ring before", "A", &[("{ring='1'}", -0.1)]),
    (
        "Builds by ring",
        "A",
        &[
            ("{config='x',ring='0',version='1'}", 1.0),
            ("{config='x',ring='1',version='2'}", 1.0),
            ("{config='x',ring='3',version='1'}", 1.0),
            ("{config='x',ring='none',version='1'}", 1.0),
        ],
    ),
    // No errors are 0, no traffic is nothing.
    ("Server errors", "A", &[("{service='s'}", 0.2)]),
    ("P95 Latency", "A", &[]),
    // 1 of 10: what was skipped was not tried, and a connector that did nothing has no rate.
    ("Connector Health", "A", &[("{connector='jamf'}", 0.9)]),
    // Not once for each proxy that was told.
    ("Active Deployments", "A", &[("{status='pending'}", 7.0)]),
];

#[test]
fn panels_say_what_the_series_mean() {
    let Some(promtool) = super::tool(Tools::promtool) else { return };
    let names = names();
    let queries = dashboards::queries(&dashboards::all(&names).unwrap(), &Substitution::all("1m", "15s", "10m"));
    let expressions: Vec<Json> = FIGURES
        .iter()
        .map(|(panel, letter, samples)| {
            let query = queries.iter().find(|query| query.panel == *panel && query.ref_id == *letter).unwrap();
            let samples: Vec<Json> = samples
                .iter()
                .map(|(labels, value)| json!({"labels": labels.replace('\'', "\""), "value": value}))
                .collect();
            // Rates are extrapolated: rounded to a millionth.
            json!({"expr": format!("round(({}) * 1e6) / 1e6", query.expr), "eval_time": "9m", "exp_samples": samples})
        })
        .collect();
    // A ring that is chosen alone is still compared with the one before.
    let mut chosen = Substitution::all("1m", "15s", "10m");
    chosen.variables.insert("ring".to_owned(), "1".to_owned());
    let alone = dashboards::queries(&dashboards::all(&names).unwrap(), &chosen);
    let alone = alone.iter().find(|query| query.panel == "Server error share against the ring before").unwrap();
    let alone = json!({
        "expr": format!("round(({}) * 1e6) / 1e6", alone.expr),
        "eval_time": "9m",
        "exp_samples": [{"labels": "{ring=\"1\"}", "value": -0.1}],
    });
    let expressions: Vec<Json> = expressions.into_iter().chain([alone]).collect();
    let series: Vec<Json> =
        SERIES.iter().map(|(series, values)| json!({"series": series.replace('\'', "\""), "values": values})).collect();
    let test = json!({
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "promql_expr_test": expressions}],
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panels.yml");
    std::fs::write(&path, test.to_string()).unwrap();
    let output = std::process::Command::new(promtool).args(["test", "rules"]).arg(&path).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

#[test]
fn rules_name_only_what_there_is() {
    let names = names();
    let alerts = names.rules().alerts().map(|alert| (&alert.alert, &alert.expr));
    let records = names.rules().records().map(|record| (&record.record, &record.expr));
    let mut seen = BTreeSet::new();
    for (rule, expr) in alerts.chain(records) {
        let expr = Expression::parse(expr).unwrap();
        for selector in expr.selectors() {
            let Some(metric) = &selector.metric else { continue };
            let known = names.get(metric).unwrap_or_else(|| panic!("{rule}: no metric is called `{metric}`"));
            for (label, _, _) in &selector.matchers {
                assert!(known.labels.contains(label), "{rule}: `{metric}` has no label `{label}`");
            }
            seen.insert(metric.clone());
        }
        let errors = expr.grouping_errors(&|name| names.labels(name));
        assert!(errors.is_empty(), "{rule}: {errors:?}");
    }
    assert!(seen.len() > 30, "{seen:?}");
}

#[test]
fn alerts_lead_to_dashboards_there_are() {
    let names = names();
    let uids: BTreeSet<String> =
        classic(&names).iter().map(|dashboard| format!("/d/{}", dashboard["uid"].as_str().unwrap())).collect();
    let mut seen = 0;
    for alert in names.rules().alerts() {
        let url = &alert.annotations["dashboard_url"];
        assert!(uids.contains(url), "{} leads to {url}", alert.alert);
        seen += 1;
    }
    assert!(seen > 20, "{seen} alerts");
}
