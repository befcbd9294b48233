//! The result for people.

use std::fmt::Write as _;

use super::proposals::MAX_COUNTED;
use super::{Coverage, EndpointRow, ShapeRow};
use crate::table::{Column, Table, count, percent, plural, printable};

/// How long an example may be in a table.
const WIDTH: usize = 60;

/// A column's value.
type Value = fn(&EndpointRow) -> u64;

impl Coverage {
    /// The result for people: the first `top` rows of each table, or with `all` every endpoint, those without a request too.
    pub fn to_text(&self, top: usize, all: bool) -> String {
        let mut out = String::new();
        let limit = if all { usize::MAX } else { top };
        // Writing to a `String` does not fail.
        let _ = self.write(&mut out, limit, all);
        out
    }

    fn write(&self, out: &mut String, limit: usize, all: bool) -> std::fmt::Result {
        writeln!(out, "{}, {}", plural(self.lines, "line"), plural(self.requests, "request"))?;
        if !self.left_out.is_empty() {
            let mut table =
                Table::new([("lines left out", Column::Number), ("first", Column::Number), ("reason", Column::Text)]);
            for left in &self.left_out {
                table.row([count(left.lines), count(left.first as u64), left.reason.clone()]);
            }
            write!(out, "\n{}", table.render())?;
        }
        self.write_endpoints(out, limit)?;
        self.write_uncovered(out, limit)?;
        self.write_series(out)?;
        writeln!(out)?;
        if self.idle.is_empty() && self.configured > 0 {
            writeln!(out, "every configured endpoint got a request")?;
        }
        if !self.idle.is_empty() {
            let (idle, configured) = (count(self.idle.len() as u64), count(self.configured));
            let hint = if all { ":" } else { " (--all lists them)" };
            writeln!(out, "{idle} of {configured} configured endpoints got no request{hint}")?;
            for label in self.idle.iter().filter(|_| all) {
                writeln!(out, "{}", printable(label))?;
            }
        }
        let learned: u64 = self.of_source("learned").map(|row| row.requests).sum();
        let share = percent(share(self.covered, self.requests));
        write!(out, "covered {} of {}, {share}", count(self.covered), plural(self.requests, "request"))?;
        if learned > 0 {
            let learned_share = percent(self::share(learned, self.requests));
            write!(out, "; {} more by learned endpoints, {learned_share}", count(learned))?;
        }
        writeln!(out)?;
        self.write_proposals(out, limit)
    }

    fn of_source(&self, source: &str) -> impl Iterator<Item = &EndpointRow> {
        self.endpoints.iter().filter(move |row| row.source == source)
    }

    fn write_endpoints(&self, out: &mut String, limit: usize) -> std::fmt::Result {
        // A column for what hardly ever comes is there only when it came.
        let columns: [(&str, Value); 7] = [
            ("1xx", |row| row.by_class[0]),
            ("2xx", |row| row.by_class[1]),
            ("3xx", |row| row.by_class[2]),
            ("4xx", |row| row.by_class[3]),
            ("5xx", |row| row.by_class[4]),
            ("left", |row| row.unanswered),
            ("other", |row| row.other),
        ];
        let rare = ["1xx", "left", "other"];
        let shown: Vec<_> = columns
            .into_iter()
            .filter(|(name, value)| !rare.contains(name) || self.endpoints.iter().any(|row| value(row) > 0))
            .collect();
        let mut headers = vec![("endpoint", Column::Text), ("requests", Column::Number), ("share", Column::Number)];
        headers.extend(shown.iter().map(|(name, _)| (*name, Column::Number)));
        headers.push(("", Column::Text));
        let mut table = Table::new(headers);
        for row in self.endpoints.iter().take(limit) {
            let mut cells =
                vec![row.endpoint.clone(), count(row.requests), percent(share(row.requests, self.requests))];
            cells.extend(shown.iter().map(|(_, value)| count(value(row))));
            cells.push(if row.source == "learned" { "learned".to_owned() } else { String::new() });
            table.row(cells);
        }
        write!(out, "\n{}", table.render())?;
        let rest = self.endpoints.get(limit.min(self.endpoints.len())..).unwrap_or_default();
        more(out, rest.len(), "endpoint", rest.iter().map(|row| row.requests).sum())
    }

    fn write_uncovered(&self, out: &mut String, limit: usize) -> std::fmt::Result {
        if !self.uncovered.is_empty() {
            let mut table = Table::new([
                ("without a template", Column::Text),
                ("requests", Column::Number),
                ("share", Column::Number),
                ("label", Column::Text),
                ("example", Column::Text),
            ]);
            for row in &self.uncovered {
                let share = percent(share(row.requests, self.requests));
                let cells = [row.reason, &count(row.requests), &share, &row.endpoint, &cut(&row.example)];
                table.row(cells);
            }
            write!(out, "\n{}", table.render())?;
        }
        write_shapes(out, "paths without a template", &self.shapes, limit)?;
        write_shapes(out, "answered with 404 or 405", &self.refused, limit)?;
        if self.kept.forgotten > 0 {
            let (distinct, kept) = (count(self.kept.distinct), count(self.kept.kept));
            let least = if self.kept.more { "at least " } else { "" };
            writeln!(
                out,
                "of {least}{distinct} paths without a template {kept} were kept, those with the most requests; {} are not in these tables",
                plural(self.kept.forgotten, "request")
            )?;
        }
        Ok(())
    }

