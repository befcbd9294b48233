//! A process that is at a rollout is killed, with SIGKILL, at every point in turn: before, in the middle of and after each line of the journal, before and
//! after each blob, before and after each write to the fleet. Another one takes it up, and is killed at times too. It always ends well.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rollout::engine::{Ended, Error, guard, resume, rollback, start};
use rollout::journal::entry::{Entry, Event, Outcome};
use rollout::journal::verify::verify;
use rollout::plan::Killed;
use serde::{Deserialize, Serialize};

use super::fake::{Fake, Fleet, Kill, NAME, folder};

/// The environment variable that makes this test binary a process that is at a rollout.
const JOB: &str = "ROLLOUT_TEST_JOB";

/// How many series of points are gone through at a time.
const SERIES: u32 = 3;

/// What such a process does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub root: PathBuf,
    /// `start`, `resume`, `rollback` or `guard`.
    pub what: String,
    /// At which point it is killed.
    pub at: Option<u32>,
    /// Whether ring 1 fails.
    pub bad: bool,
    /// What the clock on the wall is off by.
    pub hours: i64,
    /// Whether a guard is started, which takes it back.
    pub guarded: bool,
}

impl Job {
    /// This binary as that process.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "kill::the_process", "--nocapture", "--test-threads=1"])
            .env(JOB, serde_json::to_string(self).unwrap());
        command
    }

    /// Runs it to its end; how it ended, `None` when it was killed.
    fn run(&self) -> Option<String> {
        let ended = self.root.join("ended");
        let _ = std::fs::remove_file(&ended);
        let output = self.command().output().unwrap();
        match std::fs::read_to_string(ended) {
            Ok(text) => Some(text),
            Err(_) => {
                use std::os::unix::process::ExitStatusExt as _;
                assert_eq!(
                    output.status.signal(),
                    Some(9),
                    "{self:?}: {}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
                None
            }
        }
    }

    fn fake(&self) -> Fake {
        let fake = Fake::new(&self.root);
        {
            let mut shared = fake.lock();
            shared.wall = shared.wall.saturating_add(SignedDuration::from_hours(self.hours)).unwrap();
            shared.scores.insert(1, if self.bad { -1.0 } else { 1.0 });
            shared.kill = self.at.map(|at| Kill { at, how: sigkill });
            if self.guarded {
                shared.plan.policy.killed = Killed::Rollback;
            }
        }
        fake
    }
}

