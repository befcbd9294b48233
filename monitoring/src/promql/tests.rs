use super::*;

fn substitution() -> Substitution {
    let mut substitution = Substitution::all("1m", "15s", "6h");
    substitution.variables.insert("ring".to_owned(), "0|1".to_owned());
    substitution
}

#[test]
fn variables_are_replaced_in_each_of_their_forms() {
    let check = |text: &str, expected: &str| assert_eq!(substitution().apply(text), expected);
    check("rate(a[$__rate_interval])", "rate(a[1m])");
    check("increase(a[${__range}]) / b[$__interval]", "increase(a[6h]) / b[15s]");
    check("a{ring=~\"$ring\",service=~\"${service}\"}", "a{ring=~\"0|1\",service=~\".*\"}");
    check("a{ring=~\"${ring:regex}\"}", "a{ring=~\"0|1\"}");
    check("label_replace(a, \"b\", \"$1\", \"c\", \"(.*)$\")", "label_replace(a, \"b\", \"$1\", \"c\", \"(.*)$\")");
    check("a$", "a$");
    check("", "");
}

#[test]
fn selectors_come_with_what_is_around_them() {
    let expr = Expression::parse("sum by (a) (rate(x{b=\"1\",c!~\"2.*\"}[5m])) / (count(y) > 0)").unwrap();
    let selectors = expr.selectors();
    assert_eq!(selectors.len(), 2);
    assert_eq!(selectors[0].metric.as_deref(), Some("x"));
    assert_eq!(selectors[0].matcher("b"), Some(("=", "1")));
    assert_eq!(selectors[0].matcher("c"), Some(("!~", "2.*")));
    assert_eq!(selectors[0].range, Some(Duration::from_secs(300)));
    assert_eq!(selectors[0].within, ["sum", "rate"]);
    assert_eq!((selectors[1].metric.as_deref(), selectors[1].range), (Some("y"), None));
    assert_eq!(selectors[1].within, ["count"]);
    assert!(Expression::parse("sum by (a) (x").is_err());
}

#[test]
fn a_limit_is_what_decides_and_not_what_guards() {
    let check = |expr: &str, expected: &[(&str, f64)]| {
        let found = Expression::parse(expr).unwrap().comparisons();
        let found: Vec<(&str, f64)> = found.iter().map(|one| (one.operator, one.value)).collect();
        assert_eq!(found, expected, "{expr}");
    };
    check("a > 0.05", &[(">", 0.05)]);
    check("a / (b > 0) > 0.1 and on (c) d >= 3", &[(">", 0.1)]);
    check("(a > 14.4 and b > 14.4 and c >= 10) or (d > 6 and e > 6)", &[(">", 14.4), (">", 6.0)]);
    check("max by (x) (a and b > 0) > 300", &[(">", 300.0)]);
    check("a unless b > 1", &[]);
    check("a < -(2)", &[("<", -2.0)]);
    check("a > b", &[]);
    check("vector(1) == 1", &[("==", 1.0)]);
}

#[test]
fn labels_are_followed_through_an_expression() {
    let labels_of = |name: &str| -> Option<BTreeSet<String>> {
        let labels: &[&str] = match name {
            "requests" => &["service", "instance", "status"],
            "bucket" => &["service", "instance", "le"],
            "build" => &["service", "instance", "version", "ring"],
            "" => &["service", "instance"],
            _ => return None,
        };
        Some(labels.iter().map(|label| (*label).to_owned()).collect())
    };
    let check = |expr: &str, expected: &[&str]| {
        let found: Vec<String> = Expression::parse(expr).unwrap().labels(&labels_of).into_iter().collect();
        assert_eq!(found, expected, "{expr}");
    };
    check("requests", &["instance", "service", "status"]);
    check("sum by (status, code) (rate(requests[1m]))", &["status"]);
    check("sum without (status) (requests)", &["instance", "service"]);
    check("sum(requests)", &[]);
    check("topk(3, requests)", &["instance", "service", "status"]);
    check("histogram_quantile(0.5, sum by (service, le) (rate(bucket[1m])))", &["service"]);
    check("requests * on (instance) group_left (ring) build", &["instance", "ring", "service", "status"]);
    check("build * on (instance) group_right (ring) requests", &["instance", "ring", "service", "status"]);
    check("requests / on (service) build", &["service"]);
    check("requests / ignoring (status) build", &["instance", "service"]);
    check("1 - sum by (service) (requests)", &["service"]);
    check("sum by (status) (requests) or vector(0)", &[]);
    check("requests and on (service) build", &["instance", "service", "status"]);
    check("label_replace(sum(requests), \"ring\", \"none\", \"\", \"\")", &["ring"]);
    check("count_values(\"value\", requests)", &["value"]);
    check("count by (service) ({__name__=~\"a.*\"})", &["service"]);
    check("scalar(requests)", &[]);
    check("nothing", &[]);
    let errors = Expression::parse("sum by (status, code) (requests)").unwrap().grouping_errors(&labels_of);
    assert_eq!(errors, ["`sum by (code)`: what it sums up has no label `code`"]);
}

#[test]
fn divisors_are_kept_above_zero() {
    let check = |expr: &str, expected: &[&str]| {
        assert_eq!(Expression::parse(expr).unwrap().unguarded_divisors(), expected, "{expr}");
    };
    check("a / (b > 0)", &[]);
    check("a / 1e6 / (sum(b) > 0)", &[]);
    check("a / b", &["b"]);
    check("a / (b > 1 or c)", &["(b > 1 or c)"]);
    check("a / on (x) group_left () b", &["b"]);
}
