//! `edge-observer routes …`: from arguments to the library and to an exit code.

use edge_observer::config_file;
use edge_observer::routes::coverage::{self, CoverageOptions};
use edge_observer::routes::import::{self, Destination, ImportOptions};
use edge_observer::routes::{budget, decision};
use telemetry::route::LabelStyle;

use super::{print_json, print_text};
use crate::arguments::routes::{Budget, Import, Label, Match, Routes, Try};

/// Runs one of the commands about routes; the result is the exit code.
pub(super) fn run(routes: Routes, verbose: bool) -> anyhow::Result<u8> {
    match routes {
        Routes::Import(arguments) => run_import(arguments, verbose),
        Routes::Match(arguments) => run_match(&arguments),
        Routes::Try(arguments) => run_try(arguments),
        Routes::Budget(arguments) => run_budget(&arguments),
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

fn run_match(arguments: &Match) -> anyhow::Result<u8> {
    let loaded = config_file::require(&arguments.config)?;
    let explained =
        decision::explain(&loaded.config, arguments.method.as_encoded_bytes(), arguments.path.as_encoded_bytes());
    if arguments.json {
        print_json(&explained.to_json())?;
    } else {
        print_text(explained.to_text().trim_end())?;
    }
    Ok(u8::from(arguments.expect.as_deref().is_some_and(|expected| expected != explained.endpoint())))
}

fn run_try(arguments: Try) -> anyhow::Result<u8> {
    let options = CoverageOptions { config: arguments.config, access_log: arguments.access_log, quiet: arguments.json };
    let coverage = coverage::run(&options)?;
    if arguments.json {
        print_json(&serde_json::to_value(&coverage)?)?;
    } else {
        let top = usize::try_from(arguments.top)?;
        print_text(coverage.to_text(top, arguments.all).trim_end())?;
    }
    Ok(0)
}

fn run_budget(arguments: &Budget) -> anyhow::Result<u8> {
    let report = budget::report(&arguments.config).map_err(|problem| problem.into_error(&arguments.config))?;
    if arguments.json {
        print_json(&report.to_json())?;
    } else {
        print_text(report.to_text().trim_end())?;
    }
    Ok(u8::from(!report.is_within()))
}
