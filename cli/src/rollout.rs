//! `edge-observer rollout`: the parts of the package `rollout` put together, and what people see of them.

pub mod preflight;
pub mod progress;
pub mod proposal;
pub mod status;
pub mod world;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rollout::plan::{Mistake, Plan};
use serde_json::Value;

use crate::Usage;
use crate::config_file;
use crate::table::plural;

/// A rollout file that was read and is sound.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub plan: Plan,
    /// Its text.
    pub text: String,
    /// The folder that its paths are relative to, absolute.
    pub base: PathBuf,
}

/// What is rolled out.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// The module.
    pub module: Vec<u8>,
    /// The plugin configuration, as in its file.
    pub configuration: Value,
}

/// Reads a rollout file.
///
/// # Errors
/// That it cannot be read, or all of its mistakes.
pub fn load(file: &Path) -> anyhow::Result<Loaded> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| Usage::error(format!("cannot read {shown}: {error}")))?;
    let absolute = std::path::absolute(file)?;
    let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    match rollout::plan::parse(&text, &base) {
        Ok(plan) => Ok(Loaded { plan, text, base }),
        Err(mistakes) => Err(all(&shown.to_string(), &mistakes)),
    }
}

fn all(file: &str, mistakes: &[Mistake]) -> anyhow::Error {
    let lines: Vec<String> = mistakes.iter().map(|mistake| format!("{file}: {mistake}")).collect();
    anyhow::anyhow!("the rollout file has {}:\n{}", plural(mistakes.len() as u64, "mistake"), lines.join("\n"))
}

/// Reads what is rolled out.
///
/// # Errors
/// When a file cannot be read, or the configuration is no YAML or JSON.
pub fn artifact(plan: &Plan) -> anyhow::Result<Artifact> {
    let module = &plan.artifact.module;
    let bytes = std::fs::read(module).with_context(|| format!("artifact.module: cannot read {}", module.display()))?;
    let file = &plan.artifact.configuration;
    let configuration = config_file::value(file).map_err(|problem| problem.into_error(file))?;
    Ok(Artifact { module: bytes, configuration })
}