fn sigkill() {
    let _ = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The process: nothing but for those that are started with a job.
#[test]
fn the_process() {
    let Ok(job) = std::env::var(JOB) else { return };
    let job: Job = serde_json::from_str(&job).unwrap();
    let fake = job.fake();
    let guard = (job.guarded && job.what == "start")
        .then(|| guard::spawn(Job { what: "guard".to_owned(), at: None, ..job.clone() }.command()).unwrap());
    if let Some(guard) = &guard {
        std::fs::write(job.root.join("guard"), guard.id().to_string()).unwrap();
    }
    let ended = match job.what.as_str() {
        "start" => start(fake.tools(), &fake.setup()),
        "resume" => resume(fake.tools(), NAME, "again", false),
        "rollback" => rollback(fake.tools(), NAME, "it was killed", false),
        "guard" => {
            if guard::watch(std::io::stdin()) == guard::Word::Gone {
                let ended = guard::take_over(|| fake.tools(), NAME).unwrap();
                std::fs::write(job.root.join("taken-over"), format!("{ended:?}")).unwrap();
            } else {
                std::fs::write(job.root.join("not-needed"), "").unwrap();
            }
            return;
        }
        other => panic!("{other}"),
    };
    if let Some(guard) = guard {
        guard.done().unwrap();
    }
    let text = match ended {
        Ok(Ended::Done(_)) => "done".to_owned(),
        Ok(Ended::RolledBack(_)) => "rolled back".to_owned(),
        Err(Error::Nothing { last, .. }) => format!("nothing: {last:?}"),
        other => format!("{other:?}"),
    };
    // Whole or not at all: what is there when it is killed counts as its end.
    std::fs::write(job.root.join("ended"), text).unwrap();
}

fn outcomes(entries: &[Entry]) -> Vec<Outcome> {
    entries
        .iter()
        .filter_map(|entry| if let Event::Finished { outcome, .. } = &entry.what { Some(*outcome) } else { None })
        .collect()
}

/// Kills at one point, and sees it through to the end. Says whether the point was reached, and how many processes were killed.
fn at_point(folder: &Path, bad: bool, point: u32) -> (bool, u32) {
    let root = folder.join(format!("{bad}-{point}"));
    std::fs::create_dir(&root).unwrap();
    let fake = Fake::new(&root);
    let job = Job { root: root.clone(), what: "start".to_owned(), at: Some(point), bad, hours: 0, guarded: false };
    if let Some(ended) = job.run() {
        assert_eq!(ended, if bad { "rolled back" } else { "done" });
        return (false, 0);
    }
    let mut kills = 1;
    let was_finished = !outcomes(&fake.entries()).is_empty();
    let what = if point.is_multiple_of(3) { "rollback" } else { "resume" };
    // The one that takes it up is killed too, and the next one, at other points; the clock is never the same.
    let mut next = [
        point.is_multiple_of(2).then_some(1 + point * 7 % 50),
        point.is_multiple_of(4).then_some(1 + point * 11 % 30),
        None,
    ]
    .into_iter()
    .flatten();
    let ended = loop {
        let hours = i64::from(kills) * if point.is_multiple_of(5) { 30 } else { -30 };
        match (Job { what: what.to_owned(), at: next.next(), hours, ..job.clone() }).run() {
            Some(ended) => break ended,
            None => kills += 1,
        }
    };

    let entries = fake.entries();
    verify(&fake.folder()).unwrap_or_else(|error| panic!("{root:?}: {error:?}"));
    let begun = entries.iter().any(|entry| matches!(entry.what, Event::Opened { .. }));
    let context = format!("{root:?}: {ended}, {:?}", fake.fleet());
    match outcomes(&entries).as_slice() {
        [] => assert!(!begun && fake.fleet() == Fleet::Old && ended.starts_with("nothing"), "{context}"),
        [Outcome::Done] => assert!(!bad && what == "resume" && fake.fleet() == Fleet::New, "{context}"),
        [Outcome::RolledBack] => assert!((bad || what == "rollback") && fake.fleet() == Fleet::Old, "{context}"),
        // It was done, and was taken back afterwards.
        [Outcome::Done, Outcome::RolledBack] => {
            assert!(was_finished && what == "rollback" && fake.fleet() == Fleet::Old, "{context}")
        }
        other => panic!("{context}: {other:?}"),
    }
    std::fs::remove_dir_all(&root).unwrap();
    (true, kills)
}

#[test]
fn killed_at_any_point_it_ends_well() {
    let began = Instant::now();
    let folder = folder();
    let kills = AtomicU32::new(0);
    let points = AtomicU32::new(0);
    // Disks are waited for more than processors are.
    let series = &|bad: bool, first: u32| {
        for point in (first..).step_by(SERIES as usize) {
            let (reached, killed) = at_point(folder.path(), bad, point);
            if !reached {
                break;
            }
            kills.fetch_add(killed, Ordering::SeqCst);
            points.fetch_add(1, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        for first in 1..=SERIES {
            scope.spawn(move || series(true, first));
            scope.spawn(move || series(false, first));
        }
    });
    let (kills, points) = (kills.into_inner(), points.into_inner());
    println!("{kills} processes killed at {points} points, in {:.1} s", began.elapsed().as_secs_f64());
    assert!(points >= 200, "{points} points");
    assert!(kills >= points);
}
