//! Signatures: made and verified by the host, with keys of the probe's own.

use crate::foreign::call;
use crate::host::{Arg, Place, Written};
use crate::protobuf::field;
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] =
    &[("signatures", signatures), ("signatures-hashes", hashes), ("signatures-keys", keys), ("signatures-odd", odd)];

/// A key pair, as PKCS #8 and as SubjectPublicKeyInfo.
struct Pair {
    name: &'static str,
    private: &'static [u8],
    public: &'static [u8],
}

const RSA: Pair =
    Pair { name: "RSA", private: include_bytes!("keys/rsa.pkcs8"), public: include_bytes!("keys/rsa.spki") };
const P256: Pair =
    Pair { name: "P-256", private: include_bytes!("keys/p256.pkcs8"), public: include_bytes!("keys/p256.spki") };
const ED25519: Pair = Pair {
    name: "Ed25519",
    private: include_bytes!("keys/ed25519.pkcs8"),
    public: include_bytes!("keys/ed25519.spki"),
};

/// A key as text.
fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let mut bytes = [0; 4];
            for (to, from) in bytes[1..].iter_mut().zip(three) {
                *to = *from;
            }
            let bits = u32::from_be_bytes(bytes);
            for place in 0..4 {
                let digit = usize::try_from(bits >> (18 - 6 * place) & 63).ok().and_then(|digit| DIGITS.get(digit));
                text.push(digit.filter(|_| place <= three.len()).map_or('=', |digit| char::from(*digit)));
            }
        }
        text.push('\n');
    }
    text += &format!("-----END {label}-----\n");
    text.into_bytes()
}

/// The key's field in a message.
#[derive(Clone, Copy)]
enum Form {
    Der,
    Pem,
}

fn sign(turn: &Turn<'_>, hash: &str, key: &[u8], form: Form, text: &[u8]) -> Option<Vec<u8>> {
    let key = field(if matches!(form, Form::Der) { 2 } else { 4 }, key);
    answer(turn, "sign", &[field(1, hash.as_bytes()), key, field(3, text)].concat())
}

fn verify(turn: &Turn<'_>, hash: &str, key: &[u8], form: Form, [signature, text]: [&[u8]; 2]) {
    let key = field(if matches!(form, Form::Der) { 2 } else { 5 }, key);
    answer(turn, "verify_signature", &[field(1, hash.as_bytes()), key, field(3, signature), field(4, text)].concat());
}

/// Calls a function; what is random in the answer is not told.
fn answer(turn: &Turn<'_>, name: &str, message: &[u8]) -> Option<Vec<u8>> {
    let received = crate::host::call_foreign_function(Arg::from(name), Arg::from(message), Place::Here);
    let Written::Bytes(bytes) = &received.written else {
        turn.say(format_args!("{name}"), &received);
        return None;
    };
    let signature = signature_in(bytes);
    match &signature {
        Some(signature) if signature.len() < 100 => {
            turn.say(format_args!("{name}"), format_args!("{}, a signature", received.status));
        }
        _ => turn.say(format_args!("{name}"), &received),
    }
    signature
}

/// The signature in an answer: its second field, after a truth.
fn signature_in(bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(b"\x08\x01\x12")?;
    let (length, rest) = match *rest {
        [low, high, ref rest @ ..] if low >= 0x80 => (usize::from(low & 0x7f) | usize::from(high) << 7, rest),
        [length, ref rest @ ..] => (usize::from(length), rest),
        [] => return None,
    };
    rest.get(..length).map(<[u8]>::to_vec)
}

