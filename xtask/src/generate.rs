//! `cargo xtask gen`: files, and parts of files, that are made from something else in this repository.
//!
//! A generated part stands between two comments, `gen:NAME` and `/gen:NAME`, which stay.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use monitoring::names::Names;
use serde_json::Value as Json;
use serde_yaml_ng::Value as Yaml;
use telemetry::config::{self, Config};
use telemetry::metrics;

use crate::workspace::{root, step, write_atomically};

/// The namespace that the documentation speaks of.
const NAMESPACE: &str = "eucora";

/// The shipped profile, and the resource that carries it.
const PROFILE: &str = "envoy/plugin-config/eucora.yaml";

/// What a sidecar calls the API that it stands before.
const SIDECARS_API: &str = "inbound|8000||";

/// The longest line of the embedded configuration, but for values that cannot be broken.
const LINE: usize = 140;

/// Options of `cargo xtask gen`.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Options {
    /// Write nothing; fail if a file is out of date.
    #[arg(long)]
    pub(crate) check: bool,
}

/// How comments look in a file.
#[derive(Clone, Copy, Debug)]
enum Comments {
    Hash,
    Html,
}

/// A file or a part of one, and how it is made.
struct Derived {
    path: &'static str,
    /// The generated part; `None` when it is the whole file.
    part: Option<(&'static str, Comments)>,
    make: fn() -> Result<String>,
}

const DERIVED: &[Derived] = &[
    Derived { path: "envoy/bootstrap.yaml", part: Some(("stats_tags", Comments::Hash)), make: stats_tags },
    Derived { path: "envoy/istio/mesh-config.yaml", part: Some(("stats_tags", Comments::Hash)), make: istio_tags },
    Derived { path: "envoy/istio/pod-annotations.yaml", part: Some(("stats_tags", Comments::Hash)), make: pod_tags },
    Derived {
        path: "envoy/ecds/edge-observer.yaml",
        part: Some(("plugin-config", Comments::Hash)),
        make: plugin_config,
    },
    Derived {
        path: "envoy/istio/base/wasmplugin.yaml",
        part: Some(("plugin-config", Comments::Hash)),
        make: istio_profile,
    },
    Derived {
        path: "envoy/istio/base/trafficextension.yaml",
        part: Some(("plugin-config", Comments::Hash)),
        make: istio_profile,
    },
    Derived {
        path: "envoy/istio/envoyfilter.yaml",
        part: Some(("plugin-config", Comments::Hash)),
        make: istio_plugin_config,
    },
    Derived { path: "envoy/plugin-config/schema.json", part: None, make: schema },
    Derived { path: "README.md", part: Some(("metrics", Comments::Html)), make: metrics_reference },
    Derived { path: "README.md", part: Some(("config", Comments::Html)), make: config_reference },
];

/// Writes what is derived, or says what is out of date.
pub(crate) fn generate(options: &Options) -> Result<()> {
    step(if options.check { "checking derived files" } else { "writing derived files" });
    let mut stale = Vec::new();
    for derived in DERIVED {
        let path = root().join(derived.path);
        let name = derived.part.map_or(derived.path.to_owned(), |(part, _)| format!("{}, part `{part}`", derived.path));
        let old = read(&path, derived)?;
        let made = (derived.make)().with_context(|| format!("cannot make {name}"))?;
        let new = match derived.part {
            Some((part, comments)) => replace_part(&old, part, comments, &made).with_context(|| derived.path)?,
            None => made,
        };
        if new == old {
            continue;
        }
        if options.check {
            stale.push(name);
        } else {
            write_atomically(&path, new.as_bytes())?;
            println!("wrote {name}");
        }
    }
    dashboards(options, &mut stale)?;
    if !stale.is_empty() {
        bail!("out of date: {}; run `cargo xtask gen` and commit what it writes", stale.join("; "));
    }
    println!("derived files are up to date");
    Ok(())
}

/// Grafana's dashboards, in both forms. A file beside them that is none of them is left over from one that had another name.
fn dashboards(options: &Options, stale: &mut Vec<String>) -> Result<()> {
    let names = Names::read(root())?;
    let files = monitoring::grafana::files(&names)?;
    for (path, new) in &files {
        let old = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        if old == *new {
            continue;
        }
        if options.check {
            stale.push(path.clone());
        } else {
            write_atomically(&root().join(path), new.as_bytes())?;
            println!("wrote {path}");
        }
    }
    for folder in ["grafana/dashboards", "grafana/dashboards-v2"] {
        let entries = std::fs::read_dir(root().join(folder)).with_context(|| format!("cannot read {folder}"))?;
        for entry in entries {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            if files.iter().any(|(made, _)| *made == path) || !path.ends_with(".json") {
                continue;
            }
            if options.check {
                stale.push(format!("{path}, which no dashboard makes"));
            } else {
                std::fs::remove_file(root().join(&path)).with_context(|| format!("cannot remove {path}"))?;
                println!("removed {path}");
            }
        }
    }
    Ok(())
}

/// The file as it is. A file that is generated as a whole may be missing.
fn read(path: &Path, derived: &Derived) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && derived.part.is_none() => Ok(String::new()),
        Err(error) => Err(error).with_context(|| {
            format!("cannot read {}, which holds a generated part; restore it from version control", derived.path)
        }),
    }
}

