//! The text against what the real Envoy 1.40 wrote for the same stats.

use super::*;
use crate::abi::MetricType;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/envoy-stats");

fn envoy_stats() -> (Stats, StatsConfig) {
    let read = |extension: &str| std::fs::read_to_string(format!("{DATA}.{extension}")).unwrap();
    let metrics: Vec<(String, String, Vec<u64>)> = serde_json::from_str(&read("json")).unwrap();
    let stats = Stats::default();
    for (kind, name, values) in metrics {
        let kind = match kind.as_str() {
            "counter" => MetricType::Counter,
            "gauge" => MetricType::Gauge,
            _ => MetricType::Histogram,
        };
        let metric = stats.metric(&format!("{MODULE_PREFIX}{}", name.trim_end_matches('.')), kind);
        for value in values {
            match &metric {
                Metric::Counter(counter) => counter.add(value),
                Metric::Gauge(gauge) => gauge.set(value),
                Metric::Histogram(histogram) => histogram.record(value),
            }
        }
    }
    (stats, StatsConfig::from_bootstrap_yaml(&read("yaml")).unwrap())
}

/// `envoy-stats.prom` is `/stats/prometheus` of Envoy 1.40.0 with a module that makes the stats of `envoy-stats.json`
/// under the configuration `envoy-stats.yaml`, without the lines of Envoy's own stats.
#[test]
fn module_stats_read_as_envoy_writes_them() {
    let (stats, config) = envoy_stats();
    let wanted = std::fs::read_to_string(format!("{DATA}.prom")).unwrap();
    let written = prometheus(&stats, &config);
    for (line, (written, wanted)) in written.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(written, wanted, "line {}", line + 1);
    }
    assert_eq!(written.lines().count(), wanted.lines().count());
}

#[test]
fn plain_text_has_full_names() {
    let (stats, config) = envoy_stats();
    let text = plain(&stats, &config);
    assert!(text.contains("wasmcustom.req_total.method=.=GET;.;endpoint=.=a;b;.;status=.=200;.;: 13\n"), "{text}");
    assert!(text.contains("wasmcustom.h_empty: No recorded values\n"), "{text}");
    // Taken from Envoy's own page.
    let quantiles = "P0(1.05,1.05) P25(10.5,10.5) P50(50.5,50.5) P75(106.66666666666667,106.66666666666667) \
                     P90(995,995) P95(1050,1050) P99(1050,1050) P99.5(1050,1050) P99.9(1050,1050) P100(1050,1050)";
    assert!(text.contains(&format!("wasmcustom.h_custom.method=.=GET;.;: {quantiles}\n")), "{text}");
}

#[test]
fn the_proxys_own_stats_are_tagged_and_prefixed() {
    let stats = Stats::default();
    stats.counter("http.ingress.downstream_rq_total").add(7);
    stats.counter("http.ingress.downstream_rq_2xx").add(5);
    stats.counter("http.ingress.downstream_rq_4xx").add(2);
    stats.gauge("http.ingress.downstream_rq_active").set(1);
    assert_eq!(
        prometheus(&stats, &StatsConfig::default()),
        "# TYPE envoy_http_downstream_rq_total counter\n\
         envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"ingress\"} 7\n\
         # TYPE envoy_http_downstream_rq_xx counter\n\
         envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"ingress\"} 5\n\
         envoy_http_downstream_rq_xx{envoy_response_code_class=\"4\",envoy_http_conn_manager_prefix=\"ingress\"} 2\n\
         # TYPE envoy_http_downstream_rq_active gauge\n\
         envoy_http_downstream_rq_active{envoy_http_conn_manager_prefix=\"ingress\"} 1\n"
    );
}

#[test]
fn names_that_come_out_the_same_share_a_type_line() {
    let stats = Stats::default();
    stats.counter("wasmcustom.a_b").add(1);
    stats.counter("wasmcustom.a-b.x=.=1;.;").add(2);
    let config =
        StatsConfig::from_bootstrap_yaml("stats_config: {stats_tags: [{tag_name: x, regex: '(x=\\.=(.*?);\\.;)'}]}")
            .unwrap();
    assert_eq!(prometheus(&stats, &config), "# TYPE a_b counter\na_b{x=\"1\"} 2\na_b{} 1\n");
}

#[test]
fn numbers_are_written_as_envoy_writes_them() {
    for (value, wanted) in [
        (0.0, "0"),
        (0.5, "0.5"),
        (2.5, "2.5"),
        (3_600_000.0, "3600000"),
        (0.1, "0.10000000000000000555111512312578"),
        (98_497_586_729.981_63, "98497586729.98162841796875"),
        (1e40, "1.0000000000000000303786028427004e+40"),
        (0.000_012_5, "1.2500000000000000599021700298241e-05"),
    ] {
        assert_eq!(general(value), wanted);
    }
}
