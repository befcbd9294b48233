//! Where a description comes from: a file, standard input or a URL, and the other documents that it refers to.
//!
//! Other files are read from the folder of the description and below it, after symbolic links are followed: descriptions come from strangers,
//! and one that lies where it was written has its parts beside it. Other documents of one that has a URL come from the same host.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};

use super::openapi::{NoFiles, Resolver};
use super::template::short;
use crate::Usage;
use crate::config_file::STDIN;

/// The largest document.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The longest that a download may take as a whole.
const TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: u32 = 5;

/// A description that was read.
pub(super) struct Source {
    /// As it was given, without what is secret in it.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// The path of its URL, if it has one.
    pub(super) url_path: Option<String>,
    pub(super) resolver: Box<dyn Resolver>,
}

/// Reads what was named on the command line.
pub(super) fn read(given: &str) -> anyhow::Result<Source> {
    if given == STDIN {
        let bytes = bounded(io::stdin().lock()).context("standard input")?;
        return Ok(Source { name: "standard input".to_owned(), bytes, url_path: None, resolver: Box::new(NoFiles) });
    }
    if let Some((scheme, _)) = given.split_once("://") {
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Usage::error(format!(
                "`{}` is no address that can be read; use http:// or https://, or a file",
                short(given)
            )));
        }
        let url: Uri =
            given.parse().map_err(|error| Usage::error(format!("`{}` is no address: {error}", short(given))))?;
        let name = shown(&url);
        let client = client();
        // Where redirects lead decides what relative references and servers are relative to.
        let (bytes, url) = fetch(&client, &url).with_context(|| name.clone())?;
        let url_path = Some(url.path().to_owned());
        return Ok(Source { name, bytes, url_path, resolver: Box::new(Remote { client, url }) });
    }
    let path = Path::new(given);
    let unreadable = |error: io::Error| Usage::error(format!("cannot read {}: {error}", path.display()));
    let bytes = fs::File::open(path).map_err(unreadable)?;
    let bytes = match bounded(bytes) {
        Ok(bytes) => bytes,
        Err(error) => return Err(Usage::error(format!("cannot read {}: {error:#}", path.display()))),
    };
    // A pipe has a name and no folder.
    let resolver: Box<dyn Resolver> = match path.canonicalize() {
        Ok(path) if path.is_file() => Box::new(Folder { description: path }),
        _ => Box::new(NoFiles),
    };
    Ok(Source { name: path.display().to_string(), bytes, url_path: None, resolver })
}

fn bounded(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_BYTES, "more than 64 MiB; split the description");
    Ok(bytes)
}

/// Documents beside a file.
struct Folder {
    description: PathBuf,
}

