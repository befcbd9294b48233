//! Accept or mint the correlation ID.
//!
//! An incoming ID is kept when it is well formed and its sender is trusted; otherwise a new one is made from a seed that the caller provides,
//! unless that is left to the proxy.
//! The rules, in the order in which they are applied, so that every request has exactly one outcome:
//!
//! 1. no header line: a new ID, `generated` / `missing`; `none` / `missing` where the proxy makes IDs
//! 2. more than one line: `refused` / `duplicate`
//! 3. an empty value: `refused` / `empty`
//! 4. a comma within the first 129 bytes, which is what a proxy makes of duplicate lines: `refused` / `comma`
//! 5. shorter than 8 bytes: `refused` / `too_short`; longer than 128: `refused` / `too_long`
//! 6. a byte outside `A-Z a-z 0-9 . _ ~ + / = : @ -`: `refused` / `charset`. The set holds what UUIDs, ULIDs, base64, base64url and the IDs of
//!    the large clouds are made of, and no white space, quote, bracket, separator of a list or control byte. A spreadsheet still takes a leading
//!    `=`, `+`, `-` or `@` for a formula
//! 7. a sender that is not trusted: `refused` / `untrusted`
//! 8. else `kept` / `trusted`
//!
//! Form comes before trust, so that the sender's address is read only for an ID that could be kept. No step looks at more than 129 bytes.

mod generate;
mod id;
mod outcome;
pub mod traceparent;
pub mod trust;

pub use id::CorrelationId;
pub use outcome::{Outcome, Reason};
pub use trust::{Network, NetworkError, Sender, Trust};

use traceparent::TraceParent;

/// The lines of one header in a request or a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header<'a> {
    /// The header is absent.
    #[default]
    None,
    /// One line, with this value.
    One(&'a [u8]),
    /// Two or more lines.
    Many,
}

impl<'a> Header<'a> {
    /// The header with one more line.
    #[inline]
    #[must_use]
    pub fn and(self, value: &'a [u8]) -> Self {
        match self {
            Header::None => Header::One(value),
            Header::One(_) | Header::Many => Header::Many,
        }
    }
}

/// What a new correlation ID is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generator {
    /// UUID version 7 (RFC 9562 section 5.7): sorts by time; shows the millisecond in which it was made.
    #[default]
    UuidV7,
    /// UUID version 4 (RFC 9562 section 5.4): 122 random bits.
    UuidV4,
    /// The trace-id of a valid `traceparent`, else [`Generator::UuidV7`].
    TraceId,
    /// The proxy makes them, before the filter sees the request.
    Proxy,
}

/// What happens to `traceparent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceMode {
    /// It is passed on as it came.
    #[default]
    Pass,
    /// A new, unsampled one is set when no valid one came.
    Start,
}

/// Whose IDs are kept, and what a new one is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whose IDs are kept.
    pub trust: Trust,
    /// What a new one is made of.
    pub generator: Generator,
}

/// The value of a header that is an ID by its form: steps 1 to 6 of the module's rules. `Ok(None)` is a header that is absent.
///
/// # Errors
/// The reason for which the ID is refused, whoever sent it.
#[inline]
pub fn well_formed(header: Header<'_>) -> Result<Option<&[u8]>, Reason> {
    match header {
        Header::None => Ok(None),
        Header::One(value) => CorrelationId::check(value).map(|()| Some(value)),
        Header::Many => Err(Reason::Duplicate),
    }
}

/// What becomes of the incoming ID: the module's rules.
#[inline]
#[must_use]
pub fn judge(policy: &Policy, header: Header<'_>, sender: &Sender<'_>) -> Outcome {
    match well_formed(header) {
        Ok(Some(_)) if policy.trust.accepts(sender) => Outcome::Kept,
        Ok(Some(_)) => Outcome::Refused(Reason::Untrusted),
        Ok(None) if policy.generator == Generator::Proxy => Outcome::Absent,
        Ok(None) => Outcome::Missing,
        Err(reason) => Outcome::Refused(reason),
    }
}

impl Generator {
    /// A new ID. `seed` is 16 random bytes, `unix_ms` the time; `trace` the incoming `traceparent` where a valid one came.
    #[must_use]
    #[inline]
    pub fn make(self, trace: Option<&TraceParent>, seed: [u8; 16], unix_ms: u64) -> Option<CorrelationId> {
        match (self, trace) {
            (Generator::TraceId, Some(trace)) => Some(CorrelationId::from_trace_id(trace)),
            (Generator::UuidV4, _) => Some(CorrelationId::uuid_v4(seed)),
            (Generator::UuidV7 | Generator::TraceId, _) => Some(CorrelationId::uuid_v7(seed, unix_ms)),
            (Generator::Proxy, _) => None,
        }
    }
}

#[cfg(test)]
mod tests;
