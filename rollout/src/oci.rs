//! The module for a registry, without Docker: an OCI image layout, a folder that `skopeo`, `oras`, `crane` and `podman` can push.
//!
//! Istio's agents take three forms of image (`pkg/wasm/imagefetcher.go`; [`read`] goes by the same rules). Two can be written:
//!
//! - [`Kind::Image`]: one layer, a `tar+gzip` with `plugin.wasm`. Every registry takes it.
//! - [`Kind::Artifact`]: exactly two layers, the module as it is and what runs it. A registry must take media types of others' making; nothing is unpacked.
//!
//! The same module gives the same bytes, so whoever builds it again can see that the digest is right. There are two digests, and they are not the same: the
//! module's SHA-256 and that of the image's manifest, which an address names and Istio compares. The manifest has the module's in an annotation.

mod layout;
mod read;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use flate2::Crc;
use serde_json::{Value, json};

pub use read::{Form, NotAccepted, Read, read};

use crate::build::sha256;
use crate::istio::{MODULE, PLUGIN};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const WASM_CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const WASM_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";

/// The file that Istio looks for in a layer.
const FILE: &str = "plugin.wasm";

/// What begins each module.
const MAGIC: &[u8] = b"\0asm\x01\0\0\0";

/// Istio's limit of a module, `ISTIO_WASM_MAX_BINARY_SIZE_BYTES`.
const MAX_MODULE: u64 = 256 * 1024 * 1024;

/// Which form of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container image with `plugin.wasm` in its only layer.
    Image,
    /// An artifact with the module as a layer.
    Artifact,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The folder.
    pub folder: PathBuf,
    /// The digest of the manifest, `sha256:…`: the end of the image's address.
    pub manifest_digest: String,
    /// The SHA-256 of the module, in hexadecimal.
    pub module_sha256: String,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Not a module.
    #[error("{0}: is no WebAssembly module of version 1; name the file that `cargo xtask build` writes")]
    NoModule(PathBuf),
    /// Larger than agents take.
    #[error("{path}: has {size} bytes; Istio's agents take {MAX_MODULE} at most")]
    TooLarge {
        /// The module.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// Something else is in the folder.
    #[error("{0}: is there and is no OCI layout; name a new or empty folder")]
    OtherFolder(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> OciError + '_ {
    |source| OciError::File { path: path.to_owned(), source }
}

/// Writes a module as an image into a layout's folder. What an earlier call wrote there is replaced.
///
/// # Errors
/// When the file is no module, the folder holds something else, or a file cannot be read or written.
pub fn write(module: &Path, folder: &Path, kind: Kind) -> Result<Written, OciError> {
    let bytes = std::fs::read(module).map_err(file_error(module))?;
    if !bytes.starts_with(MAGIC) {
        return Err(OciError::NoModule(module.to_owned()));
    }
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > MAX_MODULE {
        return Err(OciError::TooLarge { path: module.to_owned(), size });
    }
    let module_sha256 = sha256(&bytes);
    let mut layout = layout::Layout::default();
    let manifest = match kind {
        Kind::Image => image(&mut layout, &bytes, &module_sha256).map_err(file_error(module))?,
        Kind::Artifact => artifact(&mut layout, bytes, &module_sha256),
    };
    let manifest_digest = layout.write(folder, &manifest)?;
    Ok(Written { folder: folder.to_owned(), manifest_digest, module_sha256 })
}

/// The manifest of an image; its blobs are put into the layout.
fn image(layout: &mut layout::Layout, module: &[u8], module_sha256: &str) -> io::Result<Value> {
    let tar = tar(module)?;
    let diff_id = format!("sha256:{}", sha256(&tar));
    let config = json!({
        "architecture": "wasm",
        "os": "wasip1",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    Ok(json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": layout.json(OCI_CONFIG, &config),
        "layers": [layout.blob(OCI_LAYER, stored(&tar))],
        "annotations": {"module.wasm.image/variant": "compat", MODULE: module_sha256},
    }))
}

/// One file, with nothing in its header that depends on who packs it and when.
fn tar(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(module.len()).map_err(io::Error::other)?);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, FILE, module)?;
    archive.into_inner()
}

/// A gzip (RFC 1952) whose blocks are stored and not compressed (RFC 1951, 3.2.4): what a compressor makes of the same bytes changes with its version, and
/// the image's digest with it. A module is some hundreds of kilobytes, fetched once by each pod.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let mut crc = Crc::new();
    crc.update(bytes);
    out.extend(crc.sum().to_le_bytes());
    out.extend(crc.amount().to_le_bytes());
    out
}

/// The manifest of an artifact; its blobs are put into the layout.
fn artifact(layout: &mut layout::Layout, module: Vec<u8>, module_sha256: &str) -> Value {
    let runtime = json!({"type": "envoy_proxy", "config": {"rootIds": [PLUGIN]}});
    let config = layout.json(WASM_CONFIG, &runtime);
    let titled = |mut descriptor: Value, title: &str| {
        if let Some(fields) = descriptor.as_object_mut() {
            fields.insert("annotations".to_owned(), json!({"org.opencontainers.image.title": title}));
        }
        descriptor
    };
    let described = titled(config.clone(), "runtime-config.json");
    let code = titled(layout.blob(WASM_LAYER, module), FILE);
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [described, code],
        "annotations": {MODULE: module_sha256},
    })
}
