//! What puts bytes in place on a fleet. Nothing here decides anything.

pub mod file_ecds;
pub mod istio;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::Ring;

/// One place that bytes are put in: a proxy's watched file, or a ring's object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The ring.
    pub ring: String,
    /// Which of the ring's: the instance's name, or the object's.
    pub name: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ring {}, {}", self.ring, self.name)
    }
}

/// The build, as it goes to one ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The module's bytes.
    pub module: Vec<u8>,
    /// Their SHA-256, in hexadecimal.
    pub module_sha256: String,
    /// The plugin configuration, as JSON, with `ring` and `build` set.
    pub configuration: String,
    /// What the filter reports as the label `config` of its build info: [`telemetry::config::Config::digest`].
    pub digest: String,
    /// Where proxies fetch the module, with Istio.
    pub image: Option<String>,
}

/// What a proxy, or whoever speaks for it, says of bytes that were put in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It runs them, as far as it says.
    Yes,
    /// It has not said yet.
    Pending(String),
    /// It refused them.
    Refused(String),
}

/// Why something could not be done. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("{target}: {what}")]
pub struct HandsError {
    /// Where.
    pub target: Target,
    /// What failed, with the cause.
    pub what: String,
}

/// What puts bytes in place. Each method can be called again at any time, by another process too, with the same effect.
pub trait Hands: fmt::Debug {
    /// The places of a ring, in the order in which they are written.
    fn targets(&self, ring: &Ring) -> Vec<Target>;

    /// What is in place now; `None` where nothing is.
    ///
    /// # Errors
    /// When that cannot be said.
    fn read(&self, target: &Target) -> Result<Option<Vec<u8>>, HandsError>;

    /// The bytes for this place that make it run the build; `previous` is what was there before the rollout. Writes nothing, but for a module beside
    /// those that are in use.
    ///
    /// # Errors
    /// When what is there is not of a form that can be changed.
    fn render(&self, target: &Target, previous: Option<&[u8]>, build: &Build) -> Result<Vec<u8>, HandsError>;

    /// Puts bytes in place, whole or not at all; `None` takes away what is there.
    ///
    /// # Errors
    /// When that could not be done.
    fn write(&self, target: &Target, bytes: Option<&[u8]>) -> Result<(), HandsError>;

    /// Whether the proxies have taken what was put in place at `since`.
    ///
    /// # Errors
    /// When nobody can be asked.
    fn taken(&self, target: &Target, bytes: Option<&[u8]>, since: Timestamp) -> Result<Taken, HandsError>;
}
