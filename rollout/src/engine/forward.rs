//! Steps forward: record what is there, put the build in place, ask whether it was taken.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Error;
use super::next::ASK;
use super::run::Engine;
use crate::build::sha256;
use crate::hands::{Taken, Target};
use crate::journal::entry::{Event, Outcome};
use crate::metrics::MetricsError;
use crate::plan::Ring;

/// How long what is there may take to be read before the start. Nothing was changed yet, so a rollout that cannot read is refused.
const READ: Duration = Duration::from_secs(10);

/// Bytes by their digest; `None` where there are none.
pub(super) fn digest(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(sha256)
}

impl Engine {
    /// Records what is in a place, and what runs there.
    pub(super) fn record(&mut self, target: &Target) -> Result<(), Error> {
        let about = format!("record {target}");
        let rest = self.retries.rest(&about, self.steady());
        if !rest.is_zero() {
            self.wait(rest, &format!("{target}: until what is there can be read"));
            return Ok(());
        }
        let ring = self.leg(&target.ring)?.ring;
        let found =
            self.hands.read(target).map_err(|error| error.to_string()).and_then(|bytes| match self.running(&ring) {
                Ok(running) => Ok((bytes, running)),
                Err(error) => Err(format!("ring {}: what runs there before is not known: {error}", ring.name)),
            });
        match found {
            Ok((bytes, running)) => {
                self.retries.done(&about);
                let sha256 = bytes.map(|bytes| self.blobs.put(&bytes)).transpose()?;
                // Of a ring with several builds none can be gone back to as a whole, only the bytes of each place.
                let mut configs = running.into_keys();
                let digest = configs.next().filter(|_| configs.next().is_none());
                Ok(self.append(Event::Recorded { target: target.clone(), sha256, digest })?)
            }
            Err(what) if self.retries.lasted(&about, self.steady()) >= READ => Ok(self.append(Event::Finished {
                outcome: Outcome::Refused,
                reason: format!("nothing was changed: {what}"),
            })?),
            Err(what) => self.trouble(&about, &what, Duration::ZERO),
        }
    }

    /// How many of a ring's proxies say that they run which configuration, by its digest.
    pub(super) fn running(&self, ring: &Ring) -> Result<BTreeMap<String, u32>, MetricsError> {
        let query = running_query(&self.course.plan.gates.namespace, &ring.select);
        let answer = self.metrics.query(&query, self.tools.clock.now())?;
        let mut running = BTreeMap::new();
        for sample in answer.samples {
            if let Some(config) = sample.labels.get("config") {
                *running.entry(config.clone()).or_insert(0) += 1;
            }
        }
        Ok(running)
    }

    /// Puts the build in a place, where what is there is what was recorded.
    pub(super) fn put(&mut self, target: &Target) -> Result<(), Error> {
        let about = target.to_string();
        let rest = self.retries.rest(&about, self.steady());
        if !rest.is_zero() {
            self.wait(rest, &format!("{target}: until it can be written to"));
            return Ok(());
        }
        match self.try_put(target)? {
            Ok(()) => {
                self.retries.done(&about);
                Ok(())
            }
            Err(what) => self.trouble(&about, &what, Duration::ZERO),
        }
    }

    fn try_put(&mut self, target: &Target) -> Result<Result<(), String>, Error> {
        let before = self.state.before.get(target).and_then(|before| before.sha256.clone());
        let build = self
            .builds
            .get(&target.ring)
            .ok_or_else(|| Error::World(format!("there is no build for ring {}", target.ring)))?;
        let previous = before.as_ref().map(|sha256| self.blobs.get(sha256)).transpose()?;
        let bytes = match self.hands.render(target, previous.as_deref(), build) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let found = match self.hands.read(target) {
            Ok(found) => digest(found.as_deref()),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let ours = Some(sha256(&bytes));
        if found != before && found != ours && !self.force {
            return self.foreign(target).map(Ok);
        }
        let sha256 = Some(self.blobs.put(&bytes)?);
        self.append(Event::Writing { target: target.clone(), sha256 })?;
        Ok(self
            .hands
            .write(target, Some(&bytes))
            .map(|()| _ = self.in_place.insert(target.clone()))
            .map_err(|error| error.to_string()))
    }

    /// What is in a place is neither what was there before nor ours.
    fn foreign(&mut self, target: &Target) -> Result<(), Error> {
        let why = format!(
            "somebody else changed {target} since the rollout began; it is left as it is. Put it back and approve, or go on with `rollout resume --force`, which overwrites it"
        );
        Ok(self.append(Event::Waiting { ring: target.ring.clone(), why })?)
    }

    /// Asks whether the build was taken.
    pub(super) fn ask(&mut self, target: &Target) -> Result<(), Error> {
        let about = target.to_string();
        let rest = self.retries.rest(&about, self.steady());
        if !rest.is_zero() {
            self.wait(rest, &format!("{target}: until it can be asked whether it took the build"));
            return Ok(());
        }
        match self.answer(target)? {
            None => Ok(()),
            Some(Ok(Taken::Pending(why))) => {
                self.retries.done(&about);
                self.wait(ASK, &format!("{target}: {why}"));
                Ok(())
            }
            Some(Ok(taken)) => {
                self.retries.done(&about);
                Ok(self.append(Event::Written { target: target.clone(), taken })?)
            }
            Some(Err(what)) => self.trouble(&about, &what, Duration::ZERO),
        }
    }

    /// What a place answers. The bytes are put there first if they are not: whoever was about to may have been killed. `None` where they cannot be,
    /// because somebody else's are there.
    fn answer(&mut self, target: &Target) -> Result<Option<Result<Taken, String>>, Error> {
        let Some(place) = self.state.places.get(target).cloned() else { return Ok(None) };
        let bytes = place.writing.as_ref().map(|sha256| self.blobs.get(sha256)).transpose()?;
        if !self.in_place.contains(target) {
            let found = match self.hands.read(target) {
                Ok(found) => digest(found.as_deref()),
                Err(error) => return Ok(Some(Err(error.to_string()))),
            };
            let before = self.state.before.get(target).and_then(|before| before.sha256.clone());
            if found != place.writing && found != before && !self.force {
                self.foreign(target)?;
                return Ok(None);
            }
            if found != place.writing
                && let Err(error) = self.hands.write(target, bytes.as_deref())
            {
                return Ok(Some(Err(error.to_string())));
            }
            self.in_place.insert(target.clone());
        }
        Ok(Some(self.hands.taken(target, bytes.as_deref(), place.since.at).map_err(|error| error.to_string())))
    }

    /// Tries a last time, and takes what comes of it for the answer. A process that was away for long has not tried at all yet.
    pub(super) fn give_up(&mut self, target: &Target) -> Result<(), Error> {
        self.retries.done(&target.to_string());
        if self.state.places.contains_key(target) {
            let Some(answer) = self.answer(target)? else { return Ok(()) };
            let taken = answer.unwrap_or_else(Taken::Pending);
            return Ok(self.append(Event::Written { target: target.clone(), taken })?);
        }
        if let Err(what) = self.try_put(target)? {
            let reason = format!(
                "{target} could not be written to within {:.0} s: {what}",
                self.course.plan.policy.converge.as_secs_f64()
            );
            self.append(Event::RollingBack { reason })?;
        }
        Ok(())
    }
}

/// The query for what a ring's proxies run.
pub(super) fn running_query(namespace: &str, select: &str) -> String {
    format!("{namespace}_edge_build_info{{{select}}} == 1")
}
