//! What expressions are, and what they are not.

use super::*;

/// A request's path, headers and size; nothing else.
struct Request;

impl Attributes for Request {
    fn find(&self, path: &[u8]) -> Option<Value> {
        match path {
            b"request" | b"request\0headers" | b"message" => Some(Value::Object(path.into())),
            b"message\0empty" => Some(Value::text("")),
            b"message\0full" => Some(Value::text("x")),
            b"request\0path" => Some(Value::text("/a/b?c=1")),
            b"request\0size" => Some(Value::Int(7)),
            b"request\0headers\0host" => Some(Value::text("api.test")),
            _ => None,
        }
    }

    fn list(&self, path: &[u8]) -> Option<HeaderMap> {
        (path == b"request\0headers").then(|| HeaderMap::from([("host", "api.test")]))
    }

    fn write(&self, path: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.list(path)?.encode_pairs(out);
        Some(())
    }

    fn is_message(&self, path: &[u8]) -> bool {
        path == b"message"
    }

    fn steps(&self) -> u64 {
        1
    }
}

fn value(text: &str) -> Result<Value, Failure> {
    Expression::parse(text).unwrap_or_else(|| panic!("{text}")).evaluate(&Request, &mut 100_000)
}

#[test]
fn expressions_that_are_true() {
    for text in [
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9",
        "7 / 2 == 3 && -7 / 2 == -3 && 7 % 4 == 3 && -7 % 4 == -3",
        "10 - 4 - 3 == 3",
        "1 == 1u && 1 == 1.0 && 1u < 1.5 && 2 > 1.5 && 9007199254740993 > 9007199254740992.0",
        "-9223372036854775808 < 0 && 0xff == 255 && 0xFFu == 255u && 1e3 == 1000.0 && .5 == 0.5",
        "!false && !!true && --1 == 1 && - 1 == 0-1",
        "true ? true : nope",
        "false || true || nope",
        "nope || true",
        "!(nope && false)",
        "'a' + \"b\" == 'ab' && 'a' < 'b' && 'a' != b'a' && 'x' != 1",
        r"'\n\x41\u00e9\101' == '\nAéA' && r'\n' == '\\n' && b'\xff' != b'\377\377' && '''a'b''' == 'a\'b'",
        "size('é') == 1 && b'é'.size() == 2 && size([1, 2,]) == 2 && {'a': 1}.size() == 1",
        "2 in [1, 2] && !('b' in {'a': 1}) && 1u in {1: 'x'}",
        "[1, 'a', [true]] == [1.0, 'a', [true]] && [1] + [2] == [1, 2] && {'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
        "[5, 6][1] == 6 && [5, 6][0u] == 5 && {'a': {'b': 3}}.a.b == 3 && {'a': 1}['a'] == 1",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "[1, 2].all(x, x > 0) && [1, 2].exists(x, x > 1) && [1, 2].exists_one(x, x > 1) && {'a': 1}.all(k, k == 'a')",
        "[1, 2, 3].filter(x, x != 2).map(x, x * 2) == [2, 6] && [1, 2].map(x, x > 1, x + 1) == [3]",
        "[1].all(x, [2].all(y, x < y)) && [[1]].map(x, x.map(x, x + 1)) == [[2]]",
        "[1, nope].exists(x, true) == true || true",
        "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.contains('b') && 'abc'.contains('') && !'abc'.contains('ac')",
        "'abc'.matches('^a.c$') && matches('abc', 'b') && !'abc'.matches('B')",
        "int('7') == 7 && int(' 7') == 7 && int(7.9) == 7 && uint(7) == 7u && double('1.5') == 1.5 && string(7) == '7' && bytes('a') == b'a'",
        "duration('1h30m') == duration('90m') && duration('-1.5s') < duration('0')",
        "timestamp('2023-01-01T00:00:10Z') - timestamp('2023-01-01T00:00:00Z') == duration('10s')",
        "int(timestamp('1970-01-01T00:01:00Z')) == 60 && timestamp(60) + duration('1s') > timestamp(60)",
        "request.path == '/a/b?c=1' && request['path'].startsWith('/a') && request.size * 2 == 14",
        "request.headers['host'] == 'api.test' && 'host' in request.headers && !('x' in request.headers)",
        "has(request.headers.host) && !has(request.headers.x) && !has(request.nope) && size(request.headers) == 1",
        "request.headers.exists(name, request.headers[name] == 'api.test')",
        "has(message.full) && !has(message.empty) && !has(message.nope) && message.empty == '' && size(request) == 0",
        "string(1.5) == '1.5' && string(1e30) == '1e+30' && string(0.1) == '0.1' && string(-2.0) == '-2' && string(123456789.0) == '1.23456789e+08'",
        "string(duration('90s')) == '90s' && string(duration('-1.5s')) == '-1.500s' && string(timestamp(0)) == '1970-01-01T00:00:00Z' && string(timestamp('2023-01-01T00:00:00.5Z')) == '2023-01-01T00:00:00.500Z'",
        "timestamp('2024-02-29T12:34:56.789Z').getFullYear() == 2024 && timestamp('2024-02-29T12:34:56.789Z').getMonth() == 1",
        "timestamp('2024-02-29T12:34:56.789Z').getDayOfYear() == 59 && timestamp('2024-02-29T12:34:56.789Z').getDayOfMonth() == 28",
        "timestamp('2024-02-29T12:34:56.789Z').getDate() == 29 && timestamp('2024-02-29T12:34:56.789Z').getDayOfWeek() == 4",
        "timestamp('2024-02-29T12:34:56.789Z').getHours() == 12 && timestamp('2024-02-29T12:34:56.789Z').getMilliseconds() == 789",
        "duration('90.5m').getHours() == 1 && duration('90.5m').getMinutes() == 90 && duration('1.5s').getMilliseconds() == 500",
        "size([,]) == 0 && size({,}) == 0 && contains('ab', 'b') && int(true) == 1",
        "null == null && null != false // nothing else",
        ".request.size == 7",
    ] {
        assert_eq!(value(text), Ok(Value::Bool(true)), "{text}");
    }
}

