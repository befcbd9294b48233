//! The escapes in texts (RFC 8259, section 7), byte by byte.

/// What was read of an escape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Escapes {
    state: State,
    /// The first half of a surrogate pair, whose second half may come next.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    Backslash,
    /// The hexadecimal digits so far, and how many are missing.
    Hex {
        code: u16,
        missing: u8,
    },
}

/// What a byte means that is part of an escape, or ends the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// More has to come.
    Nothing,
    /// This character.
    Char(char),
    /// The end of the text.
    End,
    /// This must not be here.
    Malformed,
}

impl Escapes {
    /// Whether the next byte is part of an escape.
    #[inline]
    pub(super) fn is_inside(self) -> bool {
        self.state != State::Outside
    }

    /// Takes the lone first half of a surrogate pair, for which the caller writes U+FFFD. To be called before what is not an escape.
    #[inline]
    pub(super) fn take_lone(&mut self) -> bool {
        self.high.take().is_some()
    }

    /// Takes a byte of an escape, or one that a text does not contain as it is. Whether U+FFFD comes first, and what the byte means.
    #[inline]
    pub(super) fn special(&mut self, byte: u8) -> (bool, Meaning) {
        match self.state {
            State::Outside => match byte {
                b'\\' => {
                    self.state = State::Backslash;
                    (false, Meaning::Nothing)
                }
                b'"' => (self.take_lone(), Meaning::End),
                _ => (false, Meaning::Malformed),
            },
            State::Backslash if byte == b'u' => {
                self.state = State::Hex { code: 0, missing: 4 };
                (false, Meaning::Nothing)
            }
            State::Backslash => {
                self.state = State::Outside;
                let meaning = match byte {
                    b'"' | b'\\' | b'/' => Meaning::Char(char::from(byte)),
                    b'b' => Meaning::Char('\u{8}'),
                    b'f' => Meaning::Char('\u{c}'),
                    b'n' => Meaning::Char('\n'),
                    b'r' => Meaning::Char('\r'),
                    b't' => Meaning::Char('\t'),
                    _ => Meaning::Malformed,
                };
                (self.take_lone(), meaning)
            }
            State::Hex { code, missing } => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    b'a'..=b'f' => byte - b'a' + 10,
                    b'A'..=b'F' => byte - b'A' + 10,
                    _ => return (false, Meaning::Malformed),
                };
                let code = code << 4 | u16::from(digit);
                if missing > 1 {
                    self.state = State::Hex { code, missing: missing - 1 };
                    return (false, Meaning::Nothing);
                }
                self.state = State::Outside;
                self.unit(code)
            }
        }
    }

    /// Takes a unit of UTF-16.
    #[inline]
    fn unit(&mut self, unit: u16) -> (bool, Meaning) {
        let high = self.high.take();
        match unit {
            0xd800..=0xdbff => {
                self.high = Some(unit);
                (high.is_some(), Meaning::Nothing)
            }
            0xdc00..=0xdfff => {
                let code = high.map(|high| 0x1_0000 + ((u32::from(high) & 0x3ff) << 10 | u32::from(unit) & 0x3ff));
                (false, Meaning::Char(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)))
            }
            _ => (high.is_some(), Meaning::Char(char::from_u32(unit.into()).unwrap_or_default())),
        }
    }
}
