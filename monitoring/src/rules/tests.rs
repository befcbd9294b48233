use super::*;

const TEXT: &str = r#"
groups:
  - name: one
    interval: 1m
    rules:
      - record: a:b:rate5m
        expr: sum by (a) (rate(b_total[5m]))
        labels: {slo: availability}
      - alert: TooSlow
        expr: a / (b{le=~"2\\.0|2"} > 0) > 0.05 and on (a) c > 10
        for: 5m
        labels: {severity: warning, team: api}
        annotations: {summary: slow}
  - name: two
    rules:
      - alert: Always
        expr: vector(1)
"#;

#[test]
fn rules_are_read_as_they_are_written() {
    let rules = Rules::parse(TEXT).unwrap();
    assert_eq!(rules.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(rules.is_recorded("a:b:rate5m"));
    assert!(!rules.is_recorded("TooSlow"));
    let alert = rules.alert("TooSlow").unwrap();
    assert_eq!(alert.threshold(), Some(Comparison { operator: ">", value: 0.05 }));
    assert_eq!((alert.hold.as_deref(), alert.severity()), (Some("5m"), "warning"));
    assert_eq!(bucket_bounds(&alert.expr), [2.0]);
    let always = rules.alert("Always").unwrap();
    assert_eq!((always.threshold(), always.severity()), (None, "none"));
    assert!(rules.alert("Never").is_none());
}

#[test]
fn a_rule_that_is_no_promql_says_which() {
    let error = Rules::parse("groups: [{name: a, rules: [{alert: Bad, expr: 'sum(a'}]}]").unwrap_err();
    assert!(error.starts_with("Bad: "), "{error}");
    assert!(Rules::parse("groups: [{name: a, rules: [{expr: a}]}]").is_err());
    assert!(Rules::parse("groups").is_err());
}

#[test]
fn bounds_are_the_finite_values_of_le() {
    let check = |expr: &str, expected: &[f64]| assert_eq!(bucket_bounds(expr), expected, "{expr}");
    check("a{le=\"2.0\"}", &[2.0]);
    check("a{le=~\"10(?:\\\\.0)?|\\\\+Inf\"} - a{le=\"0.5\"}", &[0.5, 10.0]);
    check("a{le!=\"2.0\"}", &[]);
    check("a", &[]);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let error = Rules::read(Path::new("/no/such/folder")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /no/such/folder: "), "{error}");
}
