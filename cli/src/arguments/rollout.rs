//! `edge-observer rollout`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Take a new build of the filter over a fleet ring by ring, judge each ring, and take the build back when it does harm.
#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Show what a rollout would do: rings, digests, gates, and how many requests each needs.
    Plan(Plan),
    /// Try all that can be tried without changing anything: the build, the fleet, Prometheus, and the judge on the fleet as it is.
    Preflight(Preflight),
    /// Preflight, then ring after ring. Ends when the last ring has the build, it was taken back, or a person is needed.
    Start(Start),
    /// Go on with a rollout whose tool was stopped or killed, or that is paused.
    Resume(Go),
    /// Show the rings, the gates and the time left. Exit code 1 when the rollout failed.
    Status(Status),
    /// Approve what a rollout waits for: a ring that needs a person, or one that is not decided.
    Approve(Say),
    /// Change nothing more until `resume`. What is in place stays, and is judged on.
    Pause(Pause),
    /// Put back what was there before, in every ring that was touched, newest first.
    Rollback(Rollback),
    /// List the rollouts of this file, or write the report of one.
    History(History),
    /// Prove that the journal is whole: each entry follows from the one before, and all recorded bytes are there.
    Verify(Verify),
    /// Write the module as an OCI layout, for a registry that Istio's agents fetch from. No Docker needed.
    Oci(Oci),
    /// Write each ring's manifest, without applying it.
    Manifests(Manifests),
    /// Takes a rollout back whose tool is gone; started by `start` and `resume`.
    #[command(hide = true)]
    Guard(Guard),
}

/// Which rollout.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The rollout file; docs/rollout.md describes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where journals and recorded bytes are.
    #[arg(long, value_name = "DIR", default_value = ".edge-observer/rollouts")]
    pub(crate) state: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The rollout file; docs/rollout.md describes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Preflight {
    /// The rollout file; docs/rollout.md describes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Judge only what Prometheus has already, and do not wait for more.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Judge the fleet as it is on what Prometheus has already, and do not wait for more.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Print nothing but the result, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Go {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Why; it goes into the journal, with who said it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) comment: String,
    /// Also where something else was put in place in the meantime.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print nothing but the result, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Guard {
    /// The rollouts' name.
    pub(crate) name: String,
    /// Where journals and recorded bytes are.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Draw it again every second until the rollout is over.
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Say {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The ring that it is about [default: the one that waits].
    #[arg(long, value_name = "RING")]
    pub(crate) ring: Option<String>,
    /// Why; it goes into the journal, with who said it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) comment: String,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Why; it goes into the journal, with who said it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) comment: String,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Why; it goes into the journal, with who said it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) comment: String,
    /// Also where something else was put in place in the meantime.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print nothing but the result, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Write the report of a rollout into this folder, as Markdown and as JSON.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Which rollout, by its ID or the beginning of it [default: the latest].
    #[arg(long, value_name = "ID")]
    pub(crate) rollout: Option<String>,
    /// Print the list as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the layout holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OciKind {
    /// An image with `plugin.wasm`, which every registry takes.
    #[default]
    Image,
    /// An artifact with the module as it is.
    Artifact,
}

#[derive(Debug, Args)]
pub(crate) struct Oci {
    /// The module.
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// The folder of the layout; made, or added to.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// What it holds.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) kind: OciKind,
    /// Print the digests as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Manifests {
    /// The rollout file; docs/rollout.md describes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The folder to write to [default: standard output].
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
