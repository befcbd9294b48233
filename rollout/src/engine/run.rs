//! The loop: what was asked, what comes next, do it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::clock::Timeline;
use super::course::{Course, Leg, answered};
use super::mailbox::{Ask, Mailbox, Request};
use super::next::{Looking, NAP, Now, Step, next};
use super::retry::Retries;
use super::state::{Mark, State};
use super::{Ended, Error, Tools};
use crate::hands::{Build, Hands, Target};
use crate::journal::blobs::Blobs;
use crate::journal::entry::{Entry, Event, Outcome};
use crate::journal::lock::Lock;
use crate::journal::{self, Journal};
use crate::judge::{Case, Judgement, Look};
use crate::metrics::{Metrics, MetricsError};
use crate::plan::{Killed, Ring};

/// How many of the latest looks show whether a ring runs the build: a heartbeat must be seen to move, and scrapes come at their own times.
const CONVERGING: usize = 3;

/// A rollout that this process is at.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) tools: Tools,
    _lock: Lock,
    journal: Journal,
    pub(super) blobs: Blobs,
    mailbox: Mailbox,
    pub(super) course: Course,
    pub(super) state: State,
    pub(super) builds: BTreeMap<String, Build>,
    pub(super) hands: Box<dyn Hands>,
    pub(super) metrics: Box<dyn Metrics>,
    timeline: Timeline,
    pub(super) retries: Retries,
    /// Places whose bytes this process has seen to be the build's.
    pub(super) in_place: BTreeSet<Target>,
    /// Overwrite what others put in our places, and do not wait for ever for proxies to be heard of.
    pub(super) force: bool,
    waits: String,
}

impl Engine {
    pub(super) fn new(
        tools: Tools,
        lock: Lock,
        journal: Journal,
        entries: &[Entry],
        course: Course,
        builds: BTreeMap<String, Build>,
        (hands, metrics): (Box<dyn Hands>, Box<dyn Metrics>),
    ) -> Self {
        let folder = tools.folder(&course.plan.name);
        Self {
            _lock: lock,
            journal,
            blobs: folder.blobs(tools.disk.clone()),
            mailbox: Mailbox::new(folder.requests()),
            course,
            state: State::of(entries),
            builds,
            hands,
            metrics,
            timeline: Timeline::new(&*tools.clock),
            retries: Retries::default(),
            in_place: BTreeSet::new(),
            force: false,
            waits: String::new(),
            tools,
        }
    }

    /// Writes an entry of this process's own, and tells of it.
    pub(super) fn append(&mut self, what: Event) -> Result<(), journal::Error> {
        let who = self.tools.who.clone();
        self.append_for(&who, what)
    }

    fn append_for(&mut self, who: &str, what: Event) -> Result<(), journal::Error> {
        let entry = self.journal.append(who, self.tools.clock.now(), what)?;
        self.timeline.mark(entry.sequence, &*self.tools.clock);
        self.state.apply(&entry);
        self.tools.observer.entry(&entry);
        Ok(())
    }

    pub(super) fn steady(&self) -> Duration {
        self.tools.clock.steady()
    }

    pub(super) fn since(&self, mark: Mark) -> Duration {
        self.timeline.since(mark, &*self.tools.clock)
    }

    /// Something failed that is tried again; it is reported when it has gone on for `patience`.
    pub(super) fn trouble(&mut self, about: &str, what: &str, patience: Duration) -> Result<(), Error> {
        if self.retries.failed(about, what, self.steady(), patience) {
            self.append(Event::Trouble { what: what.to_owned() })?;
        }
        Ok(())
    }

    /// Until it is over, or the process is told to stop.
    pub(super) fn run(mut self) -> Result<Ended, Error> {
        loop {
            self.requests()?;
            if let Some(ended) = self.stopped()? {
                return Ok(ended);
            }
            let step =
                next(&self.course, &self.state, &Now { wall: self.tools.clock.now(), since: &|mark| self.since(mark) });
            if let Step::Over = step {
                return Ok(self.ended());
            }
            self.perform(step)?;
        }
    }

