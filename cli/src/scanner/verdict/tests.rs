//! Each promise can be broken, and only by what breaks it.

use std::fmt::Write as _;

use telemetry::route::{PlaceholderLimits, Unmatched};

use super::super::table;
use super::*;
use crate::config_file::Loaded;

/// One call of each of two routes and two requests of a scanner, and a proxy that counted just that.
struct Case {
    loaded: Loaded,
    ledger: Ledger,
    /// The filter's counts: method, endpoint, status, requests.
    filter: Vec<(&'static str, String, u16, u64)>,
    more: String,
    complaints: Vec<String>,
    healthy: bool,
    beats_go_on: bool,
    first_beats: u64,
}

impl Case {
    fn new() -> Self {
        let routes = table::routes(16, 1);
        let [first, second] = [0, 3].map(|place: usize| routes[place].template.clone());
        let loaded = table::configuration(
            &routes,
            Unmatched::Placeholders(PlaceholderLimits { max_endpoints: 2, ..PlaceholderLimits::default() }),
        )
        .unwrap();
        let mut ledger = Ledger::default();
        ledger.answered.insert((Method::Get, 200), 2);
        ledger.answered.insert((Method::Get, 404), 2);
        ledger.routed.insert((0, Method::Get, 200), 1);
        ledger.routed.insert((3, Method::Get, 200), 1);
        let filter = vec![("GET", first, 200, 1), ("GET", second, 200, 1), ("GET", "unknown".to_owned(), 404, 2)];
        Self {
            loaded,
            ledger,
            filter,
            more: String::new(),
            complaints: Vec::new(),
            healthy: true,
            beats_go_on: true,
            first_beats: 3,
        }
    }

    fn scrape(&self) -> Scrape {
        let mut text = String::new();
        let mut classes: BTreeMap<u16, u64> = BTreeMap::new();
        let mut pairs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (method, endpoint, status, number) in &self.filter {
            writeln!(
                text,
                "eucora_http_requests_total{{method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"}} {number}"
            )
            .unwrap();
            *classes.entry(status / 100).or_default() += number;
            *pairs.entry((method, endpoint)).or_default() += number;
        }
        for ((method, endpoint), number) in pairs {
            for (name, le) in [("count", ""), ("bucket", ",le=\"+Inf\"")] {
                writeln!(
                    text,
                    "eucora_http_request_duration_seconds_{name}{{method=\"{method}\",endpoint=\"{endpoint}\"{le}}} {number}"
                )
                .unwrap();
            }
        }
        for (class, number) in &classes {
            writeln!(
                text,
                "envoy_http_downstream_rq_xx{{envoy_response_code_class=\"{class}\",envoy_http_conn_manager_prefix=\"ingress\"}} {number}"
            )
            .unwrap();
        }
        let all: u64 = classes.values().sum();
        writeln!(text, "envoy_http_downstream_rq_total{{envoy_http_conn_manager_prefix=\"ingress\"}} {all}").unwrap();
        writeln!(text, "eucora_edge_correlation_total{{outcome=\"generated\",reason=\"missing\"}} {all}").unwrap();
        for worker in 0..3 {
            writeln!(text, "eucora_edge_heartbeat_total{{worker=\"{worker}\"}} 9").unwrap();
        }
        if !self.more.contains("watchdog") {
            text.push_str("envoy_workers_watchdog_mega_miss{} 0\nenvoy_workers_watchdog_miss{} 7\n");
        }
        Scrape::parse(&(text + &self.more)).unwrap()
    }

    /// The claims that do not hold.
    fn broken(&self) -> Vec<Claim> {
        let scrape = self.scrape();
        let first_beats = (0..3).map(|worker: u32| (worker.to_string(), self.first_beats)).collect();
        let watched = Watched { first_beats, ..Watched::default() };
        let evidence = Evidence {
            config: &self.loaded.config,
            ledger: &self.ledger,
            scrape: &scrape,
            accounting: Accounting::new(&self.loaded.config, &self.ledger, &scrape),
            asked: 4,
            workers: 2,
            complaints: self.complaints.clone(),
            healthy: self.healthy,
            beats_go_on: self.beats_go_on,
            watched: &watched,
        };
        let promises = evidence.promises(&Memory::new(&[], 0.0));
        assert_eq!(promises.len(), 11);
        promises.into_iter().filter(|promise| promise.held == Some(false)).map(|promise| promise.claim).collect()
    }
}

