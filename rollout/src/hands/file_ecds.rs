//! Hands for proxies that take the filter from a file in a watched folder, as `envoy/bootstrap.yaml` has it.
//!
//! Nothing is kept in memory between calls: what was put in place is in the file, what runs is asked of the proxy. The module goes beside those that
//! are in use, under a name with its digest, so that the bytes of before always find theirs.

mod admin;
mod disk;
mod document;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::admin::Admin;
use self::document::Document;
use super::{Build, Hands, HandsError, Taken, Target};
use crate::plan::{Instance, Ring};

/// How many digits of its SHA-256 are in a module's file name.
const SHORT: usize = 12;

/// Watched files.
#[derive(Debug)]
pub struct FileEcds {
    filter: String,
    instances: BTreeMap<Target, Instance>,
    admin: Admin,
}

impl FileEcds {
    /// The files of these rings' instances, each with a filter of this name.
    #[must_use]
    pub fn new(filter: &str, rings: &[Ring]) -> Self {
        let targets = rings.iter().flat_map(|ring| ring.instances.iter().map(move |of| (target(ring, of), of.clone())));
        Self { filter: filter.to_owned(), instances: targets.collect(), admin: Admin::new() }
    }

    fn instance(&self, target: &Target) -> Result<&Instance, HandsError> {
        self.instances.get(target).ok_or_else(|| failed(target, "the rollout file has no such instance"))
    }

    fn parse(&self, target: &Target, path: &Path, bytes: &[u8]) -> Result<Document, HandsError> {
        Document::parse(bytes, document::Form::of(path), &self.filter)
            .map_err(|why| failed(target, format!("{}: {why}", path.display())))
    }
}

fn target(ring: &Ring, instance: &Instance) -> Target {
    Target { ring: ring.name.clone(), name: instance.name.clone() }
}

fn failed(target: &Target, what: impl Into<String>) -> HandsError {
    HandsError { target: target.clone(), what: what.into() }
}

/// The module's file: its name has the digest of what is in it.
fn module_name(build: &Build) -> String {
    format!("edge_observer-{}.wasm", build.module_sha256.get(..SHORT).unwrap_or(&build.module_sha256))
}

/// What the watched file calls this build: the module, then its configuration.
fn version(build: &Build) -> String {
    format!("{}-{}", build.module_sha256.get(..SHORT).unwrap_or(&build.module_sha256), build.digest)
}

/// Envoy takes a relative path from its own working folder.
fn absolute(target: &Target, path: &Path) -> Result<PathBuf, HandsError> {
    std::path::absolute(path).map_err(|error| failed(target, format!("{}: {error}", path.display())))
}

impl Hands for FileEcds {
    fn targets(&self, ring: &Ring) -> Vec<Target> {
        ring.instances.iter().map(|instance| target(ring, instance)).collect()
    }

    fn read(&self, target: &Target) -> Result<Option<Vec<u8>>, HandsError> {
        disk::read(&self.instance(target)?.ecds).map_err(|why| failed(target, why))
    }

    fn render(&self, target: &Target, previous: Option<&[u8]>, build: &Build) -> Result<Vec<u8>, HandsError> {
        let instance = self.instance(target)?;
        let mut document = match previous {
            Some(bytes) => self.parse(target, &instance.ecds, bytes)?,
            None => Document::shipped(document::Form::of(&instance.ecds), &self.filter)
                .map_err(|why| failed(target, format!("the shipped file: {why}")))?,
        };
        let name = module_name(build);
        let seen_at = match &instance.modules_in_proxy {
            Some(folder) => folder.join(&name),
            None => absolute(target, &instance.modules)?.join(&name),
        };
        let path = instance.ecds.display();
        document
            .put(&seen_at.to_string_lossy(), &build.configuration, &version(build))
            .map_err(|why| failed(target, format!("{path}: {why}")))?;
        let bytes = document.bytes().map_err(|why| failed(target, format!("{path}: {why}")))?;
        // Last, so that a file that cannot be changed leaves no module behind.
        disk::add_module(&instance.modules.join(&name), &build.module).map_err(|why| failed(target, why))?;
        Ok(bytes)
    }

    fn write(&self, target: &Target, bytes: Option<&[u8]>) -> Result<(), HandsError> {
        let path = &self.instance(target)?.ecds;
        // Bytes that are there already are left alone. Envoy would read them again, and 1.40 says of a version that it has refused before that it took
        // it: it sees that nothing has changed since, and not that the change was refused.
        let there = disk::read(path).map_err(|why| failed(target, why))?;
        if there.as_deref() == bytes {
            return Ok(());
        }
        match bytes {
            Some(bytes) => disk::replace(path, bytes),
            None => disk::remove(path),
        }
        .map_err(|why| failed(target, why))
    }

    fn taken(&self, target: &Target, bytes: Option<&[u8]>, _: Timestamp) -> Result<Taken, HandsError> {
        let instance = self.instance(target)?;
        let said = self.admin.ask(&instance.admin, &self.filter).map_err(|why| failed(target, why))?;
        let Some(bytes) = bytes else { return Ok(said.of_none()) };
        let wanted = self.parse(target, &instance.ecds, bytes)?.offer();
        let build = match said.needs_build_info(&wanted) {
            Some(namespace) => {
                let infos = self.admin.builds(&instance.admin, &namespace).map_err(|why| failed(target, why))?;
                Some(infos)
            }
            None => None,
        };
        Ok(said.of(&wanted, build.as_deref()))
    }
}

#[cfg(test)]
mod tests;
