//! Keys as Envoy takes them: SubjectPublicKeyInfo and PKCS #8, as they are or as text; private ones as text also in the older
//! forms that name their algorithm.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::signature::RsaKeyPair;

/// A key that signs.
#[derive(Debug)]
pub(super) enum PrivateKey {
    Rsa(Box<RsaKeyPair>),
    /// PKCS #8 of a key on some curve.
    Ec(Vec<u8>),
    /// A key that does not sign in this way.
    Other,
}

/// A key that verifies, as ring takes it.
#[derive(Debug)]
pub(super) enum PublicKey {
    Rsa(Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    /// A key that does not verify in this way.
    Other,
}

// Object identifiers, encoded.
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x2b\x81\x04\x00\x22";
const ED25519: &[u8] = b"\x2b\x65\x70";
const X25519: &[u8] = b"\x2b\x65\x6e";

// Tags.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

impl PrivateKey {
    /// PKCS #8; what follows it is not looked at.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let mut rest = der;
        let whole = whole(&mut rest, SEQUENCE)?;
        let mut fields = value(&mut &*whole, SEQUENCE)?;
        value(&mut fields, INTEGER)?;
        let mut algorithm = value(&mut fields, SEQUENCE)?;
        let identifier = value(&mut algorithm, OBJECT_IDENTIFIER)?;
        let key = value(&mut fields, OCTET_STRING)?;
        match identifier {
            RSA => Self::rsa(key),
            EC => Some(Self::Ec(whole.to_vec())),
            ED25519 | X25519 => Some(Self::Other),
            _ => None,
        }
    }

    /// The first key in a text.
    pub(super) fn from_pem(text: &str) -> Option<Self> {
        let (label, der) = blocks(text).find(|(label, _)| matches!(*label, "PRIVATE KEY" | "RSA PRIVATE KEY"))?;
        let der = der?;
        let older = if label == "RSA PRIVATE KEY" { Self::rsa(whole(&mut der.as_slice(), SEQUENCE)?) } else { None };
        older.or_else(|| Self::from_der(&der))
    }

    fn rsa(der: &[u8]) -> Option<Self> {
        RsaKeyPair::from_der(der).ok().map(|pair| Self::Rsa(Box::new(pair)))
    }
}

impl PublicKey {
    /// SubjectPublicKeyInfo; what follows it is not looked at.
    pub(super) fn from_der(mut der: &[u8]) -> Option<Self> {
        let mut fields = value(&mut der, SEQUENCE)?;
        let mut algorithm = value(&mut fields, SEQUENCE)?;
        let identifier = value(&mut algorithm, OBJECT_IDENTIFIER)?;
        // Before the key stands how many bits of its last byte are none.
        let key = value(&mut fields, BIT_STRING)?.strip_prefix(b"\0")?.to_vec();
        match identifier {
            RSA => Some(Self::Rsa(key)),
            EC => match value(&mut algorithm, OBJECT_IDENTIFIER)? {
                P256 => Some(Self::P256(key)),
                P384 => Some(Self::P384(key)),
                _ => None,
            },
            ED25519 | X25519 => Some(Self::Other),
            _ => None,
        }
    }

    /// The first key in a text.
    pub(super) fn from_pem(text: &str) -> Option<Self> {
        Self::from_der(&blocks(text).find(|(label, _)| *label == "PUBLIC KEY")?.1?)
    }
}

/// The labels of a text's blocks, with what is in them where that can be read.
fn blocks(text: &str) -> impl Iterator<Item = (&str, Option<Vec<u8>>)> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let label = lines.find_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
        let mut inner = String::new();
        loop {
            let line = lines.next()?.trim_end();
            if let Some(end) = line.strip_prefix("-----END ") {
                let whole = end.strip_suffix("-----") == Some(label);
                return Some((label, BASE64.decode(&inner).ok().filter(|_| whole)));
            }
            inner.push_str(line);
        }
    })
}

/// The next element of DER if it has this tag: its content.
fn value<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (_, rest) = der.split_first().filter(|(first, _)| **first == tag)?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(byte, rest)| (usize::from(*byte), rest))?,
        0x82 => rest.split_first_chunk().map(|(bytes, rest)| (usize::from(u16::from_be_bytes(*bytes)), rest))?,
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some(content)
}

/// The same with its tag and its length.
fn whole<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let before = *der;
    value(der, tag)?;
    before.get(..before.len().saturating_sub(der.len()))
}
