//! Marks found, however what is written is cut into pieces.

use proptest::prelude::*;

use super::*;

/// Takes a few bytes at a time, and now and then none.
#[derive(Debug)]
struct Slow {
    taken: Vec<u8>,
    most: usize,
    tired: bool,
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.tired = !self.tired;
        if self.tired {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = bytes.len().min(self.most);
        self.taken.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn connection(most: usize) -> Trailing<Slow> {
    Trailing::new(Slow { taken: Vec::new(), most, tired: false }, Outgoing::default())
}

/// Writes all of it, in pieces of so many bytes.
fn write(connection: &mut Trailing<Slow>, mut bytes: &[u8], piece: usize) {
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    while !bytes.is_empty() {
        let (first, _) = bytes.split_at(piece.min(bytes.len()));
        if let Poll::Ready(written) = Pin::new(&mut *connection).poll_write(cx, first) {
            bytes = &bytes[written.unwrap()..];
        }
    }
}

fn flush(connection: &mut Trailing<Slow>) {
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    while Pin::new(&mut *connection).poll_flush(cx).is_pending() {}
}

/// The last chunk and the end, as hyper writes them.
fn end(mark: &[u8]) -> Vec<u8> {
    [b"20\r\n", mark, b"\r\n0\r\n\r\n"].concat()
}

fn trailers(value: &str) -> HeaderMap {
    [("x-t".parse().unwrap(), value.parse().unwrap())].into_iter().collect()
}

#[test]
fn what_ends_or_directs_a_message_is_no_trailer() {
    let mut connection = connection(9);
    let names = ["content-length", "transfer-encoding", "host", "trailer", "a", "a"];
    let trailers: HeaderMap = names.iter().map(|name| (name.parse().unwrap(), "1".parse().unwrap())).collect();
    let mark = connection.outgoing.mark(&trailers);
    write(&mut connection, &end(&mark), 99);
    flush(&mut connection);
    assert_eq!(connection.io.taken.escape_ascii().to_string(), "0\\r\\na: 1\\r\\na: 1\\r\\n\\r\\n");
}

#[test]
fn without_trailers_nothing_is_kept_back() {
    let mut connection = connection(3);
    write(&mut connection, b"20\r\n", 4);
    assert_eq!(connection.io.taken, b"20\r\n");
}

#[test]
fn a_mark_that_was_never_written_holds_nothing_up() {
    let mut connection = connection(3);
    let _ = connection.outgoing.mark(&trailers("lost"));
    write(&mut connection, b"hello 20\r\n", 4);
    flush(&mut connection);
    assert_eq!(connection.io.taken, b"hello 20\r\n");
    assert!(connection.is_plain());
}

#[test]
fn another_mark_is_data() {
    let mut connection = connection(100);
    let other = end(&[7; MARK]);
    let mark = connection.outgoing.mark(&trailers("a"));
    write(&mut connection, &[other.clone(), end(&mark)].concat(), 1000);
    flush(&mut connection);
    assert_eq!(connection.io.taken, [other.as_slice(), b"0\r\nx-t: a\r\n\r\n"].concat());
}

proptest! {
    /// Messages one behind the other, as with keep-alive and pipelining, some with trailers and some without.
    #[test]
    fn pieces_do_not_matter(
        messages in proptest::collection::vec((proptest::collection::vec(0_u8.., 0..50), any::<bool>()), 1..6),
        piece in 1_usize..90,
        most in 1_usize..90,
        ahead in any::<bool>(),
    ) {
        let mut connection = connection(most);
        let mut expected = Vec::new();
        let mut waiting = Vec::new();
        for (index, (body, has_trailers)) in messages.iter().enumerate() {
            let mut message = [body.as_slice(), b"2\r\n20\r\n2\r\n"].concat();
            expected.extend_from_slice(&message);
            if *has_trailers {
                let value = index.to_string();
                message.extend(end(&connection.outgoing.mark(&trailers(&value))));
                expected.extend(format!("0\r\nx-t: {value}\r\n\r\n").into_bytes());
            }
            waiting.extend(message);
            // Or several messages wait until the connection takes them.
            if !ahead {
                write(&mut connection, &std::mem::take(&mut waiting), piece);
            }
        }
        write(&mut connection, &waiting, piece);
        flush(&mut connection);
        prop_assert_eq!(&connection.io.taken, &expected);
        prop_assert!(connection.is_plain());
    }
}
