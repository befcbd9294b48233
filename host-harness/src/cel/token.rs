//! What an expression's text is made of.

/// The smallest part of a text that means something.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A whole number without its sign.
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    /// A name or a word of the language.
    Name(String),
    Symbol(&'static str),
}

/// The longer ones first.
const SYMBOLS: [&str; 23] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{",
];

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, behind)| behind);
            continue;
        }
        let Some(first) = rest.chars().next() else { return Some(tokens) };
        let token = if let Some((text, behind)) = quoted(rest) {
            rest = behind;
            text?
        } else if first.is_ascii_digit()
            || (first == '.' && rest.chars().nth(1).is_some_and(|next| next.is_ascii_digit()))
        {
            let (number, behind) = number(rest)?;
            rest = behind;
            number
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (name, behind) = split(rest, |char| char.is_ascii_alphanumeric() || char == '_');
            rest = behind;
            Token::Name(name.to_owned())
        } else {
            let symbol = SYMBOLS.into_iter().chain(["}"]).find(|symbol| rest.starts_with(symbol))?;
            rest = rest.strip_prefix(symbol)?;
            Token::Symbol(symbol)
        };
        tokens.push(token);
    }
}

/// The first characters that belong together, and what is behind them.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|char| !belongs(char)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn number(text: &str) -> Option<(Token, &str)> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let (digits, behind) = split(digits, |char| char.is_ascii_hexdigit());
        return whole(u64::from_str_radix(digits, 16).ok()?, behind);
    }
    let (before, mut behind) = split(text, |char| char.is_ascii_digit());
    let mut is_whole = true;
    if let Some(fraction) =
        behind.strip_prefix('.').filter(|fraction| fraction.starts_with(|char: char| char.is_ascii_digit()))
    {
        behind = split(fraction, |char| char.is_ascii_digit()).1;
        is_whole = false;
    }
    if let Some(exponent) = behind.strip_prefix(['e', 'E']) {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.starts_with(|char: char| char.is_ascii_digit()) {
            behind = split(digits, |char| char.is_ascii_digit()).1;
            is_whole = false;
        }
    }
    if is_whole {
        return whole(before.parse().ok()?, behind);
    }
    let number = text.strip_suffix(behind)?;
    Some((Token::Double(number.parse().ok()?), behind))
}

fn whole(number: u64, behind: &str) -> Option<(Token, &str)> {
    match behind.strip_prefix(['u', 'U']) {
        Some(behind) => Some((Token::Uint(number), behind)),
        None => Some((Token::Int(number), behind)),
    }
}

/// A text or bytes in quotes, if the rest begins with one: `None` in it where it does not end well.
fn quoted(text: &str) -> Option<(Option<Token>, &str)> {
    let body = text.trim_start_matches(['b', 'B', 'r', 'R']);
    let prefix = text.get(..text.len() - body.len())?;
    let (is_raw, is_bytes) = match prefix.to_ascii_lowercase().as_str() {
        "" => (false, false),
        "r" => (true, false),
        "b" => (false, true),
        "br" | "rb" => (true, true),
        _ => return None,
    };
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote))?;
    let mut rest = body.strip_prefix(quote)?;
    let mut bytes = Vec::new();
    loop {
        if let Some(behind) = rest.strip_prefix(quote) {
            let token = if is_bytes { Token::Bytes(bytes) } else { Token::Text(bytes) };
            return Some((Some(token), behind));
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return Some((None, "")),
            Some('\n' | '\r') if quote.len() == 1 => return Some((None, "")),
            Some('\\') if !is_raw => match escape(chars.as_str(), is_bytes, &mut bytes) {
                Some(behind) => rest = behind,
                None => return Some((None, "")),
            },
            Some(char) => {
                bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                rest = chars.as_str();
            }
        }
    }
}

/// What stands behind a backslash. In bytes a number is a byte, in texts a character.
fn escape<'a>(text: &'a str, is_bytes: bool, out: &mut Vec<u8>) -> Option<&'a str> {
    let mut chars = text.chars();
    let first = chars.next()?;
    let simple = match first {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '?' => b'?',
        '"' => b'"',
        '\'' => b'\'',
        '`' => b'`',
        _ => 0,
    };
    if simple != 0 {
        out.push(simple);
        return Some(chars.as_str());
    }
    let (digits, radix, skipped) = match first {
        'x' | 'X' => (2, 16, 1),
        'u' if !is_bytes => (4, 16, 1),
        'U' if !is_bytes => (8, 16, 1),
        '0'..='3' => (3, 8, 0),
        _ => return None,
    };
    let (number, behind) = text.get(skipped..)?.split_at_checked(digits)?;
    let number = u32::from_str_radix(number, radix).ok()?;
    if is_bytes {
        out.push(u8::try_from(number).ok()?);
    } else {
        out.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(behind)
}
