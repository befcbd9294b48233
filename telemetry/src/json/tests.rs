use proptest::prelude::*;

use super::*;

mod numbers;
mod oracle;

/// What is at the pointers of a document that is read in one piece, and, byte by byte, is the same.
fn read(pointers: &[&str], json: &[u8]) -> (Document, Vec<String>) {
    let pointers = Pointers::compile(pointers).unwrap();
    let mut reader = Reader::new();
    let whole = read_with(&mut reader, &pointers, &[json]);
    let bytes: Vec<&[u8]> = json.chunks(1).collect();
    assert_eq!(read_with(&mut reader, &pointers, &bytes), whole, "{}", json.escape_ascii());
    whole
}

fn read_with(reader: &mut Reader, pointers: &Pointers, pieces: &[&[u8]]) -> (Document, Vec<String>) {
    reader.reset(pointers);
    for piece in pieces {
        reader.feed(pointers, piece);
    }
    let document = reader.finish();
    assert_eq!(reader.finish(), document);
    let show = |index| reader.value(pointers, index).map_or_else(|| "-".to_owned(), |value| format!("{value:?}"));
    (document, (0..pointers.len()).map(show).collect())
}

fn check(pointer: &str, json: &str, expected: &str) {
    assert_eq!(
        read(&[pointer], json.as_bytes()),
        (Document::Complete, vec![expected.to_owned()]),
        "{pointer} in {json}"
    );
}

fn ends(json: impl AsRef<[u8]>, expected: Document) {
    let json = json.as_ref();
    assert_eq!(read(&["", "/a"], json).0, expected, "{}", json.escape_ascii());
}

