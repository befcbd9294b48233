//! What is rolled out, as each ring gets it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use telemetry::config::{Config, ConfigErrors};

use crate::hands::Build;
use crate::plan::Plan;

/// How many digits of the module's SHA-256 name a build in the plugin configuration.
const SHORT: usize = 12;

/// Why there is no build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The module is another one than the rollout file says.
    #[error(
        "artifact.module_sha256: the rollout file has {expected}, the module is {found}; name the module that was meant"
    )]
    OtherModule {
        /// What the file says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The plugin configuration is no object.
    #[error("artifact.configuration: is no object of fields")]
    NoObject,
    /// The plugin configuration has mistakes.
    #[error("artifact.configuration, for ring {ring}:\n{errors}")]
    Configuration {
        /// The ring.
        ring: String,
        /// Each mistake.
        errors: ConfigErrors,
    },
}

/// The SHA-256 of bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The build of each ring, by the ring's name: the module, and the plugin configuration with `ring` and `build` set.
///
/// # Errors
/// When the module is another one than the plan says, or the configuration is refused.
pub fn builds(plan: &Plan, module: &[u8], configuration: &Value) -> Result<BTreeMap<String, Build>, BuildError> {
    let module_sha256 = sha256(module);
    if let Some(expected) = plan.artifact.module_sha256.as_ref().filter(|expected| **expected != module_sha256) {
        return Err(BuildError::OtherModule { expected: expected.clone(), found: module_sha256 });
    }
    let mut builds = BTreeMap::new();
    for ring in &plan.rings {
        let mut configuration = configuration.clone();
        let fields = configuration.as_object_mut().ok_or(BuildError::NoObject)?;
        fields.insert("ring".to_owned(), ring.name.clone().into());
        fields.insert("build".to_owned(), module_sha256.get(..SHORT).unwrap_or_default().into());
        let text = configuration.to_string();
        let config = Config::from_value(configuration)
            .map_err(|errors| BuildError::Configuration { ring: ring.name.clone(), errors })?;
        let build = Build {
            module: module.to_vec(),
            module_sha256: module_sha256.clone(),
            configuration: text,
            digest: config.digest().to_owned(),
            image: plan.artifact.image.clone(),
        };
        builds.insert(ring.name.clone(), build);
    }
    Ok(builds)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn plan(more: &str) -> Plan {
        let text = format!(
            r#"
name: edge
artifact: {{module: a, configuration: b{more}}}
hands: {{file_ecds: {{}}}}
prometheus: {{url: http://p}}
rings:
- {{name: "0", instances: [{{name: a, ecds: a/e, modules: m, admin: http://a:1}}]}}
- {{name: "1", instances: [{{name: b, ecds: b/e, modules: m, admin: http://b:1}}]}}
"#
        );
        crate::plan::parse(&text, Path::new("/")).unwrap()
    }

    #[test]
    fn each_ring_and_each_module_has_a_digest_of_its_own() {
        let one = builds(&plan(""), b"one", &json!({"namespace": "shop"})).unwrap();
        let two = builds(&plan(""), b"two", &json!({"namespace": "shop"})).unwrap();
        let digests = [&one["0"].digest, &one["1"].digest, &two["0"].digest, &two["1"].digest];
        assert_eq!(digests.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{digests:?}");
        let configuration: Value = serde_json::from_str(&one["1"].configuration).unwrap();
        assert_eq!(configuration, json!({"namespace": "shop", "ring": "1", "build": "7692c3ad3540"}));
        // printf one | sha256sum
        assert_eq!(one["0"].module_sha256, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    }

    #[test]
    fn another_module_and_a_wrong_configuration_are_refused() {
        let other = format!(", module_sha256: {}", "0".repeat(64));
        let error = builds(&plan(&other), b"one", &json!({})).unwrap_err().to_string();
        assert!(error.starts_with("artifact.module_sha256: the rollout file has 000"), "{error}");
        let error = builds(&plan(""), b"one", &json!({"rong": 1})).unwrap_err().to_string();
        assert!(error.starts_with("artifact.configuration, for ring 0:\nrong: unknown field"), "{error}");
        assert!(matches!(builds(&plan(""), b"one", &json!([])), Err(BuildError::NoObject)));
    }
}
