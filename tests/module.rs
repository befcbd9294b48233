//! What the module asks of a proxy and what it offers: a new line in either list is a new capability, and is reviewed as one.

use std::path::Path;

use crate::support::proxy::module_path;

/// Compares with the golden file, or writes it when `UPDATE_EXPECT` is set.
fn check(name: &str, mut lines: Vec<String>) {
    lines.sort();
    let found = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert_eq!(found, expected, "{name} differs; if that is meant, run again with UPDATE_EXPECT=1");
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
