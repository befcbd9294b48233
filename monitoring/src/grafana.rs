//! The dashboards as Grafana reads them.

pub mod classic;
mod parts;
pub mod v2;

use serde_json::Value as Json;

use crate::Error;
use crate::dashboards;
use crate::model::Dashboard;
use crate::names::Names;

/// A generated file: its path from the root of the repository, and its text.
pub type File = (String, String);

/// Every generated file.
///
/// # Errors
///
/// What the dashboards name and is not there.
pub fn files(names: &Names) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for dashboard in dashboards::all(names)? {
        let name = file_name(&dashboard);
        files.push((format!("grafana/dashboards/{name}"), text(&classic::dashboard(&dashboard, names))));
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
