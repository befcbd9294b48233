//! The least that a Wasm filter doing this job can cost: no SDK, no allocation, no routes, no checks.
//!
//! Whatever a filter does for its endpoints, metrics and IDs, it reads the request's headers, tells the time, sets what
//! it found and reads the status. This one does that and nothing besides, so what another costs on top is its own
//! doing. The first bytes of the plugin's configuration say how much ([`Mode`]). Each callback's hostcalls:
//!
//! | callback | `default` | `lean` |
//! |---|---|---|
//! | request headers | header map, clock, set header, 2 × set property | header map, set property |
//! | response headers | set header | none |
//! | log | `:status`, clock | `:status` |
//! | tick | increment each count that changed | the same |
//!
//! A VM serves one mode: a plugin that would share it with another mode is refused, for which a `vm_id` of its own is
//! the cure.
//!
//! Natively only what makes no hostcall is compiled.

#[cfg(target_family = "wasm")]
mod exports;
#[cfg(target_family = "wasm")]
mod host;
#[cfg(target_family = "wasm")]
mod vm;

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Makes an ID for each request, sets it on request and response, and takes the time.
    Default,
    /// The proxy makes IDs, echoes them and takes the time.
    Lean,
}

impl Mode {
    /// The mode that a configuration begins with.
    pub fn parse(configuration: &[u8]) -> Option<Self> {
        if configuration.starts_with(b"default") {
            Some(Self::Default)
        } else if configuration.starts_with(b"lean") {
            Some(Self::Lean)
        } else {
            None
        }
    }
}

/// The text of an ID.
pub type Id = [u8; 32];

/// A source of IDs: xorshift, which is quick and can be guessed.
#[derive(Debug)]
pub struct Ids {
    state: u64,
}

impl Ids {
    /// A source that begins at `seed`.
    pub const fn new(seed: u64) -> Self {
        // From 0 it would never leave 0.
        Self { state: seed | 1 }
    }

    fn draw(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// The next ID, 32 hexadecimal digits.
    pub fn next_id(&mut self) -> Id {
        let bits = u128::from(self.draw()) << 64 | u128::from(self.draw());
        let mut id = [0; 32];
        for (pair, byte) in id.as_chunks_mut().0.iter_mut().zip(bits.to_le_bytes()) {
            *pair = [digit(byte >> 4), digit(byte & 0xf)];
        }
        id
    }
}

/// A hexadecimal digit.
fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}

/// How many classes of status there are: [`class`] is below it.
pub const CLASSES: usize = 6;

/// The class of a status, told from its first digit: 1 to 5, or 0 where there is none.
pub fn class(first: Option<u8>) -> usize {
    match first {
        Some(digit @ b'1'..=b'5') => usize::from(digit - b'0'),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_begins_with_its_mode() {
        assert_eq!(Mode::parse(b"default"), Some(Mode::Default));
        assert_eq!(Mode::parse(b"lean\n"), Some(Mode::Lean));
        assert_eq!(Mode::parse(b""), None);
        assert_eq!(Mode::parse(b"other"), None);
    }

    #[test]
    fn ids_are_hexadecimal_and_differ() {
        let mut ids = Ids::new(0);
        let seen: std::collections::HashSet<Id> = (0..1000).map(|_| ids.next_id()).collect();
        assert_eq!(seen.len(), 1000);
        assert!(seen.iter().flatten().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
    }

    #[test]
    fn a_status_has_a_class() {
        assert_eq!(class(Some(b'2')), 2);
        assert_eq!(class(Some(b'5')), 5);
        for not_one in [None, Some(b'0'), Some(b'6'), Some(b'x')] {
            assert_eq!(class(not_one), 0);
        }
    }
}
