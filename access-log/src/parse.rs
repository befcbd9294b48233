//! One line of a log.

use super::{Entry, Skip, Version};

/// Parses one line, without its line end.
pub fn line(line: &[u8]) -> Result<Entry, Skip> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Err(Skip::Blank);
    }
    let mut fields = Fields { rest: line };
    let host = fields.word().ok_or(Skip::NotALogLine)?;
    let _ident = fields.word().ok_or(Skip::NotALogLine)?;
    let time = fields.user_and_time().ok_or(Skip::NotALogLine)?;
    let request = fields.quoted()?.ok_or(Skip::NotALogLine)?;
    let status = status(fields.word().ok_or(Skip::BadStatus)?)?;
    // Some writers drop the size with the body; then the line ends here.
    let bytes = fields.word().map_or(Ok(0), size)?;
    let referer = fields.quoted()?;
    let user_agent = fields.quoted()?;
    let (method, target, version) = request_line(&request)?;
    Ok(Entry {
        host: String::from_utf8_lossy(host).into_owned(),
        time: String::from_utf8_lossy(time).into_owned(),
        method,
        target,
        version,
        status,
        bytes,
        referer: present(referer),
        user_agent: present(user_agent),
    })
}

fn present(field: Option<Vec<u8>>) -> Option<Vec<u8>> {
    field.filter(|value| !value.is_empty() && value != b"-")
}

fn status(word: &[u8]) -> Result<u16, Skip> {
    if word.len() != 3 || !word.iter().all(u8::is_ascii_digit) {
        return Err(Skip::BadStatus);
    }
    std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or(Skip::BadStatus)
}

fn size(word: &[u8]) -> Result<u64, Skip> {
    if word == b"-" {
        return Ok(0);
    }
    if !word.iter().all(u8::is_ascii_digit) {
        return Err(Skip::BadSize);
    }
    std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or(Skip::BadSize)
}

