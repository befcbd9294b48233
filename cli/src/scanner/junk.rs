//! What scanners send: paths that no route has, no two of them the same.
//!
//! Path *n* carries a word made of *n*, so that a run of any length has no path twice. That none matches a route holds by construction: the word
//! begins with [`RARE`], which no static segment has, and stands where the table has no parameter; everything up to there is the table's own.

use rand::{Rng, RngExt as _};

use super::table::{RARE, ROOT};

/// How many kinds of junk there are.
const KINDS: u64 = 20;

/// Files that scanners ask for.
const FILES: [&str; 14] = [
    "wp-login.php",
    "xmlrpc.php",
    ".env",
    ".git/config",
    "config.json.bak",
    "id_rsa",
    "server-status",
    "actuator/heapdump",
    "phpinfo.php",
    "backup.tar.gz",
    "cgi-bin/luci",
    "owa/auth/logon.aspx",
    "solr/admin/cores",
    "console/",
];

/// A path (and here and there a query) that no other number has and no route covers. `resource` is a resource's own path, such as
/// `/api/v1/fleet/agents`.
pub(super) fn target(number: u64, resource: &str, rng: &mut impl Rng) -> String {
    let word = word(number);
    let file = *FILES.get(rng.random_range(0..FILES.len())).unwrap_or(&"robots.txt");
    match number % KINDS {
        0 => format!("/{word}"),
        1 => format!("/{word}/{file}"),
        2 => format!("/wp-content/plugins/{word}/readme.txt"),
        3 => format!("/{word}.php?cmd=$(id)&x=%3Cscript%3E"),
        // Below what the API does have: where a heuristic would make one label of the API's own resources.
        4 => format!("{ROOT}/{word}"),
        5 => format!("{ROOT}/v1/{word}/{}", rng.random_range(0..100_000)),
        6 => format!("{resource}/{}/{word}", rng.random_range(0..100_000)),
        7 => format!("{resource}/{}/{word}/{file}", uuid(rng)),
        8 => format!("/{word}/../../../../etc/{word}"),
        9 => format!("/%2e%2e/%2e%2e/..%2f..%5c{word}/win.ini"),
        10 => format!("/{word}%00.jpg"),
        11 => format!("/{word}%0d%0aset-cookie:%20a=b%1b%5b31m"),
        12 => format!("/{word}/{}", "a".repeat(rng.random_range(200..9_000))),
        13 => format!("/{word}{}", "/x".repeat(rng.random_range(20..300))),
        // Shapes that typed placeholders make one label of.
        14 => format!("/{RARE}/{}/{}", number, uuid(rng)),
        15 => format!("/{RARE}-files/{number:016x}.bin"),
        16 => format!("/{word};jsessionid={:016X}/index.jsp", rng.random::<u64>()),
        17 => format!("//{word}///.//{file}"),
        18 => format!("/caf%C3%A9/{word}/%F0%9F%92%A3/%ff%fe"),
        _ => format!("/{word}/{}@example.com/2026-01-{:02}", rng.random_range(0..1_000), rng.random_range(1..29)),
    }
}

/// A word for this number: letters alone, which no typed placeholder takes the place of.
fn word(number: u64) -> String {
    // Multiplying by an odd number permutes the residues: neighbours look unrelated, and no two are the same.
    let mut left = number.wrapping_mul(0x9e37_79b1) & 0xffff_ffff;
    let mut word = String::with_capacity(8);
    word.push(RARE);
    for _ in 0..7 {
        word.push(char::from(b'a' + u8::try_from(left % 26).unwrap_or(0)));
        left /= 26;
    }
    word
}

/// A random UUID.
pub(super) fn uuid(rng: &mut impl Rng) -> String {
    let (high, low) = (rng.random::<u64>(), rng.random::<u64>());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high & 0xffff,
        (high >> 16) & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
