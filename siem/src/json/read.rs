//! Single members of a JSON object, without a tree: an answer's fields are few and known, and its depth is the receiver's choice.

/// The raw value of the first member of this name of an object. `None` if there is none, or if the text up to it is not an object. What follows
/// the member is not looked at.
pub(crate) fn member<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = blank(json).strip_prefix(b"{")?;
    loop {
        let (found, after) = string(blank(rest))?;
        let after = blank(after).strip_prefix(b":")?;
        let (value, after) = value(blank(after))?;
        // Names with an escape are none of those asked for.
        if found == name.as_bytes() {
            return Some(value);
        }
        rest = blank(after).strip_prefix(b",")?;
    }
}

/// A whole number, or one in a string: token endpoints have sent both.
pub(crate) fn as_u64(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// A string's text. `None` if it has characters beyond ASCII or control characters: nothing that is asked for has.
pub(crate) fn as_text(value: &[u8]) -> Option<String> {
    let (inside, _) = string(value)?;
    let mut text = String::new();
    let mut bytes = inside.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => match bytes.next()? {
                b'u' => {
                    let mut code = 0;
                    for _ in 0..4 {
                        code = code << 4 | char::from(bytes.next()?).to_digit(16)?;
                    }
                    u8::try_from(code).ok()?
                }
                byte @ (b'"' | b'\\' | b'/') => byte,
                _ => return None,
            },
            byte => byte,
        };
        if !(0x20..0x7f).contains(&byte) {
            return None;
        }
        text.push(byte.into());
    }
    Some(text)
}

fn blank(json: &[u8]) -> &[u8] {
    json.trim_ascii_start()
}

/// The inside of the string at the beginning, and what is after it.
fn string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = json.strip_prefix(b"\"")?;
    let mut is_escaped = false;
    for (at, byte) in inside.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some((inside.get(..at)?, inside.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// The value at the beginning, and what is after it. Brackets are counted, not matched: the receiver's JSON is not ours to judge.
fn value(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut depth = 0_usize;
    let mut rest = json;
    loop {
        let byte = *rest.first()?;
        match byte {
            b'"' => (_, rest) = string(rest)?,
            b'{' | b'[' => {
                depth += 1;
                rest = rest.get(1..)?;
            }
            b'}' | b']' | b',' if depth == 0 => break,
            b'}' | b']' => {
                depth -= 1;
                rest = rest.get(1..)?;
            }
            _ => rest = rest.get(1..)?,
        }
    }
    let (value, rest) = json.split_at_checked(json.len() - rest.len())?;
    Some((value.trim_ascii_end(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_member_is_found_at_the_top_alone() {
        let json = br#" { "a" : {"code": 1, "s": "}\"{"} , "b":[1,{"code":2}], "code" : 3 ,"t":"x" } "#;
        assert_eq!(member(json, "code"), Some(&b"3"[..]));
        assert_eq!(member(json, "t"), Some(&b"\"x\""[..]));
        assert_eq!(member(json, "s"), None);
        assert_eq!(member(member(json, "a").unwrap(), "code"), Some(&b"1"[..]));
        for json in ["", "{", "[]", "null", "{\"code\"", "{\"code\":", "{\"code\":1", "{code:1}", "{\"x\":\"}"] {
            assert_eq!(member(json.as_bytes(), "code"), None, "{json}");
        }
    }

    #[test]
    fn numbers_and_texts() {
        assert_eq!(as_u64(b"3599"), Some(3599));
        assert_eq!(as_u64(b"\"3599\""), Some(3599));
        for value in [&b"-1"[..], b"1.5", b"", b"\"\"", b"99999999999999999999", b"1e3", b"+1", b"null"] {
            assert_eq!(as_u64(value), None);
        }
        assert_eq!(as_text(br#""a\/b\u002Bc\"\\""#).as_deref(), Some("a/b+c\"\\"));
        for value in [r#""a\n""#, r#""a\u000a""#, r#""\u00e9""#, "\"é\"", "\"a", "a", r#""\u12""#, r#""\u+123""#] {
            assert_eq!(as_text(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn members_are_those_of_a_parser(entries in prop::collection::btree_map("[a-c]{1,2}", "\\PC{0,6}", 0..4), number: u64) {
            let mut object: serde_json::Map<String, Value> = entries.iter().map(|(name, value)| (name.clone(), json!([value, {"x": number}]))).collect();
            object.insert("last".to_owned(), json!(number));
            let text = Value::Object(object.clone()).to_string();
            for (name, value) in object {
                let raw = member(text.as_bytes(), &name).unwrap();
                prop_assert_eq!(serde_json::from_slice::<Value>(raw).unwrap(), value);
            }
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\u0a \n".to_vec()), 0..60)) {
            if let Some(value) = member(&bytes, "a") {
                let _ = (as_u64(value), as_text(value));
            }
        }
    }
}
