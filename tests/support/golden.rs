//! Golden files under `tests/golden`.

use std::path::{Path, PathBuf};

/// Whether the golden file says so.
pub(crate) fn is(name: &str, found: &str) -> bool {
    std::fs::read_to_string(path(name)).is_ok_and(|expected| found == expected)
}

/// Compares with the golden file, or writes it when `UPDATE_EXPECT` is set. Where `EDGE_OBSERVER_FOUND` names a folder, what was found is also
/// there afterwards.
pub(crate) fn check(name: &str, found: &str) {
    if let Some(folder) = std::env::var_os("EDGE_OBSERVER_FOUND") {
        std::fs::write(Path::new(&folder).join(name), found).unwrap();
    }
    let golden = path(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&golden, found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(found, expected, "{name} differs; if that is meant, run again with UPDATE_EXPECT=1");
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}
