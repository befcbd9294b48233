//! Signatures, with the probe's keys.

use proptest::prelude::*;

use super::*;

const RSA: [&[u8]; 2] =
    [include_bytes!("../../../probe/src/keys/rsa.pkcs8"), include_bytes!("../../../probe/src/keys/rsa.spki")];
const P256: [&[u8]; 2] =
    [include_bytes!("../../../probe/src/keys/p256.pkcs8"), include_bytes!("../../../probe/src/keys/p256.spki")];
const ED25519: [&[u8]; 2] =
    [include_bytes!("../../../probe/src/keys/ed25519.pkcs8"), include_bytes!("../../../probe/src/keys/ed25519.spki")];

fn to_sign(hash: &str, key: &[u8]) -> Vec<u8> {
    [field(1, hash.as_bytes()), field(2, key), field(3, b"text")].concat()
}

/// The signature, or the reason why there is none.
fn sign_with(hash: &str, key: &[u8]) -> Result<Vec<u8>, String> {
    let answer = sign(&to_sign(hash, key)).unwrap();
    let fields = Vec::from_iter(protobuf::fields(&answer).unwrap());
    match fields.as_slice() {
        [(1, Value::Number(1)), (2, Value::Bytes(signature))] => Ok(signature.to_vec()),
        [(3, Value::Bytes(error))] => Err(String::from_utf8(error.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn verify_with(hash: &str, key: &[u8], signature: &[u8], text: &[u8]) -> String {
    let message = [field(1, hash.as_bytes()), field(2, key), field(3, signature), field(4, text)].concat();
    verify(&message).unwrap().escape_ascii().to_string()
}

#[test]
fn what_one_signs_the_other_verifies() {
    for (pair, hashes) in [(RSA, ["sha256", "SHA384", "sha512"].as_slice()), (P256, &["sha256"])] {
        for hash in hashes {
            let signature = sign_with(hash, pair[0]).unwrap();
            assert_eq!(verify_with(hash, pair[1], &signature, b"text"), "\\x08\\x01");
            let failed = "\\x12&Failed to verify digest. Error code: 0";
            assert_eq!(verify_with(hash, pair[1], &signature, b"other"), failed);
            assert_eq!(verify_with(hash, pair[1], b"", b"text"), failed);
        }
    }
}

#[test]
fn reasons_are_envoys_as_far_as_it_would_fail() {
    let no_key = "Invalid key type: private key required for signing operation.";
    assert_eq!(sign_with("md5", b"nonsense").unwrap_err(), "md5 is not supported.");
    for key in [b"nonsense".as_slice(), RSA[1], &RSA[0][..100]] {
        assert_eq!(sign_with("sha256", key).unwrap_err(), no_key);
    }
    assert_eq!(
        sign_with("sha256", ED25519[0]).unwrap_err(),
        "Invalid private key: key data is corrupted or malformed."
    );
    assert_eq!(sign_with("sha1", RSA[0]).unwrap_err(), "sha1 with such a key is not supported by this host.");
    for key in [b"nonsense".as_slice(), RSA[0], ED25519[1]] {
        assert_eq!(verify_with("sha256", key, b"", b""), "\\x12#Failed to initialize digest verify.");
    }
    assert!(sign_with("sha256", &[RSA[0], b"more"].concat()).is_ok());
}

#[test]
fn a_key_is_given_in_one_way() {
    let hash = field(1, b"sha256");
    for message in
        [b"".as_slice(), b"\x0a", &hash, &[hash.clone(), field(2, RSA[0]), field(4, b"x")].concat(), &field(1, b"\xff")]
    {
        assert_eq!(sign(message), Err(Status::BadArgument));
    }
}

proptest! {
    #[test]
    fn no_key_is_too_odd(at in 0_usize..1218, byte in 0_u8.., cut in 0_usize..1218) {
        for pair in [RSA, P256, ED25519] {
            for key in pair {
                let mut key = key.to_vec();
                let at = at % key.len();
                key[at] = byte;
                key.truncate(cut.max(1));
                let _ = sign(&to_sign("sha256", &key));
                let _ = verify_with("sha256", &key, b"signature", b"text");
            }
        }
    }
}
