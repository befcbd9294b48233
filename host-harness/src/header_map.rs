//! An ordered header map with duplicates, held in one allocation.

use std::fmt;

/// Header lines in their order, duplicates kept, names in lower case, values as bytes.
///
/// Names and values live in one buffer, so a map of a request costs two allocations and can be reused.
#[derive(Clone, Default)]
pub struct HeaderMap {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// Bytes in `bytes` that no line uses any more.
    garbage: usize,
}

/// Where one line lies in the buffer: its name, and its value right behind it.
#[derive(Clone, Copy)]
struct Line {
    start: u32,
    name: u32,
    value: u32,
}

impl Line {
    fn len(self) -> usize {
        self.name as usize + self.value as usize
    }
}

/// The most that a module may build one map up to; past it, lines are dropped.
const MAX_BYTES: usize = 64 << 20;
/// The most lines, which may all be empty.
const MAX_LINES: usize = 1 << 20;

impl HeaderMap {
    /// An empty map.
    pub(crate) const EMPTY: Self = Self { bytes: Vec::new(), lines: Vec::new(), garbage: 0 };

    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes in all names and values.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.bytes.len() - self.garbage
    }

    /// All lines in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter().map(|line| self.pair(*line))
    }

    /// The first value of `name`, in any case.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// All values of `name`, in any case, in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name.as_ref())).map(|(_, value)| value)
    }

    /// Adds a line at the end; the name is lower-cased.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let added = name.len().saturating_add(value.len());
        if self.byte_size().saturating_add(added) > MAX_BYTES || self.lines.len() >= MAX_LINES {
            return;
        }
        if self.garbage > self.byte_size() + 4096 {
            self.compact();
        }
        let (Ok(start), Ok(name_len), Ok(value_len)) =
            (u32::try_from(self.bytes.len()), u32::try_from(name.len()), u32::try_from(value.len()))
        else {
            return;
        };
        self.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
        self.bytes.extend_from_slice(value);
        self.lines.push(Line { start, name: name_len, value: value_len });
    }

    /// Adds a line as Envoy does: there is one line of a pseudo-header, with all values in it. Says how many bytes it copied
    /// besides.
    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) -> usize {
        match self.get(name) {
            Some(before) if name.starts_with(b":") => {
                let joined = [before, value].join(&b',');
                self.set(name, &joined);
                joined.len()
            }
            _ => {
                self.insert(name, value);
                0
            }
        }
    }

    /// Replaces all lines of `name` as Envoy does: the new line is the last one, or the last one of the pseudo-headers.
    pub(crate) fn replace(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.insert(name, value);
    }

    /// Adds a line at the end; a pseudo-header's at the end of those, which are first.
    fn insert(&mut self, name: &[u8], value: &[u8]) {
        let before = self.lines.len();
        self.add(name, value);
        if name.starts_with(b":")
            && self.lines.len() > before
            && let Some(line) = self.lines.pop()
        {
            let place = self.iter().take_while(|(name, _)| name.starts_with(b":")).count();
            self.lines.insert(place, line);
        }
    }

    /// Leaves exactly one line for `name`, at the place of the first one or at the end.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let place = self.iter().position(|(key, _)| key.eq_ignore_ascii_case(name));
        self.remove(name);
        let before = self.lines.len();
        self.add(name, value);
        if let Some(place) = place
            && self.lines.len() > before
            && let Some(line) = self.lines.pop()
        {
            self.lines.insert(place.min(self.lines.len()), line);
        }
    }

    /// Removes every line of `name`; says whether there was one.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let Self { bytes, lines, garbage } = self;
        let before = lines.len();
        lines.retain(|line| {
            let start = line.start as usize;
            let same =
                bytes.get(start..start + line.name as usize).is_some_and(|key| key.eq_ignore_ascii_case(name.as_ref()));
            if same {
                *garbage += line.len();
            }
            !same
        });
        lines.len() != before
    }

    /// Removes everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        self.garbage = 0;
    }

    /// Length of [`Self::encode_pairs`]'s result.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        4 + self.lines.len() * 10 + self.byte_size()
    }

    /// Writes the ABI's encoding of pairs: count, sizes, then names and values, each closed by a zero byte.
    pub fn encode_pairs(&self, out: &mut Vec<u8>) {
        encode_pairs(self.iter(), out);
    }

    /// Reads the ABI's encoding of pairs as Envoy does: malformed bytes, more than 1,024 pairs or more than 1 MiB are an
    /// empty map.
    #[must_use]
    pub fn decode_pairs(bytes: &[u8]) -> Self {
        decode(bytes).unwrap_or_default()
    }

    fn pair(&self, line: Line) -> (&[u8], &[u8]) {
        let start = line.start as usize;
        let middle = start + line.name as usize;
        let end = middle + line.value as usize;
        (self.bytes.get(start..middle).unwrap_or_default(), self.bytes.get(middle..end).unwrap_or_default())
    }

    fn compact(&mut self) {
        let mut tidy = Self { bytes: Vec::with_capacity(self.byte_size() * 2), ..Self::default() };
        for (name, value) in self.iter() {
            tidy.add(name, value);
        }
        *self = tidy;
    }
}

/// Writes the ABI's encoding of `pairs`.
pub(crate) fn encode_pairs<'a>(pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone, out: &mut Vec<u8>) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    out.extend(number(pairs.len()));
    for (name, value) in pairs.clone() {
        out.extend(number(name.len()));
        out.extend(number(value.len()));
    }
    for (name, value) in pairs {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
}

fn decode(bytes: &[u8]) -> Option<HeaderMap> {
    const MAX_PAIRS: usize = 1024;
    const MAX_PAIRS_BYTES: usize = 1 << 20;
    if bytes.len() > MAX_PAIRS_BYTES {
        return None;
    }
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?) as usize);
    let count = number(0)?;
    if count > MAX_PAIRS {
        return None;
    }
    let mut map = HeaderMap::new();
    let mut at = 4 + count * 8;
    for index in 0..count {
        let name_len = number(4 + index * 8)?;
        let value_len = number(8 + index * 8)?;
        let name = bytes.get(at..at.checked_add(name_len)?)?;
        at += name_len + 1;
        let value = bytes.get(at..at.checked_add(value_len)?)?;
        at += value_len + 1;
        map.add(name, value);
    }
    // The last value's zero byte must be inside as well.
    (at <= bytes.len()).then_some(map)
}

impl fmt::Debug for HeaderMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii())))
            .finish()
    }
}

impl PartialEq for HeaderMap {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for HeaderMap {}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        let mut map = Self::new();
        map.extend(lines);
        map
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, V)> for HeaderMap {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, lines: I) {
        for (name, value) in lines {
            self.add(name, value);
        }
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>, const LEN: usize> From<[(N, V); LEN]> for HeaderMap {
    fn from(lines: [(N, V); LEN]) -> Self {
        lines.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
