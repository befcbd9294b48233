//! `servers`: the path that comes before every path of a description.

use indexmap::IndexSet;

use super::super::node::Node;

/// A description can list any number; a person reads a few.
const MAX_SERVERS: usize = 20;

/// The base path of the first of some servers; those of the others that differ from it go to `others`. `None` where there is no server.
pub(super) fn first(servers: &Node, document_path: Option<&str>, others: &mut IndexSet<String>) -> Option<String> {
    let mut bases = servers.items().iter().take(MAX_SERVERS).filter_map(|server| {
        let url = server.word_at("url")?;
        Some(base_path(&with_defaults(url, server), document_path))
    });
    let first = bases.next()?;
    others.extend(bases.filter(|base| *base != first));
    others.truncate(MAX_SERVERS);
    Some(first)
}

/// Variables replaced by their defaults; one without stays as it is.
fn with_defaults(url: &str, server: &Node) -> String {
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        let variable = server.get("variables").and_then(|variables| variables.get(name));
        let first = |variable: &Node| variable.get("enum")?.items().first()?.word().map(str::to_owned);
        let value =
            variable.and_then(|variable| variable.word_at("default").map(str::to_owned).or_else(|| first(variable)));
        match value {
            Some(value) => out.push_str(&value),
            None => out.extend(["{", name, "}"]),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The path of a server's URL, without a slash at the end.
pub(super) fn base_path(url: &str, document_path: Option<&str>) -> String {
    let url = url.trim();
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let after_authority = |rest: &str| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default().to_owned();
    let path = if let Some((_, rest)) = url.split_once("://") {
        after_authority(rest)
    } else if let Some(rest) = url.strip_prefix("//") {
        after_authority(rest)
    } else if url.starts_with('/') {
        url.to_owned()
    } else if url.starts_with('{') {
        // A variable without a default at the very beginning stands for scheme and host.
        after_authority(url)
    } else {
        // Relative to the document (RFC 3986 section 5.2), or to the root where that has no place.
        let folder = document_path.and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
        format!("{folder}/{url}")
    };
    trimmed(&without_dots(&path))
}

/// A base path as it is put before a path: with a slash before, without one behind.
pub(super) fn trimmed(base: &str) -> String {
    let base = base.trim().trim_end_matches('/');
    if base.is_empty() || base.starts_with('/') { base.to_owned() } else { format!("/{base}") }
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    if !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.trim_start_matches('/').split('/') {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::import::node::Reader;

    #[test]
    fn the_path_of_a_url() {
        let check = |url: &str, expected: &str| assert_eq!(base_path(url, None), expected, "{url}");
        check("https://api.github.com", "");
        check("https://api.example.com/", "");
        check("https://api.example.com/v1/", "/v1");
        check("https://user@h:8443/a/b?x#y", "/a/b");
        check("//h/v1", "/v1");
        check("/v1", "/v1");
        check("/", "");
        check("", "");
        check("v1", "/v1");
        check("./v1", "/v1");
        check("../../v1", "/v1");
        check("{server}/v1", "/v1");
        check("{scheme}://{host}/v1", "/v1");
        check("https://h/{tenant}/v1", "/{tenant}/v1");
    }

    #[test]
    fn relative_to_the_document() {
        let check =
            |url: &str, expected: &str| assert_eq!(base_path(url, Some("/docs/api/openapi.json")), expected, "{url}");
        check("./v1", "/docs/api/v1");
        check("../v1", "/docs/v1");
        check("v1", "/docs/api/v1");
        check("/v1", "/v1");
        check(".", "/docs/api");
    }

    #[test]
    fn variables_stand_for_their_defaults() {
        let check = |text: &str, expected: Option<&str>, others: &[&str]| {
            let servers = Reader::new().read(text.as_bytes()).unwrap();
            let mut found = IndexSet::new();
            assert_eq!(first(&servers, None, &mut found).as_deref(), expected, "{text}");
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), others, "{text}");
        };
        check("[]", None, &[]);
        check("[{description: x}]", None, &[]);
        check("[{url: 'https://h/{v}', variables: {v: {default: v2}}}]", Some("/v2"), &[]);
        check("[{url: 'https://h/{v}', variables: {v: {enum: [v3, v4]}}}]", Some("/v3"), &[]);
        check("[{url: '{base}', variables: {base: {default: 'https://h/x'}}}]", Some("/x"), &[]);
        check("[{url: 'https://h/{v'}]", Some("/{v"), &[]);
        check("[{url: /v1}, {url: 'https://sandbox/v1'}, {url: /v2}, {url: /}]", Some("/v1"), &["/v2", ""]);
    }
}
