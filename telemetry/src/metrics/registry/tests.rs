//! The registry against a model of the proxy.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A proxy that may refuse.
#[derive(Default)]
struct Proxy {
    names: Vec<String>,
    kinds: Vec<MetricKind>,
    values: BTreeMap<String, u64>,
    defines: usize,
    calls: usize,
    /// Which calls are refused, in turn.
    refuse: Vec<bool>,
    /// So many new stats are enough.
    enough: Option<usize>,
}

impl Proxy {
    fn refuses(&mut self) -> bool {
        self.calls += 1;
        !self.refuse.is_empty() && self.refuse[self.calls % self.refuse.len()]
    }

    fn value(&self, name: &str) -> u64 {
        self.values.get(name).copied().unwrap_or_default()
    }

    /// The sum over the series of one metric.
    fn sum(&self, suffix: &str) -> u64 {
        let exact = format!("eucora_{suffix}");
        self.values.iter().filter(|(name, _)| name.split('.').next() == Some(&exact)).map(|(_, value)| value).sum()
    }
}

impl MetricSink for Proxy {
    fn define(&mut self, kind: MetricKind, stat_name: &str) -> Option<u32> {
        if self.refuses() {
            return None;
        }
        self.defines += 1;
        let at = self.names.iter().position(|name| name == stat_name).unwrap_or_else(|| {
            self.names.push(stat_name.to_owned());
            self.kinds.push(kind);
            self.names.len() - 1
        });
        u32::try_from(at).ok()
    }

    fn is_sated(&self) -> bool {
        self.enough.is_some_and(|enough| self.defines >= enough)
    }

    fn add(&mut self, id: u32, delta: u64) -> bool {
        assert!(delta > 0 && i64::try_from(delta).is_ok(), "{delta}");
        assert_eq!(self.kinds[id as usize], MetricKind::Counter);
        if self.refuses() {
            return false;
        }
        *self.values.entry(self.names[id as usize].clone()).or_default() += delta;
        true
    }

    fn set(&mut self, id: u32, value: u64) -> bool {
        assert_eq!(self.kinds[id as usize], MetricKind::Gauge);
        if self.refuses() {
            return false;
        }
        self.values.insert(self.names[id as usize].clone(), value);
        true
    }
}

const LABELS: [&str; 4] = ["unknown", "_overflow", "/a", "/b/{id}"];

fn label(endpoint: EndpointId) -> &'static str {
    LABELS[endpoint.index()]
}

fn config() -> Config {
    Config::from_json(
        br#"{"ring": "2", "metrics": {"methods": ["GET", "POST"], "buckets_seconds": [0.01, 1]},
             "routes": {"unmatched": "placeholders", "placeholders": {"max_endpoints": 2}}}"#,
    )
    .unwrap()
}

fn get_a(status: u16, micros: u64, registry: &mut Registry) {
    registry.record(Method::Get, EndpointId(2), StatusLabel::code(status), micros);
}

#[test]
fn one_request_is_counted_everywhere_once() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    get_a(200, 10_000, &mut registry);
    registry.correlation(Outcome::Kept);
    assert!(!registry.is_drained());
    registry.drain(&label, &mut proxy);
    assert!(registry.is_drained());
    let values: Vec<(&str, u64)> = proxy.values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(
        values,
        [
            ("eucora_edge_correlation_total.outcome=.=kept;.;reason=.=trusted;.;", 1),
            ("eucora_http_request_duration_microseconds_total.method=.=GET;.;endpoint=.=/a;.;", 10_000),
            ("eucora_http_request_duration_seconds_bucket.method=.=GET;.;endpoint=.=/a;.;le=.=+Inf;.;", 1),
            ("eucora_http_request_duration_seconds_bucket.method=.=GET;.;endpoint=.=/a;.;le=.=0.01;.;", 1),
            ("eucora_http_request_duration_seconds_bucket.method=.=GET;.;endpoint=.=/a;.;le=.=1.0;.;", 1),
            ("eucora_http_request_duration_seconds_count.method=.=GET;.;endpoint=.=/a;.;", 1),
            ("eucora_http_requests_total.method=.=GET;.;endpoint=.=/a;.;status=.=200;.;", 1),
        ]
    );
}

