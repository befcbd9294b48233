//! Every query of every dashboard against the Prometheus of the scene.

use std::path::Path;
use std::time::{Duration, Instant};

use edge_observer::stack::prometheus::Prometheus;
use monitoring::dashboards;
use monitoring::names::Names;
use monitoring::promql::Substitution;

/// How long figures may take to be there: some are rates over windows that have to begin first.
const LIMIT: Duration = Duration::from_secs(60);

/// Each has data, with the labels that its legend or its table names.
pub(super) async fn all_have_answers(prometheus: &Prometheus) {
    let names = Names::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))).unwrap();
    let all = dashboards::all(&names).unwrap();
    let queries = dashboards::queries(&all, &Substitution::all("15s", "1s", "60s"));
    assert!(queries.len() > 60, "{} queries", queries.len());
    let deadline = Instant::now() + LIMIT;
    let mut wrong: Vec<String>;
    loop {
        wrong = Vec::new();
        for query in &queries {
            let place = format!("{} / {} / {}", query.dashboard, query.panel, query.ref_id);
            let samples = match prometheus.query(&query.expr).await {
                Ok(samples) => samples,
                Err(error) => {
                    wrong.push(format!("{place}: {error:#}: {}", query.expr));
                    continue;
                }
            };
            // An answer that is no number draws nothing.
            let drawn: Vec<_> = samples.iter().filter(|sample| !sample.value().is_nan()).collect();
            if drawn.is_empty() && query.may_be_empty.is_none() {
                wrong.push(format!("{place}: no data: {}", query.expr));
            }
            for label in &query.legend_labels {
                if let Some(sample) = drawn.iter().find(|sample| sample.label(label).is_empty()) {
                    wrong.push(format!("{place}: no label {label} in {:?}", sample.labels));
                }
            }
        }
        if wrong.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{} of {} queries:\n{}", wrong.len(), queries.len(), wrong.join("\n"));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    eprintln!("{} queries of {} dashboards have answers", queries.len(), all.len());
}
