//! How a node is written down.
//!
//! | word | what |
//! |---|---|
//! | header | bits 0–3: how many static edges are listed; bits 4–8: or how many bits of a hash choose one; bit 9: it has [`Others`](super::Others); bits 32–63: the node behind `{name}`, 0 for none |
//! | ending | what a path is that ends here: [`Ending`] |
//! | others | their number, where it has any |
//! | edges | two words each: the first 8 bytes of the text as a number; the text's length (bits 32–63) and the node behind it (bits 0–31) |
//!
//! The edges are a list, tried one by one, or more than [`FEW`] of them a table of open addressing with linear probing, a free slot being two
//! zero words. What a text has past its first 8 bytes stands right before the node behind it, which is read next anyhow. A node's number is the
//! place of its header; the root is at 0, so that no edge leads there.

#![expect(clippy::cast_possible_truncation, reason = "the fields of a word")]

use super::Terminal;
use crate::method::Method;
use crate::route::EndpointId;

/// The most edges that are listed.
pub(super) const FEW: usize = 4;
/// Words of an edge.
pub(super) const EDGE: usize = 2;

const HASHED: u32 = 4;
const OTHERS: u64 = 1 << 9;

/// The fixed part of a node, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    number: usize,
    header: u64,
    pub(super) ending: Ending,
}

impl Node {
    /// How long the fixed part is.
    pub(super) const WORDS: usize = 2;

    #[inline]
    pub(super) fn new(number: usize, header: u64, ending: Ending) -> Self {
        Self { number, header, ending }
    }

    /// A header. `edges` is a number of listed edges, or of bits.
    pub(super) fn header(edges: Edges, others: bool, parameter: u32) -> u64 {
        let edges = match edges {
            Edges::Listed(count) => count as u64,
            Edges::Hashed(bits) => u64::from(bits) << HASHED,
        };
        edges | if others { OTHERS } else { 0 } | u64::from(parameter) << 32
    }

    /// The node behind `{name}`.
    #[inline]
    pub(super) fn parameter(self) -> Option<usize> {
        let number = at((self.header >> 32) as u32);
        (number != 0).then_some(number)
    }

    #[inline]
    pub(super) fn has_others(self) -> bool {
        self.header & OTHERS != 0
    }

    /// Where the number of its others is, if it has any.
    #[inline]
    pub(super) fn others(self) -> usize {
        self.number + Self::WORDS
    }

    /// How many static edges are listed; 0 where a hash chooses one, or where there are none.
    #[inline]
    pub(super) fn listed(self) -> usize {
        (self.header & 15) as usize
    }

    /// How many bits of a hash choose an edge; 0 where they are listed.
    #[inline]
    pub(super) fn hash_bits(self) -> u32 {
        (self.header >> HASHED) as u32 & 31
    }

    /// Where its edges begin.
    #[inline]
    pub(super) fn first_edge(self) -> usize {
        self.number + Self::WORDS + (self.header / OTHERS) as usize % 2
    }

    /// Where its edges are.
    #[cfg(feature = "tools")]
    pub(super) fn edges(self) -> std::ops::Range<usize> {
        let slots = if self.hash_bits() == 0 { self.listed() } else { 1 << self.hash_bits() };
        self.first_edge()..self.first_edge() + EDGE * slots
    }
}

/// The form of a node's static edges.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edges {
    /// So many, one after the other.
    Listed(usize),
    /// As many slots as so many bits can number.
    Hashed(u32),
}

/// The second word of an edge.
pub(super) fn link(length: usize, node: u32) -> u64 {
    u64::from(index(length)) << 32 | u64::from(node)
}

/// The length of an edge's text.
#[inline]
pub(super) fn length(link: u64) -> usize {
    at((link >> 32) as u32)
}

/// The node that an edge leads to; `None` for a free slot.
#[inline]
pub(super) fn child(link: u64) -> Option<usize> {
    let number = at(link as u32);
    (number != 0).then_some(number)
}

/// A [`Terminal`] in a word; 0 for none. Bits 0–15: the methods that are declared, by [`Method::index`]; bits 16–17: the form; bits 32–63: the
/// endpoint, or the terminal's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ending(pub(super) u64);

const FORM: u64 = 3 << 16;
/// All methods have the endpoint.
const ALIKE: u64 = 1 << 16;
/// Those that are declared have the endpoint, the others are `unknown`.
const OR_UNKNOWN: u64 = 2 << 16;
/// Neither: the terminal is listed.
const LISTED: u64 = 3 << 16;

impl Ending {
    /// The word of a terminal, which is put on the list where no word can say it.
    pub(super) fn new(terminal: &Terminal, listed: &mut Vec<Terminal>) -> Self {
        let declared = || Method::ALL.into_iter().filter_map(|method| Some((method, terminal.declared(method)?)));
        let endpoint = declared().next().map_or(terminal.undeclared, |(_, endpoint)| endpoint);
        let form = match terminal.undeclared {
            _ if declared().any(|(_, other)| other != endpoint) => LISTED,
            undeclared if undeclared == endpoint => ALIKE,
            EndpointId::UNKNOWN => OR_UNKNOWN,
            _ => LISTED,
        };
        let methods = declared().fold(0, |methods, (method, _)| methods | 1 << method.index());
        let number = if form == LISTED {
            listed.push(*terminal);
            index(listed.len() - 1)
        } else {
            endpoint.0
        };
        Self(u64::from(number) << 32 | form | methods)
    }

    #[inline]
    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The endpoint of the method, if it is declared, and that of every method that is not; or the number of the terminal on the list.
    #[inline]
    pub(super) fn read(self, method: Method) -> Result<(Option<EndpointId>, EndpointId), usize> {
        let number = (self.0 >> 32) as u32;
        let form = self.0 & FORM;
        if form == LISTED {
            return Err(at(number));
        }
        let declared = self.0 >> method.index() & 1 != 0;
        let undeclared = if form == ALIKE { EndpointId(number) } else { EndpointId::UNKNOWN };
        Ok((declared.then_some(EndpointId(number)), undeclared))
    }
}

/// A length as an index. The table is a configuration's, far below four billion entries.
pub(super) fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[inline]
pub(super) fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
