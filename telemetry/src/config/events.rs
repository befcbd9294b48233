//! The section `events`: where security events go.

pub(super) mod fields;
mod meaning;
pub(super) mod shape;

pub(super) use meaning::build;

use siem::settings::{Limits, Settings};

/// The section `events`.
#[derive(Clone, Debug, Default)]
pub struct EventsConfig {
    pub(super) sinks: Vec<SinkConfig>,
}

/// One receiver of events.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    pub(super) name: String,
    pub(super) secret_env: Option<String>,
    pub(super) settings: Settings,
    pub(super) limits: Limits,
}

impl EventsConfig {
    /// The receivers, in the order of the configuration. Without any, events go to the proxy's log.
    #[must_use]
    pub fn sinks(&self) -> &[SinkConfig] {
        &self.sinks
    }
}

impl SinkConfig {
    /// Its name: a label.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variable of the VM's environment that has the secret.
    #[must_use]
    pub fn secret_env(&self) -> Option<&str> {
        self.secret_env.as_deref()
    }

    /// Where events go, and as what.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How much may wait, for how long, and how often it is tried.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}