impl Resolver for Folder {
    fn get(
        &mut self,
        from: &str,
        reference: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(String, Option<Vec<u8>>), String> {
        let shown = short(reference);
        if reference.contains("://") {
            return Err(format!(
                "`{shown}` is on another host, which is not asked; bundle the description into one file"
            ));
        }
        let folder = self.description.parent().unwrap_or(Path::new("/"));
        let from = if from.is_empty() { folder } else { Path::new(from).parent().unwrap_or(folder) };
        let reference = decoded(reference);
        if Path::new(&reference).is_absolute() {
            return Err(format!(
                "`{shown}` is not relative to the description; write it so, or bundle the description into one file"
            ));
        }
        let path =
            from.join(&reference).canonicalize().map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        if !path.starts_with(folder) {
            return Err(format!(
                "`{shown}` is outside of the description's folder; bundle the description into one file"
            ));
        }
        if path == self.description {
            return Ok((String::new(), None));
        }
        let name = path.to_str().ok_or_else(|| format!("`{shown}` has a name that is not UTF-8"))?.to_owned();
        if !wanted(&name) {
            return Ok((name, None));
        }
        if !path.is_file() {
            return Err(format!("`{shown}` is no file"));
        }
        let file = fs::File::open(&path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        let bytes = bounded(file).map_err(|error| format!("`{shown}`: {error:#}"))?;
        Ok((name, Some(bytes)))
    }
}

/// Documents on the host of one that has a URL.
struct Remote {
    client: Agent,
    url: Uri,
}

impl Resolver for Remote {
    fn get(
        &mut self,
        from: &str,
        reference: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(String, Option<Vec<u8>>), String> {
        let shown_reference = short(reference);
        let from: Uri =
            if from.is_empty() { self.url.clone() } else { from.parse().map_err(|_| "no address".to_owned())? };
        let url = joined(&from, reference).ok_or_else(|| format!("`{shown_reference}` is no address"))?;
        if (url.scheme_str(), url.authority()) != (self.url.scheme_str(), self.url.authority()) {
            return Err(format!(
                "`{shown_reference}` is on another host, which is not asked; bundle the description into one"
            ));
        }
        if url == self.url {
            return Ok((String::new(), None));
        }
        let name = url.to_string();
        if !wanted(&name) {
            return Ok((name, None));
        }
        let (bytes, _) = fetch(&self.client, &url).map_err(|error| format!("`{shown_reference}`: {error:#}"))?;
        Ok((name, Some(bytes)))
    }
}

/// RFC 3986 section 5.2, for references without a query of their own.
fn joined(base: &Uri, reference: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    if reference.contains("://") {
        return reference.parse().ok();
    }
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}").parse().ok();
    }
    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = if reference.starts_with('/') { reference.to_owned() } else { format!("{folder}/{reference}") };
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.trim_start_matches('/').split('/') {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    format!("{scheme}://{authority}/{}", kept.join("/")).parse().ok()
}

fn client() -> Agent {
    // The machine's own certificates: many an API is behind a company's authority.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .max_redirects(MAX_REDIRECTS)
        .http_status_as_error(false)
        .user_agent(concat!("edge-observer/", env!("CARGO_PKG_VERSION")))
        .accept("application/json, application/yaml, application/vnd.oai.openapi, */*;q=0.5")
        .build()
        .into()
}

/// Gets a document, and says where it came from in the end.
fn fetch(client: &Agent, url: &Uri) -> anyhow::Result<(Vec<u8>, Uri)> {
    use ureq::ResponseExt as _;
    let progress = progress(url);
    let result = (|| {
        let mut response = client.get(url.clone()).call().map_err(plain)?;
        let status = response.status();
        anyhow::ensure!(status.is_success(), "the server answered {status}; check the address");
        let end = response.get_uri().clone();
        if let Some(length) = response.body().content_length() {
            anyhow::ensure!(length <= MAX_BYTES, "more than 64 MiB; split the description");
            progress.set_length(length);
        }
        // One byte more than is allowed tells that there is more.
        let body = response.body_mut().with_config().limit(MAX_BYTES + 2).reader();
        let bytes = bounded(progress.wrap_read(body))?;
        Ok((bytes, end))
    })();
    progress.finish_and_clear();
    result
}

/// The error without the address, which may have a password in it.
fn plain(error: ureq::Error) -> anyhow::Error {
    match error {
        ureq::Error::Timeout(_) => {
            anyhow::anyhow!("the server took too long; try again, or download the description yourself")
        }
        ureq::Error::TooManyRedirects => {
            anyhow::anyhow!("more than {MAX_REDIRECTS} redirects; give the address that they lead to")
        }
        ureq::Error::HostNotFound => anyhow::anyhow!("the host is not known; check the address"),
        ureq::Error::Io(error) => anyhow::anyhow!("{error}"),
        other => anyhow::anyhow!("{other}"),
    }
}

fn progress(url: &Uri) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(format!("reading {}", shown(url)));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The address without user and password.
fn shown(url: &Uri) -> String {
    let host = url.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    short(&format!("{}://{}{}", url.scheme_str().unwrap_or_default(), host.unwrap_or_default(), url.path()))
}

/// `%20` and the like in a reference to a file.
fn decoded(reference: &str) -> String {
    let mut bytes = Vec::with_capacity(reference.len());
    let mut rest = reference.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| reference.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_relative_to_the_document_they_are_in() {
        let base: Uri = "https://h:1/docs/v1/openapi.json".parse().unwrap();
        let check = |reference: &str, expected: &str| {
            assert_eq!(joined(&base, reference).unwrap().to_string(), expected, "{reference}")
        };
        check("users.json", "https://h:1/docs/v1/users.json");
        check("./a/../users.json", "https://h:1/docs/v1/users.json");
        check("../users.json", "https://h:1/docs/users.json");
        check("../../../users.json", "https://h:1/users.json");
        check("/users.json", "https://h:1/users.json");
        check("//other/users.json", "https://other/users.json");
        check("http://other/users.json", "http://other/users.json");
        assert_eq!(joined(&base, "a b"), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(shown(&"https://me:secret@h:1/a?token=x".parse().unwrap()), "https://h:1/a");
    }

    #[test]
    fn files_are_read_from_the_folder_of_the_description_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("api");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("openapi.yaml"), "x").unwrap();
        fs::write(inside.join("a b.yaml"), "y").unwrap();
        fs::write(folder.path().join("secret.yaml"), "z").unwrap();
        let mut resolver = read(inside.join("openapi.yaml").to_str().unwrap()).unwrap().resolver;
        let mut get = |reference: &str| resolver.get("", reference, &|_| true);
        assert_eq!(get("./a%20b.yaml").unwrap().1.as_deref(), Some(&b"y"[..]));
        assert_eq!(get("openapi.yaml").unwrap(), (String::new(), None));
        for (reference, expected) in [
            ("../secret.yaml", "outside of the description's folder"),
            ("..%2Fsecret.yaml", "outside of the description's folder"),
            ("/etc/passwd", "is not relative"),
            ("file:///etc/passwd", "another host"),
            ("https://h/x.yaml", "another host"),
            ("none.yaml", "cannot be read"),
            (".", "is no file"),
        ] {
            let error = get(reference).unwrap_err();
            assert!(error.contains(expected), "{reference}: {error}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("secret.yaml"), inside.join("link.yaml")).unwrap();
            assert!(get("link.yaml").unwrap_err().contains("outside of"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_wrong_usage() {
        for given in ["/nonexistent/x.yaml", "ftp://h/x", "http://", "https://h h/"] {
            let error = read(given).err().unwrap();
            assert!(error.downcast_ref::<Usage>().is_some(), "{given}: {error:#}");
        }
    }
}
