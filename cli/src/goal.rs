//! What a measurement is to show, and whether it does.

use serde_json::{Value, json};

use crate::table::{Column, Table};

/// One goal, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// What is to hold, with its bound.
    pub what: &'static str,
    /// The figure.
    pub found: String,
    /// Whether it holds.
    pub met: bool,
}

/// Whether all of them are met.
pub fn are_met(goals: &[Goal]) -> bool {
    goals.iter().all(|goal| goal.met)
}

/// A table for people.
pub fn text(goals: &[Goal]) -> String {
    let mut table = Table::new([("goal", Column::Text), ("", Column::Text), ("found", Column::Text)]);
    for goal in goals {
        table.row([goal.what, if goal.met { "met" } else { "NOT MET" }, &goal.found]);
    }
    table.render()
}

/// The same for programs.
pub fn json(goals: &[Goal]) -> Value {
    goals.iter().map(|goal| json!({ "goal": goal.what, "met": goal.met, "found": goal.found })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goal_that_is_missed_is_told_from_those_that_are_met() {
        let goal = |met| Goal { what: "a ÷ b: at most 1.5", found: "1.27".to_owned(), met };
        assert!(are_met(&[]) && are_met(&[goal(true)]));
        let goals = [goal(true), goal(false)];
        assert!(!are_met(&goals));
        let text = text(&goals);
        assert_eq!((text.matches(" met ").count(), text.matches("NOT MET").count()), (1, 1), "{text}");
        assert_eq!(json(&goals)[1], json!({ "goal": "a ÷ b: at most 1.5", "met": false, "found": "1.27" }));
    }
}
