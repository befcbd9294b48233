//! Steps back: put the bytes of before back, see that the proxies take them and run what they ran, read everything a last time.
//!
//! No place waits for another: a proxy that is away is tried again and again while the rest is taken back.

use std::time::Duration;

use super::Error;
use super::forward::digest;
use super::run::Engine;
use super::state::Place;
use crate::hands::{Taken, Target};
use crate::journal::entry::{Event, Outcome};

impl Engine {
    /// Takes the first place that is due a step further.
    pub(super) fn restore(&mut self, targets: &[Target]) -> Result<(), Error> {
        let about = |target: &Target| format!("back {target}");
        match targets
            .iter()
            .map(|target| (self.retries.rest(&about(target), self.steady()), target))
            .min_by_key(|(rest, _)| *rest)
        {
            None => Ok(()),
            Some((rest, target)) if rest.is_zero() => self.restore_one(target, &about(target)),
            Some((rest, _)) => {
                let why = targets.iter().find_map(|target| self.retries.what(&about(target))).unwrap_or_default();
                let why = format!("taking back, {} to go: {why}", targets.len());
                self.wait(rest, &why);
                Ok(())
            }
        }
    }

    fn restore_one(&mut self, target: &Target, about: &str) -> Result<(), Error> {
        match self.put_back(target, about)? {
            None => Ok(()),
            Some(taken) => {
                self.retries.done(about);
                Ok(self.append(Event::Restored { target: target.clone(), taken })?)
            }
        }
    }

    /// Puts the bytes of before back where they are not there, and asks whether they were taken. `None` when that has to be tried again.
    fn put_back(&mut self, target: &Target, about: &str) -> Result<Option<Taken>, Error> {
        let patience = self.course.plan.policy.converge;
        let before = self.state.before.get(target).and_then(|before| before.sha256.clone());
        let bytes = before.as_ref().map(|sha256| self.blobs.get(sha256)).transpose()?;
        let found = match self.hands.read(target) {
            Ok(found) => digest(found.as_deref()),
            Err(error) => return self.again(about, &error.to_string(), Duration::ZERO),
        };
        if found != before {
            let ours = self.is_ours(target, found.as_ref());
            if !ours && !self.force {
                return self.left_alone(target, about);
            }
            // What was announced and could not be done yet need not be announced at each try.
            let announced = |place: &Place| ours && place.restored.is_none() && place.writing == before;
            if !self.state.places.get(target).is_some_and(announced) {
                self.append(Event::Writing { target: target.clone(), sha256: before })?;
            }
            if let Err(error) = self.hands.write(target, bytes.as_deref()) {
                return self.again(about, &error.to_string(), Duration::ZERO);
            }
        }
        // They may have been put back before this process began; the proxies were asked to take them when that was announced.
        let since = self.state.places.get(target).map(|place| place.since.at);
        let since = since.unwrap_or_else(|| self.tools.clock.now());
        let pending = match self.hands.taken(target, bytes.as_deref(), since) {
            Ok(Taken::Pending(why)) => why,
            Ok(taken) => return Ok(Some(taken)),
            Err(error) => error.to_string(),
        };
        if self.force && self.retries.lasted(about, self.steady()) >= patience {
            return Ok(Some(Taken::Pending(pending)));
        }
        self.again(
            about,
            &format!("{target}: what was there before is in place again, and is not taken yet: {pending}"),
            patience.min(Duration::from_secs(30)),
        )
    }

    fn again(&mut self, about: &str, what: &str, patience: Duration) -> Result<Option<Taken>, Error> {
        self.trouble(about, what, patience)?;
        Ok(None)
    }

    fn is_ours(&self, target: &Target, found: Option<&String>) -> bool {
        self.state.places.get(target).is_some_and(|place| place.ours.contains(&found.cloned()))
    }

    /// Somebody else's bytes: they stay, and the rollout waits until they are gone or somebody says that they may be overwritten.
    fn left_alone(&mut self, target: &Target, about: &str) -> Result<Option<Taken>, Error> {
        let why = format!(
            "somebody else changed {target}; it is left as it is. Put back what was there before, or go on with `rollout rollback --force`, which overwrites it"
        );
        if self.retries.what(about) != Some(why.as_str())
            && self.state.waiting.as_ref().is_none_or(|wait| wait.said.text != why)
        {
            self.append(Event::Waiting { ring: target.ring.clone(), why: why.clone() })?;
        }
        self.again(about, &why, Duration::MAX)
    }

