//! Editing the text of a configuration: only what an import owns is written, every other byte stays.
//!
//! In block style, imported routes stand in `table:` between two marker comments. JSON and flow style have no place for those: there the value
//! of `table` is written anew, the hand-written entries as they were.

mod layout;

use std::ops::Range;

use telemetry::route::RouteSpec;

use self::layout::{Part, What};
use super::render;

/// The texts and places of a configuration, as far as an import touches them.
#[derive(Debug)]
pub(super) struct Editor {
    text: String,
}

/// A text with the imported routes in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edited {
    pub(super) text: String,
    /// Comments inside of what was written anew are gone.
    pub(super) comments_lost: bool,
    /// Whether the imported routes stand between markers.
    pub(super) marked: bool,
}

/// Which entries of the table an earlier import wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// Their positions in the table.
    pub(super) entries: Range<usize>,
    /// The bytes of the text, markers included.
    bytes: Option<Range<usize>>,
}

impl Editor {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    fn root(&self) -> Result<Option<Part>, String> {
        layout::read(&self.text)
    }

    /// What an earlier import of this section wrote. Without one, the range is empty and stands where the next import would write.
    pub(super) fn before(&self, section: &str) -> Result<Before, String> {
        let root = self.root()?;
        let table = root.as_ref().and_then(|root| root.get("routes")).and_then(|routes| routes.get("table"));
        let items = table.map(Part::items).unwrap_or_default();
        let bytes = self.marked(section)?;
        let Some(bytes) = bytes else {
            return Ok(Before { entries: items.len()..items.len(), bytes: None });
        };
        let inside = |item: &Part| bytes.contains(&item.bytes.start);
        let first = items.iter().position(inside);
        let start = first.unwrap_or_else(|| items.iter().filter(|item| item.bytes.start < bytes.start).count());
        let count = items.iter().filter(|item| inside(item)).count();
        Ok(Before { entries: start..start + count, bytes: Some(bytes) })
    }