    fn write_series(&self, out: &mut String) -> std::fmt::Result {
        let mut table =
            Table::new([("series", Column::Text), ("this log", Column::Number), ("at most", Column::Number)]);
        for row in &self.series {
            table.row([row.what, &count(row.series), &count(row.at_most)]);
        }
        let (series, at_most) =
            self.series.iter().fold((0u64, 0u64), |sum, row| (sum.0 + row.series, sum.1.saturating_add(row.at_most)));
        table.row(["all", &count(series), &count(at_most)]);
        write!(out, "\n{}", table.render())
    }

    fn write_proposals(&self, out: &mut String, limit: usize) -> std::fmt::Result {
        let Some(after) = &self.after else { return Ok(()) };
        let mut table = Table::new([
            ("proposed template", Column::Text),
            ("requests", Column::Number),
            ("paths", Column::Number),
            ("methods", Column::Text),
            ("examples", Column::Text),
        ]);
        for route in self.proposals.iter().take(limit) {
            let methods = if route.methods.is_empty() { "any".to_owned() } else { route.methods.join(" ") };
            let examples = cut(&route.examples.iter().map(|example| cut(example)).collect::<Vec<_>>().join("  "));
            let paths = count(route.paths) + if route.paths >= MAX_COUNTED as u64 { "+" } else { "" };
            table.row([route.template.clone(), count(route.requests), paths, methods, examples]);
        }
        write!(out, "\n{}", table.render())?;
        let rest = self.proposals.get(limit.min(self.proposals.len())..).unwrap_or_default();
        more(out, rest.len(), "template", rest.iter().map(|route| route.requests).sum())?;
        writeln!(out, "\nto paste under `routes.table`:\n")?;
        let mut lines: Vec<(&str, String)> =
            self.proposals.iter().map(|route| (route.template.as_str(), route.to_yaml())).collect();
        lines.sort();
        for (_, line) in lines {
            writeln!(out, "    {line}")?;
        }
        let before = percent(share(self.covered, self.requests));
        let then = percent(share(after.covered, after.requests));
        writeln!(
            out,
            "\nwith {}: {before} → {then} of the requests covered ({} → {})",
            if self.proposals.len() == 1 { "it" } else { "them" },
            count(self.covered),
            count(after.covered)
        )?;
        if after.requests < self.requests {
            writeln!(
                out,
                "reckoned from the {} whose paths were kept, as this log cannot be read twice",
                plural(after.requests, "request")
            )?;
        }
        let now = self.series.iter().fold(0u64, |sum, row| sum.saturating_add(row.at_most));
        let (cost, room) = (after.series_at_most.saturating_sub(now), after.series_budget.saturating_sub(now));
        let (now, then, budget) = (count(now), count(after.series_at_most), count(after.series_budget));
        if after.series_at_most <= after.series_budget {
            return writeln!(out, "series at most: {now} → {then} of {budget} allowed (metrics.series_budget)");
        }
        // Each endpoint costs the same.
        let each = (cost / (self.proposals.len() as u64).max(1)).max(1);
        writeln!(
            out,
            "series at most: {now} → {then}, over the {budget} allowed; raise metrics.series_budget to {then}, or take at most {} of them",
            count(room / each)
        )
    }
}

fn write_shapes(out: &mut String, title: &str, shapes: &[ShapeRow], limit: usize) -> std::fmt::Result {
    if shapes.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        (title, Column::Text),
        ("requests", Column::Number),
        ("paths", Column::Number),
        ("example", Column::Text),
    ]);
    for row in shapes.iter().take(limit) {
        let example = row.examples.first().filter(|example| **example != row.shape).map_or("", |example| example);
        table.row([cut(&row.shape), count(row.requests), count(row.paths), cut(example)]);
    }
    write!(out, "\n{}", table.render())?;
    let rest = shapes.get(limit.min(shapes.len())..).unwrap_or_default();
    more(out, rest.len(), "shape", rest.iter().map(|row| row.requests).sum())
}

fn more(out: &mut String, rows: usize, noun: &str, requests: u64) -> std::fmt::Result {
    if rows == 0 {
        return Ok(());
    }
    let (rows, requests) = (plural(rows as u64, noun), plural(requests, "request"));
    writeln!(out, "and {rows} more, with {requests} (--all shows all)")
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}

fn share(part: u64, of: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown to one digit after the point")]
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}
