//! Text from anywhere in Markdown.
//!
//! What could be structure becomes a character reference (`&#124;`), which no reader of Markdown takes for structure, in a table or out of it. Control
//! characters and those that turn or hide text become visible escapes (`\u{202e}`), line breaks too, so that a text is always within one line.

use std::fmt::Write as _;

/// Text within a line of Markdown: a table's cell, or after other text in a line.
#[must_use]
pub fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        // An underscore within a word is one, and names are full of them.
        let within = before.is_alphanumeric() && rest.peek().is_some_and(|after| after.is_alphanumeric());
        match c {
            '&' | '<' | '>' | '|' | '`' | '*' | '[' | ']' | '\\' | '~' | '$' | '#' | '!' => reference(c, &mut out),
            '_' if !within => reference(c, &mut out),
            // No link of what looks like one.
            ':' if rest.clone().take(2).eq("//".chars()) => reference(c, &mut out),
            c if is_hidden(c) => visible(c, "&#92;", &mut out),
            c => out.push(c),
        }
        before = c;
    }
    // Blanks at the ends would go, and two of them in front of a line's end are a break.
    if out.trim().is_empty() { "–".to_owned() } else { out.trim().to_owned() }
}

/// A name or a digest: in code's letters where it is plain, else as [`inline`].
#[must_use]
pub fn code(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '@');
    if !text.is_empty() && text.chars().all(is_plain) { format!("`{text}`") } else { inline(text) }
}

/// Lines as they are, between fences that none of them can end.
#[must_use]
pub fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    let mut out = format!("{fence}{language}\n");
    for c in text.chars() {
        if is_hidden(c) && !matches!(c, '\n' | '\t') { visible(c, "\\", &mut out) } else { out.push(c) }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out + &fence + "\n"
}

fn reference(c: char, out: &mut String) {
    let _ = write!(out, "&#{};", u32::from(c));
}

fn visible(c: char, backslash: &str, out: &mut String) {
    for c in c.escape_default() {
        if c == '\\' { out.push_str(backslash) } else { out.push(c) }
    }
}

/// Controls, line and paragraph separators, and what has no width or turns the direction of text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
