//! Why a rule is not about a stream, for tools.

use super::Firing;
use crate::rule::{Condition, Once, Rule, explain};

impl Firing<'_> {
    /// The conditions of a rule that do not hold, in words, each with what was found instead where that is short.
    #[must_use]
    pub fn unmet(&mut self, rule: &Rule) -> Vec<String> {
        let parts = explain::parts(self.filter.config(), &rule.condition);
        parts.into_iter().filter_map(|(words, part)| self.unmet_part(&words, part)).collect()
    }

    fn unmet_part(&mut self, words: &str, part: Condition) -> Option<String> {
        let logged = self.logged;
        let found = if part.endpoints.is_some() {
            let is_one = part.endpoints.as_ref().is_some_and(|named| named.contains(&logged.endpoint));
            if is_one {
                return None;
            }
            Some(self.endpoint_name().to_owned())
        } else if part.methods.is_some() {
            if part.methods.as_ref().is_some_and(|methods| methods.contains(&logged.method)) {
                return None;
            }
            Some(logged.method.as_str().to_owned())
        } else {
            let found = self.found(&part);
            let rule = Rule { name: String::new(), condition: part, once: None::<Once>, metric: None, event: None };
            if self.holds(&rule) {
                return None;
            }
            found
        };
        Some(found.map_or_else(|| format!("not: {words}"), |found| format!("not: {words} (it is {found})")))
    }

    fn found(&mut self, part: &Condition) -> Option<String> {
        if part.statuses.is_some() || !part.except_statuses.is_empty() {
            return Some(self.logged.status.to_string());
        }
        if part.outcomes.is_some() {
            return Some(self.logged.outcome.outcome().to_owned());
        }
        let (fact, _) = part.facts.first()?;
        Some(self.fact(*fact).map_or_else(|| "not there".to_owned(), String::clone))
    }
}
