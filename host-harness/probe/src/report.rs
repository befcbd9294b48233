//! How arguments and answers are written into the log.

use std::fmt;

use crate::host::{self, Arg, Counted, Place, Received, Status, Written};

/// Headers that differ from run to run or from host to host: they are left out.
pub(crate) const MASKED: [&str; 8] = [
    "date",
    "x-request-id",
    "x-envoy-upstream-service-time",
    "server",
    "x-envoy-expected-rq-timeout-ms",
    "x-forwarded-proto",
    "user-agent",
    "host",
];

/// As [`MASKED`], but the name is shown.
const MASKED_VALUES: [&str; 2] = [":authority", "x-forwarded-for"];

/// Bytes longer than this are shown by their beginning.
const SHOWN: usize = 160;

/// Logs one line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    host::log(2, Arg::from(format!("probe| {text}").as_str()));
}

/// Bytes in quotes.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..SHOWN) {
            Some(beginning) if self.0.len() > SHOWN => {
                write!(f, "\"{}\"... ({} bytes)", beginning.escape_ascii(), self.0.len())
            }
            _ => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}

impl fmt::Display for Arg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{}", Quoted(bytes)),
            Self::Nowhere(len) => write!(f, "<bad pointer, {len} bytes>"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => Ok(()),
            Self::Nowhere => f.write_str(", to=<bad pointer>"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "Ok",
            1 => "NotFound",
            2 => "BadArgument",
            3 => "SerializationFailure",
            4 => "ParseFailure",
            5 => "BadExpression",
            6 => "InvalidMemoryAccess",
            7 => "Empty",
            8 => "CasMismatch",
            9 => "ResultMismatch",
            10 => "InternalFailure",
            11 => "BrokenConnection",
            12 => "Unimplemented",
            other => return write!(f, "status {other}"),
        };
        f.write_str(name)
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self, |f, bytes| write!(f, "{}", Quoted(bytes)))
    }
}

/// An answer in bytes, where failing and writing nothing are one thing.
fn show(
    f: &mut fmt::Formatter<'_>,
    received: &Received,
    bytes: impl FnOnce(&mut fmt::Formatter<'_>, &[u8]) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{}", received.status)?;
    match &received.written {
        Written::Nothing if received.status == Status::OK => f.write_str(" unwritten"),
        Written::Nothing => Ok(()),
        Written::Null(0) => f.write_str(" null"),
        Written::Null(len) => write!(f, " null, length {len}"),
        Written::Bytes(value) => {
            f.write_str(" ")?;
            bytes(f, value)
        }
    }
}

/// Only how many bytes there are, for what differs from run to run.
pub(crate) struct Length(pub(crate) Received);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.0, |f, bytes| write!(f, "({} bytes)", bytes.len()))
    }
}

/// Only whether there are bytes.
pub(crate) struct Presence(pub(crate) Received);

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.0, |f, bytes| f.write_str(if bytes.is_empty() { "(no bytes)" } else { "(some bytes)" }))
    }
}

/// A whole header map, but for what is [`MASKED`].
pub(crate) struct Pairs(pub(crate) Received);

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.0, |f, bytes| match decode(bytes) {
            None => write!(f, "malformed {}", Quoted(bytes)),
            Some(pairs) => list(f, &pairs),
        })
    }
}

/// The same in alphabetical order, for what has none.
pub(crate) struct Sorted(pub(crate) Received);

impl fmt::Display for Sorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.0, |f, bytes| match decode(bytes) {
            None => write!(f, "malformed {}", Quoted(bytes)),
            Some(mut pairs) => {
                pairs.sort_unstable();
                list(f, &pairs)
            }
        })
    }
}

/// Pairs, but for those that are [`MASKED`].
fn list(f: &mut fmt::Formatter<'_>, pairs: &[(&[u8], &[u8])]) -> fmt::Result {
    f.write_str("[")?;
    let shown = pairs.iter().filter(|(name, _)| !MASKED.iter().any(|masked| masked.as_bytes() == *name));
    for (index, (name, value)) in shown.enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        let masked = MASKED_VALUES.iter().any(|masked| masked.as_bytes() == *name);
        let value = if masked { b"...".escape_ascii() } else { value.escape_ascii() };
        write!(f, "{}={value}", name.escape_ascii())?;
    }
    f.write_str("]")
}

/// A number.
pub(crate) struct Number<N>(pub(crate) Counted<N>);

impl<N: fmt::Display> fmt::Display for Number<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            (status, Some(number)) => write!(f, "{status} {number}"),
            (Status::OK, None) => write!(f, "{} unwritten", Status::OK),
            (status, None) => write!(f, "{status}"),
        }
    }
}

/// A number that a host may have written.
pub(crate) struct Maybe(pub(crate) Option<u32>);

impl fmt::Display for Maybe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("unwritten"),
        }
    }
}

/// Header pairs, as they are passed.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
    let word = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = word(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend(word(name.len()));
        bytes.extend(word(value.len()));
    }
    for (name, value) in pairs {
        for text in [name, value] {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

/// Header pairs that were received, or nothing if they are malformed.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let word = |index: usize| {
        let at = index.checked_mul(4)?;
        let word = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(word.try_into().ok()?) as usize)
    };
    let count = word(0)?;
    let mut rest = bytes.get(count.checked_mul(8)?.checked_add(4)?..)?;
    let mut text = |len: usize| {
        let (text, after) = rest.split_at_checked(len)?;
        rest = after.strip_prefix(b"\0")?;
        Some(text)
    };
    let pairs = (0..count)
        .map(|index| Some((text(word(1 + 2 * index)?)?, text(word(2 + 2 * index)?)?)))
        .collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(pairs)
}

/// Pairs that are passed, readable.
pub(crate) struct Shown<'a>(pub(crate) &'a [(&'a str, &'a str)]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            write!(f, "{name}={value}")?;
        }
        f.write_str("]")
    }
}
