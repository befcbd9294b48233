//! `sign` and `verify_signature`: RSA (PKCS #1) and ECDSA over the curves P-256 and P-384.
//!
//! Envoy also signs with SHA-1 and SHA-224, and with any hash on any curve. Here those are answered as failures that name the
//! reason.

mod keys;

use keys::{PrivateKey, PublicKey};
use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, RsaEncoding, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::abi::Status;
use crate::protobuf::{self, Value};

/// A hash function that Envoy knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "sha1" => Self::Sha1,
            "sha224" => Self::Sha224,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }
}

/// The arguments of either function.
#[derive(Debug, Default)]
struct Arguments<'a> {
    hash: &'a str,
    der: &'a [u8],
    pem: &'a str,
    signature: &'a [u8],
    text: &'a [u8],
}

impl<'a> Arguments<'a> {
    /// Reads a message in which these fields have these numbers: the key as text, the signature, what is signed.
    fn read(message: &'a [u8], [pem, signature, text]: [u64; 3]) -> Result<Self, Status> {
        let mut arguments = Self::default();
        for (number, value) in protobuf::fields(message).ok_or(Status::BadArgument)? {
            let Value::Bytes(bytes) = value else { continue };
            let utf8 = || std::str::from_utf8(bytes).map_err(|_| Status::BadArgument);
            match number {
                1 => arguments.hash = utf8()?,
                2 => arguments.der = bytes,
                number if number == pem => arguments.pem = utf8()?,
                number if number == signature => arguments.signature = bytes,
                number if number == text => arguments.text = bytes,
                _ => {}
            }
        }
        // The key is given in one way.
        if arguments.der.is_empty() == arguments.pem.is_empty() {
            return Err(Status::BadArgument);
        }
        Ok(arguments)
    }

    fn hash(&self) -> Result<Hash, String> {
        Hash::named(self.hash).ok_or_else(|| format!("{} is not supported.", self.hash))
    }

    fn not_here(&self) -> String {
        format!("{} with such a key is not supported by this host.", self.hash)
    }
}

/// Signs a text. The message has fields `hash_function` 1, `private_key` 2, `text` 3, `private_key_pem` 4.
pub(super) fn sign(message: &[u8]) -> Result<Vec<u8>, Status> {
    let arguments = Arguments::read(message, [4, 0, 3])?;
    Ok(match signed(&arguments) {
        Ok(signature) => [b"\x08\x01".as_slice(), &field(2, &signature)].concat(),
        Err(error) => field(3, error.as_bytes()),
    })
}

fn signed(arguments: &Arguments<'_>) -> Result<Vec<u8>, String> {
    let hash = arguments.hash()?;
    let key = if arguments.der.is_empty() {
        PrivateKey::from_pem(arguments.pem)
    } else {
        PrivateKey::from_der(arguments.der)
    };
    let random = SystemRandom::new();
    match key.ok_or("Invalid key type: private key required for signing operation.")? {
        PrivateKey::Other => Err("Invalid private key: key data is corrupted or malformed.".to_owned()),
        PrivateKey::Rsa(pair) => {
            let encoding: &dyn RsaEncoding = match hash {
                Hash::Sha256 => &signature::RSA_PKCS1_SHA256,
                Hash::Sha384 => &signature::RSA_PKCS1_SHA384,
                Hash::Sha512 => &signature::RSA_PKCS1_SHA512,
                Hash::Sha1 | Hash::Sha224 => return Err(arguments.not_here()),
            };
            let mut signature = vec![0; pair.public().modulus_len()];
            let signed = pair.sign(encoding, &random, arguments.text, &mut signature);
            signed.map(|()| signature).map_err(|_| "Failed to create signature.".to_owned())
        }
        PrivateKey::Ec(der) => {
            let algorithms: [(&EcdsaSigningAlgorithm, Hash); 2] = [
                (&signature::ECDSA_P256_SHA256_ASN1_SIGNING, Hash::Sha256),
                (&signature::ECDSA_P384_SHA384_ASN1_SIGNING, Hash::Sha384),
            ];
            let fitting = algorithms.into_iter().filter(|(_, of)| *of == hash);
            let pair =
                fitting.filter_map(|(algorithm, _)| EcdsaKeyPair::from_pkcs8(algorithm, &der, &random).ok()).next();
            let signature = pair.ok_or_else(|| arguments.not_here())?.sign(&random, arguments.text);
            signature.map(|bytes| bytes.as_ref().to_vec()).map_err(|_| "Failed to create signature.".to_owned())
        }
    }
}

/// Verifies a signature. The message has fields `hash_function` 1, `public_key` 2, `signature` 3, `text` 4, `public_key_pem` 5.
pub(super) fn verify(message: &[u8]) -> Result<Vec<u8>, Status> {
    let arguments = Arguments::read(message, [5, 3, 4])?;
    Ok(match verified(&arguments) {
        Ok(()) => b"\x08\x01".to_vec(),
        Err(error) => field(2, error.as_bytes()),
    })
}

fn verified(arguments: &Arguments<'_>) -> Result<(), String> {
    let hash = arguments.hash()?;
    let key =
        if arguments.der.is_empty() { PublicKey::from_pem(arguments.pem) } else { PublicKey::from_der(arguments.der) };
    let (algorithm, key): (&dyn VerificationAlgorithm, _) = match (key, hash) {
        (None | Some(PublicKey::Other), _) => return Err("Failed to initialize digest verify.".to_owned()),
        (Some(PublicKey::Rsa(key)), Hash::Sha1) => (&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key),
        (Some(PublicKey::Rsa(key)), Hash::Sha256) => (&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key),
        (Some(PublicKey::Rsa(key)), Hash::Sha384) => (&signature::RSA_PKCS1_2048_8192_SHA384, key),
        (Some(PublicKey::Rsa(key)), Hash::Sha512) => (&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, key),
        (Some(PublicKey::P256(key)), Hash::Sha256) => (&signature::ECDSA_P256_SHA256_ASN1, key),
        (Some(PublicKey::P256(key)), Hash::Sha384) => (&signature::ECDSA_P256_SHA384_ASN1, key),
        (Some(PublicKey::P384(key)), Hash::Sha256) => (&signature::ECDSA_P384_SHA256_ASN1, key),
        (Some(PublicKey::P384(key)), Hash::Sha384) => (&signature::ECDSA_P384_SHA384_ASN1, key),
        (Some(_), _) => return Err(arguments.not_here()),
    };
    let verified = UnparsedPublicKey::new(algorithm, key).verify(arguments.text, arguments.signature);
    verified.map_err(|_| "Failed to verify digest. Error code: 0".to_owned())
}

/// A field of a message, of bytes or text.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut message);
    message.extend_from_slice(bytes);
    message
}

#[cfg(test)]
mod tests;
