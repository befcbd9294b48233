//! The v2 form: a resource, whose panels are elements and whose layout is beside them.

use serde_json::{Map, Value as Json, json};

use super::parts::{self, DATASOURCE, REFRESH};
use crate::RUNBOOKS;
use crate::dashboards::queries::{is_instant, ref_id};
use crate::model::{Annotation, Dashboard, Marks, Placed, Variable};
use crate::names::Names;

/// The dashboard as a resource.
pub fn dashboard(dashboard: &Dashboard, names: &Names) -> Json {
    let tags: Vec<&str> = std::iter::once("eucora").chain(dashboard.tags.iter().copied()).collect();
    let mut variables = vec![datasource_variable()];
    variables.extend(dashboard.variables.iter().map(variable));
    let mut elements = Map::new();
    let mut rows = Vec::new();
    for row in dashboard.placed() {
        let mut items = Vec::new();
        for placed in &row.panels {
            elements.insert(element_name(placed), panel(placed, names));
            // Places in a row count from its top.
            let y = placed.y.saturating_sub(row.y + 1);
            items.push(json!({
                "kind": "GridLayoutItem",
                "spec": {
                    "x": placed.x, "y": y, "width": placed.panel.width, "height": placed.panel.height,
                    "element": {"kind": "ElementReference", "name": element_name(placed)},
                },
            }));
        }
        rows.push(json!({
            "kind": "RowsLayoutRow",
            "spec": {"title": row.row.title, "collapse": false, "layout": {"kind": "GridLayout", "spec": {"items": items}}},
        }));
    }
    json!({
        "apiVersion": "dashboard.grafana.app/v2",
        "kind": "Dashboard",
        "metadata": {"name": dashboard.uid},
        "spec": {
            "title": dashboard.title,
            "description": dashboard.description,
            "tags": tags,
            "editable": false,
            "preload": false,
            "liveNow": false,
            "cursorSync": "Crosshair",
            "timeSettings": {
                "from": dashboard.from,
                "to": "now",
                "timezone": "browser",
                "autoRefresh": REFRESH,
                "autoRefreshIntervals": ["10s", "30s", "1m", "5m", "15m", "30m", "1h"],
                "hideTimepicker": false,
                "fiscalYearStartMonth": 0,
            },
            "annotations": dashboard.annotations.iter().map(annotation).collect::<Vec<_>>(),
            "links": links(),
            "variables": variables,
            "elements": elements,
            "layout": {"kind": "RowsLayout", "spec": {"rows": rows}},
        },
    })
}

fn element_name(placed: &Placed<'_>) -> String {
    format!("panel-{}", placed.id)
}

fn query(spec: Json) -> Json {
    json!({"kind": "DataQuery", "group": "prometheus", "version": "v0", "datasource": {"name": DATASOURCE}, "spec": spec})
}

fn datasource_variable() -> Json {
    json!({
        "kind": "DatasourceVariable",
        "spec": {
            "name": "datasource",
            "label": "Data source",
            "pluginId": "prometheus",
            "refresh": "onDashboardLoad",
            "regex": "",
            "current": {"text": "default", "value": "default"},
            "options": [],
            "multi": false,
            "includeAll": false,
            "hide": "dontHide",
            "skipUrlSync": false,
            "allowCustomValue": true,
        },
    })
}

fn variable(variable: &Variable) -> Json {
    let definition = format!("label_values({}, {})", variable.selector, variable.of_label);
    json!({
        "kind": "QueryVariable",
        "spec": {
            "name": variable.name,
            "label": variable.label,
            "description": variable.description,
            "query": query(json!({"query": definition, "refId": variable.name, "qryType": 1})),
            "definition": definition,
            "regex": "",
            "sort": "alphabeticalAsc",
            "refresh": "onTimeRangeChanged",
            "options": [],
            "multi": true,
            "includeAll": true,
            "allValue": parts::all_value(variable.of_label),
            "current": {"text": ["All"], "value": ["$__all"]},
            "hide": "dontHide",
            "skipUrlSync": false,
            "allowCustomValue": true,
        },
    })
}

fn annotation(annotation: &Annotation) -> Json {
    let (query, legacy) = match &annotation.source {
        Marks::Query { expr, title, text, tags } => (
            query(json!({"expr": expr})),
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
            json!({
                "kind": "DataQuery", "group": "grafana", "version": "v0", "datasource": {"name": "-- Grafana --"},
                "spec": {"type": "tags", "tags": [tag], "matchAny": false, "limit": 100},
            }),
            json!({"type": "tags"}),
        ),
    };
    json!({
        "kind": "AnnotationQuery",
        "spec": {
            "name": annotation.name,
            "enable": true,
            "hide": false,
            "iconColor": annotation.color,
            "query": query,
            "legacyOptions": legacy,
        },
    })
}

fn links() -> Json {
    json!([
        {
            "title": "EUCORA", "type": "dashboards", "tags": ["eucora"], "asDropdown": true, "includeVars": true, "keepTime": true,
            "targetBlank": false, "icon": "external link", "tooltip": "The other dashboards, with the same choice and time",
        },
        {
            "title": "Runbooks", "type": "link", "tags": [], "asDropdown": false, "includeVars": false, "keepTime": false,
            "targetBlank": true, "icon": "doc", "tooltip": "What each alert means and what to do", "url": RUNBOOKS,
        },
    ])
}

fn panel(placed: &Placed<'_>, names: &Names) -> Json {
    let panel = placed.panel;
    let queries: Vec<Json> = panel
        .targets
        .iter()
        .enumerate()
        .map(|(number, target)| {
            let instant = is_instant(panel.chart);
            json!({
                "kind": "PanelQuery",
                "spec": {
                    "refId": ref_id(number),
                    "hidden": false,
                    "query": query(json!({
                        "expr": target.expr,
                        "legendFormat": parts::legend(panel.chart, &target.legend),
                        "format": parts::format(panel.chart),
                        "editorMode": "code",
                        "range": !instant,
                        "instant": instant,
                    })),
                },
            })
        })
        .collect();
    let transformations: Vec<Json> = parts::transformations(panel)
        .into_iter()
        .map(|(id, options)| json!({"kind": "Transformation", "group": id, "spec": {"options": options}}))
        .collect();
    json!({
        "kind": "Panel",
        "spec": {
            "id": placed.id,
            "title": panel.title,
            "description": panel.description,
            "links": panel.links.iter().map(parts::link).collect::<Vec<_>>(),
            "data": {"kind": "QueryGroup", "spec": {"queries": queries, "transformations": transformations, "queryOptions": {}}},
            "vizConfig": {
                "kind": "VizConfig",
                "group": parts::kind(panel.chart),
                "version": "",
                "spec": {"options": parts::options(panel), "fieldConfig": parts::field_config(panel, names)},
            },
        },
    })
}
