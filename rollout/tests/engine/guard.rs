//! The process that outlives the tool.

use std::path::Path;
use std::time::{Duration, Instant};

use rollout::engine::guard::{Word, watch};
use rollout::journal::entry::{Event, Outcome};
use rollout::journal::lock::Lock;
use rollout::journal::verify::verify;

use super::fake::{Fake, Fleet, folder, start_of_time};
use super::kill::Job;

fn job(root: &Path, at: Option<u32>) -> Job {
    Job { root: root.to_owned(), what: "start".to_owned(), at, bad: false, hours: 0, guarded: true }
}

fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_pipe_that_closes_without_the_word_is_a_tool_that_is_gone() {
    for (said, word) in [("", Word::Gone), ("do", Word::Gone), ("done\n", Word::Done), ("done\nand more", Word::Gone)] {
        assert_eq!(watch(said.as_bytes()), word, "{said:?}");
    }
}

#[test]
fn the_guard_takes_back_what_a_killed_tool_left() {
    // Early, when nothing was changed; in the middle; and late.
    for at in [20, 90, 150] {
        let folder = folder();
        let fake = Fake::new(folder.path());
        let output = job(folder.path(), Some(at)).command().output().unwrap();
        assert!(!output.status.success(), "it was killed at point {at}");
        until("the guard ends", || folder.path().join("taken-over").exists());
        assert_eq!(fake.fleet(), Fleet::Old);
        let entries = fake.entries();
        let reason = entries.iter().find_map(|entry| {
            if let Event::RollingBack { reason } = &entry.what { Some(reason.as_str()) } else { None }
        });
        assert_eq!(reason, Some("the tool that was at it is gone"));
        assert!(matches!(entries.last().unwrap().what, Event::Finished { outcome: Outcome::RolledBack, .. }));
        verify(&fake.folder()).unwrap();
        assert!(Lock::take(&fake.folder(), "anyone", start_of_time()).is_ok(), "the lock is free");
    }
}

#[test]
fn a_guard_is_in_a_process_group_of_its_own_and_leaves_with_the_tool() {
    let folder = folder();
    let fake = Fake::new(folder.path());
    let guard =
        rollout::engine::guard::spawn(Job { what: "guard".to_owned(), ..job(folder.path(), None) }.command()).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", guard.id())).unwrap();
    // After the name in brackets: state, parent, process group.
    let group = stat.rsplit(')').next().unwrap().split_whitespace().nth(2).unwrap().to_owned();
    assert_eq!(group, guard.id().to_string());
    guard.done().unwrap();
    assert!(folder.path().join("not-needed").exists());
    assert!(fake.entries().is_empty());
}

#[test]
fn a_lock_of_a_killed_process_is_free() {
    let folder = folder();
    let fake = Fake::new(folder.path());
    let killed = Job { guarded: false, ..job(folder.path(), Some(100)) };
    assert!(!killed.command().output().unwrap().status.success());
    assert!(fake.folder().lock().exists(), "its file is still there");
    assert!(Lock::take(&fake.folder(), "anyone", start_of_time()).is_ok());
}
