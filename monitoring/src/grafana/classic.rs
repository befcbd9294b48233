//! The classic form: one JSON object, the place of a panel in it. Every Grafana reads it.

use serde_json::{Value as Json, json};

use super::parts::{self, DATASOURCE, REFRESH};
use crate::RUNBOOKS;
use crate::dashboards::queries::{is_instant, ref_id};
use crate::model::{Annotation, Dashboard, Link, Marks, Placed, PlacedRow, Variable};
use crate::names::Names;

/// The version of the classic form.
const SCHEMA: u32 = 42;

/// The dashboard in the classic form.
pub fn dashboard(dashboard: &Dashboard, names: &Names) -> Json {
    let tags: Vec<&str> = std::iter::once("eucora").chain(dashboard.tags.iter().copied()).collect();
    let mut variables = vec![datasource_variable()];
    variables.extend(dashboard.variables.iter().map(variable));
    let panels: Vec<Json> = dashboard.placed().iter().flat_map(|placed| row(placed, names)).collect();
    json!({
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": tags,
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": false,
        "graphTooltip": 1,
        "refresh": REFRESH,
        "time": {"from": dashboard.from, "to": "now"},
        "timezone": "browser",
        "annotations": {"list": dashboard.annotations.iter().map(annotation).collect::<Vec<_>>()},
        "links": links(),
        "templating": {"list": variables},
        "panels": panels,
    })
}

fn datasource() -> Json {
    json!({"type": "prometheus", "uid": DATASOURCE})
}

fn datasource_variable() -> Json {
    json!({
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "current": {"selected": false, "text": "default", "value": "default"},
        "hide": 0,
        "refresh": 1,
        "multi": false,
        "includeAll": false,
        "skipUrlSync": false,
    })
}

fn variable(variable: &Variable) -> Json {
    let definition = format!("label_values({}, {})", variable.selector, variable.of_label);
    json!({
        "name": variable.name,
        "label": variable.label,
        "description": variable.description,
        "type": "query",
        "datasource": datasource(),
        "definition": definition,
        "query": {"query": definition, "refId": variable.name, "qryType": 1},
        "regex": "",
        "refresh": 2,
        "multi": true,
        "includeAll": true,
        "allValue": parts::all_value(variable.of_label),
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "sort": 1,
        "skipUrlSync": false,
    })
}

fn annotation(annotation: &Annotation) -> Json {
    let common = |datasource: Json| json!({"name": annotation.name, "datasource": datasource, "enable": true, "hide": false, "iconColor": annotation.color});
    let (mut json, more) = match &annotation.source {
        Marks::Query { expr, title, text, tags } => (
            common(datasource()),
            json!({
                "expr": expr,
                "step": "60s",
                "titleFormat": title,
                "textFormat": text,
                "tagKeys": tags,
                "useValueForTime": false,
            }),
        ),
        Marks::Tag(tag) => (
            common(json!({"type": "grafana", "uid": "-- Grafana --"})),
            json!({"type": "tags", "target": {"type": "tags", "tags": [tag], "matchAny": false, "limit": 100}}),
        ),
    };
    if let (Some(fields), Json::Object(more)) = (json.as_object_mut(), more) {
        fields.extend(more);
    }
    json
}

/// To the other dashboards and to the runbooks.
fn links() -> Json {
    json!([
        {
            "title": "EUCORA", "type": "dashboards", "tags": ["eucora"], "asDropdown": true, "includeVars": true, "keepTime": true,
            "targetBlank": false, "icon": "external link", "tooltip": "The other dashboards, with the same choice and time", "url": "",
        },
        {
            "title": "Runbooks", "type": "link", "tags": [], "asDropdown": false, "includeVars": false, "keepTime": false,
            "targetBlank": true, "icon": "doc", "tooltip": "What each alert means and what to do", "url": RUNBOOKS,
        },
    ])
}

/// A panel's link is of the dashboard's kind in this form.
fn panel_link(link: &Link) -> Json {
    json!({
        "title": link.title, "type": "link", "url": link.url, "targetBlank": link.beside, "tags": [], "asDropdown": false,
        "includeVars": false, "keepTime": false, "icon": "", "tooltip": "",
    })
}

fn row(placed: &PlacedRow<'_>, names: &Names) -> Vec<Json> {
    let heading = json!({
        "id": placed.id,
        "type": "row",
        "title": placed.row.title,
        "collapsed": false,
        "gridPos": {"x": 0, "y": placed.y, "w": 24, "h": 1},
        "panels": [],
    });
    std::iter::once(heading).chain(placed.panels.iter().map(|placed| panel(placed, names))).collect()
}

fn panel(placed: &Placed<'_>, names: &Names) -> Json {
    let panel = placed.panel;
    let targets: Vec<Json> = panel
        .targets
        .iter()
        .enumerate()
        .map(|(number, target)| {
            let instant = is_instant(panel.chart);
            json!({
                "refId": ref_id(number),
                "datasource": datasource(),
                "expr": target.expr,
                "legendFormat": parts::legend(panel.chart, &target.legend),
                "format": parts::format(panel.chart),
                "editorMode": "code",
                "range": !instant,
                "instant": instant,
            })
        })
        .collect();
    let transformations: Vec<Json> =
        parts::transformations(panel).into_iter().map(|(id, options)| json!({"id": id, "options": options})).collect();
    json!({
        "id": placed.id,
        "type": parts::kind(panel.chart),
        "title": panel.title,
        "description": panel.description,
        "datasource": datasource(),
        "gridPos": {"x": placed.x, "y": placed.y, "w": panel.width, "h": panel.height},
        "fieldConfig": parts::field_config(panel, names),
        "options": parts::options(panel),
        "links": panel.links.iter().map(panel_link).collect::<Vec<_>>(),
        "targets": targets,
        "transformations": transformations,
    })
}