/// Puts `made` between the two comments of `part`, as far indented as they are.
fn replace_part(text: &str, part: &str, comments: Comments, made: &str) -> Result<String> {
    let comment = |what: &str| match comments {
        Comments::Hash => format!("# {what}"),
        Comments::Html => format!("<!-- {what} -->"),
    };
    let (begin, end) = (comment(&format!("gen:{part}")), comment(&format!("/gen:{part}")));
    let find = |wanted: &str| {
        let mut found = text.lines().enumerate().filter(|(_, line)| line.trim() == wanted).map(|(number, _)| number);
        let first =
            found.next().with_context(|| format!("there is no line `{wanted}`; add it where the part belongs"))?;
        ensure!(found.next().is_none(), "there are two lines `{wanted}`; keep one");
        Ok(first)
    };
    let (first, last) = (find(&begin)?, find(&end)?);
    ensure!(first < last, "the line `{end}` comes before `{begin}`; swap them");

    let indent: String = text.lines().nth(first).unwrap_or_default().chars().take_while(|c| *c == ' ').collect();
    let mut new = String::with_capacity(text.len() + made.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number <= first || number >= last {
            new.push_str(line);
        }
        if number == first {
            for line in made.lines() {
                if !line.is_empty() {
                    new.push_str(&indent);
                    new.push_str(line);
                }
                new.push('\n');
            }
        }
    }
    Ok(new)
}

/// Envoy's extractors for our labels.
fn stats_tags() -> Result<String> {
    let mut text = String::new();
    let config = profile_config()?;
    for (name, regex) in metrics::stats_tags(&config) {
        text.push_str(&format!("- {{tag_name: {name}, regex: {}}}\n", serde_json::to_string(&regex)?));
    }
    Ok(text)
}

/// The shipped profile.
fn profile_config() -> Result<Config> {
    let text = std::fs::read_to_string(root().join(PROFILE)).with_context(|| format!("cannot read {PROFILE}"))?;
    let json: Json = serde_yaml_ng::from_str(&text).with_context(|| PROFILE)?;
    Config::from_value(json).with_context(|| format!("{PROFILE} is not valid"))
}

/// Istio's list of labels, for the whole mesh.
fn istio_tags() -> Result<String> {
    let config = profile_config()?;
    let names: Vec<&str> = metrics::stats_tags(&config).into_iter().map(|(name, _)| name).collect();
    Ok(format!("extraStatTags: [{}]\n", names.join(", ")))
}

/// The same for a pod.
fn pod_tags() -> Result<String> {
    let config = profile_config()?;
    let names: Vec<&str> = metrics::stats_tags(&config).into_iter().map(|(name, _)| name).collect();
    Ok(format!("sidecar.istio.io/extraStatTags: {}\n", names.join(",")))
}

/// The profile as JSON, in a YAML block.
fn plugin_config() -> Result<String> {
    let text = std::fs::read_to_string(root().join(PROFILE)).with_context(|| format!("cannot read {PROFILE}"))?;
    let profile: Yaml = serde_yaml_ng::from_str(&text).with_context(|| PROFILE)?;
    let json: Json = serde_yaml_ng::from_str(&text).with_context(|| PROFILE)?;
    Config::from_value(json.clone()).with_context(|| format!("{PROFILE} is not valid"))?;
    let lines = layout(&profile, 0)?;
    let same: Json = serde_json::from_str(&lines).context("the embedded configuration is not JSON")?;
    ensure!(same == json, "the embedded configuration is not the profile");

    let mut block = format!("# {PROFILE} as JSON.\nvalue: |\n");
    for line in lines.lines() {
        block.push_str("  ");
        block.push_str(line);
        block.push('\n');
    }
    Ok(block)
}