#[test]
fn a_quiet_drain_makes_no_call_and_a_name_is_defined_once() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    get_a(200, 1, &mut registry);
    registry.drain(&label, &mut proxy);
    let (calls, defines) = (proxy.calls, proxy.defines);
    registry.drain(&label, &mut proxy);
    assert_eq!(proxy.calls, calls);
    get_a(200, 1, &mut registry);
    registry.drain(&label, &mut proxy);
    assert_eq!(proxy.defines, defines);
    // Status, +Inf and two bounds, count, sum.
    assert_eq!(proxy.calls, calls + 6);
}

#[test]
fn a_method_outside_the_set_is_other_and_an_endpoint_outside_is_overflow() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    registry.record(Method::Delete, EndpointId(3), StatusLabel::OTHER, 1);
    registry.record(Method::Other, EndpointId(3), StatusLabel::OTHER, 1);
    registry.record(Method::Post, EndpointId(u32::MAX), StatusLabel::code(0), 1);
    registry.drain(&label, &mut proxy);
    assert_eq!(proxy.value("eucora_http_requests_total.method=.=OTHER;.;endpoint=.=/b/{id};.;status=.=other;.;"), 2);
    assert_eq!(proxy.value("eucora_http_requests_total.method=.=POST;.;endpoint=.=_overflow;.;status=.=0;.;"), 1);
}

#[test]
fn the_heartbeat_has_its_worker_and_faults_have_a_cap() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    registry.set_worker(3);
    registry.beat();
    registry.drain(&label, &mut proxy);
    registry.set_worker(u32::MAX);
    registry.beat();
    registry.beat();
    registry.endpoint_overflow();
    for index in 0..100u8 {
        let name: &'static str = Box::leak(format!("call_{index}").into_boxed_str());
        registry.hostcall_fault(name);
        registry.hostcall_fault(name);
    }
    registry.drain(&label, &mut proxy);
    assert_eq!(proxy.value("eucora_edge_heartbeat_total.worker=.=3;.;"), 1);
    assert_eq!(proxy.value("eucora_edge_heartbeat_total.worker=.=other;.;"), 2);
    assert_eq!(proxy.value("eucora_edge_endpoint_overflow_total"), 1);
    assert_eq!(proxy.value("eucora_edge_hostcall_faults_total.hostcall=.=call_0;.;"), 2);
    assert_eq!(proxy.value("eucora_edge_hostcall_faults_total.hostcall=.=other;.;"), 200 - 2 * MAX_HOSTCALLS as u64);
    assert_eq!(proxy.sum("edge_hostcall_faults_total"), 200);
}

#[test]
fn a_heartbeat_is_defined_once_for_each_number() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    for _ in 0..10 {
        registry.set_worker(3);
        registry.beat();
        registry.drain(&label, &mut proxy);
    }
    assert_eq!(proxy.defines, 1, "a proxy keeps an entry for every definition");
    assert_eq!(proxy.value("eucora_edge_heartbeat_total.worker=.=3;.;"), 10);
}

#[test]
fn what_waits_in_a_worker_is_not_said_of_another() {
    let config = config();
    let (mut registry, mut proxy) = (Registry::new(&config), Proxy::default());
    let queued = |worker: u32| format!("eucora_edge_events_queued.sink=.=log;.;worker=.={worker};.;");
    let totals = EventTotals { made: 5, queued: 5, ..EventTotals::default() };
    registry.events(0, &totals);
    // An event comes before the first tick, and with that the number.
    registry.drain_rules(config.rules(), config.polls(), &mut proxy);
    assert_eq!(proxy.sum("edge_events_queued"), 0);
    assert_eq!(proxy.sum("edge_events_total"), 5);
    registry.set_worker(1);
    registry.drain_rules(config.rules(), config.polls(), &mut proxy);
    assert_eq!((proxy.value(&queued(0)), proxy.value(&queued(1))), (0, 5));

    // It dies, and another takes over.
    let mut other = Registry::new(&config);
    other.set_worker(2);
    other.bury(1, &mut proxy);
    assert_eq!(proxy.sum("edge_events_queued"), 0);
}

