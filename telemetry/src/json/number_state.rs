//! The grammar of numbers (RFC 8259, section 6), byte by byte.

/// What was read of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberState {
    Minus,
    /// A whole part of `0`, after which there are no digits.
    Zero,
    Whole,
    Point,
    Fraction,
    /// `e` or `E`.
    E,
    /// Its sign.
    Sign,
    Exponent,
}

impl NumberState {
    /// After the first byte.
    #[inline]
    pub(super) fn first(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Whole),
            _ => None,
        }
    }

    /// After one byte more; `None` if that is not part of the number.
    #[inline]
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, _) => Self::first(byte).filter(|first| *first != Self::Minus),
            (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::E),
            (Self::E, b'+' | b'-') => Some(Self::Sign),
            (Self::E | Self::Sign | Self::Exponent, b'0'..=b'9') => Some(Self::Exponent),
            _ => None,
        }
    }

    /// Whether a number may end here.
    #[inline]
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }
}
