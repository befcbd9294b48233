//! The configuration's digest: the first 12 hexadecimal digits of the SHA-256 of its canonical JSON.
//!
//! SHA-256 (FIPS 180-4) is written out here because it is needed once a configuration and a crate for it would be a good
//! part of the module's size.

use std::fmt::{self, Write};

use serde_json::Number;

use super::tree::Tree;
use crate::decimal::shortest;

/// The digest of a parsed configuration.
pub(super) fn of(value: &Tree<'_>) -> String {
    let mut sha256 = Sha256::new();
    // Hashing does not fail.
    let _ = write_canonical(value, &mut sha256);
    let mut hex = String::new();
    for byte in sha256.finish().iter().take(6) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Keys sorted, no white space, whole numbers without a fraction: a `Struct` of the proxy's API carries every number as a
/// double, and must not change the digest.
fn write_canonical(value: &Tree<'_>, out: &mut impl Write) -> fmt::Result {
    match value {
        Tree::Null => out.write_str("null"),
        Tree::Bool(value) => write!(out, "{value}"),
        Tree::Number(number) => write_number(number, out),
        Tree::Text(text) => write_text(text, out),
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                out.write_char(if index == 0 { '[' } else { ',' })?;
                write_canonical(item, out)?;
            }
            out.write_str(if items.is_empty() { "[]" } else { "]" })
        }
        Tree::Object(entries) => {
            for (index, (name, item)) in entries.iter().enumerate() {
                out.write_char(if index == 0 { '{' } else { ',' })?;
                write_text(name, out)?;
                out.write_char(':')?;
                write_canonical(item, out)?;
            }
            out.write_str(if entries.is_empty() { "{}" } else { "}" })
        }
    }
}

/// With no escape but those that JSON asks for, and of these the short ones.
fn write_text(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\u{8}' => out.write_str("\\b")?,
            '\t' => out.write_str("\\t")?,
            '\n' => out.write_str("\\n")?,
            '\u{c}' => out.write_str("\\f")?,
            '\r' => out.write_str("\\r")?,
            '\0'..' ' => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

fn write_number(number: &Number, out: &mut impl Write) -> fmt::Result {
    match number.as_f64() {
        // Without an exponent and `.0`; whole numbers below 2^53 are the same either way.
        Some(float) if number.is_f64() => out.write_str(&shortest(float)),
        _ => write!(out, "{number}"),
    }
}

const ROUNDS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// A hash of what is written to it, in the room of one block.
pub(crate) struct Sha256 {
    state: [u32; 8],
    block: [u8; 64],
    bytes: u64,
}

impl Sha256 {
    pub(crate) const fn new() -> Self {
        let state =
            [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
        Self { state, block: [0; 64], bytes: 0 }
    }

    fn push(&mut self, byte: u8) {
        let at = (self.bytes % 64) as usize;
        if let Some(slot) = self.block.get_mut(at) {
            *slot = byte;
        }
        self.bytes = self.bytes.wrapping_add(1);
        if at == 63 {
            compress(&mut self.state, &self.block);
        }
    }

    pub(crate) fn finish(mut self) -> [u8; 32] {
        let bits = self.bytes.wrapping_mul(8);
        self.push(0x80);
        while self.bytes % 64 != 56 {
            self.push(0);
        }
        bits.to_be_bytes().into_iter().for_each(|byte| self.push(byte));
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

impl Write for Sha256 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

fn compress(state: &mut [u32; 8], block: &[u8]) {
    // The message schedule as a window of the last 16 words.
    let mut window = [0u32; 16];
    for (word, bytes) in window.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for round in ROUNDS {
        let word = window[0];
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t1 = h.wrapping_add(s1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(round).wrapping_add(word);
        let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
        let s0 = window[1].rotate_right(7) ^ window[1].rotate_right(18) ^ (window[1] >> 3);
        let s1 = window[14].rotate_right(17) ^ window[14].rotate_right(19) ^ (window[14] >> 10);
        let next = word.wrapping_add(s0).wrapping_add(window[9]).wrapping_add(s1);
        window.rotate_left(1);
        window[15] = next;
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::super::tree;
    use super::*;

    fn sha256(message: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        message.iter().for_each(|byte| hash.push(*byte));
        hash.finish()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn known_answers_of_fips_180() {
        assert_eq!(hex(&sha256(b"")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(
            hex(&sha256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        );
        assert_eq!(
            hex(&sha256(&vec![b'a'; 1_000_000])),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
    }

    #[test]
    fn every_padding_length_is_a_whole_number_of_blocks() {
        // SHA-256 over the digests of 0 to 200 letters `a`, computed with Python's hashlib.
        let all: String = (0..=200).map(|length| hex(&sha256(&vec![b'a'; length]))).collect();
        assert_eq!(hex(&sha256(all.as_bytes())), "eb555248bd20c7831e511d4461b42c9b084e3a64b44d57b00051172f8afe03ff");
    }

    fn canonical(tree: &Tree<'_>) -> String {
        let mut out = String::new();
        write_canonical(tree, &mut out).unwrap();
        out
    }

    #[test]
    fn the_canonical_form_is_sorted_compact_and_by_value() {
        let json = r#"{"b": [1.0, 2.5, 1e3, -0.01, []], "a": {"z": null, "y": "\u00e9\n\""}, "c": {}}"#;
        let tree = tree::read(json.as_bytes()).unwrap();
        assert_eq!(canonical(&tree), "{\"a\":{\"y\":\"é\\n\\\"\",\"z\":null},\"b\":[1,2.5,1000,-0.01,[]],\"c\":{}}");
    }

    #[test]
    fn an_empty_object_has_the_digest_of_two_braces() {
        assert_eq!(of(&Tree::empty()), "44136fa355b3");
    }

    /// The canonical form with the means of `serde_json` alone.
    fn plain(value: &Value) -> String {
        match value {
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => shortest(float),
                _ => number.to_string(),
            },
            Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(",")),
            Value::Object(fields) => {
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                let fields = sorted.iter().map(|(name, value)| format!("{}:{}", json!(name), plain(value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
            value => value.to_string(),
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\0- \"\\\\\x7f]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whichever way the value came.
        #[test]
        fn the_canonical_form_is_the_plain_one(value in values()) {
            let json = format!("{value:#}");
            // The last digit of a number may change on the way through text.
            let value: Value = serde_json::from_str(&json).unwrap();
            let (read, given) = (tree::read(json.as_bytes()).unwrap(), Tree::deserialize(&value).unwrap());
            prop_assert_eq!(canonical(&read), plain(&value));
            prop_assert_eq!(canonical(&given), plain(&value));
        }
    }
}
