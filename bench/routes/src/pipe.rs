//! What the native measure is told and what it answers, through its standard input and output.
//!
//! A message is a command's byte, three numbers and as many bytes as the last of them says; an answer is numbers alone, or numbers of which the
//! last is the length of the bytes that follow. All numbers have 8 bytes, the lowest first.

use std::io::{self, Read, Write};

/// What the measure is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Compile the configuration in the bytes. Answer: nanoseconds, bytes in use after it, bytes in use at most, and its mistakes.
    Load,
    /// Give `matchit` the same routes. Answer: how many it has no form for.
    AddMatchit,
    /// Add the requests in the bytes. Answer: the number of the list.
    AddRequests,
    /// Run: subject and list, and how many rounds instead of a length. Answer: the sum, nanoseconds, allocations.
    Run,
    /// Ask: subject, list, and which request instead of a length. Answer: the label.
    Ask,
}

impl Command {
    /// Every command, in the order of its byte.
    pub const ALL: [Command; 5] =
        [Command::Load, Command::AddMatchit, Command::AddRequests, Command::Run, Command::Ask];

    /// Whether bytes follow.
    #[must_use]
    pub const fn has_bytes(self) -> bool {
        matches!(self, Command::Load | Command::AddRequests)
    }
}

/// "It could not be done", where a number is expected.
pub const FAILED: u64 = u64::MAX;

/// Reads one number.
///
/// # Errors
/// When the other side has ended.
pub fn read_number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads so many bytes.
///
/// # Errors
/// When the other side has ended.
pub fn read_bytes(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Writes numbers, then bytes.
///
/// # Errors
/// When the other side has ended.
pub fn write(to: &mut impl Write, numbers: &[u64], bytes: &[u8]) -> io::Result<()> {
    for number in numbers {
        to.write_all(&number.to_le_bytes())?;
    }
    to.write_all(bytes)?;
    to.flush()
}