    fn perform(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Over => Ok(()),
            Step::Decide(event) => Ok(self.append(event)?),
            Step::Record(target) => self.record(&target),
            Step::Put(target) => self.put(&target),
            Step::Ask(target) => self.ask(&target),
            Step::GiveUp(target) => self.give_up(&target),
            Step::Look(ring, looking) => self.look(&ring, looking),
            Step::Restore(targets) => self.restore(&targets),
            Step::Verify(rings) => self.verify(&rings),
            Step::Close => self.close(),
            Step::Wait(time, why) => {
                self.wait(time, &why);
                Ok(())
            }
        }
    }

    pub(super) fn wait(&mut self, time: Duration, why: &str) {
        if self.waits != why {
            why.clone_into(&mut self.waits);
            self.tools.observer.waits(why);
        }
        // At least a little, so that time passes, and never so long that a request has to wait.
        self.tools.clock.sleep(time.clamp(Duration::from_millis(1), NAP));
    }

    fn ended(&self) -> Ended {
        let (outcome, reason) = match &self.state.finished {
            Some(end) => (end.outcome, end.said.text.clone()),
            None => (Outcome::Refused, "it was never begun".to_owned()),
        };
        match outcome {
            Outcome::Done => Ended::Done(reason),
            Outcome::RolledBack => Ended::RolledBack(reason),
            Outcome::Refused => Ended::Refused(reason),
        }
    }

    fn stopped(&mut self) -> Result<Option<Ended>, Error> {
        let asked = self.tools.stop.asked();
        if asked == 0 || self.state.finished.is_some() {
            return Ok(None);
        }
        if asked == 1 && self.course.plan.policy.killed == Killed::Rollback {
            if self.state.rolling_back.is_none() {
                self.append(Event::RollingBack { reason: "the tool was told to end".to_owned() })?;
            }
            return Ok(None);
        }
        Ok(Some(Ended::Held("it stays as it is until `rollout resume` or `rollout rollback`".to_owned())))
    }

    /// Takes what others asked.
    pub(super) fn requests(&mut self) -> Result<(), Error> {
        for (path, request) in self.mailbox.waiting() {
            match request {
                Ok(request) => self.take(&request)?,
                Err(what) => {
                    self.append(Event::Trouble { what: format!("a request was dropped: {}: {what}", path.display()) })?
                }
            }
            self.mailbox.remove(&path);
        }
        Ok(())
    }

    /// Takes a request. What comes to nothing is reported.
    pub(super) fn take(&mut self, request: &Request) -> Result<(), Error> {
        let comment = request.comment.clone();
        let event = match &request.ask {
            Ask::Approve { ring } => match &self.state.waiting {
                Some(wait)
                    if self.state.rolling_back.is_none() && ring.as_ref().is_none_or(|ring| *ring == wait.ring) =>
                {
                    Event::Approved { ring: wait.ring.clone(), comment }
                }
                Some(wait) => Event::Trouble {
                    what: format!("an approval was dropped: what waits is ring {}: {}", wait.ring, wait.said.text),
                },
                None => Event::Trouble { what: "an approval was dropped: nothing waits for one".to_owned() },
            },
            Ask::Pause if self.state.paused.is_none() && self.state.rolling_back.is_none() => Event::Paused { comment },
            Ask::Resume if self.state.paused.is_some() => Event::Resumed { comment },
            Ask::Pause | Ask::Resume => return Ok(()),
            Ask::Rollback { force } => {
                self.force |= force;
                if self.state.rolling_back.is_some() {
                    return Ok(());
                }
                Event::RollingBack { reason: asked_back(request) }
            }
        };
        Ok(self.append_for(&request.who, event)?)
    }

    pub(super) fn leg(&self, ring: &str) -> Result<Leg, Error> {
        self.course.leg(ring).cloned().ok_or_else(|| Error::World(format!("the rollout file has no ring {ring}")))
    }

    fn look(&mut self, name: &str, looking: Looking) -> Result<(), Error> {
        let ring = self.leg(name)?.ring;
        let before = self.state.ring(name);
        let was_answered = before.and_then(|ring| ring.looks.last().or(ring.converging.last())).is_none_or(answered);
        let mut looks = match (before, looking) {
            (Some(before), Looking::Converge) => before.converging.clone(),
            (Some(before), _) => before.looks.clone(),
            (None, _) => Vec::new(),
        };
        let look = self.tools.judge.look(&self.case(&ring, looking), &*self.metrics, self.tools.clock.now());
        looks.push(look.clone());
        let judgement = match looking {
            Looking::Converge => self.converging(&ring, &looks),
            // Its evidence goes on where it ended when the ring was promoted, so that no more false alarms are risked than were agreed to.
            Looking::Judge | Looking::Watch => self.tools.judge.judge(&self.case(&ring, Looking::Judge), &looks),
        };
        if let Some(away) = away(&look).filter(|_| was_answered) {
            self.append(Event::Trouble { what: format!("ring {name}: {away}; nothing is promoted until it does") })?;
        }
        Ok(self.append(Event::Looked { ring: name.to_owned(), look, judgement: writable(judgement) })?)
    }

    /// Whether a ring runs the build, by the latest looks: the ones before them saw the old one, which is no fault yet.
    fn converging(&self, ring: &Ring, looks: &[Look]) -> Judgement {
        let case = self.case(ring, Looking::Converge);
        let live = |judgement: &Judgement| {
            judgement.gates.iter().any(|gate| gate.gate == "liveness" && gate.verdict == crate::judge::Verdict::Pass)
        };
        let newest = |count: usize| looks.get(looks.len().saturating_sub(count)..).unwrap_or(looks);
        (1..CONVERGING)
            .map(|count| self.tools.judge.judge(&case, newest(count)))
            .find(live)
            .unwrap_or_else(|| self.tools.judge.judge(&case, newest(CONVERGING)))
    }

    fn case<'a>(&'a self, ring: &'a Ring, looking: Looking) -> Case<'a> {
        let digest = self.state.opened.as_ref().and_then(|opened| opened.digests.get(&ring.name)).map(String::as_str);
        let (plan, control) = match looking {
            Looking::Judge => {
                let plan = &self.course.plan;
                (plan, ring.control.as_ref().and_then(|name| plan.rings.iter().find(|other| other.name == *name)))
            }
            Looking::Converge | Looking::Watch => (&self.course.watch, None),
        };
        Case { plan, ring, control, digest }
    }
}

/// The reason of a rollback that somebody asked for.
pub(super) fn asked_back(request: &Request) -> String {
    if request.comment.is_empty() {
        format!("asked for by {}", request.who)
    } else {
        format!("asked for by {}: {}", request.who, request.comment)
    }
}

/// Why Prometheus did not answer, if it did not.
fn away(look: &Look) -> Option<&MetricsError> {
    look.asked.iter().find_map(|asked| asked.answer.as_ref().err())
}

/// JSON has no form for numbers that are none.
fn writable(mut judgement: Judgement) -> Judgement {
    let finite = |number: f64| if number.is_finite() { number } else { 0.0 };
    judgement.requests = finite(judgement.requests);
    for gate in &mut judgement.gates {
        gate.numbers.retain(|_, number| number.is_finite());
        gate.progress = finite(gate.progress);
        for (ring, control) in &mut gate.history {
            *ring = ring.filter(|number| number.is_finite());
            *control = control.filter(|number| number.is_finite());
        }
    }
    judgement
}
