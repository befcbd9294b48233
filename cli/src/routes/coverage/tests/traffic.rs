//! Access logs made for a table of routes: seeded, with people's names, words, numbers and hashes in place of the parameters, and scanners between.

use std::fmt::Write as _;

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// GitHub's routes: methods and template, one path a line.
const GITHUB: &str = include_str!("github.txt");

/// Methods and template.
pub(super) fn github() -> Vec<(Vec<&'static str>, &'static str)> {
    let lines = GITHUB.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(methods, path)| (methods.split(',').collect(), path)).collect()
}

/// A log of about so many requests in the common format, each route alike often.
pub(super) fn log(routes: &[(Vec<&'static str>, &'static str)], requests: usize, seed: u64) -> String {
    let mut traffic = Traffic::new(seed);
    let mut log = String::new();
    let operations: Vec<(&str, &str)> =
        routes.iter().flat_map(|(methods, path)| methods.iter().map(move |method| (*method, *path))).collect();
    for _ in 0..requests {
        let (method, path) = *operations.choose(&mut traffic.random).unwrap();
        let path = traffic.path(path);
        let status = *[200, 200, 200, 201, 304, 403, 404, 422, 500].choose(&mut traffic.random).unwrap();
        line(&mut log, method, &path, status);
        if traffic.random.random_ratio(1, 20) {
            let junk = traffic.junk();
            let status = if junk.contains("..") { 400 } else { 404 };
            line(&mut log, "GET", &junk, status);
        }
    }
    log
}

fn line(log: &mut String, method: &str, path: &str, status: u16) {
    writeln!(log, "192.0.2.1 - - [23/Nov/2026:10:00:08 +0000] \"{method} {path} HTTP/1.1\" {status} 5").unwrap();
}

struct Traffic {
    random: ChaCha8Rng,
    people: Vec<String>,
    things: Vec<String>,
}

impl Traffic {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let people = (0..80).map(|_| word(&mut random)).collect();
        let things = (0..300).map(|_| word(&mut random)).collect();
        Self { random, people, things }
    }

    fn path(&mut self, template: &str) -> String {
        let mut path = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            path.push_str(before);
            let value = self.value(name);
            path.push_str(&value);
            rest = after;
        }
        path + rest
    }

    /// Some of a pool come much more often than others.
    fn of(random: &mut ChaCha8Rng, pool: &[String]) -> String {
        let most = random.random_range(1..=pool.len());
        pool[random.random_range(0..most)].clone()
    }

    fn value(&mut self, name: &str) -> String {
        let random = &mut self.random;
        match name {
            "owner" | "org" | "username" | "enterprise" | "template_owner" | "repo_owner" | "target_user"
            | "assignee" => Self::of(random, &self.people),
            "sha" | "commit_sha" | "file_sha" | "tag_sha" | "tree_sha" | "gist_id" => {
                (0..40).map(|_| char::from(*b"0123456789abcdef".choose(random).unwrap())).collect()
            }
            "uuid" | "sbom_uuid" => format!(
                "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                random.random_range(0..u32::MAX),
                random.random_range(0..0xffff),
                random.random_range(0..0xfff),
                random.random_range(0..0xfff),
                random.random_range(0..0xffff_ffff_ffff_u64)
            ),
            "package_type" => {
                (*["npm", "maven", "rubygems", "docker", "nuget", "container"].choose(random).unwrap()).into()
            }
            "archive_format" => (*["zip", "tar"].choose(random).unwrap()).into(),
            "enablement" => (*["enable_all", "disable_all"].choose(random).unwrap()).into(),
            "ghsa_id" => format!("GHSA-{:04x}-{:04x}", random.random_range(0..0xffff), random.random_range(0..0xffff)),
            "subject_digest" => format!("sha256:{:016x}", random.random_range(0..u64::MAX)),
            "branch" | "ref" if random.random_ratio(1, 4) => "main".into(),
            _ if name.ends_with("_id") || name.ends_with("_number") => random.random_range(1..2_000_000).to_string(),
            _ => Self::of(random, &self.things),
        }
    }

    fn junk(&mut self) -> String {
        let random = &mut self.random;
        let known = ["/wp-login.php", "/.env", "/../../etc/passwd", "/a%00b", "/cgi-bin/test.cgi", "/phpmyadmin/"];
        if random.random_bool(0.5) {
            (*known.choose(random).unwrap()).into()
        } else {
            format!("/{}/{}.php", word(random), word(random))
        }
    }
}

fn word(random: &mut ChaCha8Rng) -> String {
    let syllables = ["ka", "ro", "mi", "ten", "su", "lo", "per", "da", "vi", "nor", "sha", "gu", "el", "ba", "qui"];
    let mut word: String = (0..random.random_range(2..=4)).map(|_| *syllables.choose(random).unwrap()).collect();
    if random.random_ratio(1, 5) {
        word = format!("{word}-{}", syllables.choose(random).unwrap());
    }
    word
}