/// `METHOD TARGET VERSION`. The target may hold blanks (clients send such), so the version is what follows the last one.
fn request_line(request: &[u8]) -> Result<(Vec<u8>, Vec<u8>, Version), Skip> {
    if request.is_empty() || request == b"-" {
        return Err(Skip::NoRequest);
    }
    let first = request.iter().position(|byte| *byte == b' ').ok_or(Skip::NotARequestLine)?;
    let (method, rest) = request.split_at_checked(first).ok_or(Skip::NotARequestLine)?;
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Skip::NotARequestLine);
    }
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let last = rest.iter().rposition(|byte| *byte == b' ');
    let (target, version) = match last.and_then(|at| rest.split_at_checked(at)) {
        Some((target, version)) => (target, version.trim_ascii_start()),
        None if rest.is_empty() => return Err(Skip::NotARequestLine),
        None => return Err(Skip::NoVersion),
    };
    let version = match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Version::Http1,
        b"HTTP/2.0" | b"HTTP/2" | b"HTTP/3.0" | b"HTTP/3" => Version::Http2Or3,
        other if other.starts_with(b"HTTP/") => return Err(Skip::UnknownVersion),
        _ => return Err(Skip::NoVersion),
    };
    if target.is_empty() {
        return Err(Skip::NotARequestLine);
    }
    Ok((method.to_vec(), target.to_vec(), version))
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// A field up to the next blank.
    fn word(&mut self) -> Option<&'a [u8]> {
        self.blanks();
        let end = self.rest.iter().position(u8::is_ascii_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// The user, which may hold blanks, and then the time in brackets: two words, `[17/May/2015:10:05:03 +0000]`.
    fn user_and_time(&mut self) -> Option<&'a [u8]> {
        self.blanks();
        let open = self.rest.windows(2).position(|pair| pair == b" [")? + 2;
        let inside = self.rest.get(open..)?;
        let close = inside.iter().position(|byte| *byte == b']')?;
        let time = inside.get(..close)?;
        // A quote before the bracket means that this bracket is not the time's.
        let user = self.rest.get(..open)?;
        if user.contains(&b'"') && !user.starts_with(b"\"") {
            return None;
        }
        let shape =
            time.len() >= 20 && time.get(2) == Some(&b'/') && time.iter().filter(|byte| **byte == b':').count() >= 3;
        self.rest = inside.get(close + 1..)?;
        shape.then_some(time)
    }

    /// A field in quotes, with its escapes undone; `None` when no quote follows.
    ///
    /// httpd escapes `"` and `\` with a backslash, the C controls by letter, and other bytes as `\xhh`; nginx writes all of them as `\xHH`.
    fn quoted(&mut self) -> Result<Option<Vec<u8>>, Skip> {
        self.blanks();
        let Some(mut rest) = self.rest.strip_prefix(b"\"") else { return Ok(None) };
        let mut value = Vec::new();
        loop {
            match rest {
                [] => return Err(Skip::OpenQuote),
                [b'"', tail @ ..] => {
                    self.rest = tail;
                    return Ok(Some(value));
                }
                [b'\\', b'x', high, low, tail @ ..] => {
                    value.push((hex(*high).ok_or(Skip::BadEscape)? << 4) | hex(*low).ok_or(Skip::BadEscape)?);
                    rest = tail;
                }
                [b'\\', escaped, tail @ ..] => {
                    value.push(match escaped {
                        b'"' | b'\\' => *escaped,
                        b'b' => 0x08,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'v' => 0x0b,
                        _ => return Err(Skip::BadEscape),
                    });
                    rest = tail;
                }
                [byte, tail @ ..] => {
                    value.push(*byte);
                    rest = tail;
                }
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::super::AccessLog;
    use super::*;

    const HEAD: &str = "198.51.246.242 - - [17/May/2015:10:05:03 +0000]";

    fn parse(tail: &str) -> Result<Entry, Skip> {
        line(format!("{HEAD} {tail}").as_bytes())
    }

    #[test]
    fn reads_both_formats() {
        let combined = parse(r#""GET /a?b=c HTTP/1.1" 200 203023 "http://x.example/" "Mozilla/5.0 (X11)""#).unwrap();
        assert_eq!(combined.host, "198.51.246.242");
        assert_eq!(combined.time, "17/May/2015:10:05:03 +0000");
        assert_eq!((combined.method.as_slice(), combined.target.as_slice()), (&b"GET"[..], &b"/a?b=c"[..]));
        assert_eq!((combined.status, combined.bytes, combined.version), (200, 203_023, Version::Http1));
        assert_eq!(combined.referer.as_deref(), Some(&b"http://x.example/"[..]));
        assert_eq!(combined.user_agent.as_deref(), Some(&b"Mozilla/5.0 (X11)"[..]));

        let common = parse(r#""HEAD / HTTP/1.0" 304 -"#).unwrap();
        assert_eq!((common.status, common.bytes, common.referer, common.user_agent), (304, 0, None, None));
    }

    #[test]
    fn takes_what_servers_really_write() {
        let cases: [(&str, &[u8]); 7] = [
            (r#""GET /\xc3\xa9 HTTP/1.1" 404 0 "-" "-""#, b"/\xc3\xa9"),
            (r#""GET /a\"b\\c HTTP/1.1" 404 0 "-" "-""#, b"/a\"b\\c"),
            (r#""GET /two words HTTP/1.1" 400 0 "-" "-""#, b"/two words"),
            (r#""GET /tab\there HTTP/1.1" 400 0"#, b"/tab\there"),
            (r#""OPTIONS * HTTP/1.1" 200 -"#, b"*"),
            (r#""GET /h2 HTTP/2.0" 200 5 "-" "curl" "-""#, b"/h2"),
            (r#""GET http://h/x HTTP/1.1" 200 5 "-" "curl" 0.003 0.002"#, b"http://h/x"),
        ];
        for (tail, target) in cases {
            assert_eq!(parse(tail).unwrap().target, target, "{tail}");
        }
        let named = line(br#"h - a user [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1"#).unwrap();
        assert_eq!(named.target, b"/");
    }

    #[test]
    fn garbage_is_skipped_with_its_reason() {
        let cases = [
            ("\"-\" 408 -", Skip::NoRequest),
            ("\"\" 400 0", Skip::NoRequest),
            (r#""\x16\x03\x01\x00" 400 226"#, Skip::NotARequestLine),
            (r#""\x16\x03 \x01 HTTP/1.1" 400 226"#, Skip::NotARequestLine),
            (r#""GET /" 200 1"#, Skip::NoVersion),
            (r#""GET / HTTP/4.2" 400 1"#, Skip::UnknownVersion),
            (r#""GET  HTTP/1.1" 400 1"#, Skip::NotARequestLine),
            (r#""GET / HTTP/1.1" OK 1"#, Skip::BadStatus),
            (r#""GET / HTTP/1.1" 99 1"#, Skip::BadStatus),
            (r#""GET / HTTP/1.1" 200 many"#, Skip::BadSize),
            (r#""GET / HTTP/1.1 200 1"#, Skip::OpenQuote),
            (r#""GET /\q HTTP/1.1" 200 1"#, Skip::BadEscape),
            (r#""GET /\xzz HTTP/1.1" 200 1"#, Skip::BadEscape),
        ];
        for (tail, reason) in cases {
            assert_eq!(parse(tail), Err(reason), "{tail}");
        }
        for (whole, reason) in [
            ("", Skip::Blank),
            ("  \t", Skip::Blank),
            ("hello", Skip::NotALogLine),
            ("a b c [d] \"GET / HTTP/1.1\" 200 1", Skip::NotALogLine),
        ] {
            assert_eq!(line(whole.as_bytes()), Err(reason), "{whole}");
        }
    }

    #[test]
    fn a_log_keeps_line_numbers_and_counts_reasons() {
        let text =
            format!("{HEAD} \"GET / HTTP/1.1\" 200 1\r\n\n{HEAD} \"-\" 408 -\n\n{HEAD} \"GET /z HTTP/1.1\" 500 -");
        let log = AccessLog::read(text.as_bytes()).unwrap();
        assert_eq!(log.entries.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 5]);
        assert_eq!((log.lines, log.skipped_lines()), (5, 3));
        assert_eq!(log.skipped.get(&Skip::Blank).map(|skipped| (skipped.lines, skipped.first)), Some((2, 2)));
    }

    #[test]
    fn no_bytes_at_all_break_the_parser() {
        // A cheap sweep: every byte value in every place of a good line.
        let good = format!(r#"{HEAD} "GET /a HTTP/1.1" 200 1 "-" "x""#).into_bytes();
        for place in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bad = good.clone();
                bad[place] = byte;
                let _ = line(&bad);
            }
            let _ = line(&good[..place]);
        }
    }
}