#[test]
fn values_of_each_type_are_found() {
    check("/a", r#"{"a":"b"}"#, r#"Text("b")"#);
    check("/a", r#"{"a":""}"#, r#"Text("")"#);
    check("/a", r#" { "b" : [ { "a" : 1 } ] , "a" : -1.50E+2 } "#, r#"Number("-1.50E+2")"#);
    check("/a", r#"{"a":true}"#, "Bool(true)");
    check("/a", r#"{"a":false}"#, "Bool(false)");
    check("/a", r#"{"a":null}"#, "Null");
    check("/a", r#"{"a":{}}"#, "Items(0)");
    check("/a", r#"{"a":{"b":1,"c":{"d":[]}}}"#, "Items(2)");
    check("/a", r#"{"a":[1,[2,3],{"a":4}]}"#, "Items(3)");
    check("/a", r#"{"b":{"a":1}}"#, "-");
    check("/a", r#"[{"a":1}]"#, "-");
    check("/a/b", r#"{"a":"b"}"#, "-");
}

#[test]
fn the_empty_pointer_is_the_whole_document() {
    check("", "12", r#"Number("12")"#);
    check("", " \"a\"\n", r#"Text("a")"#);
    check("", "[1,2]", "Items(2)");
    check("", "null", "Null");
}

#[test]
fn the_example_of_the_rfc() {
    let document = br#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    let pointers =
        ["", "/foo", "/foo/0", "/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", "/k\"l", "/ ", "/m~0n", "/m~01n"];
    let (outcome, values) = read(&pointers, document);
    assert_eq!(outcome, Document::Complete);
    let numbers = (0..9).map(|number| format!("Number(\"{number}\")"));
    let expected = ["Items(10)", "Items(2)", "Text(\"bar\")"].map(str::to_owned).into_iter().chain(numbers);
    assert_eq!(values, expected.chain(["-".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn indices_are_of_arrays_and_names_of_objects() {
    check("/1", "[1,2,3]", r#"Number("2")"#);
    check("/3", "[1,2,3]", "-");
    check("/01", "[1,2,3]", "-");
    check("/-", "[1,2,3]", "-");
    check("/1", r#"{"0":1,"1":2}"#, r#"Number("2")"#);
    check("/01", r#"{"01":2}"#, r#"Number("2")"#);
    check("/11/0", "[0,1,2,3,4,5,6,7,8,9,10,[11]]", r#"Number("11")"#);
    check("/99999999999999999999", "[1]", "-");
    let (_, values) = read(&["/10", "/9", "/2", "/0"], b"[0,1,2,3,4,5,6,7,8,9,10]");
    assert_eq!(values, ["Number(\"10\")", "Number(\"9\")", "Number(\"2\")", "Number(\"0\")"]);
}

#[test]
fn the_last_of_a_name_counts() {
    check("/a", r#"{"a":1,"a":2}"#, r#"Number("2")"#);
    check("/a", r#"{"a":1,"b":0,"\u0061":[]}"#, "Items(0)");
    check("/a/b", r#"{"a":{"b":1},"a":{"c":2}}"#, "-");
    check("/a/b", r#"{"a":{"b":1},"a":2}"#, "-");
    check("/a/b", r#"{"a":{"b":1},"a":{"b":3,"b":2},"b":4}"#, r#"Number("2")"#);
    check("/a/0", r#"{"a":[1],"a":{}}"#, "-");
    check("/a/b/c", r#"{"a":{"b":{"c":1}},"a":{"b":{}}}"#, "-");
    check("/a/b/c", r#"{"a":{"b":{"c":1}},"a":{}}"#, "-");
    check("", r#"{"a":1,"a":2}"#, "Items(2)");
}

#[test]
fn names_are_compared_whole() {
    let long = "n".repeat(1000);
    check(&format!("/{long}"), &format!(r#"{{"{long}":1}}"#), r#"Number("1")"#);
    check(&format!("/{long}"), &format!(r#"{{"{long}n":1}}"#), "-");
    check(&format!("/{long}"), &format!(r#"{{"{}":1}}"#, "n".repeat(999)), "-");
    let (_, values) = read(&["/ab", "/a", "/abc", "/b", "/é"], r#"{"abc":1,"a":2,"ab":3,"\u00e9":4,"":5}"#.as_bytes());
    assert_eq!(values, ["Number(\"3\")", "Number(\"2\")", "Number(\"1\")", "-", "Number(\"4\")"]);
}

#[test]
fn escapes_are_resolved() {
    check("/a", r#"{"a":"\"\\\/\b\f\n\r\t"}"#, r#"Text("\"\\/\u{8}\u{c}\n\r\t")"#);
    check("/a", r#"{"a":"\u0041\u00e9\u20AC\ud83d\ude00\u0000"}"#, r#"Text("Aé€😀\0")"#);
}

#[test]
fn half_a_surrogate_pair_is_a_replacement_character() {
    for (json, expected) in [
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ude00""#, "\u{fffd}"),
        (r#""\ud83dx""#, "\u{fffd}x"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
    ] {
        check("", json, &format!("{:?}", Value::Text(expected)));
    }
    check("/\u{fffd}", r#"{"\ud800":1}"#, r#"Number("1")"#);
}

#[test]
fn what_is_not_utf_8_is_replaced_where_it_is_kept() {
    let (document, values) = read(&["/a"], b"{\"a\":\"x\xff\xe2\x82y\xf0\x9f\",\"\xff\":\"\xff\"}");
    assert_eq!(document, Document::Complete);
    assert_eq!(values, [format!("{:?}", Value::Text("x\u{fffd}\u{fffd}y\u{fffd}"))]);
    ends(b"\xff", Document::Malformed);
    ends(b"[1,\xff]", Document::Malformed);
}

#[test]
fn what_is_kept_has_a_bound() {
    check("", &format!("\"{}\"", "x".repeat(256)), &format!("{:?}", Value::Text(&"x".repeat(256))));
    check("", &format!("\"{}\"", "x".repeat(257)), "TooLong");
    check("", &format!("\"{}\"", "\\u20ac".repeat(85)), &format!("{:?}", Value::Text(&"€".repeat(85))));
    check("", &format!("\"{}\"", "\\u20ac".repeat(86)), "TooLong");
    check("", &"1".repeat(64), &format!("{:?}", Value::Number(&"1".repeat(64))));
    check("", &"1".repeat(65), "TooLong");
    check("", &"1".repeat(1000), "TooLong");
    let mut invalid = vec![0xff; 87];
    invalid.insert(0, b'"');
    invalid.push(b'"');
    assert_eq!(read(&[""], &invalid).1, ["TooLong"]);
}

#[test]
fn the_depth_has_a_bound() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    ends(nested(64), Document::Complete);
    ends(nested(65), Document::TooDeep);
    ends("[".repeat(1_000_000), Document::TooDeep);
    ends(format!("{}1{}", "{\"a\":".repeat(64), "}".repeat(64)), Document::Complete);
    ends("{\"a\":".repeat(65), Document::TooDeep);
    check(&"/0".repeat(64), &format!("{}7{}", "[".repeat(64), "]".repeat(64)), r#"Number("7")"#);
    assert_eq!(
        read(&["/a"], format!("{{\"a\":1,\"b\":{}, nothing of this is looked at", nested(64)).as_bytes()),
        (Document::TooDeep, vec![r#"Number("1")"#.to_owned()])
    );
}

#[test]
fn a_document_is_complete_incomplete_or_malformed() {
    for complete in [
        "0",
        "-0",
        "0.0",
        "1e5",
        "1E-05",
        "1e999",
        "[]",
        "{}",
        "\"\"",
        "\t\r\n true \n",
        r#"{"":{"":""}}"#,
        "\"\u{7f}\"",
    ] {
        ends(complete, Document::Complete);
    }
    for incomplete in [
        "",
        " ",
        "-",
        "1.",
        "1e",
        "1e+",
        "t",
        "nul",
        "[",
        "[1",
        "[1,",
        "{",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "\"",
        "\"\\",
        "\"\\u",
        "\"\\u00",
        "\"\\ud800",
    ] {
        ends(incomplete, Document::Incomplete);
    }
    for malformed in [
        "\u{feff}{}",
        "01",
        "-a",
        "+1",
        ".5",
        "1.e1",
        "1e1.0",
        "0x1",
        "1a",
        "NaN",
        "Infinity",
        "nulL",
        "True",
        "truee",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{]",
        "{1:2}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{\"a\":1]",
        "{a:1}",
        "{'a':1}",
        "\"\n\"",
        "\"\0\"",
        "\"\\x\"",
        "\"\\u00g0\"",
        "\"\\u{41}\"",
        "1 2",
        "{}{}",
        "[] x",
        "]",
        ":",
        ",",
        "//",
        "[1/**/]",
        "--1",
        "\u{a0}1",
    ] {
        ends(malformed, Document::Malformed);
    }
}

#[test]
fn nothing_after_an_error_is_looked_at() {
    let (document, values) = read(&["/a", "/b"], br#"{"a":1,x"b":2}"#);
    assert_eq!((document, values), (Document::Malformed, vec![r#"Number("1")"#.to_owned(), "-".to_owned()]));
}

#[test]
fn what_has_not_ended_is_not_there() {
    assert_eq!(read(&["/a"], br#"{"a":"abc"#).1, ["-"]);
    assert_eq!(read(&["/a"], br#"{"a":tru"#).1, ["-"]);
    assert_eq!(read(&["/a"], br#"{"a":12"#).1, ["-"]);
    assert_eq!(read(&["/a"], br#"{"a":[1,2"#).1, ["-"]);
    assert_eq!(read(&["/a"], br#"{"a":1,"a":"#).1, [r#"Number("1")"#]);
}

#[test]
fn a_reader_remembers_nothing_of_the_last_document() {
    let (few, many) = (Pointers::compile(&["/a"]).unwrap(), Pointers::compile(&["", "/a", "/a/b", "/c"]).unwrap());
    let mut reader = Reader::new();
    for _ in 0..3 {
        assert_eq!(read_with(&mut reader, &many, &[br#"{"a":{"b":1},"c":2}"#]).1.len(), 4);
        assert_eq!(read_with(&mut reader, &many, &[b"[[[\"x"]).1, ["-"; 4]);
        assert_eq!(read_with(&mut reader, &many, &[b""]).1, ["-"; 4]);
        assert_eq!(read_with(&mut reader, &many, &[br#"{"a":{}}"#]).1, ["Items(1)", "Items(0)", "-", "-"]);
        assert_eq!(read_with(&mut reader, &few, &[br#"{"c":1}"#]).1, ["-"]);
    }
}

#[test]
fn a_pointer_may_be_there_twice() {
    assert_eq!(read(&["/a", "/a"], br#"{"a":true}"#).1, ["Bool(true)"; 2]);
    assert_eq!(read(&[], b"[1]"), (Document::Complete, vec![]));
}

#[test]
fn a_reader_with_other_pointers_does_no_harm() {
    let (few, many) = (Pointers::compile(&["/a"]).unwrap(), Pointers::compile(&["/a/b/c", "/0/1", "/c/d/e"]).unwrap());
    let mut reader = Reader::new();
    reader.reset(&few);
    for piece in ["{\"a\":{\"b", "\":{\"c\":[1,", "2]}},\"c\":{}}"] {
        reader.feed(&many, piece.as_bytes());
        let _ = (reader.value(&many, 0), reader.value(&many, 9), reader.value(&few, 0));
    }
    assert_eq!(reader.finish(), Document::Complete);
}

#[test]
fn a_mistake_in_a_pointer_is_named_with_its_cure() {
    let fails = |pointers: &[&str], index: usize, message: &str| {
        assert_eq!(Pointers::compile(pointers), Err(PointerError { index, message: message.to_owned() }));
    };
    fails(&["/a", "b/c"], 1, "`b/c` does not begin with `/`; write `/b/c`, or nothing for the whole document");
    for wrong in ["/~", "/a~2", "/~0~"] {
        let message =
            format!("in `{wrong}` a `~` is followed by neither `0` nor `1`; write `~0` for `~` and `~1` for `/`");
        fails(&[wrong], 0, &message);
    }
    let deep = "/a".repeat(65);
    fails(&[&deep], 0, &format!("`{deep}` is 65 levels deep; documents are read down to 64, so name a place above"));
    fails(&[&"/".repeat(1025)], 0, "a pointer of 1025 bytes is too long; use at most 1024");
    fails(&["/a"; 1025], 1024, "1025 pointers are too many; declare at most 1024");
    assert_eq!(Pointers::compile(&["/a"; 1024]).map(|pointers| pointers.len()), Ok(1024));
}

/// Many names again, with many pointers beneath: the work is that of the bytes, not of bytes times pointers.
#[test]
fn the_work_is_linear() {
    let pointers: Vec<String> = (0..1024).map(|index| format!("/a/{index}")).collect();
    let pointers = Pointers::compile(&pointers).unwrap();
    let mut reader = Reader::new();
    reader.reset(&pointers);
    reader.feed(&pointers, b"{\"a\":[0");
    let again = b"],\"a\":[0".repeat(200_000);
    reader.feed(&pointers, &again);
    reader.feed(&pointers, b",1]}");
    assert_eq!(reader.finish(), Document::Complete);
    assert_eq!(reader.value(&pointers, 1), Some(Value::Number("1")));
    assert_eq!(reader.value(&pointers, 2), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&["", "/a", "/0", "/a/b"], &bytes);
    }
}
