//! What both forms share: field configuration, options of panels, transformations.

use serde_json::{Value as Json, json};

use crate::dashboards::queries::OPTIONAL_LABELS;
use crate::model::steps::JUST_ABOVE_ZERO;
use crate::model::{Chart, Column, Link, Panel, Step};
use crate::names::Names;

/// The data source that was chosen at the top.
pub(super) const DATASOURCE: &str = "${datasource}";

/// How often a dashboard asks again.
pub(super) const REFRESH: &str = "30s";

/// What `All` is: any value; of a label that a series may lack, none as well.
pub(super) fn all_value(label: &str) -> &'static str {
    if OPTIONAL_LABELS.contains(&label) { ".*" } else { ".+" }
}

/// Grafana's name of a panel's type.
pub(super) fn kind(chart: Chart) -> &'static str {
    match chart {
        Chart::Lines | Chart::Areas => "timeseries",
        Chart::Stat | Chart::Number => "stat",
        Chart::Gauge => "gauge",
        Chart::Bars => "bargauge",
        Chart::Pie => "piechart",
        Chart::Table => "table",
        Chart::Heatmap => "heatmap",
    }
}

/// How a query's answer is wanted.
pub(super) fn format(chart: Chart) -> &'static str {
    match chart {
        Chart::Table => "table",
        Chart::Heatmap => "heatmap",
        _ => "time_series",
    }
}

/// The legend of a query. A table has none, but Grafana wants to be told.
pub(super) fn legend(chart: Chart, legend: &str) -> String {
    if chart == Chart::Table || legend.is_empty() { "__auto".to_owned() } else { legend.to_owned() }
}

fn thresholds(steps: &[Step]) -> Json {
    let steps: Vec<Json> = steps.iter().map(|step| json!({"color": step.color, "value": step.value})).collect();
    json!({"mode": "absolute", "steps": steps})
}

pub(super) fn link(link: &Link) -> Json {
    json!({"title": link.title, "url": link.url, "targetBlank": link.beside})
}

pub(super) fn field_config(panel: &Panel, names: &Names) -> Json {
    let steps = panel.steps(names);
    // A table's texts may look like numbers, and its columns have units of their own.
    let unit = if panel.chart == Chart::Table { "none" } else { panel.unit };
    let mut defaults = json!({"unit": unit, "thresholds": thresholds(&steps), "color": color(panel)});
    let mut set = |field: &str, value: Json| {
        if let Some(fields) = defaults.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
    };
    for (field, value) in [("min", panel.min), ("max", panel.max)] {
        if let Some(value) = value {
            set(field, json!(value));
        }
    }
    if let Some(decimals) = panel.decimals {
        set("decimals", json!(decimals));
    }
    // A panel that may be empty says why.
    let reason = panel.targets.iter().map(|target| target.may_be_empty).collect::<Option<Vec<_>>>();
    if let Some(text) = panel.no_value.or(reason.and_then(|reasons| reasons.first().copied())) {
        set("noValue", json!(text));
    }
    if !panel.data_links.is_empty() && panel.chart != Chart::Table {
        set("links", panel.data_links.iter().map(link).collect());
    }
    if let Some(custom) = custom(panel) {
        set("custom", custom);
    }
    let overrides: Vec<Json> = match panel.chart {
        Chart::Table => panel.columns.iter().filter_map(|column| column_override(panel, column)).collect(),
        _ => panel
            .series_colors
            .iter()
            .map(|(pattern, color)| {
                json!({
                    "matcher": {"id": "byRegexp", "options": format!("/{pattern}/")},
                    "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
                })
            })
            .collect(),
    };
    json!({"defaults": defaults, "overrides": overrides})
}

fn color(panel: &Panel) -> Json {
    match (panel.chart, panel.fixed_color) {
        (_, Some(color)) => json!({"mode": "fixed", "fixedColor": color}),
        (Chart::Lines | Chart::Areas | Chart::Pie, None) => json!({"mode": "palette-classic"}),
        (_, None) => json!({"mode": "thresholds"}),
    }
}

fn custom(panel: &Panel) -> Option<Json> {
    match panel.chart {
        Chart::Lines | Chart::Areas => {
            let stacked = panel.chart == Chart::Areas;
            let mut custom = json!({
                "drawStyle": "line",
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "fillOpacity": if stacked { 30 } else { 0 },
                "showPoints": "never",
                "spanNulls": false,
                "stacking": {"mode": if stacked { "normal" } else { "none" }, "group": "A"},
                "thresholdsStyle": {"mode": if panel.limits.is_empty() { "off" } else { "dashed" }},
            });
            if let (Some(fields), Some(max)) = (custom.as_object_mut(), soft_max(panel)) {
                fields.insert("axisSoftMax".to_owned(), json!(max));
            }
            Some(custom)
        }
        Chart::Table => {
            Some(json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false, "minWidth": 80}))
        }
        _ => None,
    }
}

/// Up to where the axis goes at least. A share is shown beside its limit, and a count of nothing beside 1; for a time the limit is often far from what is
/// usual, and would flatten it.
fn soft_max(panel: &Panel) -> Option<f64> {
    let limit = panel.limits.iter().map(|limit| limit.value).fold(0.0, f64::max);
    match panel.unit {
        "s" => None,
        _ if limit > JUST_ABOVE_ZERO => Some(limit),
        "short" | "locale" if panel.min == Some(0.0) => Some(1.0),
        "percentunit" if panel.min == Some(0.0) => Some(0.01),
        _ => None,
    }
}

/// Columns of long texts, and of short ones, in pixels.
const WIDTHS: [(&str, u32); 3] = [("endpoint", 380), ("alertname", 190), ("ring", 70)];