    /// Takes the first ring that is due a step further: whether it is seen to run what it ran before.
    pub(super) fn verify(&mut self, rings: &[String]) -> Result<(), Error> {
        let about = |ring: &String| format!("verify {ring}");
        let Some((rest, name)) = rings
            .iter()
            .map(|ring| (self.retries.rest(&about(ring), self.steady()), ring))
            .min_by_key(|(rest, _)| *rest)
        else {
            return Ok(());
        };
        let about = about(name);
        if !rest.is_zero() {
            let why = format!(
                "ring {name}: until it is seen to run what it ran before: {}",
                self.retries.what(&about).unwrap_or_default()
            );
            self.wait(rest, &why);
            return Ok(());
        }
        let patience = self.course.plan.policy.converge;
        match self.runs_what_it_ran(name)? {
            Ok(found) => {
                self.retries.done(&about);
                Ok(self.append(Event::Verified { ring: name.clone(), found })?)
            }
            Err(missing) if self.force && self.retries.lasted(&about, self.steady()) >= patience => {
                Ok(self.append(Event::Verified {
                    ring: name.clone(),
                    found: format!("not seen, and not waited for any longer, as was asked: {missing}"),
                })?)
            }
            Err(missing) => self.trouble(
                &about,
                &format!("ring {name}: what it ran before is not seen yet: {missing}"),
                patience.min(Duration::from_secs(30)),
            ),
        }
    }

    fn runs_what_it_ran(&self, name: &str) -> Result<Result<String, String>, Error> {
        let leg = self.leg(name)?;
        let refused = leg.targets.iter().find_map(|target| match &self.state.places.get(target)?.restored {
            Some(Taken::Refused(why)) => Some(format!("; {target} refuses what it had: {why}")),
            Some(Taken::Pending(why)) => Some(format!("; {target} was not heard of: {why}")),
            _ => None,
        });
        let refused = refused.unwrap_or_default();
        let Some(digest) = leg.targets.iter().find_map(|target| self.state.before.get(target)?.digest.clone()) else {
            return Ok(Ok(format!("the bytes are back; by its metrics no one build was known to run before{refused}")));
        };
        let wanted = f64::from(leg.ring.expected) * self.course.plan.policy.quorum;
        Ok(match self.running(&leg.ring) {
            Err(error) => Err(error.to_string()),
            Ok(running) => {
                let count = running.get(&digest).copied().unwrap_or(0);
                let others: u32 = running.iter().filter(|(config, _)| **config != digest).map(|(_, count)| count).sum();
                let found = format!(
                    "{count} of {} proxies report build {digest}, {others} another one{refused}",
                    leg.ring.expected
                );
                if f64::from(count) >= wanted && others == 0 { Ok(found) } else { Err(found) }
            }
        })
    }

    /// Reads every place that was touched a last time. It is over when all have what they had.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        let targets: Vec<Target> =
            self.course.targets().filter(|target| self.state.places.contains_key(*target)).cloned().collect();
        for target in &targets {
            let about = format!("close {target}");
            let before = self.state.before.get(target).and_then(|before| before.sha256.clone());
            match self.hands.read(target) {
                Ok(found) if digest(found.as_deref()) == before => self.retries.done(&about),
                Ok(_) => {
                    // It was changed again since it was put back.
                    let rest = self.retries.rest(&about, self.steady());
                    if !rest.is_zero() {
                        self.wait(rest, &format!("{target}: until it can be put back"));
                        return Ok(());
                    }
                    if let Some(taken) = self.put_back(target, &about)? {
                        self.append(Event::Restored { target: target.clone(), taken })?;
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.trouble(&about, &error.to_string(), Duration::ZERO)?;
                    let rest = self.retries.rest(&about, self.steady());
                    self.wait(rest, &format!("{target}: until it can be read"));
                    return Ok(());
                }
            }
        }
        let why = self.state.rolling_back.as_ref().map_or_else(String::new, |said| said.text.clone());
        let reason = if targets.is_empty() { format!("{why}; nothing had been changed") } else { why };
        Ok(self.append(Event::Finished { outcome: Outcome::RolledBack, reason })?)
    }
}