/// Made and verified, and verified wrongly.
fn signatures(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    for pair in [RSA, P256, ED25519] {
        let name = pair.name;
        turn.say(format_args!("{name}"), "");
        let signature = sign(turn, "sha256", pair.private, Form::Der, b"text").unwrap_or_default();
        verify(turn, "sha256", pair.public, Form::Der, [&signature, b"text"]);
        verify(turn, "sha256", pair.public, Form::Der, [&signature, b"other text"]);
        verify(turn, "sha384", pair.public, Form::Der, [&signature, b"text"]);
        verify(turn, "sha256", pair.public, Form::Der, [b"nonsense", b"text"]);
        verify(turn, "sha256", pair.public, Form::Der, [b"", b""]);
        let (private, public) = (pem("PRIVATE KEY", pair.private), pem("PUBLIC KEY", pair.public));
        let signature = sign(turn, "sha256", &private, Form::Pem, b"").unwrap_or_default();
        verify(turn, "sha256", &public, Form::Pem, [&signature, b""]);
    }
    CONTINUE
}

/// Every hash function.
fn hashes(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    for hash in ["sha1", "sha224", "sha256", "sha384", "sha512", "SHA256", "sha-256", "md5", ""] {
        for pair in [RSA, P256] {
            turn.say(format_args!("{}, {hash}", pair.name), "");
            let signature = sign(turn, hash, pair.private, Form::Der, b"text").unwrap_or_default();
            verify(turn, hash, pair.public, Form::Der, [&signature, b"text"]);
        }
    }
    CONTINUE
}

/// Keys that are none.
fn keys(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    let cut = RSA.private.get(..100).unwrap_or_default();
    let more = [RSA.private, b"more"].concat();
    for key in [b"".as_slice(), b"nonsense", cut, &more, RSA.public, &pem("PRIVATE KEY", RSA.private)] {
        sign(turn, "sha256", key, Form::Der, b"text");
    }
    let [private, public] = [pem("PRIVATE KEY", RSA.private), pem("PUBLIC KEY", RSA.public)];
    let inner = RSA.private.get(26..).unwrap_or_default();
    let surrounded = [b"a line before\n", private.as_slice(), b"a line behind\n"].concat();
    for key in [
        b"".as_slice(),
        b"nonsense",
        RSA.private,
        &public,
        &pem("RSA PRIVATE KEY", inner),
        &pem("RSA PRIVATE KEY", RSA.private),
        &pem("NONSENSE", RSA.private),
        &surrounded,
    ] {
        sign(turn, "sha256", key, Form::Pem, b"text");
    }
    let signature = sign(turn, "sha256", RSA.private, Form::Der, b"text").unwrap_or_default();
    let more = [RSA.public, b"more"].concat();
    for key in [b"".as_slice(), b"nonsense", RSA.private, &more, &public] {
        verify(turn, "sha256", key, Form::Der, [&signature, b"text"]);
    }
    for key in [b"".as_slice(), b"nonsense", RSA.public, &private, &pem("RSA PUBLIC KEY", RSA.public)] {
        verify(turn, "sha256", key, Form::Pem, [&signature, b"text"]);
    }
    CONTINUE
}

/// Messages that are none, or say too much.
fn odd(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    let hash = field(1, b"sha256");
    let keys = [field(2, RSA.private), field(4, &pem("PRIVATE KEY", RSA.private))].concat();
    answer(turn, "sign", &[hash.as_slice(), &keys].concat());
    answer(turn, "sign", &[hash.as_slice(), &field(2, RSA.private), &field(9, b"more")].concat());
    answer(turn, "sign", &[field(1, b"\xff"), field(2, RSA.private)].concat());
    answer(turn, "sign", &[field(1, b"nope"), field(2, b"nonsense")].concat());
    let keys = [field(2, RSA.public), field(5, &pem("PUBLIC KEY", RSA.public))].concat();
    answer(turn, "verify_signature", &[hash.as_slice(), &keys].concat());
    answer(turn, "verify_signature", &[hash.as_slice(), &field(2, RSA.public)].concat());
    for name in ["sign", "verify_signature"] {
        for bad in [Arg::from(""), Arg::from("\x0a"), Arg::from("\x0a\x05ab"), Arg::from("\x08\x01"), Arg::Nowhere(9)] {
            call(turn, name, bad, Place::Here);
        }
        call(turn, name, Arg::from(&[hash.as_slice(), &field(2, RSA.public)].concat()), Place::Nowhere);
    }
    CONTINUE
}
