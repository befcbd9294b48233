//! Tables for people: columns aligned, no borders, units in the header.
//!
//! A column is text (to the left) or a number (to the right); that is all the layout there is, so every command's output looks the same.

use comfy_table::{CellAlignment, Table as Inner, presets};

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Words: to the left.
    Text,
    /// Numbers: to the right.
    Number,
}

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    inner: Inner,
}

impl Table {
    /// A table with these headers.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Column)>) -> Self {
        let (headers, columns): (Vec<&str>, Vec<Column>) = columns.into_iter().unzip();
        let mut inner = Inner::new();
        inner.load_style(presets::NOTHING).set_header(headers);
        Self { columns, inner }
    }

    /// Adds one row; missing cells stay empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| printable(&cell.into())).collect();
        self.inner.add_row(cells);
    }

    /// The table as lines without trailing blanks, each ending in a line feed.
    pub fn render(mut self) -> String {
        for (index, kind) in self.columns.iter().enumerate() {
            if let Some(column) = self.inner.column_mut(index) {
                let left = if index == 0 { 0 } else { 1 };
                column.set_padding((left, 1));
                if *kind == Column::Number {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        self.inner.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// `text` with control characters made visible: what a request carried must not steer the operator's terminal.
pub fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// A count with thousands set apart: `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 mistake`, `3 mistakes`.
pub fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// A duration in seconds as milliseconds or seconds, three digits at most: `4.2 ms`, `250 ms`, `2.50 s`.
pub fn duration(seconds: f64) -> String {
    let ms = seconds * 1_000.0;
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else {
        format!("{seconds:.2} s")
    }
}

/// A share as a percentage: `0.0 %`, `12.5 %`; a share that is not nothing never reads as nothing.
pub fn percent(share: f64) -> String {
    // `max` makes 0 of the -0 that an empty sum is.
    if share > 0.0 && share < 0.0005 { "<0.1 %".to_owned() } else { format!("{:.1} %", share.max(0.0) * 100.0) }
}

/// A number of bytes in binary units: `512 B`, `1.5 KiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown to one digit after the point")]
    let mut scaled = value as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1023.95 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS.get(unit).unwrap_or(&"TiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_blanks() {
        let mut table = Table::new([("method", Column::Text), ("requests", Column::Number), ("note", Column::Text)]);
        table.row(["GET", "1,234", ""]);
        table.row(["DELETE", "7", "few"]);
        assert_eq!(table.render(), "method  requests  note\nGET        1,234\nDELETE         7  few\n");
    }

    #[test]
    fn control_characters_cannot_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("/api/v1/é"), "/api/v1/é");
    }

    #[test]
    fn numbers_read_well() {
        let counts = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (value, expected) in counts {
            assert_eq!(count(value), expected);
        }
        assert_eq!((plural(1, "line"), plural(1_000, "line")), ("1 line".to_owned(), "1,000 lines".to_owned()));
        let durations = [(0.0042, "4.2 ms"), (0.00999, "10 ms"), (0.25, "250 ms"), (0.9999, "1.00 s"), (2.5, "2.50 s")];
        for (value, expected) in durations {
            assert_eq!(duration(value), expected);
        }
        let shares = [(0.0, "0.0 %"), (-0.0, "0.0 %"), (0.0001, "<0.1 %"), (0.125, "12.5 %"), (1.0, "100.0 %")];
        for (value, expected) in shares {
            assert_eq!(percent(value), expected);
        }
        let sizes = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1_312_869_333, "1.2 GiB")];
        for (value, expected) in sizes {
            assert_eq!(bytes(value), expected);
        }
    }
}