#[test]
fn texts_that_are_no_expressions() {
    for text in [
        "",
        " ",
        "1 +",
        "+ 1",
        "1 2",
        "(1",
        "1)",
        "[1",
        "{1}",
        "{1: }",
        "a b",
        "a.",
        "a.'b'",
        "a.1",
        "'a",
        "'a\nb'",
        "'''a''",
        "'\\q'",
        "'\\ud800'",
        "b'\\u0041'",
        "'\\400'",
        "1 = 1",
        "a ? b",
        "a & b",
        "a | b",
        "@",
        "#",
        "as",
        "a.in",
        "in",
        "1u2",
        "9223372036854775808",
        "18446744073709551616u",
        "0x",
        "nope(1)",
        "size()",
        "size(1, 2)",
        "a.nope()",
        "a.size(1)",
        "has(a)",
        "has(a['b'])",
        "[1].all(1, true)",
        "[1].all(x.y, true)",
        "[1].all(x)",
        "size(1,)",
        "A{}",
        "a.b{c: 1}",
    ] {
        assert!(Expression::parse(text).is_none(), "{text}");
    }
}

#[test]
fn expressions_without_a_value() {
    for text in [
        "nope",
        "request.nope",
        "request.headers['x']",
        "request.headers[1]",
        "request.path.deeper",
        "nope.nope",
        "1 / 0",
        "1 % 0",
        "1.0 % 1.0",
        "9223372036854775807 + 1",
        "-(-9223372036854775807 - 1)",
        "0u - 1u",
        "1 + 1u",
        "1 + 'a'",
        "-1u",
        "-'a'",
        "!1",
        "1 < 'a'",
        "1 ? 2 : 3",
        "1 && true",
        "false || 1",
        "nope && true",
        "[1][1]",
        "[1][-1]",
        "[1]['a']",
        "[1][0.5]",
        "{'a': 1}['b']",
        "{'a': 1, 'a': 2}",
        "{1.5: 1}",
        "1 in 1",
        "size(1)",
        "'a'.contains(1)",
        "'a'.matches('(')",
        "int('x')",
        "int(1e19)",
        "uint(-1)",
        "duration('1')",
        "duration('x')",
        "timestamp('x')",
        "[1].all(x, x)",
        "[1, 2].map(x, nope)",
        "1.all(x, true)",
        "request.all(x, true)",
        "message['full']",
        "duration('1s').getDate()",
        "1.5.getHours()",
        "has(nope.x)",
        "has(request.path.x)",
        "string([1])",
    ] {
        assert_eq!(value(text), Err(Failure::Error), "{text}");
    }
}

