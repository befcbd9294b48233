//! JSON without a tree: a writer that cannot make a line break, and a reader of single members.

mod read;

use std::fmt::Write as _;

use crate::time;

pub(crate) use read::{as_text, as_u64, member};

/// An object in the making. Names that are taken twice are the caller's mistake.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(',');
        }
        self.is_empty = false;
        text(name, self.out);
        self.out.push(':');
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        text(value, self.out);
        self
    }

    /// Left out if there is none.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        let _ = write!(self.out, "{value}");
        self
    }

    /// What is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.out.push_str(value);
        self
    }

    pub(crate) fn time(&mut self, name: &str, unix_ns: u64) -> &mut Self {
        self.name(name);
        self.out.push('"');
        time::rfc3339(unix_ns, self.out);
        self.out.push('"');
        self
    }

    pub(crate) fn uuid(&mut self, name: &str, uuid: [u8; 16]) -> &mut Self {
        self.name(name);
        self.out.push('"');
        crate::uuid::write(uuid, self.out);
        self.out.push('"');
        self
    }

    /// A member whose value is an object; it must be finished before the next member.
    pub(crate) fn object(&mut self, name: &str) -> Object<'_> {
        self.name(name);
        Object::new(self.out)
    }

    /// Where the next member's value is to be written.
    pub(crate) fn value(&mut self, name: &str) -> &mut String {
        self.name(name);
        self.out
    }

    pub(crate) fn finish(self) {
        self.out.push('}');
    }
}

/// A string with its quotes. Control characters and what some readers take for a line break (NEL, LS, PS) are escaped.
pub(crate) fn text(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All are below U+10000.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let code = u32::from(c);
                let digit = |shift: u32| char::from_digit(code >> shift & 0xf, 16).unwrap_or('0');
                out.push_str("\\u");
                out.extend([12, 8, 4, 0].map(digit));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