/// Texts with a colour: field, text, colour.
const TEXT_COLORS: [(&str, &str, &str); 4] = [
    ("severity", "critical", "red"),
    ("severity", "warning", "orange"),
    ("alertstate", "firing", "red"),
    ("alertstate", "pending", "yellow"),
];

/// Units, colours and links of one column.
fn column_override(panel: &Panel, column: &Column) -> Option<Json> {
    let mut properties = Vec::new();
    if !column.unit.is_empty() {
        properties.push(json!({"id": "unit", "value": column.unit}));
        if column.unit != "short" {
            properties.push(json!({"id": "decimals", "value": if column.unit == "s" { 1 } else { 2 }}));
        }
    }
    if column.steps.len() > 1 {
        properties.push(json!({"id": "thresholds", "value": thresholds(&column.steps)}));
        properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
    }
    if let Some((_, width)) = WIDTHS.iter().find(|(field, _)| *field == column.field) {
        properties.push(json!({"id": "custom.width", "value": width}));
    }
    let colored = TEXT_COLORS.iter().filter(|(field, _, _)| *field == column.field);
    let options: serde_json::Map<String, Json> = colored
        .enumerate()
        .map(|(index, (_, text, color))| ((*text).to_owned(), json!({"color": color, "index": index})))
        .collect();
    if !options.is_empty() {
        properties.push(json!({"id": "mappings", "value": [{"type": "value", "options": options}]}));
        properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
    }
    let is_first = panel.columns.first().is_some_and(|first| first.field == column.field);
    if is_first && !panel.data_links.is_empty() {
        properties.push(json!({"id": "links", "value": panel.data_links.iter().map(link).collect::<Vec<_>>()}));
    }
    if properties.is_empty() {
        return None;
    }
    Some(json!({"matcher": {"id": "byName", "options": column.title}, "properties": properties}))
}

pub(super) fn options(panel: &Panel) -> Json {
    let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    match panel.chart {
        Chart::Lines | Chart::Areas => json!({
            "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["mean", "max", "lastNotNull"], "sortBy": "Last *", "sortDesc": true},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Chart::Stat | Chart::Number => json!({
            "reduceOptions": reduce,
            "colorMode": "value",
            "graphMode": if panel.chart == Chart::Stat { "area" } else { "none" },
            "textMode": "auto",
            "justifyMode": "auto",
            "orientation": "auto",
            "wideLayout": true,
            "showPercentChange": false,
            "percentChangeColorMode": "standard",
        }),
        Chart::Gauge => json!({
            "reduceOptions": reduce,
            "orientation": "auto",
            "showThresholdLabels": false,
            "showThresholdMarkers": true,
            "sizing": "auto",
            "minVizWidth": 75,
            "minVizHeight": 75,
        }),
        Chart::Bars => json!({
            "reduceOptions": reduce,
            "orientation": "horizontal",
            "displayMode": "basic",
            "valueMode": "color",
            "namePlacement": "auto",
            "showUnfilled": true,
            "sizing": "auto",
            "minVizWidth": 8,
            "minVizHeight": 16,
            "maxVizHeight": 300,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []},
        }),
        Chart::Pie => json!({
            "reduceOptions": reduce,
            "pieType": "donut",
            "displayLabels": ["value"],
            "sort": "desc",
            "legend": {"displayMode": "table", "placement": "right", "showLegend": true, "calcs": [], "values": ["value", "percent"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Chart::Table => json!({"showHeader": true, "cellHeight": "sm", "sortBy": sort_by(panel)}),
        Chart::Heatmap => json!({
            "calculate": false,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "reverse": false, "scale": "exponential"},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": true},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "yHistogram": true, "showColorScale": true},
            "yAxis": {"axisPlacement": "left", "reverse": false, "unit": panel.unit},
        }),
    }
}

/// A table begins with what fires; else with the greatest value of its first column of numbers, or with the first name.
fn sort_by(panel: &Panel) -> Json {
    if let Some(state) = panel.columns.iter().find(|column| column.field == "alertstate") {
        return json!([{"displayName": state.title, "desc": false}]);
    }
    let numbers = panel.columns.iter().find(|column| column.field.starts_with("Value"));
    let is_keyed = panel.columns.first().is_some_and(|column| column.field == "ring");
    match numbers.filter(|_| !is_keyed) {
        Some(column) => json!([{"displayName": column.title, "desc": true}]),
        None => panel.columns.first().map_or(json!([]), |column| json!([{"displayName": column.title, "desc": false}])),
    }
}

/// Rows of several queries put side by side, columns in order, and nothing that is not asked for.
pub(super) fn transformations(panel: &Panel) -> Vec<(&'static str, Json)> {
    if panel.chart != Chart::Table {
        return Vec::new();
    }
    let fields: Vec<&str> = panel.columns.iter().map(|column| column.field).collect();
    let order: serde_json::Map<String, Json> =
        fields.iter().enumerate().map(|(number, field)| ((*field).to_owned(), json!(number))).collect();
    let titles: serde_json::Map<String, Json> =
        panel.columns.iter().map(|column| (column.field.to_owned(), json!(column.title))).collect();
    let kept: Vec<Json> = fields.iter().map(|field| json!(field)).collect();
    let mut steps = Vec::new();
    if panel.targets.len() > 1 {
        steps.push(("merge", json!({})));
    }
    steps.push(("filterFieldsByName", json!({"include": {"names": kept}})));
    steps.push((
        "organize",
        json!({"excludeByName": {}, "includeByName": {}, "indexByName": order, "renameByName": titles}),
    ));
    steps
}