/// The profile for a sidecar, which has a name of its own for the API, without the comment at its top, which is about the file it stands in.
fn istio_profile() -> Result<String> {
    let text = std::fs::read_to_string(root().join(PROFILE)).with_context(|| format!("cannot read {PROFILE}"))?;
    let lines = text.lines().skip_while(|line| line.is_empty() || line.starts_with('#'));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    in_place_of_the_cluster(
        &text,
        "  cluster: api\n",
        &format!("  cluster: {SIDECARS_API}   # SET the port where the API listens.\n"),
    )
}

/// The profile for a sidecar as JSON, in a YAML block.
fn istio_plugin_config() -> Result<String> {
    in_place_of_the_cluster(&plugin_config()?, "\"cluster\": \"api\"", &format!("\"cluster\": \"{SIDECARS_API}\""))
}

fn in_place_of_the_cluster(text: &str, own: &str, theirs: &str) -> Result<String> {
    ensure!(text.matches(own).count() == 1, "{PROFILE} no longer polls the cluster `api` once");
    Ok(text.replace(own, theirs))
}

/// JSON with the keys in the order of the profile: what fits on a line stays on it.
fn layout(value: &Yaml, indent: usize) -> Result<String> {
    let flat = compact(value)?;
    let inner = " ".repeat(indent + 2);
    let parts: Vec<String> = match value {
        _ if indent > 0 && indent + flat.len() <= LINE => return Ok(flat),
        Yaml::Mapping(fields) => {
            let fields =
                fields.iter().map(|(key, value)| Ok(format!("{}: {}", compact(key)?, layout(value, indent + 2)?)));
            fields.collect::<Result<_>>()?
        }
        Yaml::Sequence(items) => items.iter().map(|item| layout(item, indent + 2)).collect::<Result<_>>()?,
        _ => return Ok(flat),
    };
    let (open, close) = if value.is_mapping() { ('{', '}') } else { ('[', ']') };
    Ok(format!("{open}\n{inner}{}\n{}{close}", parts.join(&format!(",\n{inner}")), " ".repeat(indent)))
}

/// JSON on one line.
fn compact(value: &Yaml) -> Result<String> {
    Ok(match value {
        Yaml::Mapping(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok(format!("{}: {}", compact(key)?, compact(value)?)));
            format!("{{{}}}", fields.collect::<Result<Vec<_>>>()?.join(", "))
        }
        Yaml::Sequence(items) => format!("[{}]", items.iter().map(compact).collect::<Result<Vec<_>>>()?.join(", ")),
        scalar => serde_json::to_string(scalar)?,
    })
}

fn schema() -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(&config::schema())?))
}

fn metrics_reference() -> Result<String> {
    Ok(metrics::reference_markdown(NAMESPACE))
}

fn config_reference() -> Result<String> {
    Ok(config::reference_markdown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_indented_like_its_comments() {
        let text = "a:\n  # gen:x\n  - old\n  # /gen:x\nb: 1\n";
        let new = replace_part(text, "x", Comments::Hash, "- one\n\n- two\n").unwrap();
        assert_eq!(new, "a:\n  # gen:x\n  - one\n\n  - two\n  # /gen:x\nb: 1\n");
        assert_eq!(replace_part(&new, "x", Comments::Hash, "- one\n\n- two\n").unwrap(), new);
    }

    #[test]
    fn a_missing_or_doubled_comment_says_what_to_do() {
        let error = |text: &str| replace_part(text, "x", Comments::Html, "").unwrap_err().to_string();
        assert_eq!(error("nothing"), "there is no line `<!-- gen:x -->`; add it where the part belongs");
        assert_eq!(error("<!-- gen:x -->\n"), "there is no line `<!-- /gen:x -->`; add it where the part belongs");
        assert_eq!(
            error("<!-- gen:x -->\n<!-- gen:x -->\n<!-- /gen:x -->\n"),
            "there are two lines `<!-- gen:x -->`; keep one"
        );
        assert_eq!(
            error("<!-- /gen:x -->\n<!-- gen:x -->\n"),
            "the line `<!-- /gen:x -->` comes before `<!-- gen:x -->`; swap them"
        );
    }

    #[test]
    fn the_embedded_configuration_breaks_only_long_lines() {
        let short: Yaml = serde_yaml_ng::from_str("{b: 1.0, a: [x, \"y\\\"\"], c: ~, d: true}").unwrap();
        assert_eq!(compact(&short).unwrap(), r#"{"b": 1.0, "a": ["x", "y\""], "c": null, "d": true}"#);
        let long = Yaml::Sequence(vec![short; 4]);
        let text = layout(&long, 0).unwrap();
        assert_eq!(text.lines().count(), 6);
        assert_eq!(serde_json::from_str::<Yaml>(&text).unwrap(), long);
    }
}
