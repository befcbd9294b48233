//! Code that is kept is found again, and damage costs nothing but time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::module::{Module, hex};
use crate::{EngineOptions, test::Host};

/// A module of its own for each number.
fn text(number: u32) -> String {
    format!(
        "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\"))
            (func (export \"number\") (result i32) (i32.const {number})))"
    )
}

/// As another process would have it, which has compiled nothing.
fn fresh(text: &str, cache: &CodeCache) -> Module {
    Module::alone(text.into(), hex(text.as_bytes())).unwrap().cached_in(cache)
}

fn compile(text: &str, cache: &CodeCache) {
    fresh(text, cache).compiled(EngineOptions::default()).unwrap();
}

/// The files of entries.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let hidden = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with('.');
    files_in(folder, |path| path.extension().is_none() && !hidden(path))
}

fn files_in(folder: &Path, are: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if are(&path) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_second_load_finds_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(folder.path()).unwrap();
    compile(&text(1), &cache);
    assert_eq!((cache.hits(), cache.misses()), (0, 1));
    compile(&text(1), &cache);
    assert_eq!((cache.hits(), cache.misses()), (1, 1));
    // Another module, and another way to compile the same.
    compile(&text(2), &cache);
    fresh(&text(1), &cache).compiled(EngineOptions { fuel: true, deadline: false }).unwrap();
    assert_eq!((cache.hits(), cache.misses()), (1, 3));

    // Another process.
    let other = CodeCache::open(folder.path()).unwrap();
    compile(&text(1), &other);
    assert_eq!((other.hits(), other.misses()), (1, 0));

    // What this process has in memory is not looked for.
    let host = || Host::builder().module_bytes(text(3)).code_cache(&other).start().unwrap();
    drop((host(), host()));
    assert_eq!((other.hits(), other.misses()), (1, 1));
}

#[test]
fn damaged_entries_are_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(folder.path()).unwrap();
    compile(&text(4), &cache);
    let entry = entries(folder.path()).pop().unwrap();
    let whole = std::fs::read(&entry).unwrap();
    let half = &whole[..whole.len() / 2];
    let damaged: [&[u8]; 5] = [b"", b"nonsense", half, &whole[1..], &[half, &[0; 4096]].concat()];
    for (index, damaged) in damaged.into_iter().enumerate() {
        std::fs::write(&entry, damaged).unwrap();
        compile(&text(4), &cache);
        assert_eq!((cache.hits(), cache.misses()), (index, index + 2), "{index}");
        compile(&text(4), &cache);
        assert_eq!(cache.hits(), index + 1, "{index}");
    }
    // What is in the way of an entry, or of all, only costs time.
    std::fs::remove_file(&entry).unwrap();
    std::fs::create_dir(&entry).unwrap();
    compile(&text(4), &cache);
    std::fs::remove_dir_all(folder.path()).unwrap();
    std::fs::write(folder.path(), "").unwrap();
    compile(&text(4), &cache);
    std::fs::remove_file(folder.path()).unwrap();
}

/// Wherever a bit has flipped, in an entry or in its checksum.
#[test]
fn an_entry_that_is_not_what_was_written_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(folder.path()).unwrap();
    compile(&text(5), &cache);
    compile(&text(6), &cache);
    let sums = folder.path().join("checksums");
    let checksums = || files_in(&sums, |path| path.extension().is_some());
    assert_eq!((entries(folder.path()).len(), checksums().len()), (2, 2));
    let mut misses = cache.misses();
    for file in [entries(folder.path()), checksums()].concat() {
        let whole = std::fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 10 + 1) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&file, &damaged).unwrap();
            compile(&text(5), &cache);
            compile(&text(6), &cache);
            misses += 1;
            assert_eq!(cache.misses(), misses, "byte {at} of {}", file.display());
            assert_eq!(std::fs::read(&file).unwrap(), whole);
        }
    }
    // Of another process, that did not come so far as to write a checksum.
    for place in checksums() {
        std::fs::remove_file(place).unwrap();
    }
    compile(&text(5), &cache);
    assert_eq!((cache.misses(), checksums().len()), (misses + 1, 1));
    // Checksums go with their entries, at the latest when there is another one.
    for entry in entries(folder.path()) {
        std::fs::remove_file(entry).unwrap();
    }
    compile(&text(6), &cache);
    assert_eq!((entries(folder.path()).len(), checksums().len()), (1, 1));
}

#[test]
fn it_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let size = |folder: &Path| entries(folder).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    let cache = CodeCache::open(folder.path()).unwrap();
    for number in 100..120 {
        compile(&text(number), &cache);
    }
    let most = size(folder.path()) / 4;
    drop(cache);
    let cache = CodeCache::bounded(folder.path(), most, Duration::ZERO).unwrap();
    // This process leaves a mark behind when it has looked after the folder, and does not do so again while that is there.
    let mark = folder.path().join(format!("code/.cleanup.wip-{}", std::process::id()));
    let deadline = Instant::now() + Duration::from_secs(60);
    for number in 120.. {
        let _ = std::fs::remove_file(&mark);
        compile(&text(number), &cache);
        // It is done in a thread of its own.
        std::thread::sleep(Duration::from_millis(20));
        if size(folder.path()) <= most {
            break;
        }
        assert!(Instant::now() < deadline, "{} bytes", size(folder.path()));
    }
}

#[test]
fn folders_that_are_not_taken() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = CodeCache::open(&file).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot write to {}: ", file.display())), "{error}");
    assert!(CodeCache::open("").is_err());

    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(CodeCache::open(&open), Err(CacheError::Untrusted(_))));

    let own = folder.path().join("a/b");
    CodeCache::open(&own).unwrap();
    assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}