fn broken(change: impl FnOnce(&mut Case)) -> Vec<Claim> {
    let mut case = Case::new();
    change(&mut case);
    case.broken()
}

#[test]
fn books_that_agree_hold_every_promise() {
    assert_eq!(broken(|_| {}), []);
}

#[test]
fn requests_that_were_not_sent_or_not_answered_are_seen() {
    assert_eq!(
        broken(|case| {
            case.ledger.answered.insert((Method::Get, 404), 1);
            case.filter[2].3 = 1;
        }),
        [Claim::Load]
    );
    // Without an answer nobody knows what the proxy should have counted.
    assert_eq!(
        broken(|case| {
            case.ledger.answered.insert((Method::Get, 404), 1);
            case.ledger.unanswered.insert(Method::Get, 1);
        }),
        [Claim::Answered, Claim::Counts]
    );
    assert_eq!(broken(|case| case.ledger.truncated = 1), [Claim::Answered, Claim::Counts]);
}

#[test]
fn a_503_is_seen_even_when_everybody_counted_it() {
    assert_eq!(
        broken(|case| {
            case.ledger.answered.remove(&(Method::Get, 404));
            case.ledger.answered.insert((Method::Get, 503), 2);
            case.filter[2].2 = 503;
        }),
        [Claim::No503]
    );
}

#[test]
fn one_request_under_another_endpoint_is_seen_though_the_sums_agree() {
    assert_eq!(
        broken(|case| {
            let first = case.filter[0].1.clone();
            case.filter[1] = ("GET", first, 201, 0);
            case.filter[0].3 = 2;
        }),
        [Claim::Endpoints]
    );
    // Junk that was counted under a route, and a route that was counted as unknown.
    assert_eq!(
        broken(|case| {
            case.filter[0].3 = 0;
            case.filter.push(("GET", "unknown".to_owned(), 200, 1));
        }),
        [Claim::Endpoints]
    );
}

#[test]
fn a_count_that_is_missing_is_seen() {
    assert_eq!(broken(|case| case.filter[2].3 = 1), [Claim::Counts]);
}

#[test]
fn learned_endpoints_have_a_cap_and_are_no_more_than_that() {
    let learned = |number: u32| {
        broken(|case| {
            case.filter[2].3 = 0;
            case.filter
                .extend((0..number).map(|n| ("GET", format!("/{n}/{{int}}"), 404, 2 / u64::from(number.min(2)))));
            if number > 2 {
                case.filter[5].3 = 0;
            }
        })
    };
    assert_eq!(learned(2), []);
    assert_eq!(learned(3), [Claim::Labels]);
}

#[test]
fn series_past_the_budget_are_seen() {
    let budget = Case::new().loaded.config.budget().total();
    let more = |number: u64| {
        broken(|case| {
            for n in 0..number {
                writeln!(case.more, "eucora_edge_more_total{{n=\"{n}\"}} 1").unwrap();
            }
        })
    };
    assert_eq!(more(100), []);
    assert_eq!(more(budget), [Claim::Series]);
    assert_eq!(broken(|case| case.more.push_str("eucora_x 1\neucora_x 1\n")), [Claim::Series]);
}

#[test]
fn a_failed_module_is_seen() {
    assert_eq!(broken(|case| case.complaints.push("Function: proxy_on_log failed".to_owned())), [Claim::NoTrap]);
    assert_eq!(broken(|case| case.healthy = false), [Claim::NoTrap]);
    assert_eq!(broken(|case| case.more.push_str("envoy_wasm_edge_observer_vm_reload{} 1\n")), [Claim::NoTrap]);
    assert_eq!(
        broken(|case| case.more.push_str("eucora_edge_hostcall_faults_total{hostcall=\"x\"} 1\n")),
        [Claim::NoTrap]
    );
}

#[test]
fn a_heart_that_stops_or_begins_anew_is_seen() {
    assert_eq!(broken(|case| case.beats_go_on = false), [Claim::Heartbeat]);
    assert_eq!(broken(|case| case.first_beats = 9), [Claim::Heartbeat]);
    assert_eq!(broken(|case| case.more.push_str("eucora_edge_heartbeat_total{worker=\"3\"} 1\n")), [Claim::Heartbeat]);
}

#[test]
fn a_worker_that_stands_still_is_seen() {
    assert_eq!(broken(|case| case.more.push_str("envoy_workers_watchdog_mega_miss{} 1\n")), [Claim::Stalls]);
}
