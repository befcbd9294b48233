//! From the journal to the next step, until the rollout is over; may be killed anywhere.
//!
//! [`state`] folds the entries of a rollout into where it stands, [`next`] says what comes next, and this module does it: it writes down what it is about
//! to do, does it, and writes down what came of it. Every step can be done twice, so that whoever comes after a process that was killed reads the journal
//! and goes on. What it needs is in the journal and its blobs, not in files that may have changed since.
//!
//! # Rules
//!
//! - No place is written to before what was in every place is recorded.
//! - What is in a place is overwritten only if it is what was there before or what this rollout put there. Anything else is somebody's: it is left, and
//!   reported.
//! - A ring keeps the build if every gate passed on the latest look, or a person said so. Its time must have passed, and it must have been looked at, and
//!   answered for, that often: a clock that jumps promotes nothing.
//! - A pause stops what goes forward, never what goes back.
//! - A rollback is over when the bytes of before are read back from every place that was touched, however long that takes.

pub mod clock;
pub mod course;
pub mod guard;
pub mod mailbox;
pub mod next;
pub mod state;
pub mod tools;

mod back;
mod forward;
mod retry;
mod run;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use telemetry::correlation::CorrelationId;

pub use self::tools::{Judging, Observer, Quiet, RealJudge, Stop, Tools, World, who};

use self::course::Course;
use self::mailbox::{Ask, Mailbox, Request};
use self::run::Engine;
use self::state::{Opened, State};
use crate::journal::entry::{Entry, Event, Outcome};
use crate::journal::lock::{Holder, Lock, LockError};
use crate::journal::{Folder, Journal, rollouts};

/// Why a rollout could not go on. Where it was under way it still is, and `resume` or `rollback` takes it up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
    /// Somebody else is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is one that is not over.
    #[error(
        "rollout {0} is not over: end it with `rollout resume` or `rollout rollback` before another one is started"
    )]
    UnderWay(String),
    /// There is none that could go on.
    #[error("no rollout of {name} is under way{}", last.as_ref().map_or(String::new(), |last| format!(": the last one is over, {last}")))]
    Nothing {
        /// Whose.
        name: String,
        /// How the last one ended.
        last: Option<String>,
    },
    /// The rollout file cannot be read any more.
    #[error("the rollout file: {}", .0.join("; "))]
    Plan(Vec<String>),
    /// Something that the rollout needs cannot be had.
    #[error("{0}")]
    World(String),
    /// What was asked comes to nothing.
    #[error("{0}; see `rollout status`")]
    Dropped(String),
    /// A running process did not take a request.
    #[error("{}it did not take the request within {} s; it finds it when it next looks", holder.as_ref().map_or(String::new(), |holder| format!("process {} of {} is at this rollout: ", holder.pid, holder.who)), patience.as_secs())]
    NotTaken {
        /// Who should have.
        holder: Option<Holder>,
        /// How long was waited.
        patience: Duration,
    },
}

/// How a process ended with a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every ring that it was for has the build.
    Done(String),
    /// Every ring has what it had before, and why.
    RolledBack(String),
    /// It was not started, and why.
    Refused(String),
    /// It is as it was when the process was told to stop, until `resume` or `rollback`.
    Held(String),
}

/// What a rollout begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The rollout file.
    pub plan_text: String,
    /// What its paths are relative to.
    pub base: PathBuf,
    /// The module.
    pub module: Vec<u8>,
    /// The plugin configuration, as it was read, without `ring` and `build`.
    pub configuration: String,
    /// The checks before the start: name, whether it held, what was found. One that does not hold refuses the rollout.
    pub preflight: Vec<(String, bool, String)>,
}

