//! Label values inside stat names.
//!
//! The proxy finds labels by running regular expressions over the whole stat name, its own and Istio's among them, so a
//! value must not be able to end early, to look like another label, or to complete somebody else's expression. What could
//! is percent-encoded, and only that: ordinary templates, dots included, come out as they are.

/// Words after which Istio's extractors take a `.` for the start of a tag.
const BEFORE_DOT: [&[u8]; 5] = [b"cache", b"component", b"tag", b"wasm_filter", b"rbac"];

/// Words before which Istio's extractors take a `.` for the start of a tag.
const AFTER_DOT: [&[u8]; 2] = [b"istio_dry_run_", b"shadow_"];

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `value` to `out` so that no extractor can be fooled by it. Injective: [`unescape`] gives the value back.
///
/// Encoded as `%XX`: `;`, control bytes, DEL, non-ASCII bytes, `%` before two hex digits, and a `.` that stands first or
/// last, beside `=`, after `cache`, `component`, `tag`, `wasm_filter` or `rbac`, or before `istio_dry_run_` or `shadow_`.
pub fn escape(value: &str, out: &mut String) {
    let bytes = value.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let (before, rest) = bytes.split_at(at);
        let after = rest.get(1..).unwrap_or_default();
        let encode = match byte {
            b';' => true,
            b'%' => after.first().is_some_and(u8::is_ascii_hexdigit) && after.get(1).is_some_and(u8::is_ascii_hexdigit),
            b'.' => dot_is_unsafe(before, after),
            _ => byte.is_ascii_control() || !byte.is_ascii(),
        };
        if encode {
            out.push('%');
            for nibble in [byte >> 4, byte & 0xf] {
                out.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
            }
        } else {
            out.push(char::from(byte));
        }
    }
}

fn dot_is_unsafe(before: &[u8], after: &[u8]) -> bool {
    // Envoy drops leading and trailing dots of a value; `=.=` opens a label.
    let (Some(previous), Some(next)) = (before.last(), after.first()) else {
        return true;
    };
    *previous == b'='
        || *next == b'='
        || BEFORE_DOT.iter().any(|word| before.ends_with(word))
        || AFTER_DOT.iter().any(|word| after.starts_with(word))
}

/// The value that [`escape`] was given: `%XX` decoded, everything else as it is.
pub fn unescape(escaped: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let digit = |at: usize| {
            tail.get(at).and_then(|&digit| char::from(digit).to_digit(16)).and_then(|n| u8::try_from(n).ok())
        };
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => out.push(byte),
        }
    }
    out
}
