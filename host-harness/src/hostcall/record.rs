//! A hostcall as the trace keeps it: what it was called with, what it answered, and the bytes that both pointed to at that time.

use std::fmt;

use super::{ARGUMENTS, Answer, Fail, Hostcall, Kind};
use crate::HeaderMap;
use crate::abi::Status;

/// One hostcall; what it was called with is in the bytes beside it: in the order of its arguments, a number as 8 bytes, bytes after a flag and their
/// length as 4, and at the end why it trapped.
#[derive(Debug)]
pub(crate) struct Made {
    call: Hostcall,
    answer: Answered,
}

#[derive(Debug)]
enum Answered {
    Ok,
    Code(u32),
    Trap,
}

/// A hostcall with its bytes, as text.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) made: &'a Made,
    pub(crate) bytes: &'a [u8],
}

/// How many bytes of a text are shown.
const SHOWN: usize = 200;
/// How many of a log line or of encoded pairs.
const SHOWN_WHOLE: usize = 64 << 10;

impl Kind {
    /// How many bytes of such an argument are shown.
    fn most(self) -> usize {
        match self {
            Self::Line | Self::Pairs | Self::OutPairs => SHOWN_WHOLE,
            Self::Num | Self::Text | Self::Out32 | Self::Out64 | Self::OutBytes | Self::Area => SHOWN,
        }
    }
}

impl Made {
    /// What is to be remembered of a call that has just been made: the bytes go behind those that are there.
    pub(super) fn write(data: &mut Vec<u8>, memory: &[u8], call: Hostcall, arguments: &[u64], answer: &Answer) -> Self {
        let mut rest = arguments.iter().copied();
        for (_, kind) in ARGUMENTS.get(call as usize).copied().unwrap_or_default() {
            let value = rest.next().unwrap_or_default();
            match kind {
                Kind::Num => data.extend_from_slice(&value.to_le_bytes()),
                Kind::Area => data.extend_from_slice(&rest.next().unwrap_or_default().to_le_bytes()),
                Kind::Text | Kind::Line | Kind::Pairs => {
                    put(data, peek(memory, value, rest.next().unwrap_or_default()), kind.most());
                }
                Kind::Out32 => put(data, peek(memory, value, 4), kind.most()),
                Kind::Out64 => put(data, peek(memory, value, 8), kind.most()),
                Kind::OutBytes | Kind::OutPairs => {
                    let size = rest.next().and_then(|size| peek_u32(memory, size));
                    let given = peek_u32(memory, value).zip(size);
                    let given = given.and_then(|(pointer, size)| peek(memory, pointer.into(), size.into()));
                    put(data, given, kind.most());
                }
            }
        }
        let answer = match answer {
            Ok(()) => Answered::Ok,
            Err(Fail::Code(code)) => Answered::Code(*code),
            Err(Fail::Trap(error)) => {
                data.extend(error.to_string().into_bytes());
                Answered::Trap
            }
        };
        Self { call, answer }
    }
}

fn peek(memory: &[u8], pointer: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(pointer).ok()?;
    memory.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

fn peek_u32(memory: &[u8], pointer: u64) -> Option<u32> {
    Some(u32::from_le_bytes(*peek(memory, pointer, 4)?.first_chunk()?))
}

/// A flag whether there are bytes, how many, and the first of them.
fn put(data: &mut Vec<u8>, bytes: Option<&[u8]>, most: usize) {
    let [a, b, c, d] = u32::try_from(bytes.map_or(0, <[u8]>::len)).unwrap_or(u32::MAX).to_le_bytes();
    data.extend_from_slice(&[u8::from(bytes.is_some()), a, b, c, d]);
    let bytes = bytes.unwrap_or_default();
    data.extend_from_slice(bytes.get(..most).unwrap_or(bytes));
}

/// Reads what was put.
struct Reader<'a> {
    rest: &'a [u8],
}

/// The first bytes of a text, and how long all of it was.
type Text<'a> = Option<(&'a [u8], usize)>;

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((first, rest)) = self.rest.split_first_chunk() else { return [0; N] };
        self.rest = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self, most: usize) -> Text<'a> {
        let [there] = self.take();
        let size = u32::from_le_bytes(self.take()) as usize;
        let (text, rest) = self.rest.split_at_checked(size.min(most)).unwrap_or_default();
        self.rest = rest;
        (there != 0).then_some((text, size))
    }
}

/// One line: name, arguments as text, status, results.
impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Made { call, answer } = self.made;
        let mut reader = Reader { rest: self.bytes };
        let mut results = Vec::new();
        write!(f, "{}(", call.name())?;
        let mut comma = "";
        let mut given = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            write!(f, "{comma}{text}")?;
            comma = ", ";
            Ok(())
        };
        for (name, kind) in ARGUMENTS.get(*call as usize).copied().unwrap_or_default() {
            let most = kind.most();
            match kind {
                Kind::Num => given(f, format_args!("{name}={}", reader.number().cast_signed()))?,
                Kind::Area => given(f, format_args!("{name}={} long", reader.number()))?,
                Kind::Text | Kind::Line => given(f, format_args!("{name}={}", readable(reader.text(most))))?,
                Kind::Pairs => given(f, format_args!("{name}={}", pairs(reader.text(most))))?,
                Kind::Out32 | Kind::Out64 => {
                    if let Some((bytes, _)) = reader.text(most) {
                        let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                        results.push(format!("{name}={number}"));
                    }
                }
                Kind::OutPairs => results.push(format!("{name}={}", pairs(reader.text(most)))),
                Kind::OutBytes => results.push(format!("{name}={}", readable(reader.text(most)))),
            }
        }
        f.write_str(") = ")?;
        match answer {
            Answered::Ok => {
                f.write_str("Ok")?;
                results.iter().try_for_each(|result| write!(f, ", {result}"))
            }
            Answered::Code(code) => match Status::from_code(*code) {
                Some(status) if call.name().starts_with("proxy_") => write!(f, "{status:?}"),
                _ => write!(f, "{code}"),
            },
            Answered::Trap => write!(f, "trap: {}", String::from_utf8_lossy(reader.rest)),
        }
    }
}

/// Quoted, with escapes.
fn readable(text: Text<'_>) -> String {
    match text {
        None => "out of memory's range".to_owned(),
        Some((bytes, size)) if size > bytes.len() => format!("\"{}\"… ({size} bytes)", bytes.escape_ascii()),
        Some((bytes, _)) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// As a map, or as bytes where there are too many to be one.
fn pairs(text: Text<'_>) -> String {
    match text {
        Some((bytes, size)) if size > bytes.len() => readable(Some((bytes.get(..SHOWN).unwrap_or(bytes), size))),
        text => format!("{:?}", HeaderMap::decode_pairs(text.map_or(&[][..], |(bytes, _)| bytes))),
    }
}
