//! What the module asks of a proxy and what it offers: a new line in either list is a new capability, and is reviewed as one.

use std::path::Path;

use crate::support::golden;
use crate::support::proxy::module_path;

/// Compares lines in no order of their own with a golden file.
fn check(name: &str, mut lines: Vec<String>) {
    lines.sort();
    golden::check(name, &lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

fn module() -> walrus::Module {
    walrus::Module::from_file(module_path()).unwrap()
}

#[test]
fn imports_are_these_and_no_others() {
    check("imports.txt", module().imports.iter().map(|import| format!("{} {}", import.module, import.name)).collect());
}

#[test]
fn exports_are_these_and_no_others() {
    check("exports.txt", module().exports.iter().map(|export| export.name.clone()).collect());
}

#[test]
fn nothing_tells_where_it_was_built() {
    let bytes = std::fs::read(module_path()).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_str().unwrap();
    for word in [here, ".cargo", ".rustup", "registry/src"] {
        let is_there = bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!is_there, "the module contains `{word}`");
    }
    assert_eq!(module().customs.iter().count(), 0);
}
