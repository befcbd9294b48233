//! Files: by their extension, and trees of them.

use std::collections::{BTreeMap, BTreeSet};

use telemetry::method::Method;

use super::MIN_FILES;
use super::tree::Node;
use crate::routes::coverage::segment::Segment;

/// Extensions of files that are served as they are.
const EXTENSIONS: [&str; 64] = [
    "7z", "apk", "asc", "atom", "avif", "bin", "bmp", "bz2", "c", "conf", "cpp", "css", "csv", "deb", "dmg", "doc",
    "docx", "eot", "exe", "gem", "gif", "gz", "h", "htm", "html", "ico", "iso", "jar", "jpeg", "jpg", "js", "json",
    "log", "lua", "m3u8", "map", "md", "mjs", "mp3", "mp4", "msi", "otf", "pdf", "php", "png", "ppt", "pptx", "py",
    "rpm", "rss", "sh", "svg", "tar", "tgz", "ts", "ttf", "txt", "wasm", "webm", "webp", "woff", "woff2", "xml", "zip",
];

/// The extension of a file's name, without the dot.
pub(super) fn extension(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && EXTENSIONS.binary_search(&extension).is_ok()).then_some(extension)
}

/// What is below a place.
#[derive(Default)]
struct Census<'a> {
    files: usize,
    /// Paths that end without an extension and without a slash.
    others: usize,
    extensions: BTreeSet<&'a str>,
    levels: BTreeSet<usize>,
    methods: u16,
}

impl<'a> Census<'a> {
    fn count(&mut self, node: &'a Node, level: usize) {
        for (segment, child) in &node.children {
            self.methods |= child.here().methods;
            match extension(&segment.text) {
                Some(extension) if child.plain.paths > 0 => {
                    self.files += 1;
                    self.extensions.insert(extension);
                    self.levels.insert(level);
                }
                _ if child.plain.paths > 0 && child.children.is_empty() => self.others += 1,
                _ => {}
            }
            self.count(child, level + 1);
        }
    }
}

/// Whether what is below a place is a tree of files: of three kinds or more, at two depths or more, and only read.
pub(super) fn is_tree(node: &Node) -> bool {
    let mut census = Census::default();
    census.count(node, 1);
    let reads = 1 << Method::Get.index() | 1 << Method::Head.index() | 1 << Method::Options.index();
    census.files >= MIN_FILES
        && census.files >= census.others
        && census.extensions.len() >= 3
        && census.levels.len() >= 2
        && census.methods & !reads == 0
}

/// The extensions that enough leaves of a place have to make a template of their own.
pub(super) fn common_extensions(words: &[(Segment, Node)], depth: usize) -> BTreeSet<Box<str>> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (segment, _) in words.iter().filter(|(_, child)| child.children.is_empty()) {
        if let Some(extension) = extension(&segment.text) {
            *counts.entry(extension).or_insert(0) += 1;
        }
    }
    let needed = if depth == 0 { 3 * MIN_FILES } else { MIN_FILES };
    counts.into_iter().filter(|(_, count)| *count >= needed).map(|(extension, _)| extension.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extensions_are_sorted() {
        assert!(EXTENSIONS.is_sorted());
    }

    #[test]
    fn versions_and_hosts_are_no_extensions() {
        for (name, expected) in [
            ("a.html", Some("html")),
            ("reveal.min.js", Some("js")),
            (".html", None),
            ("networking.k8s.io", None),
            ("v1.2", None),
            ("a.", None),
            ("html", None),
        ] {
            assert_eq!(extension(name), expected, "{name}");
        }
    }
}