#[test]
fn every_bucket_is_there_from_the_first_request() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    get_a(200, 5_000_000, &mut registry);
    registry.drain(&label, &mut proxy);
    let of = |le: &str| {
        let name = format!(
            "eucora_http_request_duration_seconds_bucket.method=.=GET;.;endpoint=.={};.;le=.={le};.;",
            LABELS[2]
        );
        (proxy.names.contains(&name), proxy.value(&name))
    };
    assert_eq!(["0.01", "1.0", "+Inf"].map(of), [(true, 0), (true, 0), (true, 1)]);
}

#[test]
fn a_new_build_clears_the_one_it_replaces() {
    let mut proxy = Proxy::default();
    let (mut old, mut new) = (Registry::new(&Config::from_json(b"").unwrap()), Registry::new(&config()));
    let before = old.build_info().to_owned();
    assert!(old.report_build(None, &mut proxy));
    assert!(old.report_build(Some(&before), &mut proxy));
    assert_eq!(proxy.value(&before), 1);
    assert!(new.report_build(Some(&before), &mut proxy));
    assert_eq!([proxy.value(&before), proxy.value(new.build_info())], [0, 1]);
    assert!(new.build_info().ends_with(";.;ring=.=2;.;") && !old.build_info().contains("ring"), "{}", new.build_info());
    assert_eq!(proxy.value("eucora_edge_series_budget"), config().budget().limit());
    proxy.refuse = vec![true];
    assert!(!new.report_build(None, &mut proxy));
}

#[test]
fn a_histogram_is_defined_once_when_asked_for() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    let first = registry.histogram_id(Method::Get, EndpointId(2), &label, &mut proxy);
    assert!(first.is_some());
    assert_eq!(registry.histogram_id(Method::Get, EndpointId(2), &label, &mut proxy), first);
    assert_eq!(
        (proxy.names.as_slice(), proxy.kinds.as_slice()),
        (
            &["eucora_http_request_duration_milliseconds.method=.=GET;.;endpoint=.=/a;.;".to_owned()][..],
            &[MetricKind::Histogram][..]
        )
    );
    assert_eq!(proxy.calls, 1);
    registry.drain(&label, &mut proxy);
    assert_eq!(proxy.calls, 1, "a pair that only has a histogram owes nothing");
}

#[test]
fn sums_past_the_largest_step_are_handed_over_in_steps_and_never_wrap() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    get_a(200, u64::MAX - 1, &mut registry);
    get_a(200, u64::MAX, &mut registry);
    registry.drain(&label, &mut proxy);
    assert!(!registry.is_drained());
    registry.drain(&label, &mut proxy);
    registry.drain(&label, &mut proxy);
    assert!(registry.is_drained());
    assert_eq!(proxy.sum("http_request_duration_microseconds_total"), u64::MAX);
    assert_eq!(proxy.sum("http_requests_total"), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Record(usize, u32, u16, u64),
    Drain(Vec<bool>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..Method::ALL.len(), 0..4u32, proptest::sample::select(vec![0, 200, 404, 503, 1000]), 0..3_000_000u64)
            .prop_map(|(method, endpoint, status, micros)| Step::Record(method, endpoint, status, micros)),
        1 => proptest::collection::vec(any::<bool>(), 0..7).prop_map(Step::Drain),
    ]
}

