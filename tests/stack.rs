//! Prometheus, Alertmanager and Grafana: what is shipped for each, checked by the program's own tools and against live data.

mod alertmanager;
mod dashboards;
mod kubernetes;
mod live;
mod prometheus;
mod rules;

use std::path::PathBuf;

use edge_observer::tools::{Fetch, Tool, ToolError, Tools, skip_test};

/// A program, or none with a word of why; an error where tools are required.
fn tool(find: impl Fn(&Tools) -> Result<Tool, ToolError>) -> Option<PathBuf> {
    match find(&Tools::new(Fetch::Never)) {
        Ok(tool) => Some(tool.path),
        Err(error) => {
            skip_test(&format_args!("{error}; `cargo xtask test` installs it"));
            None
        }
    }
}
