//! Any document and any pointers: whatever the pieces, the reader says what `serde_json` says.
//!
//! Input: a byte for the size of the pieces, pointers separated by line breaks, a NUL, then the document.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::json::number::as_scaled_u64;
use telemetry::json::{Document, Pointers, Reader, Value};

fuzz_target!(|input: &[u8]| {
    let Some((size, input)) = input.split_first() else { return };
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let Ok(declared) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let document = parts.next().unwrap_or_default();
    let declared: Vec<&str> = declared.split('\n').collect();
    let Ok(pointers) = Pointers::compile(&declared) else { return };

    let mut whole = Reader::new();
    whole.reset(&pointers);
    whole.feed(&pointers, document);
    let outcome = whole.finish();
    let mut pieces = Reader::new();
    pieces.reset(&pointers);
    for piece in document.chunks(usize::from(*size) + 1) {
        pieces.feed(&pointers, piece);
    }
    assert_eq!(pieces.finish(), outcome);

    let oracle = serde_json::from_slice::<serde_json::Value>(document).ok();
    if oracle.is_some() {
        assert!(matches!(outcome, Document::Complete | Document::TooDeep));
    }
    for (index, pointer) in declared.iter().enumerate() {
        let found = whole.value(&pointers, index);
        assert_eq!(pieces.value(&pointers, index), found);
        if let Some(Value::Number(text)) = found {
            let _ = as_scaled_u64(text, 1000);
        }
        let Some(oracle) = oracle.as_ref().filter(|_| outcome == Document::Complete) else { continue };
        match (found, oracle.pointer(pointer)) {
            (None, None) | (Some(Value::Null), Some(serde_json::Value::Null)) | (Some(Value::TooLong), Some(_)) => {}
            (Some(Value::Text(text)), Some(serde_json::Value::String(expected))) => assert_eq!(text, expected),
            (Some(Value::Bool(value)), Some(serde_json::Value::Bool(expected))) => assert_eq!(value, *expected),
            (Some(Value::Number(text)), Some(expected @ serde_json::Value::Number(_))) => {
                assert_eq!(serde_json::from_str::<serde_json::Value>(text).ok().as_ref(), Some(expected));
            }
            (Some(Value::Items(count)), Some(serde_json::Value::Array(items))) => {
                assert_eq!(count as usize, items.len())
            }
            // Names that come twice count twice.
            (Some(Value::Items(count)), Some(serde_json::Value::Object(map))) => assert!(count as usize >= map.len()),
            (found, expected) => panic!("{pointer}: {found:?}, not {expected:?}"),
        }
    }
});
