//! Whose behaviour a command's host has.

use clap::{Args, ValueEnum};
use host_harness::Conformance;

/// Arguments of the commands that run modules.
#[derive(Debug, Args)]
pub(crate) struct ConformanceArguments {
    /// Whose behaviour the host has where Envoy and the specification of the ABI differ; suites may say so for themselves
    #[arg(long, value_name = "WHOSE", value_enum)]
    conformance: Option<Whose>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Whose {
    Envoy,
    Spec,
}

impl ConformanceArguments {
    /// What was said, if anything was.
    pub(crate) fn given(&self) -> Option<Conformance> {
        self.conformance.map(|whose| match whose {
            Whose::Envoy => Conformance::Envoy,
            Whose::Spec => Conformance::Spec,
        })
    }
}
