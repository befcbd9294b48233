//! The module in a layout, by the rules of Istio's agent (`pkg/wasm/imagefetcher.go`):
//!
//! 1. A manifest whose `mediaType` is Docker's: the last layer is `…docker.image.rootfs.diff.tar.gzip` with a file `plugin.wasm`, in any folder.
//! 2. Any other: the last layer is `…oci.image.layer.v1.tar+gzip` with such a file.
//! 3. Where it is not: exactly two layers, and the first that is `…wasm.content.layer.v1+wasm` is the module as it is.
//!
//! Beyond them, each blob must be what its descriptor says, as a registry's client checks it, and the module must be one.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::{FILE, MAGIC, MAX_MODULE, OCI_LAYER, WASM_LAYER};
use crate::build::sha256;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The largest manifest that registries take.
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// By which of the rules the module was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A Docker image.
    Docker,
    /// An OCI image.
    Image,
    /// An OCI artifact.
    Artifact,
}

/// What Istio's agent would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The module's bytes.
    pub module: Vec<u8>,
    /// The digest of the manifest, `sha256:…`.
    pub manifest_digest: String,
    /// By which rule.
    pub form: Form,
}

/// Why Istio's agent would not take what is in a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct NotAccepted {
    /// The file or the part of the manifest.
    pub at: String,
    /// What was found, and what is needed.
    pub what: String,
}

fn no(at: impl fmt::Display, what: impl fmt::Display) -> NotAccepted {
    NotAccepted { at: at.to_string(), what: what.to_string() }
}

/// The module in a layout's folder with one image.
///
/// # Errors
/// What of it Istio's agent would not take.
pub fn read(folder: &Path) -> Result<Read, NotAccepted> {
    let marker = json(&file(&folder.join("oci-layout"), MAX_MANIFEST)?, "oci-layout")?;
    if marker.get("imageLayoutVersion").and_then(Value::as_str) != Some("1.0.0") {
        return Err(no("oci-layout", "is no layout of version 1.0.0"));
    }
    let index = json(&file(&folder.join("index.json"), MAX_MANIFEST)?, "index.json")?;
    let manifests = index.get("manifests").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let [descriptor] = manifests else {
        return Err(no("index.json", format!("has {} manifests; one is needed", manifests.len())));
    };
    let manifest_digest = text(descriptor, "digest").to_owned();
    let manifest = json(&blob(folder, descriptor, MAX_MANIFEST)?, "manifest")?;
    let layers = manifest.get("layers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);

    // The manifest's own word, and not its descriptor's: OCI manifests may have none.
    let (module, form) = if text(&manifest, "mediaType") == DOCKER_MANIFEST {
        (packed(folder, layers, DOCKER_LAYER)?, Form::Docker)
    } else {
        match packed(folder, layers, OCI_LAYER) {
            Ok(module) => (module, Form::Image),
            Err(as_image) => match raw(folder, layers) {
                Ok(module) => (module, Form::Artifact),
                Err(as_artifact) => {
                    let what = format!("is no image ({as_image}) and no artifact ({as_artifact})");
                    return Err(no("manifest", what));
                }
            },
        }
    };
    if !module.starts_with(MAGIC) {
        return Err(no(FILE, "is no WebAssembly module of version 1"));
    }
    Ok(Read { module, manifest_digest, form })
}

/// `plugin.wasm` of the last layer.
fn packed(folder: &Path, layers: &[Value], media_type: &str) -> Result<Vec<u8>, NotAccepted> {
    let Some(layer) = layers.last() else { return Err(no("layers", "there is none")) };
    let found = text(layer, "mediaType");
    if found != media_type {
        return Err(no("the last layer", format!("found `{found}`; `{media_type}` is needed")));
    }
    let bytes = blob(folder, layer, MAX_MODULE)?;
    let wrong = |error: std::io::Error| no("the last layer", format!("is no tar+gzip: {error}"));
    // What is unpacked has a bound too.
    let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()).take(2 * MAX_MODULE));
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let is_it = entry.path().map_err(wrong)?.file_name().is_some_and(|name| name == FILE);
        if !is_it {
            continue;
        }
        if entry.size() > MAX_MODULE {
            return Err(no(FILE, format!("has {} bytes; agents take {MAX_MODULE} at most", entry.size())));
        }
        let mut module = Vec::new();
        entry.read_to_end(&mut module).map_err(wrong)?;
        return Ok(module);
    }
    Err(no("the last layer", format!("has no {FILE}")))
}

/// The layer that is the module.
fn raw(folder: &Path, layers: &[Value]) -> Result<Vec<u8>, NotAccepted> {
    if layers.len() != 2 {
        return Err(no("layers", format!("there are {}; exactly 2 are needed", layers.len())));
    }
    let layer = layers.iter().find(|layer| text(layer, "mediaType") == WASM_LAYER);
    blob(folder, layer.ok_or_else(|| no("layers", format!("none is `{WASM_LAYER}`")))?, MAX_MODULE)
}

/// The bytes of a descriptor, which are what it says.
fn blob(folder: &Path, descriptor: &Value, max: u64) -> Result<Vec<u8>, NotAccepted> {
    let digest = text(descriptor, "digest");
    let hex =
        digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let hex = hex.ok_or_else(|| no("a descriptor", format!("found digest `{digest}`; `sha256:…` is needed")))?;
    let bytes = file(&folder.join("blobs/sha256").join(hex), max)?;
    let size = descriptor.get("size").and_then(Value::as_u64);
    if size != u64::try_from(bytes.len()).ok() || sha256(&bytes) != hex {
        return Err(no(format!("blobs/sha256/{hex}"), "is not what its descriptor says; write the layout again"));
    }
    Ok(bytes)
}

fn file(path: &Path, max: u64) -> Result<Vec<u8>, NotAccepted> {
    let wrong = |error: std::io::Error| no(path.display(), error);
    let file = std::fs::File::open(path).map_err(wrong)?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(no(path.display(), format!("has more than {max} bytes")));
    }
    Ok(bytes)
}

fn json(bytes: &[u8], at: &str) -> Result<Value, NotAccepted> {
    serde_json::from_slice(bytes).map_err(|error| no(at, error))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