proptest! {
    /// Whatever the proxy refuses and when, in the end it has every count once.
    #[test]
    fn nothing_is_lost_or_counted_twice(steps in proptest::collection::vec(step(), 0..120)) {
        let config = config();
        let (mut registry, mut proxy) = (Registry::new(&config), Proxy::default());
        let mut model: BTreeMap<String, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Record(method, endpoint, status, micros) => {
                    let (method, endpoint, status) = (Method::ALL[method], EndpointId(endpoint), StatusLabel::code(status));
                    registry.record(method, endpoint, status, micros);
                    let method = if matches!(method, Method::Get | Method::Post) { method.as_str() } else { "OTHER" };
                    let mut add = |metric: &Metric, values: &[&str], delta: u64| {
                        let mut name = String::new();
                        stat_name::write(&mut name, "eucora", metric, values);
                        if delta > 0 {
                            *model.entry(name).or_default() += delta;
                        }
                    };
                    add(&catalogue::REQUESTS, &[method, label(endpoint), &status.to_string()], 1);
                    for (bound, le) in [(10_000, "0.01"), (1_000_000, "1.0"), (u64::MAX, "+Inf")] {
                        add(&catalogue::DURATION_BUCKET, &[method, label(endpoint), le], u64::from(micros <= bound));
                    }
                    add(&catalogue::DURATION_COUNT, &[method, label(endpoint)], 1);
                    add(&catalogue::DURATION_SUM, &[method, label(endpoint)], micros);
                }
                Step::Drain(refuse) => {
                    proxy.refuse = refuse;
                    registry.drain(&label, &mut proxy);
                }
            }
        }
        proxy.refuse.clear();
        registry.drain(&label, &mut proxy);
        prop_assert!(registry.is_drained());
        prop_assert_eq!(&proxy.values, &model);
        prop_assert_eq!(proxy.sum("http_requests_total"), proxy.sum("http_request_duration_seconds_count"));
        prop_assert!(proxy.names.len() as u64 <= config.budget().total());
    }
}

#[test]
fn recording_does_not_grow_anything_once_a_series_is_known() {
    let (mut registry, mut proxy) = (Registry::new(&config()), Proxy::default());
    for _ in 0..3 {
        for endpoint in 0..4 {
            for method in Method::ALL {
                registry.record(method, EndpointId(endpoint), StatusLabel::code(200), 5);
            }
        }
        let (blocks, dirty) = (registry.blocks.len(), registry.dirty.capacity());
        assert_eq!(blocks, 12);
        assert!(dirty >= blocks && registry.dirty.len() <= blocks);
        registry.drain(&label, &mut proxy);
        assert_eq!(registry.dirty.capacity(), dirty);
    }
}

#[test]
fn a_sated_proxy_gets_new_endpoints_later_and_loses_nothing() {
    let config =
        Config::from_json(br#"{"routes": {"table": [{"template": "/a"}, {"template": "/b"}, {"template": "/c"}]}}"#)
            .unwrap();
    let mut registry = Registry::new(&config);
    let mut proxy = Proxy::default();
    let labels = ["unknown", "_overflow", "/a", "/b", "/c"];
    let label = |endpoint: EndpointId| labels[endpoint.index()];
    let record = |registry: &mut Registry| {
        for endpoint in 2..5 {
            registry.record(Method::Get, EndpointId(endpoint), StatusLabel::code(200), 1000);
        }
    };
    let requests = |proxy: &Proxy| proxy.sum("http_requests_total");
    for (drain, seen) in [1, 2 + 2, 3 + 3 + 3].into_iter().enumerate() {
        record(&mut registry);
        proxy.enough = Some(proxy.defines + 1);
        registry.drain(&label, &mut proxy);
        // One endpoint more with each drain; those known already are not kept back.
        assert_eq!(requests(&proxy), seen, "drain {drain}");
        assert_eq!(registry.is_drained(), drain == 2);
    }
    assert_eq!(proxy.sum("http_request_duration_seconds_count"), 9);
}
