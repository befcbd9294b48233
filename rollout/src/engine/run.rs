//! The loop: what was asked, what comes next, do it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::clock::Timeline;
use super::course::{Course, Leg, answered};
use super::mailbox::{Ask, Mailbox, Request};
use super::next::{Looking, NAP, Now, Step, next};
use super::retry::Retries;
use super::state::{Mark, State};
use super::{Ended, Error, Judging, Tools};
use crate::hands::{Build, Hands, Target};
use crate::journal::blobs::Blobs;
use crate::journal::entry::{Entry, Event, Outcome};
use crate::journal::lock::Lock;
use crate::journal::{self, Journal};
use crate::judge::{Case, Judgement, Look, Verdict};
use crate::metrics::{Metrics, MetricsError};
use crate::plan::{Killed, Ring};

/// How many of the latest looks show whether a ring runs the build: a heartbeat must be seen to move, and scrapes come at their own times.
const CONVERGING: usize = 3;

/// How many points of a gate's history an entry holds at most.
const HISTORY: usize = 60;

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
        let mut watched = false;
        loop {
            self.requests()?;
            if let Some(ended) = self.stopped()? {
                return Ok(ended);
            }
            let now = Now { wall: self.tools.clock.now(), since: &|mark| self.since(mark), watched };
            let step = next(&self.course, &self.state, &now);
            if let Step::Over = step {
                return Ok(self.ended());
            }
            watched = matches!(step, Step::Look(_, Looking::Watch));
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
                Ok(request) => _ = self.take(&request)?,
                Err(what) => {
                    self.append(Event::Trouble { what: format!("a request was dropped: {}: {what}", path.display()) })?
                }
            }
            self.mailbox.remove(&path);
        }
        Ok(())
    }

    /// Takes a request. What comes to nothing is reported, and returned.
    pub(super) fn take(&mut self, request: &Request) -> Result<Option<String>, Error> {
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
            Ask::Pause | Ask::Resume => return Ok(None),
            Ask::Rollback { force } => {
                self.force |= force;
                if self.state.rolling_back.is_some() {
                    return Ok(None);
                }
                Event::RollingBack { reason: asked_back(request) }
            }
        };
        let dropped = if let Event::Trouble { what } = &event { Some(what.clone()) } else { None };
        self.append_for(&request.who, event)?;
        Ok(dropped)
    }

    pub(super) fn leg(&self, ring: &str) -> Result<Leg, Error> {
        self.course.leg(ring).cloned().ok_or_else(|| Error::World(format!("the rollout file has no ring {ring}")))
    }

    fn look(&mut self, name: &str, looking: Looking) -> Result<(), Error> {
        let ring = self.leg(name)?.ring;
        let digest = self.state.opened.as_ref().and_then(|opened| opened.digests.get(name)).cloned();
        let before = self.state.ring(name).and_then(|ring| ring.looks.last().or(ring.converging.last()));
        let was_answered = before.is_none_or(answered);

        let asked = case(&self.course, &ring, digest.as_deref(), looking);
        let look = self.tools.judge.look(&asked, &*self.metrics, self.tools.clock.now());
        let judge = &*self.tools.judge;
        let (look, judgement) = self.state.lend_looks(name, |mut looks| {
            looks.push(look);
            let judgement = match looking {
                Looking::Converge => converging(judge, &asked, &looks),
                Looking::Judge => judge.judge(&asked, &looks),
                // The control is not asked any more; what failed there too while it was is no fault of the build.
                Looking::Watch => judge.judge(&Case { control: control(&self.course, &ring), ..asked.clone() }, &looks),
            };
            let look = looks.pop();
            (looks, (look, judgement))
        });
        let Some(look) = look else { return Ok(()) };
        if let Some(away) = away(&look).filter(|_| was_answered) {
            self.append(Event::Trouble { what: format!("ring {name}: {away}; nothing is promoted until it does") })?;
        }
        Ok(self.append(Event::Looked { ring: name.to_owned(), look, judgement: writable(judgement) })?)
    }
}

/// What the judge is told of a ring.
fn case<'a>(course: &'a Course, ring: &'a Ring, digest: Option<&'a str>, looking: Looking) -> Case<'a> {
    let (plan, control) = match looking {
        Looking::Judge => (&course.plan, control(course, ring)),
        Looking::Converge | Looking::Watch => (&course.watch, None),
    };
    Case { plan, ring, control, digest }
}

fn control<'a>(course: &'a Course, ring: &Ring) -> Option<&'a Ring> {
    let name = ring.control.as_ref()?;
    course.plan.rings.iter().find(|other| other.name == *name)
}

/// Whether a ring runs the build, by the latest looks: the ones before them saw the old one, which is no fault yet.
fn converging(judge: &dyn Judging, case: &Case<'_>, looks: &[Look]) -> Judgement {
    let live = |judgement: &Judgement| {
        judgement.gates.iter().any(|gate| gate.gate == "liveness" && gate.verdict == Verdict::Pass)
    };
    let newest = |count: usize| looks.get(looks.len().saturating_sub(count)..).unwrap_or(looks);
    (1..CONVERGING)
        .map(|count| judge.judge(case, newest(count)))
        .find(live)
        .unwrap_or_else(|| judge.judge(case, newest(CONVERGING)))
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

/// What can be kept: JSON has no form for numbers that are none, and a history that grows with every look would make the journal grow with its square.
fn writable(mut judgement: Judgement) -> Judgement {
    let finite = |number: f64| if number.is_finite() { number } else { 0.0 };
    judgement.requests = finite(judgement.requests);
    for gate in &mut judgement.gates {
        gate.numbers.retain(|_, number| number.is_finite());
        gate.progress = finite(gate.progress);
        let every = gate.history.len().div_ceil(HISTORY).max(1);
        let mut at = gate.history.len();
        // The latest one is kept.
        gate.history.retain(|_| {
            at -= 1;
            at.is_multiple_of(every)
        });
        for (ring, control) in &mut gate.history {
            *ring = ring.filter(|number| number.is_finite());
            *control = control.filter(|number| number.is_finite());
        }
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::GateVerdict;

    #[test]
    fn what_is_kept_of_a_judgement_can_be_read_back_and_is_short() {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let history = (0..1000).map(|look| (Some(look as f64), Some(f64::NAN))).collect();
        let gate = GateVerdict {
            gate: "errors".to_owned(),
            verdict: Verdict::Pass,
            reason: String::new(),
            numbers: [("share".to_owned(), f64::INFINITY), ("requests".to_owned(), 3.0)].into(),
            history,
            progress: f64::NAN,
        };
        let kept = writable(Judgement { verdict: Verdict::Pass, gates: vec![gate], requests: f64::NAN });
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Judgement>(&text).unwrap(), kept);
        let gate = &kept.gates[0];
        assert_eq!((gate.numbers.len(), gate.history.len(), gate.history.last()), (1, 59, Some(&(Some(999.0), None))));
    }
}
