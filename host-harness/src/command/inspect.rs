//! `inspect`: what a module is, and whether Envoy would load it.

use std::path::PathBuf;

use clap::Args;
use host_harness::Inspection;

use super::cache::CacheArguments;

/// Arguments of the command.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The module, as .wasm or .wat
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Prints it; says whether Envoy would load the module.
pub(crate) fn run(arguments: &Inspect, cache: &CacheArguments) -> anyhow::Result<bool> {
    let module = cache.load(&arguments.module)?;
    let found = module.inspect()?;
    if arguments.json {
        print(&serde_json::to_string_pretty(&found)?);
    } else {
        print(&text(&found));
    }
    Ok(found.refusals.is_empty())
}

#[allow(clippy::print_stdout, reason = "it is what the command is for")]
fn print(text: &str) {
    println!("{text}");
}

fn text(found: &Inspection) -> String {
    let size = |bytes: u64| format!("{} KiB", bytes.div_ceil(1024));
    let memory = found.memory.map_or_else(
        || "none".to_owned(),
        |memory| {
            format!(
                "{} at the start, {}",
                size(memory.initial),
                memory.maximum.map_or_else(|| "no maximum".to_owned(), |most| format!("at most {}", size(most)))
            )
        },
    );
    let mut rows: Vec<(&str, String)> = vec![
        ("size", format!("{} bytes", found.size)),
        ("SHA-256", found.sha256.clone()),
        ("ABI", found.abi.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("start", found.start.unwrap_or("none").to_owned()),
        ("allocator", found.allocator.unwrap_or("none").to_owned()),
        ("memory", memory),
    ];
    let functions =
        |list: &[host_harness::Function]| list.iter().map(|each| format!("{}{}", each.name, each.signature)).collect();
    let refusals = if found.refusals.is_empty() { vec!["no".to_owned()] } else { found.refusals.clone() };
    for (title, lines) in [
        ("imports", functions(&found.imports)),
        ("callbacks", functions(&found.callbacks)),
        ("never called", found.unused_exports.clone()),
        ("refused", refusals),
    ] {
        rows.extend(lines.into_iter().enumerate().map(|(index, line)| (if index == 0 { title } else { "" }, line)));
    }
    rows.iter().map(|(title, value)| format!("{title:<13} {value}")).collect::<Vec<_>>().join("\n")
}
