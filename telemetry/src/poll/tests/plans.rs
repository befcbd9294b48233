use super::*;

fn described(plan: &Plan) -> Vec<String> {
    (0..plan.series().len())
        .map(|index| {
            let (gauge, labels) = plan.describe(index).unwrap();
            let labels: Vec<String> = labels.map(|(label, value)| format!("{label}={value}")).collect();
            format!("{} {}", gauge.name, labels.join(" "))
        })
        .collect()
}

fn fails(gauges: Vec<GaugeSpec>, gauge: usize, message: &str) {
    assert_eq!(Plan::new(spec(gauges)), Err(PlanError { gauge, message: message.to_owned() }));
}

#[test]
fn series_are_the_combinations_of_labels() {
    let plan = Plan::new(spec(vec![
        gauge("a", "/a/{y}/{x}", &[("x", &["1", "2"]), ("y", &["3", "4", "5"])]),
        gauge("b", "/b", &[]),
        gauge("c", "/c{z}{z}/x", &[("z", &["6"]), ("kind", &["constant"])]),
    ]))
    .unwrap();
    assert_eq!(
        described(&plan),
        ["a x=1 y=3", "a x=1 y=4", "a x=1 y=5", "a x=2 y=3", "a x=2 y=4", "a x=2 y=5", "b ", "c z=6 kind=constant"]
    );
    assert!(plan.describe(8).is_none());
    assert_eq!(plan.series()[4], Series { gauge: 0, values: vec![1, 1] });
    let mut worker = Worker { poller: Poller::new(plan), now_ns: NOW, fresh_ns: NOW, next_token: 0 };
    let (token, _) = worker.wait();
    let body = r#"{"a":{"3":{"1":31,"2":32},"4":{"1":41,"2":42},"5":{"1":51,"2":52}},"b":6,"c66":{"x":7}}"#;
    worker.answer(token, body);
    let values: Vec<u64> = worker.changed().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [31, 41, 51, 32, 42, 52, 6, 7]);
}

#[test]
fn values_are_escaped_and_templates_are_not() {
    let mut worker =
        Worker::new(vec![gauge("a", "/{x}", &[("x", &["a/b", "c~d", "", "{x}", "é"])]), gauge("b", "/a~1b", &[])]);
    let (token, _) = worker.wait();
    worker.answer(token, r#"{"a/b":1,"c~d":2,"":3,"{x}":4,"é":5}"#);
    assert_eq!(worker.changed(), [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 1)]);
}

#[test]
fn mistakes_are_named_with_their_cure() {
    let good = || gauge("good", "/a", &[]);
    fails(
        vec![good(), gauge("x", "/a/{ring}", &[("rings", &["1"])])],
        1,
        "`{ring}` in `/a/{ring}` is not a label of the gauge; declare it, with its values",
    );
    fails(vec![gauge("x", "/a/{ring", &[("ring", &["1"])])], 0, "in `/a/{ring` a `{` is not closed; write `{label}`");
    fails(vec![gauge("x", "/a/{ring}", &[("ring", &[])])], 0, "label `ring` has no values; list them");
    fails(
        vec![good(), gauge("x", "/a", &[("ring", &["1", "2"])])],
        1,
        "label `ring` has 2 values and is not in `/a`; write `{ring}` where its value goes",
    );
    fails(
        vec![good(), gauge("x", "a/{ring}", &[("ring", &["1", "2"])])],
        1,
        "`a/1` does not begin with `/`; write `/a/1`, or nothing for the whole document",
    );
    let many: Vec<String> = (0..32).map(|value| value.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let full = || gauge("full", "/{x}/{y}", &[("x", &many), ("y", &many)]);
    assert_eq!(Plan::new(spec(vec![full()])).map(|plan| plan.series().len()), Ok(1024));
    let message = "with the combinations of its labels there are more than 1024 series; declare fewer";
    fails(vec![full(), good()], 1, message);
    let labels: Vec<(String, &[&str])> = (0..20).map(|label| (format!("l{label}"), &many[..])).collect();
    let labels: Vec<(&str, &[&str])> = labels.iter().map(|(label, values)| (label.as_str(), *values)).collect();
    let pointer: String = labels.iter().map(|(label, _)| format!("/{{{label}}}")).collect();
    fails(vec![gauge("x", &pointer, &labels)], 0, message);
}

#[test]
fn the_values_of_headers_are_not_shown() {
    let headers = vec![("authorization".to_owned(), "Bearer s3cret".to_owned())];
    let plan = Plan::new(PollSpec { headers, ..spec(vec![gauge("queue", "/queue", &[])]) }).unwrap();
    let shown = format!("{:?}", Poller::new(plan));
    assert!(shown.contains(r#"headers: ["authorization"]"#) && !shown.contains("s3cret"), "{shown}");
}