/// Starts a rollout and sees it through.
///
/// # Errors
/// When it could not be started, or could not go on.
pub fn start(mut tools: Tools, setup: &Setup) -> Result<Ended, Error> {
    let plan = tools.world.plan(&setup.plan_text, &setup.base).map_err(Error::Plan)?;
    let name = plan.name.clone();
    let (lock, mut journal, entries) = open(&tools, &name)?;
    let before = State::of(latest(&entries));
    if let (true, Some(opened)) = (before.is_open(), &before.opened) {
        return Err(Error::UnderWay(opened.rollout.clone()));
    }
    let builds = tools.world.builds(&plan, &setup.module, &setup.configuration).map_err(Error::World)?;
    let hands = tools.world.hands(&plan).map_err(Error::World)?;
    let metrics = tools.world.metrics(&plan).map_err(Error::World)?;
    let course = Course::new(plan, &*hands);
    if let Some(leg) = course.legs.iter().find(|leg| !builds.contains_key(&leg.ring.name)) {
        return Err(Error::World(format!("there is no build for ring {}", leg.ring.name)));
    }

    let folder = tools.folder(&name);
    let blobs = folder.blobs(tools.disk.clone());
    let opened = Event::Opened {
        rollout: new_id(&tools),
        plan: setup.plan_text.clone(),
        base: setup.base.to_string_lossy().into_owned(),
        module_sha256: blobs.put(&setup.module)?,
        configuration_sha256: blobs.put(setup.configuration.as_bytes())?,
        digests: course
            .legs
            .iter()
            .filter_map(|leg| Some((leg.ring.name.clone(), builds.get(&leg.ring.name)?.digest.clone())))
            .collect(),
    };
    // What was asked of a rollout that is over is not asked of this one.
    let mailbox = Mailbox::new(folder.requests());
    for (path, _) in mailbox.waiting() {
        mailbox.remove(&path);
    }
    let first = journal.append(&tools.who, tools.clock.now(), opened)?;
    tools.observer.entry(&first);
    let mut engine = Engine::new(tools, lock, journal, &[first], course, builds, (hands, metrics));
    for (check, holds, found) in setup.preflight.clone() {
        engine.append(Event::Preflight { check, holds, found })?;
    }
    engine.run()
}

/// Takes up a rollout that a process left, or one that is paused, and sees it through. `force` overwrites what others put in its places meanwhile.
///
/// # Errors
/// When none is under way, somebody is at it, or it could not go on.
pub fn resume(tools: Tools, name: &str, comment: &str, force: bool) -> Result<Ended, Error> {
    let (lock, journal, entries) = open(&tools, name)?;
    let state = State::of(latest(&entries));
    let opened = under_way(name, &state)?;
    let mut engine = take_up(tools, lock, journal, latest(&entries), opened, state.rolling_back.is_none())?;
    engine.force = force;
    // What was asked before this is older than it.
    engine.requests()?;
    engine.append(Event::Resumed { comment: comment.to_owned() })?;
    engine.run()
}

/// Takes a rollout back and sees that through, also one that is done. `force` overwrites what others put in its places meanwhile, and ends when the
/// bytes are back though not all proxies could be heard of.
///
/// # Errors
/// When there is none to take back, somebody is at it, or it could not go on.
pub fn rollback(tools: Tools, name: &str, reason: &str, force: bool) -> Result<Ended, Error> {
    let (lock, journal, entries) = open(&tools, name)?;
    let state = State::of(latest(&entries));
    let done = state.finished.as_ref().is_some_and(|end| end.outcome == Outcome::Done);
    let opened =
        if done { state.opened.as_ref().ok_or_else(|| nothing(name, &state))? } else { under_way(name, &state)? };
    let mut engine = take_up(tools, lock, journal, latest(&entries), opened, false)?;
    engine.force = force;
    engine.requests()?;
    if engine.state.rolling_back.is_none() || engine.state.finished.is_some() {
        engine.append(Event::RollingBack { reason: reason.to_owned() })?;
    }
    engine.run()
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A running process took it.
    Taken(Option<Holder>),
    /// Nobody was at it; it is written down, and holds when the rollout goes on.
    Written,
    /// Nobody was at it; this process did it, and so it ended.
    Ended(Ended),
}

/// Asks something of a rollout: of the process that is at it, or else does it here.
///
/// # Errors
/// When no rollout is under way, it could not be done, or a running process did not take it within `patience`.
pub fn request(tools: Tools, name: &str, request: &Request, patience: Duration) -> Result<Reply, Error> {
    let folder = tools.folder(name);
    let mailbox = Mailbox::new(folder.requests());
    let began = tools.clock.steady();
    let mut left: Option<(PathBuf, Option<Holder>)> = None;
    loop {
        match Lock::take(&folder, &tools.who, tools.clock.now()) {
            Ok(lock) => {
                match left {
                    // Whoever was at it took it, and has ended.
                    Some((path, holder)) if !path.exists() => return Ok(Reply::Taken(holder)),
                    Some((path, _)) => mailbox.remove(&path),
                    None => {}
                }
                drop(lock);
                return here(tools, name, request);
            }
            Err(LockError::Held(holder)) => match &left {
                None => left = Some((mailbox.leave(&*tools.disk, request)?, holder)),
                Some((path, _)) if !path.exists() => return Ok(Reply::Taken(holder)),
                Some(_) if tools.clock.steady().saturating_sub(began) >= patience => {
                    return Err(Error::NotTaken { holder, patience });
                }
                Some(_) => tools.clock.sleep(Duration::from_millis(100)),
            },
            Err(error) => return Err(error.into()),
        }
    }
}

