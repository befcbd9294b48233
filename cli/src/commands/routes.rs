//! `edge-observer routes`: from arguments to the library and to an exit code.

use edge_observer::routes::import::{self, Destination, ImportOptions};
use telemetry::route::LabelStyle;

use super::{print_json, print_text};
use crate::arguments::routes::{Import, Label, Routes};

/// Runs a command of the group; the result is the exit code.
pub(super) fn run(routes: Routes, verbose: bool) -> anyhow::Result<u8> {
    match routes {
        Routes::Import(import) => run_import(import, verbose),
    }
}

fn run_import(arguments: Import, verbose: bool) -> anyhow::Result<u8> {
    let destination = match (arguments.output, arguments.into) {
        (Some(file), _) => Destination::New { file, force: arguments.force },
        (None, Some(file)) => Destination::Into(file),
        (None, None) => Destination::Stdout,
    };
    let options = ImportOptions {
        source: arguments.source,
        format: arguments.format,
        base_paths: arguments.base_path,
        destination,
        label: arguments.label.map(|label| match label {
            Label::Template => LabelStyle::Template,
            Label::Name => LabelStyle::Name,
        }),
        set_budget: arguments.set_budget,
        section: arguments.section,
        dry_run: arguments.dry_run,
    };
    let imported = import::run(&options)?;
    if arguments.json {
        print_json(&imported.report.to_json())?;
    } else {
        eprint!("{}", imported.report.to_text(verbose));
        if let Some(text) = &imported.text {
            print_text(text.trim_end())?;
        }
    }
    Ok(u8::from(!imported.good))
}