    /// The lines from one marker to the other.
    fn marked(&self, section: &str) -> Result<Option<Range<usize>>, String> {
        let [start, end] = render::markers(section);
        let mut found: [Vec<Range<usize>>; 2] = [Vec::new(), Vec::new()];
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            let range = at..at + line.len();
            at = range.end;
            for (marker, found) in [&start, &end].into_iter().zip(&mut found) {
                let rest = line.trim_start().strip_prefix(marker.as_str());
                if rest.is_some_and(|rest| rest.trim().is_empty() || rest.starts_with(':')) {
                    found.push(range.clone());
                }
            }
        }
        match found {
            [starts, ends] if starts.is_empty() && ends.is_empty() => Ok(None),
            [starts, ends] => match (starts.as_slice(), ends.as_slice()) {
                ([start], [end]) if start.end <= end.start => Ok(Some(start.start..end.end)),
                _ => Err(format!(
                    "the marker lines `{start}` and `{end}` are not there once each and in this order; remove both and what they enclose, and import again"
                )),
            },
        }
    }

    /// The text with these routes as what the import owns.
    pub(super) fn with_routes(&self, routes: &[RouteSpec], section: &str, before: &Before) -> Result<Edited, String> {
        if let Some(bytes) = &before.bytes {
            let indent = self.text.get(bytes.clone()).map_or(0, |text| text.len() - text.trim_start().len());
            return self.replaced(bytes.clone(), &render::block(routes, section, indent), false, true);
        }
        let Some(root) = self.root()? else {
            let table = format!("routes:\n  table:\n{}", render::block(routes, section, 4));
            return self.appended(&table);
        };
        if root.flow {
            return self.flow(&root, routes);
        }
        let Some((key, value)) = root.entry("routes") else {
            let table = format!("\nroutes:\n  table:\n{}", render::block(routes, section, 4));
            return self.appended(&table);
        };
        if value.flow {
            return self.flow(&root, routes);
        }
        let Some((table_key, table)) = value.entry("table") else {
            let indent = value.first_column().unwrap_or(key.column + 2);
            let spaces = " ".repeat(indent);
            let text = format!("{spaces}table:\n{}", render::block(routes, section, indent + 2));
            let end = if value.is_nothing() { key.end() } else { value.end() };
            return self.inserted_after(end, &text);
        };
        if table.is_nothing() {
            return self.inserted_after(table_key.end(), &render::block(routes, section, table_key.column + 2));
        }
        if !table.flow {
            let indent = table.items().first().map_or(table.column, |item| self.dash(item));
            return self.inserted_after(self.after_markers(table.end()), &render::block(routes, section, indent));
        }
        // A flow list under a block key becomes a block list, its entries as they are written.
        let indent = table_key.column + 2;
        let mut text = String::from("\n");
        for item in table.items() {
            text.push_str(&format!("{}- {}\n", " ".repeat(indent), self.source(item)));
        }
        text.push_str(&render::block(routes, section, indent));
        let between = self.between(table);
        // What follows on the line, a comment, stays behind the colon.
        let before = self.text.get(..table.bytes.start).unwrap_or_default().trim_end_matches(' ').len();
        let after = self.text.get(table.bytes.end..).unwrap_or_default();
        let line = after.split('\n').next().unwrap_or_default();
        let text = format!("{}{}", line.trim_end(), text.trim_end_matches('\n'));
        self.replaced(before..table.bytes.end + line.len(), &text, between.contains('#'), true)
    }

    /// JSON, or YAML in flow style.
    fn flow(&self, root: &Part, routes: &[RouteSpec]) -> Result<Edited, String> {
        let in_routes = root.get("routes");
        let table = in_routes.and_then(|routes| routes.get("table"));
        let holder = table.or(in_routes).unwrap_or(root);
        let line =
            self.text.get(..holder.bytes.start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
        let indent = line.len() - line.trim_start().len();
        let outer = " ".repeat(indent);
        let old = table.map(Part::items).unwrap_or_default().iter().map(|item| self.source(item).to_owned());
        let items: Vec<String> = old.chain(routes.iter().map(|route| render::json(route).to_string())).collect();
        let list = if items.is_empty() {
            "[]".to_owned()
        } else {
            format!("[\n{outer}  {}\n{outer}]", items.join(&format!(",\n{outer}  ")))
        };
        let into = |map: &Part, text: String| {
            let comma = if map.is_empty_map() { "" } else { ", " };
            self.replaced(map.bytes.start + 1..map.bytes.start + 1, &format!("{text}{comma}"), false, false)
        };
        match (in_routes, table) {
            (_, Some(table)) => {
                let lost = self.between(table).contains('#');
                self.replaced(table.bytes.clone(), &list, lost, false)
            }
            (Some(map), None) if map.flow => into(map, format!("\"table\": {list}")),
            (Some(_), None) => Err("`routes` has a form that cannot be edited; write it as an object".to_owned()),
            (None, None) => into(root, format!("\"routes\": {{\"table\": {list}}}")),
        }
    }

    /// The text with another `metrics.series_budget`.
    pub(super) fn with_budget(&self, budget: u64) -> Result<String, String> {
        let appended = format!("\nmetrics:\n  series_budget: {budget}\n");
        let Some(root) = self.root()? else { return self.appended(&appended).map(|edited| edited.text) };
        let edited = match root.entry("metrics") {
            None if root.flow => {
                let comma = if root.is_empty_map() { "" } else { ", " };
                let text = format!("\"metrics\": {{\"series_budget\": {budget}}}{comma}");
                self.replaced(root.bytes.start + 1..root.bytes.start + 1, &text, false, false)
            }
            None => self.appended(&appended),
            Some((key, metrics)) => match metrics.get("series_budget") {
                Some(old) => self.replaced(old.bytes.clone(), &budget.to_string(), false, false),
                None if metrics.flow => {
                    let comma = if metrics.is_empty_map() { "" } else { ", " };
                    let text = format!("\"series_budget\": {budget}{comma}");
                    self.replaced(metrics.bytes.start + 1..metrics.bytes.start + 1, &text, false, false)
                }
                None => {
                    let indent = metrics.first_column().unwrap_or(key.column + 2);
                    self.inserted_after(key.end(), &format!("{}series_budget: {budget}\n", " ".repeat(indent)))
                }
            },
        };
        edited.map(|edited| edited.text)
    }

    /// The column of the dash before an entry of a block list.
    fn dash(&self, item: &Part) -> usize {
        let before = self.text.get(..item.bytes.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.find('-').unwrap_or(item.column.saturating_sub(2))
    }

    /// Where the lines end that end other imports, if such lines follow.
    fn after_markers(&self, mut at: usize) -> usize {
        let end = render::END;
        while let Some(feed) = self.text.get(at..).and_then(|rest| rest.find('\n')) {
            let next = at + feed + 1;
            let line = self.text.get(next..).unwrap_or_default().split('\n').next().unwrap_or_default();
            if !line.trim_start().starts_with(end) {
                break;
            }
            at = next + line.len();
        }
        at
    }

    fn source(&self, part: &Part) -> &str {
        self.text.get(part.bytes.start..part.end()).unwrap_or_default()
    }

    /// What stands between the entries of a list: blanks, commas and comments.
    fn between(&self, list: &Part) -> String {
        let mut out = String::new();
        let mut at = list.bytes.start;
        for item in list.items() {
            out.push_str(self.text.get(at..item.bytes.start).unwrap_or_default());
            at = item.end();
        }
        out.push_str(self.text.get(at..list.bytes.end).unwrap_or_default());
        out
    }

    fn replaced(&self, bytes: Range<usize>, with: &str, comments_lost: bool, marked: bool) -> Result<Edited, String> {
        let parts = (self.text.get(..bytes.start), self.text.get(bytes.end..));
        let (Some(before), Some(after)) = parts else {
            return Err(
                "the configuration has a form that cannot be edited; write `routes.table` as a block list".to_owned()
            );
        };
        Ok(Edited { text: [before, with, after].concat(), comments_lost, marked })
    }

    /// New lines after the line in which something ends.
    fn inserted_after(&self, end: usize, lines: &str) -> Result<Edited, String> {
        let rest = self.text.get(end..).unwrap_or_default();
        match rest.find('\n') {
            Some(feed) => self.replaced(end + feed + 1..end + feed + 1, lines, false, true),
            None => self.replaced(self.text.len()..self.text.len(), &format!("\n{lines}"), false, true),
        }
    }

    fn appended(&self, lines: &str) -> Result<Edited, String> {
        let feed = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        let lines = if self.text.trim().is_empty() { lines.trim_start_matches('\n') } else { lines };
        self.replaced(self.text.len()..self.text.len(), &format!("{feed}{lines}"), false, true)
    }
}

impl Part {
    fn is_nothing(&self) -> bool {
        matches!(self.what, What::Nothing)
    }

    fn is_empty_map(&self) -> bool {
        matches!(&self.what, What::Map(entries) if entries.is_empty())
    }
}

#[cfg(test)]
mod tests;
