//! The engine's parts, from what a journal has.

use std::collections::BTreeMap;
use std::path::Path;

use rollout::build;
use rollout::engine::World;
use rollout::hands::file_ecds::FileEcds;
use rollout::hands::istio::IstioHands;
use rollout::hands::{Build, Hands};
use rollout::metrics::Metrics;
use rollout::metrics::prometheus::Prometheus;
use rollout::plan::{HandsPlan, Plan, parse};

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
