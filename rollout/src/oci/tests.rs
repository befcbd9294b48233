use std::fs;
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A module's beginning, with enough after it that a compressor has something to do.
fn module() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((0..100_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()));
    bytes
}

fn written(kind: Kind) -> (TempDir, Written) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge_observer.wasm");
    fs::write(&path, module()).unwrap();
    let written = write(&path, &folder.path().join("layout"), kind).unwrap();
    (folder, written)
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The manifest, for a test to look at or to write another.
fn manifest(written: &Written) -> Value {
    let name = written.manifest_digest.trim_start_matches("sha256:");
    serde_json::from_slice(&fs::read(written.folder.join("blobs/sha256").join(name)).unwrap()).unwrap()
}

#[test]
fn both_kinds_give_back_the_module_by_istios_rules() {
    for (kind, form) in [(Kind::Image, Form::Image), (Kind::Artifact, Form::Artifact)] {
        let (_folder, written) = written(kind);
        let read = read(&written.folder).unwrap();
        assert_eq!((read.form, &read.manifest_digest), (form, &written.manifest_digest));
        assert_eq!(sha256(&read.module), written.module_sha256);
        assert_eq!(read.module, module());
        let manifest = manifest(&written);
        assert_eq!(manifest["annotations"][MODULE], written.module_sha256.as_str());
        assert_ne!(written.manifest_digest, format!("sha256:{}", written.module_sha256));
    }
}

#[test]
fn the_same_module_gives_the_same_bytes_wherever_it_is_written() {
    for kind in [Kind::Image, Kind::Artifact] {
        let (_a, one) = written(kind);
        let (_b, other) = written(kind);
        assert_eq!(one.manifest_digest, other.manifest_digest);
        let relative = |written: &Written| -> Vec<(PathBuf, Vec<u8>)> {
            let strip =
                |(path, bytes): (PathBuf, Vec<u8>)| (path.strip_prefix(&written.folder).unwrap().to_owned(), bytes);
            files(&written.folder).into_iter().map(strip).collect()
        };
        assert_eq!(relative(&one), relative(&other));
    }
}

/// A change of these is a change of what every operator pins: of the packing or of a manifest's fields.
#[test]
fn the_digests_are_pinned() {
    let digests = [Kind::Image, Kind::Artifact].map(|kind| written(kind).1.manifest_digest);
    assert_eq!(
        digests,
        [
            "sha256:516ffc2a28adfbb94d486fea781618d0c2d743dec5085a9077fa2708733e6cdd",
            "sha256:1fb64974fe4f9bab8bf76473fdfbe5f2728dc8b4f8cdfd569272440b6977143e",
        ]
    );
}

#[test]
fn what_is_stored_is_a_gzip() {
    for size in [0, 1, 65_534, 65_535, 65_536, 200_000] {
        let bytes: Vec<u8> = module().into_iter().cycle().take(size).collect();
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(stored(&bytes).as_slice()), &mut back).unwrap();
        assert_eq!(back, bytes);
    }
}

#[test]
fn the_artifact_has_exactly_two_layers_and_the_image_one_file() {
    let (_folder, artifact) = written(Kind::Artifact);
    let types: Vec<Value> =
        manifest(&artifact)["layers"].as_array().unwrap().iter().map(|layer| layer["mediaType"].clone()).collect();
    assert_eq!(types, [WASM_CONFIG, WASM_LAYER]);
    let (_folder, image) = written(Kind::Image);
    let layers = manifest(&image)["layers"].clone();
    assert_eq!(layers.as_array().unwrap().len(), 1);
    let name = layers[0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let packed = fs::read(image.folder.join("blobs/sha256").join(name)).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
    let entries: Vec<(String, u32, u64)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.mtime().unwrap())
        })
        .collect();
    assert_eq!(entries, [("plugin.wasm".to_owned(), 0o644, 0)]);
}

#[test]
fn a_layout_is_replaced_and_anything_else_is_left_alone() {
    let (folder, first) = written(Kind::Artifact);
    let module_file = folder.path().join("edge_observer.wasm");
    let second = write(&module_file, &first.folder, Kind::Image).unwrap();
    assert_eq!(read(&first.folder).unwrap().manifest_digest, second.manifest_digest);
    assert_eq!(files(&first.folder).len(), 5, "the blobs of before are gone");
    let error = write(&module_file, folder.path(), Kind::Image).unwrap_err();
    assert!(matches!(error, OciError::OtherFolder(_)), "{error}");
    fs::write(&module_file, "\0asm\x0d\0\x01\0component").unwrap();
    let error = write(&module_file, &first.folder, Kind::Image).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is no WebAssembly module of version 1; name the file that `cargo xtask build` writes")
    );
    assert_eq!(read(&first.folder).unwrap().manifest_digest, second.manifest_digest);
}

