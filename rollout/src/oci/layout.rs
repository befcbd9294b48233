//! An OCI image layout: a folder of blobs, each under its digest, and an index of manifests.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{OCI_MANIFEST, OciError, file_error};
use crate::build::sha256;
use crate::istio::yaml::canonical;

/// The blobs of one image, by their SHA-256.
#[derive(Debug, Default)]
pub(super) struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    /// Puts bytes in; the descriptor that a manifest has of them.
    pub(super) fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let sha256 = sha256(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": format!("sha256:{sha256}"), "size": bytes.len()});
        self.blobs.insert(sha256, bytes);
        descriptor
    }

    /// The same for a value.
    pub(super) fn json(&mut self, media_type: &str, value: &Value) -> Value {
        self.blob(media_type, text(value))
    }

    /// Writes the folder with a manifest; its digest. The index comes last, by a rename: until then the folder is the image of before.
    pub(super) fn write(mut self, folder: &Path, manifest: &Value) -> Result<String, OciError> {
        let descriptor = self.json(OCI_MANIFEST, manifest);
        let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
        let index = text(
            &json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [descriptor]}),
        );

        let marker = folder.join("oci-layout");
        let is_empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty && !marker.is_file() {
            return Err(OciError::OtherFolder(folder.to_owned()));
        }
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(file_error(&blobs))?;
        put(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        for (name, bytes) in &self.blobs {
            put(&blobs.join(name), bytes)?;
        }
        put(&folder.join("index.json"), &index)?;
        for entry in std::fs::read_dir(&blobs).map_err(file_error(&blobs))? {
            let entry = entry.map_err(file_error(&blobs))?;
            if !entry.file_name().to_str().is_some_and(|name| self.blobs.contains_key(name)) {
                std::fs::remove_file(entry.path()).map_err(file_error(&entry.path()))?;
            }
        }
        Ok(digest)
    }
}

/// The one form of a value: sorted keys, no spaces.
fn text(value: &Value) -> Vec<u8> {
    canonical(value.clone()).to_string().into_bytes()
}

/// Writes a file whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> Result<(), OciError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(file_error(path))?;
    file.write_all(bytes).map_err(file_error(path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable).map_err(file_error(path))?;
    }
    file.persist(path).map_err(|error| file_error(path)(error.error))?;
    Ok(())
}
