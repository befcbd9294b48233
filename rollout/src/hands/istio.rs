//! Rings of pods behind Istio: the bytes of a ring are its one object.
//!
//! What counts as an object's bytes is its canonical text ([`crate::istio::yaml`]), without what an API server writes into it: `status`, and of the metadata
//! `managedFields`, `resourceVersion`, `uid`, `creationTimestamp`, `generation` and `selfLink`. Labels and annotations are all kept, also those of other
//! tools, so what is put back is what was there. Objects are replaced and created, never merged (`kubectl apply`): a merge leaves fields of the build behind.
//!
//! With a Git working tree the bytes are a file's, `NAME-ring-RING.yaml`, as they are.
//!
//! That an object is in place says nothing of the proxies: Istio reports no refusal, and an agent that cannot fetch a module lets all through without it.
//! The proof is the heartbeat of the new build, which the judge asks Prometheus for.

mod git;
mod inspect;
mod kubectl;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::Value;

pub use kubectl::Kubectl;

use super::{Build, Hands, HandsError, Taken, Target};
use crate::istio::{self, render, schema, yaml};
use crate::plan::{IstioApply, IstioPlan, Ring};

/// Rings of pods behind Istio.
#[derive(Debug)]
pub struct IstioHands {
    plan: IstioPlan,
    rings: Vec<Ring>,
    place: Place,
}

/// Where objects are put.
#[derive(Debug)]
enum Place {
    Cluster(Kubectl),
    Tree(git::Tree),
}

impl IstioHands {
    /// The hands of a plan.
    #[must_use]
    pub fn new(plan: &IstioPlan, rings: &[Ring]) -> Self {
        let place = match &plan.apply {
            IstioApply::Kubectl(command) => Place::Cluster(Kubectl::new(command)),
            IstioApply::GitOps { folder, push } => Place::Tree(git::Tree::new(folder, *push)),
        };
        Self { plan: plan.clone(), rings: rings.to_vec(), place }
    }

    fn file(target: &Target) -> String {
        format!("{}.yaml", target.name)
    }

    /// What a commit says: which rollout, which ring, and what it gets.
    fn message(&self, target: &Target, bytes: Option<&[u8]>) -> String {
        let object: Option<Value> = bytes.and_then(|bytes| serde_yaml_ng::from_slice(bytes).ok());
        let annotations = object.as_ref().and_then(|object| object.pointer("/metadata/annotations"));
        let note = |key: &str| annotations.and_then(|all| all.get(key)).and_then(Value::as_str).unwrap_or("none");
        let ring = &target.ring;
        let subject = match (bytes, note(istio::CONFIG)) {
            (None, _) => format!("{}: ring {ring} has no filter of its own", self.plan.name),
            (Some(_), "none") => format!("{}: ring {ring} has what it had before", self.plan.name),
            (Some(_), digest) => format!("{}: ring {ring} has build {digest}", self.plan.name),
        };
        let body = format!(
            "Written by `edge-observer rollout`.\n\nModule: sha256:{}\nImage: {}\nRing: {ring}",
            note(istio::MODULE),
            note(istio::IMAGE)
        );
        if bytes.is_some() { format!("{subject}\n\n{body}") } else { subject }
    }
}

fn failed(target: &Target) -> impl FnOnce(String) -> HandsError + '_ {
    |what| HandsError { target: target.clone(), what }
}

impl Hands for IstioHands {
    fn targets(&self, ring: &Ring) -> Vec<Target> {
        vec![Target { ring: ring.name.clone(), name: istio::object_name(&self.plan, ring) }]
    }

    fn read(&self, target: &Target) -> Result<Option<Vec<u8>>, HandsError> {
        match &self.place {
            Place::Cluster(kubectl) => {
                let object = kubectl.get(self.plan.kind.resource(), &self.plan.namespace, &target.name);
                let object = object.map_err(failed(target))?;
                Ok(object.map(|object| yaml::text(own(object)).into_bytes()))
            }
            Place::Tree(tree) => tree.read(&Self::file(target)).map_err(failed(target)),
        }
    }

    fn render(&self, target: &Target, _previous: Option<&[u8]>, build: &Build) -> Result<Vec<u8>, HandsError> {
        let ring = self.rings.iter().find(|ring| ring.name == target.ring);
        let ring = ring.ok_or_else(|| failed(target)("the rollout file has no such ring".to_owned()))?;
        let object = render::render(&self.plan, ring, build).map_err(|error| failed(target)(error.to_string()))?;
        let mistakes = schema::check(&object);
        if !mistakes.is_empty() {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            return Err(failed(target)(format!("an API server would not take it: {}", mistakes.join("; "))));
        }
        Ok(yaml::text(object).into_bytes())
    }

    fn write(&self, target: &Target, bytes: Option<&[u8]>) -> Result<(), HandsError> {
        match &self.place {
            Place::Cluster(kubectl) => {
                let (resource, namespace) = (self.plan.kind.resource(), &self.plan.namespace);
                let done = match bytes {
                    Some(bytes) => {
                        let object = parse(bytes).map_err(failed(target))?;
                        kubectl.put(resource, namespace, &target.name, &object)
                    }
                    None => kubectl.delete(resource, namespace, &target.name),
                };
                done.map_err(failed(target))
            }
            Place::Tree(tree) => {
                tree.write(&Self::file(target), bytes, &self.message(target, bytes)).map_err(failed(target))
            }
        }
    }

    fn taken(&self, target: &Target, bytes: Option<&[u8]>, _since: Timestamp) -> Result<Taken, HandsError> {
        let found = self.read(target)?;
        let same = match (&found, bytes) {
            (Some(found), Some(bytes)) => {
                found == bytes || (parse(found).is_ok() && parse(found).ok().map(own) == parse(bytes).ok().map(own))
            }
            (found, bytes) => found.is_none() && bytes.is_none(),
        };
        if !same {
            return Ok(Taken::Pending("the object in place is not the one that was written".to_owned()));
        }
        match &self.place {
            Place::Cluster(_) => Ok(Taken::Yes),
            Place::Tree(tree) => tree.settled(&Self::file(target)).map_err(failed(target)),
        }
    }
}

/// The object without what an API server writes into it.
fn own(mut object: Value) -> Value {
    const SERVERS: [&str; 6] =
        ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| !SERVERS.contains(&key.as_str()));
        }
    }
    yaml::canonical(object)
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_yaml_ng::from_slice(bytes).map_err(|error| format!("is no manifest: {error}"))
}
