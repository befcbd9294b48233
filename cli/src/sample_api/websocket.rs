//! The echo end of a WebSocket (RFC 6455), for connections that a proxy has passed through.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest message that is echoed.
const MESSAGE_LIMIT: u64 = 1 << 20;

/// The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key` (section 4.2.2).
pub(super) fn accept_key(key: &[u8]) -> String {
    let mut text = key.to_vec();
    text.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64(&sha1(&text))
}

/// Echoes every message until the peer closes, or breaks the protocol.
pub(super) async fn echo(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let mut head = [0; 2];
        io.read_exact(&mut head).await?;
        let [first, second] = head;
        let opcode = first & 0x0f;
        let length = match second & 0x7f {
            126 => u64::from(io.read_u16().await?),
            127 => io.read_u64().await?,
            short => u64::from(short),
        };
        let masked = second & 0x80 != 0;
        if !masked || length > MESSAGE_LIMIT {
            // 1002: protocol error. 1009: message too big.
            let code: u16 = if masked { 1009 } else { 1002 };
            write_frame(&mut io, 0x88, &code.to_be_bytes()).await?;
            return io.shutdown().await;
        }
        let mut mask = [0; 4];
        io.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::try_from(length).unwrap_or(0)];
        io.read_exact(&mut payload).await?;
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        match opcode {
            0x8 => {
                write_frame(&mut io, 0x88, &payload).await?;
                return io.shutdown().await;
            }
            0x9 => write_frame(&mut io, 0x8a, &payload).await?,
            0xa => {}
            _ => write_frame(&mut io, first, &payload).await?,
        }
    }
}

/// One frame from the server, which is never masked.
async fn write_frame(io: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    io.write_all(&frame).await?;
    io.flush().await
}

/// SHA-1 (FIPS 180-4), which the handshake needs and which proves nothing here.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words: Vec<u32> =
            block.chunks_exact(4).map(|word| word.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))).collect();
        for index in 16..80 {
            let back = |distance: usize| words.get(index - distance).copied().unwrap_or_default();
            words.push((back(3) ^ back(8) ^ back(14) ^ back(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (index, word) in words.iter().enumerate() {
            let (mixed, constant) = match index {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999_u32),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    let mut digest = [0; 20];
    for (place, byte) in digest.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *place = byte;
    }
    digest
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_u32, |group, index| (group << 8) | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..4_usize {
            let digit = (group >> (18 - 6 * index)) & 0x3f;
            let letter = ALPHABET.get(usize::try_from(digit).unwrap_or(0)).copied().unwrap_or(b'=');
            out.push(if index > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_rfc() {
        // RFC 6455, section 1.3.
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn sha1_and_base64_of_the_standards() {
        let hex = |digest: [u8; 20]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(sha1(&[b'a'; 119])), "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56");
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[tokio::test]
    async fn messages_come_back_and_a_close_ends_it() {
        let (mut client, server) = tokio::io::duplex(1024);
        let echo = tokio::spawn(echo(server));
        let masked = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
        client.write_all(&masked).await.unwrap();
        let mut back = [0; 4];
        client.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"\x81\x02hi");
        client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [0x88, 0]);
        echo.await.unwrap().unwrap();
    }
}
