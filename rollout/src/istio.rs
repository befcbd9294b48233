//! The filter in Istio: one object for each ring.
//!
//! - [`render`]: the object, from the plan, the ring and the build.
//! - [`schema`]: whether manifests are what Istio's CRDs take; every mistake at once.
//! - [`disjoint`]: that no pod gets the filter twice, and each exactly one ring's.
//! - [`yaml`]: the one way in which objects are written, so that equal objects are equal bytes.
//!
//! Two plugins that match one pod both run: Istio has no override and no most specific selector. A request would then be counted twice. Selectors have
//! equality only, so nothing can be said such as "all but ring 0"; hence each ring has a label value of its own.

pub mod disjoint;
pub mod render;
pub mod schema;
#[cfg(test)]
mod shipped;
#[cfg(test)]
pub(crate) mod tests;
pub mod yaml;

use crate::plan::{IstioKind, IstioPlan, Ring};

/// The label with the ring's name, on the objects and, as `match_labels` of a rollout file should have it, on pods.
pub const RING: &str = "edge-observer.io/ring";

/// The annotation with the module's SHA-256.
pub const MODULE: &str = "edge-observer.io/module-sha256";

/// The annotation with the digest of the image's manifest, `sha256:…`. It is what a registry and Istio's agent go by, and another one than the module's:
/// Istio compares the field `sha256` of an `oci://` address with this one, and of an `https://` address with the module's.
pub const IMAGE: &str = "edge-observer.io/image-digest";

/// The annotation with what the filter reports as `config` of its build info.
pub const CONFIG: &str = "edge-observer.io/config";

/// The filter's name in Envoy: its root ID.
pub const PLUGIN: &str = "edge_observer";

/// The longest value of a label, and of a part of a name, in Kubernetes.
const MAX_LABEL: usize = 63;

/// The name of a ring's object: `NAME-ring-RING`, with the ring's name in lower case and `-` for what a name in Kubernetes cannot have (RFC 1123).
#[must_use]
pub fn object_name(plan: &IstioPlan, ring: &Ring) -> String {
    let ring: String = ring
        .name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .collect();
    let name: String = format!("{}-ring-{ring}", plan.name).chars().take(MAX_LABEL).collect();
    name.trim_end_matches('-').to_owned()
}

/// The ring's name as the value of a label: the name itself, where it can be one.
fn label_value(ring: &Ring) -> String {
    let outer = |letter: char| !letter.is_ascii_alphanumeric();
    ring.name.chars().take(MAX_LABEL).collect::<String>().trim_matches(outer).to_owned()
}

impl IstioKind {
    /// Its name in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WasmPlugin => "WasmPlugin",
            Self::TrafficExtension => "TrafficExtension",
            Self::EnvoyFilter => "EnvoyFilter",
        }
    }

    /// The group and version of manifests.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::WasmPlugin | Self::TrafficExtension => "extensions.istio.io/v1alpha1",
            Self::EnvoyFilter => "networking.istio.io/v1alpha3",
        }
    }

    /// What `kubectl get` calls it, with the group: other products have kinds of these names.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::WasmPlugin => "wasmplugins.extensions.istio.io",
            Self::TrafficExtension => "trafficextensions.extensions.istio.io",
            Self::EnvoyFilter => "envoyfilters.networking.istio.io",
        }
    }
}
