//! The engine's parts, from what a journal has.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use rollout::build;
use rollout::engine::World;
use rollout::hands::file_ecds::FileEcds;
use rollout::hands::istio::IstioHands;
use rollout::hands::{Build, Hands};
use rollout::metrics::Metrics;
use rollout::metrics::prometheus::Prometheus;
use rollout::plan::{HandsPlan, IstioApply, IstioPlan, Plan, parse};
use serde::Deserialize as _;
use serde_json::Value;

/// The real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Real;

impl World for Real {
    fn plan(&self, text: &str, base: &Path) -> Result<Plan, Vec<String>> {
        parse(text, base).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn builds(&self, plan: &Plan, module: &[u8], configuration: &str) -> Result<BTreeMap<String, Build>, String> {
        let value = serde_json::from_str(configuration).map_err(|error| format!("artifact.configuration: {error}"))?;
        build::builds(plan, module, &value).map_err(|error| error.to_string())
    }

    fn hands(&self, plan: &Plan) -> Result<Box<dyn Hands>, String> {
        Ok(hands(plan))
    }

    fn metrics(&self, plan: &Plan) -> Result<Box<dyn Metrics>, String> {
        match Prometheus::new(&plan.prometheus) {
            Ok(prometheus) => Ok(Box::new(prometheus)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The hands of a plan.
#[must_use]
pub fn hands(plan: &Plan) -> Box<dyn Hands> {
    match &plan.hands {
        HandsPlan::FileEcds { filter } => Box::new(FileEcds::new(filter, &plan.rings)),
        HandsPlan::Istio(istio) => Box::new(IstioHands::new(istio, &plan.rings)),
    }
}

/// What else is there that may carry the filter: the objects in the cluster, or in the folder of the working tree.
///
/// # Errors
/// When they cannot be read.
pub fn others(istio: &IstioPlan) -> anyhow::Result<Vec<Value>> {
    match &istio.apply {
        IstioApply::Kubectl(command) => listed(command),
        IstioApply::GitOps { folder, .. } => {
            let mut objects = Vec::new();
            let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                    let text =
                        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                    for document in serde_yaml_ng::Deserializer::from_str(&text) {
                        let object = Value::deserialize(document).with_context(|| path.display().to_string())?;
                        objects.push(object);
                    }
                }
            }
            Ok(objects)
        }
    }
}

/// Every object of Istio's that can carry a filter, in all namespaces: one in the root namespace reaches all.
fn listed(command: &[String]) -> anyhow::Result<Vec<Value>> {
    let (program, arguments) = command.split_first().context("hands.istio.apply.kubectl is empty")?;
    let mut objects = Vec::new();
    for kind in
        ["wasmplugins.extensions.istio.io", "trafficextensions.extensions.istio.io", "envoyfilters.networking.istio.io"]
    {
        let mut kubectl = Command::new(program);
        kubectl.args(arguments).args(["get", kind, "--all-namespaces", "--output", "json"]);
        let output = kubectl.output().with_context(|| format!("cannot start {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        // An Istio without this kind.
        if said.contains("the server doesn't have a resource type") {
            continue;
        }
        ensure!(output.status.success(), "`{program} get {kind}` failed: {}", said.trim());
        let list: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("`{program} get {kind}`"))?;
        objects.extend(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    Ok(objects)
}