/// Does what was asked, for nobody is at it.
fn here(tools: Tools, name: &str, request: &Request) -> Result<Reply, Error> {
    match &request.ask {
        Ask::Resume => resume(tools, name, &request.comment, false).map(Reply::Ended),
        Ask::Rollback { force } => rollback(tools, name, &run::asked_back(request), *force).map(Reply::Ended),
        Ask::Approve { .. } | Ask::Pause => {
            let (lock, journal, entries) = open(&tools, name)?;
            let state = State::of(latest(&entries));
            let opened = under_way(name, &state)?;
            let mut engine = take_up(tools, lock, journal, latest(&entries), opened, false)?;
            engine.requests()?;
            match engine.take(request)? {
                Some(dropped) => Err(Error::Dropped(dropped)),
                None => Ok(Reply::Written),
            }
        }
    }
}

fn open(tools: &Tools, name: &str) -> Result<(Lock, Journal, Vec<Entry>), Error> {
    let folder: Folder = tools.folder(name);
    let lock = Lock::take(&folder, &tools.who, tools.clock.now())?;
    let (journal, entries) = Journal::open(&folder, &lock, tools.disk.clone(), &tools.who, tools.clock.now())?;
    Ok((lock, journal, entries))
}

fn latest(entries: &[Entry]) -> &[Entry] {
    rollouts(entries).next_back().unwrap_or_default()
}

fn nothing(name: &str, state: &State) -> Error {
    let last = state.finished.as_ref().map(|end| format!("{}: {}", end.outcome, end.said.text));
    Error::Nothing { name: name.to_owned(), last }
}

fn under_way<'a>(name: &str, state: &'a State) -> Result<&'a Opened, Error> {
    state.opened.as_ref().filter(|_| state.is_open()).ok_or_else(|| nothing(name, state))
}

/// An engine for a rollout that another process began; with what it takes to go forward, where that is wanted.
fn take_up(
    tools: Tools,
    lock: Lock,
    journal: Journal,
    entries: &[Entry],
    opened: &Opened,
    forward: bool,
) -> Result<Engine, Error> {
    let plan = tools.world.plan(&opened.plan, Path::new(&opened.base)).map_err(Error::Plan)?;
    let blobs = tools.folder(&plan.name).blobs(tools.disk.clone());
    let builds = if forward {
        let configuration = String::from_utf8_lossy(&blobs.get(&opened.configuration_sha256)?).into_owned();
        let builds =
            tools.world.builds(&plan, &blobs.get(&opened.module_sha256)?, &configuration).map_err(Error::World)?;
        for (ring, digest) in &opened.digests {
            let now = builds.get(ring).map(|build| &build.digest);
            if now != Some(digest) {
                let now = now.map_or("none", String::as_str);
                return Err(Error::World(format!(
                    "ring {ring}: the build had digest {digest} when the rollout began, and this version of the tool makes it {now}: go on with the version that began it, or take it back with `rollout rollback`"
                )));
            }
        }
        builds
    } else {
        std::collections::BTreeMap::new()
    };
    let hands = tools.world.hands(&plan).map_err(Error::World)?;
    let metrics = tools.world.metrics(&plan).map_err(Error::World)?;
    let course = Course::new(plan, &*hands);
    Ok(Engine::new(tools, lock, journal, entries, course, builds, (hands, metrics)))
}

/// An ID that sorts by time.
fn new_id(tools: &Tools) -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new();
    let (high, low) = (random.hash_one(0_u8), random.hash_one(1_u8));
    let mut seed = [0; 16];
    for (to, from) in seed.iter_mut().zip(high.to_be_bytes().into_iter().chain(low.to_be_bytes())) {
        *to = from;
    }
    let ms = u64::try_from(tools.clock.now().as_millisecond()).unwrap_or_default();
    CorrelationId::uuid_v7(seed, ms).as_str().to_owned()
}
