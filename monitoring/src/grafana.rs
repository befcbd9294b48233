//! The dashboards as Grafana reads them.

pub mod classic;
mod parts;
pub mod v2;

use serde_json::Value as Json;

use crate::Error;
use crate::dashboards;
use crate::lint;
use crate::model::Dashboard;
use crate::names::Names;

/// A generated file: its path from the root of the repository, and its text.
pub type File = (String, String);

/// Every generated file.
///
/// # Errors
///
/// What the dashboards name and is not there, or which rules of [`lint`] they break.
pub fn files(names: &Names) -> Result<Vec<File>, Error> {
    let all = dashboards::all(names)?;
    let classic: Vec<Json> = all.iter().map(|dashboard| classic::dashboard(dashboard, names)).collect();
    let findings: Vec<String> = lint::lint(&classic, names).iter().map(ToString::to_string).collect();
    if !findings.is_empty() {
        return Err(Error::Dashboards(findings));
    }
    let mut files = Vec::new();
    for (dashboard, classic) in all.into_iter().zip(&classic) {
        let name = file_name(&dashboard);
        files.push((format!("grafana/dashboards/{name}"), text(classic)));
        files.push((format!("grafana/dashboards-v2/{name}"), text(&v2::dashboard(&dashboard, names))));
    }
    Ok(files)
}

/// The file of a dashboard, without its folder: its uid without the namespace.
pub fn file_name(dashboard: &Dashboard) -> String {
    format!("{}.json", dashboard.uid.trim_start_matches("eucora-"))
}

fn text(json: &Json) -> String {
    // A `Value` always has a text.
    format!("{}\n", serde_json::to_string_pretty(json).unwrap_or_default())
}
