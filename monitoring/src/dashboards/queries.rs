//! Every query of every dashboard, with the variables replaced: for a test against a real Prometheus.

use crate::model::{Chart, Dashboard, Marks};
use crate::promql::Substitution;

/// A query as Grafana would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The dashboard's uid.
    pub dashboard: &'static str,
    /// The panel's heading, or `annotation: …`, or `variable: …`.
    pub panel: String,
    /// The panel's number; 0 for annotations and variables.
    pub panel_id: u32,
    /// `A`, `B`, …
    pub ref_id: String,
    /// The query, without variables.
    pub expr: String,
    /// The labels that its legend, or its table, names: each series of the answer must have them.
    pub legend_labels: Vec<String>,
    /// Asked for one moment, rather than for a range.
    pub instant: bool,
    /// Why it may have no answer although all is well.
    pub may_be_empty: Option<&'static str>,
}

/// Labels that a healthy series may lack.
pub(crate) const OPTIONAL_LABELS: [&str; 1] = ["ring"];

/// Every query of these dashboards: of panels, annotations and variables.
pub fn queries(dashboards: &[Dashboard], substitution: &Substitution) -> Vec<Query> {
    let mut found = Vec::new();
    for dashboard in dashboards {
        for placed in dashboard.placed().iter().flat_map(|row| &row.panels) {
            for (number, target) in placed.panel.targets.iter().enumerate() {
                let ref_id = ref_id(number);
                let named = match placed.panel.chart {
                    Chart::Table => {
                        let columns = placed.panel.columns.iter().map(|column| column.field);
                        columns.filter(|field| !field.starts_with("Value")).map(str::to_owned).collect()
                    }
                    _ => legend_labels(&target.legend),
                };
                found.push(Query {
                    dashboard: dashboard.uid,
                    panel: placed.panel.title.to_owned(),
                    panel_id: placed.id,
                    ref_id,
                    expr: substitution.apply(&target.expr),
                    legend_labels: named
                        .into_iter()
                        .filter(|label| !OPTIONAL_LABELS.contains(&label.as_str()))
                        .collect(),
                    instant: is_instant(placed.panel.chart),
                    may_be_empty: target.may_be_empty,
                });
            }
        }
        for annotation in &dashboard.annotations {
            let Marks::Query { expr, .. } = &annotation.source else { continue };
            found.push(Query {
                dashboard: dashboard.uid,
                panel: format!("annotation: {}", annotation.name),
                panel_id: 0,
                ref_id: "Anno".to_owned(),
                expr: substitution.apply(expr),
                legend_labels: Vec::new(),
                instant: false,
                may_be_empty: Some("a mark is for what does not happen all the time"),
            });
        }
        for variable in &dashboard.variables {
            found.push(Query {
                dashboard: dashboard.uid,
                panel: format!("variable: {}", variable.name),
                panel_id: 0,
                ref_id: variable.name.to_owned(),
                expr: substitution.apply(&variable.selector),
                legend_labels: Some(variable.of_label.to_owned())
                    .filter(|label| !OPTIONAL_LABELS.contains(&label.as_str()))
                    .into_iter()
                    .collect(),
                instant: true,
                may_be_empty: None,
            });
        }
    }
    found
}

/// `A` for the first query of a panel.
pub(crate) fn ref_id(number: usize) -> String {
    let letter =
        u8::try_from(number).ok().filter(|number| *number < 26).map_or('Z', |number| char::from(b'A' + number));
    letter.to_string()
}

/// Whether Grafana asks for one moment.
pub(crate) fn is_instant(chart: Chart) -> bool {
    match chart {
        Chart::Lines | Chart::Areas | Chart::Stat | Chart::Heatmap => false,
        Chart::Number | Chart::Gauge | Chart::Bars | Chart::Pie | Chart::Table => true,
    }
}

/// The labels in `{{label}}` of a legend.
pub(crate) fn legend_labels(legend: &str) -> Vec<String> {
    let parts = legend.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
    parts.map(|(label, _)| label.trim().to_owned()).collect()
}
