//! Golden files under `tests/golden`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Whether the golden file says so.
pub(crate) fn is(name: &str, found: &str) -> bool {
    std::fs::read_to_string(path(name)).is_ok_and(|expected| found == expected)
}

/// The lines that only one of the two has, up to a screenful.
pub(crate) fn difference(name: &str, found: &str) -> String {
    let expected = std::fs::read_to_string(path(name)).unwrap_or_default();
    let only = |sign: &str, of: &str, other: &str| -> Vec<String> {
        let known: HashSet<&str> = other.lines().collect();
        of.lines().filter(|line| !known.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    let lines = [only("- expected:", &expected, found), only("+ found:", found, &expected)].concat();
    lines.into_iter().take(60).collect()
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