/// A layout of a manifest with layers, each of a media type and bytes.
fn layout(media_type: Option<&str>, layers: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = layout::Layout::default();
    let layers: Vec<Value> = layers.iter().map(|(media_type, bytes)| layout.blob(media_type, bytes.clone())).collect();
    let mut manifest = json!({"schemaVersion": 2, "config": layout.json(OCI_CONFIG, &json!({})), "layers": layers});
    if let Some(media_type) = media_type {
        manifest["mediaType"] = media_type.into();
    }
    layout.write(folder.path(), &manifest).unwrap();
    folder
}

fn packed(name: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(8);
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    archive.append_data(&mut header, name, MAGIC).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn what_istio_takes_and_what_it_does_not() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let accepted = [
        (Some(DOCKER), vec![(DOCKER_LAYER, packed("plugin.wasm"))], Form::Docker),
        (Some(DOCKER), vec![("x", vec![1]), (DOCKER_LAYER, packed("a/b/plugin.wasm"))], Form::Docker),
        (None, vec![("x", vec![1]), (OCI_LAYER, packed("plugin.wasm"))], Form::Image),
        (Some(OCI_MANIFEST), vec![(WASM_LAYER, MAGIC.to_vec()), ("x", vec![1])], Form::Artifact),
    ];
    for (media_type, layers, form) in accepted {
        let read = read(layout(media_type, &layers).path()).unwrap();
        assert_eq!((read.form, read.module.as_slice()), (form, MAGIC));
    }
    let refused = [
        (
            Some(DOCKER),
            vec![(OCI_LAYER, packed("plugin.wasm"))],
            "the last layer: found `application/vnd.oci.image.layer",
        ),
        (Some(DOCKER), vec![(WASM_LAYER, MAGIC.to_vec()), ("x", vec![])], "the last layer: found `x`"),
        (Some(DOCKER), vec![], "layers: there is none"),
        (
            None,
            vec![(OCI_LAYER, packed("other.wasm"))],
            "manifest: is no image (the last layer: has no plugin.wasm) and no artifact (layers: there are 1; exactly 2 are needed)",
        ),
        (
            None,
            vec![(OCI_LAYER, packed("plugin.wasm")), ("x", vec![1])],
            "manifest: is no image (the last layer: found `x`",
        ),
        (None, vec![(WASM_LAYER, MAGIC.to_vec())], "manifest: is no image"),
        (None, vec![(OCI_LAYER, b"no gzip".to_vec())], "manifest: is no image (the last layer: is no tar+gzip"),
        (
            None,
            vec![("x", vec![1]), (WASM_LAYER, packed("plugin.wasm"))],
            "plugin.wasm: is no WebAssembly module of version 1",
        ),
    ];
    for (media_type, layers, expected) in refused {
        let error = read(layout(media_type, &layers).path()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn a_blob_that_was_changed_is_noticed() {
    let (_folder, written) = written(Kind::Artifact);
    let blob = written.folder.join("blobs/sha256").join(&written.module_sha256);
    let mut bytes = fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&blob, bytes).unwrap();
    let error = read(&written.folder).unwrap_err().to_string();
    assert!(error.contains("is not what its descriptor says"), "{error}");
}

/// Runs skopeo; `None`, with a word about it, where it is not installed.
fn skopeo(arguments: &[&str]) -> Option<Output> {
    match Command::new("skopeo").args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) if std::env::var_os("EDGE_OBSERVER_REQUIRE_TOOLS").is_some_and(|value| value == "1") => {
            panic!("skopeo is needed, and cannot be run: {error}")
        }
        Err(error) => {
            eprintln!("skipped: skopeo cannot be run ({error}); install the package `skopeo`");
            None
        }
    }
}

/// Another program reads the layouts, says the same digests and copies what is in them.
#[test]
fn skopeo_reads_both() {
    for kind in [Kind::Image, Kind::Artifact] {
        let (folder, written) = written(kind);
        let source = format!("oci:{}", written.folder.display());
        let Some(raw) = skopeo(&["inspect", "--raw", &source]) else { return };
        assert!(raw.status.success(), "{}", String::from_utf8_lossy(&raw.stderr));
        assert_eq!(format!("sha256:{}", sha256(&raw.stdout)), written.manifest_digest);

        let copy = folder.path().join("copy");
        let target = format!("dir:{}", copy.display());
        let output = skopeo(&["--insecure-policy", "copy", "--preserve-digests", &source, &target]).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read(copy.join("manifest.json")).unwrap(), raw.stdout);
        for layer in manifest(&written)["layers"].as_array().unwrap() {
            let name = layer["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
            let bytes = fs::read(copy.join(&name)).unwrap();
            assert_eq!(sha256(&bytes), name);
        }
        if kind == Kind::Image {
            let output = skopeo(&["inspect", &source]).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let inspected: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(inspected["Digest"], written.manifest_digest.as_str());
            assert_eq!(inspected["Layers"].as_array().unwrap().len(), 1);
        }
    }
}
