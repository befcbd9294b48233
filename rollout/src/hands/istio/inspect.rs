//! What can be said before anything is changed: whether the cluster or the tree will take the rings' objects, and whether each pod gets exactly one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize as _;
use serde_json::Value;

use super::{IstioHands, Kubectl, Place};
use crate::hands::{Build, Hands as _};
use crate::istio::{disjoint, render, schema};
use crate::plan::IstioKind;

/// All kinds that can carry the filter.
const KINDS: [IstioKind; 3] = [IstioKind::WasmPlugin, IstioKind::TrafficExtension, IstioKind::EnvoyFilter];

impl IstioHands {
    /// Every reason not to start: a manifest that the CRD does not take, two objects that match one pod (of the rings, or beside them in the cluster or the
    /// tree), a pod of no ring or of several, a ring with another number of pods than the plan says. Empty when there is none. Pods are only asked for in a
    /// cluster. `root_namespace` is [`disjoint::ROOT_NAMESPACE`] unless the mesh has another.
    ///
    /// # Errors
    /// When the cluster or the tree cannot be asked.
    pub fn inspect(&self, builds: &BTreeMap<String, Build>, root_namespace: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let mut objects = Vec::new();
        for ring in &self.rings {
            let Some(build) = builds.get(&ring.name) else {
                found.push(format!("ring {}: there is no build for it", ring.name));
                continue;
            };
            match render::render(&self.plan, ring, build) {
                Ok(object) => {
                    found.extend(schema::check(&object).iter().map(ToString::to_string));
                    objects.push(object);
                }
                Err(error) => found.push(format!("ring {}: {error}", ring.name)),
            }
        }
        let existing = match &self.place {
            Place::Cluster(kubectl) => self.of_cluster(kubectl, root_namespace)?,
            Place::Tree(tree) => {
                // Without a working tree there is nothing to commit to.
                for target in self.rings.iter().flat_map(|ring| self.targets(ring)) {
                    self.read(&target).map_err(|error| error.to_string())?;
                }
                of_folder(tree.folder())?
            }
        };
        found.extend(disjoint::overlaps(&objects, &existing, root_namespace).iter().map(ToString::to_string));
        if let Place::Cluster(kubectl) = &self.place {
            let items = kubectl.list("pods", Some(&self.plan.namespace))?;
            let pods = disjoint::pods(&serde_json::json!({"items": items}));
            found.extend(disjoint::ring_of_each(&self.rings, &pods).iter().map(ToString::to_string));
        }
        Ok(found)
    }

    /// What is in the cluster of all kinds; where one may not look everywhere, in the two namespaces that reach the pods.
    fn of_cluster(&self, kubectl: &Kubectl, root_namespace: &str) -> Result<Vec<Value>, String> {
        let mut objects = Vec::new();
        for kind in KINDS {
            match kubectl.list(kind.resource(), None) {
                Ok(items) => objects.extend(items),
                Err(error) if error.contains("Forbidden") => {
                    objects.extend(kubectl.list(kind.resource(), Some(&self.plan.namespace))?);
                    objects.extend(kubectl.list(kind.resource(), Some(root_namespace))?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(objects)
    }
}

/// The objects of a folder's YAML files, those of its folders too. What is no YAML, a template for example, is not looked at.
fn of_folder(folder: &Path) -> Result<Vec<Value>, String> {
    let mut objects = Vec::new();
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_dir() {
            objects.extend(of_folder(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            objects.extend(serde_yaml_ng::Deserializer::from_str(&text).map_while(|one| Value::deserialize(one).ok()));
        }
    }
    Ok(objects)
}
