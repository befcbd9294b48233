//! Golden files under `tests/golden`.

use std::path::Path;

/// Compares with the golden file, or writes it when `UPDATE_EXPECT` is set. Where `EDGE_OBSERVER_FOUND` names a folder, what was found is also
/// there afterwards.
pub(crate) fn check(name: &str, found: &str) {
    if let Some(folder) = std::env::var_os("EDGE_OBSERVER_FOUND") {
        std::fs::write(Path::new(&folder).join(name), found).unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&golden, found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(found, expected, "{name} differs; if that is meant, run again with UPDATE_EXPECT=1");
}
