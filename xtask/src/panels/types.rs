//! The dashboards as TypeScript, so that the compiler compares them with the types that Grafana publishes.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use monitoring::grafana::File;
use serde_json::Value as Json;

use super::node::Tools;
use crate::workspace::{step, write_atomically};

/// Panel types with types of their own: Grafana's name, the module's, and whether fields have more of their own.
const PANELS: [(&str, &str, bool); 7] = [
    ("timeseries", "TimeSeries", true),
    ("stat", "Stat", false),
    ("gauge", "Gauge", false),
    ("bargauge", "BarGauge", false),
    ("piechart", "PieChart", false),
    ("table", "Table", true),
    ("heatmap", "Heatmap", false),
];

/// Checks these files, and what draws them.
pub(super) fn check(tools: &Tools, files: &[File]) -> Result<()> {
    step("checking the dashboards against @grafana/schema");
    let folder = tools.checked()?;
    for (path, text) in files {
        let json: Json = serde_json::from_str(text).with_context(|| path.clone())?;
        let source = if json.get("apiVersion").is_some() { resource(&json)? } else { classic(path, &json)? };
        write_atomically(&folder.join(format!("{}.ts", path.replace('/', "."))), source.as_bytes())?;
    }
    tools
        .check_types()
        .context("a dashboard is not what Grafana's types say; the name of the file under `checked` is its path")
}

fn classic(path: &str, json: &Json) -> Result<String> {
    let mut text =
        "import type { Classic } from '../src/classic';\nimport type { Json } from '../src/json';\n".to_owned();
    for (kind, module, _) in PANELS {
        writeln!(
            text,
            "import type * as {kind} from '@grafana/schema/dist/esm/raw/composable/{kind}/panelcfg/x/{module}PanelCfg_types.gen';"
        )?;
    }
    writeln!(text, "export const dashboard: Json<Classic> = {json:#};")?;
    let panels = json.get("panels").and_then(Json::as_array).context("a dashboard without panels")?;
    let mut checked = 0;
    for panel in panels.iter().filter(|panel| panel.get("type").is_some_and(|kind| kind != "row")) {
        let kind = panel.get("type").and_then(Json::as_str).unwrap_or_default();
        let known = PANELS.iter().find(|(known, _, _)| *known == kind);
        let (_, _, has_fields) = known.with_context(|| format!("{path}: no types are known for a {kind}"))?;
        let (id, options) = (&panel["id"], &panel["options"]);
        writeln!(text, "export const options{id}: Json<Partial<{kind}.Options>> = {options:#};")?;
        if *has_fields {
            let custom = panel.pointer("/fieldConfig/defaults/custom").unwrap_or(&Json::Null);
            writeln!(text, "export const fields{id}: Json<Partial<{kind}.FieldConfig>> = {custom:#};")?;
        }
        checked += 1;
    }
    ensure!(checked > 0, "{path} has no panels to check");
    Ok(text)
}

fn resource(json: &Json) -> Result<String> {
    Ok(format!(
        "import type {{ Resource }} from '../src/classic';\n\
         import type {{ Json }} from '../src/json';\n\
         export const dashboard: Json<Resource> = {json:#};\n"
    ))
}