#[test]
fn values_are_written_as_properties_are() {
    let written = |text: &str| {
        let mut out = Vec::new();
        value(text).unwrap().write(&Request, &mut 1000, &mut out).map(|()| out)
    };
    for (text, expected) in [
        ("true", b"\x01".as_slice()),
        ("-2", b"\xfe\xff\xff\xff\xff\xff\xff\xff"),
        ("2u", b"\x02\0\0\0\0\0\0\0"),
        ("1.5", b"\0\0\0\0\0\0\xf8\x3f"),
        ("'text'", b"text"),
        ("b'\\xff'", b"\xff"),
        ("duration('1us')", b"\xe8\x03\0\0\0\0\0\0"),
        ("timestamp(0)", b"\0\0\0\0\0\0\0\0"),
        ("['a', true]", b"\x02\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0a\0\0\x01\0\0"),
        ("{'k': 'v'}", b"\x01\0\0\0\x01\0\0\0\x01\0\0\0k\0v\0"),
        ("request.headers", b"\x01\0\0\0\x04\0\0\0\x08\0\0\0host\0api.test\0"),
    ] {
        assert_eq!(written(text).as_deref(), Some(expected), "{text}");
    }
    assert_eq!(written("request"), None);
    assert_eq!(written("[request]"), None);
    assert_eq!(written("null"), None);
}

/// None of these may take long, or the stack.
#[test]
fn expressions_that_mean_harm() {
    for (first, second, third) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("1+", "1", ""),
        ("", "a", ".b"),
        ("", "a", "[1]"),
        ("a?b:", "1", ""),
    ] {
        let text = |times: usize| [&first.repeat(times), second, &third.repeat(times)].concat();
        let deep = text(245);
        // A module may have used up the rest of a thread's stack.
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
            let expression = Expression::parse(&deep).unwrap();
            let _ = expression.evaluate(&Request, &mut 100_000);
        });
        assert!(thread.unwrap().join().is_ok(), "{}", text(1));
        assert!(Expression::parse(&text(20_000)).is_none(), "{}", text(1));
    }
    // These are no deeper than one.
    for text in ["true && ".repeat(20_000) + "true", "!".repeat(20_000) + "true", "-".repeat(20_000) + "1"] {
        assert!(value(&text).is_ok());
    }
    let grows = |step: &str| format!("[[1, 1, 1, 1]]{}", step.repeat(40));
    for text in [
        grows(".map(a, [a, a])"),
        grows(".map(a, [a, a])") + " == " + &grows(".map(a, [a, a])"),
        format!("['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']{}", ".map(a, a + a)".repeat(100)),
        format!("[{}]", "1,".repeat(1000)) + &format!(".all(x, [{}].all(y, true))", "1,".repeat(1000)),
        format!("'{0}'.contains('{0}b')", "a".repeat(100_000)),
        "'a'.matches('((a{100}){100}){100}')".to_owned() + &" || 'a'.matches('(a{50}){50}b')".repeat(1000),
        format!("{{{}}} == {{}}", (0..2000).map(|number| format!("{number}: 1,")).collect::<String>()),
    ] {
        let began = std::time::Instant::now();
        let failure = Expression::parse(&text).unwrap().evaluate(&Request, &mut 100_000);
        assert_eq!(failure, Err(Failure::Work), "{}", text.chars().take(100).collect::<String>());
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}
