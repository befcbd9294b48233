//! `edge-observer rollout`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use console::Term;
use edge_observer::Usage;
use edge_observer::rollout::preflight::{self, Inputs, Patience, Preflight};
use edge_observer::rollout::progress::Lines;
use edge_observer::rollout::proposal::Proposal;
use edge_observer::rollout::status;
use edge_observer::rollout::world::{self, Real};
use edge_observer::rollout::{self as parts, Loaded};
use host_harness::serve::Signals;
use jiff::Timestamp;
use rollout::announce::Announcer;
use rollout::build;
use rollout::engine::clock::SystemClock;
use rollout::engine::guard::{self, Guard};
use rollout::engine::mailbox::{Ask, Request};
use rollout::engine::{self, Ended, Observer, RealJudge, Reply, Setup, Stop, Tools};
use rollout::istio::object_name;
use rollout::istio::render::manifest;
use rollout::journal::disk::RealDisk;
use rollout::journal::entry::{Entry, Event, Outcome};
use rollout::journal::{self, Folder};
use rollout::metrics::prometheus::Prometheus;
use rollout::oci;
use rollout::overview::{Overview, history};
use rollout::plan::{HandsPlan, Killed};
use rollout::report::report;
use serde_json::json;

use crate::arguments::rollout as arguments;
use crate::arguments::rollout::Rollout;
use crate::commands::{print_json, print_text};

/// How long a running rollout may take to take a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of a rollout may be told of.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn run(command: Rollout) -> anyhow::Result<u8> {
    match command {
        Rollout::Plan(plan) => show(&plan),
        Rollout::Preflight(preflight) => look(&preflight),
        Rollout::Start(start) => begin(&start),
        Rollout::Resume(go) => go_on(&go),
        Rollout::Status(status) => tell(&status),
        Rollout::Approve(say) => {
            let ask = Ask::Approve { ring: say.ring.clone() };
            ask_for(&say.which, ask, &say.comment, false)
        }
        Rollout::Pause(pause) => ask_for(&pause.which, Ask::Pause, &pause.comment, false),
        Rollout::Rollback(back) => ask_for(&back.which, Ask::Rollback { force: back.force }, &back.comment, back.json),
        Rollout::History(history) => list(&history),
        Rollout::Verify(verify) => prove(&verify),
        Rollout::Oci(oci) => layout(&oci),
        Rollout::Manifests(manifests) => render(&manifests),
        Rollout::Guard(guard) => watch(&guard),
    }
}

fn tools(state: &Path, observer: Box<dyn Observer>, stop: Stop) -> Tools {
    Tools {
        world: Box::new(Real),
        judge: Box::new(RealJudge),
        clock: Box::new(SystemClock::default()),
        disk: Arc::new(RealDisk),
        observer,
        stop,
        who: engine::who(),
        state: state.to_owned(),
    }
}

/// Told by Ctrl-C and SIGTERM, each time.
fn on_signal() -> anyhow::Result<Stop> {
    let stop = Stop::default();
    let told = stop.clone();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a thread")?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen().context("cannot listen for Ctrl-C")?
    };
    std::thread::spawn(move || {
        runtime.block_on(async move {
            loop {
                signals.next().await;
                told.ask();
            }
        });
    });
    Ok(stop)
}

fn preflight(loaded: &Loaded, patience: Patience, quiet: bool) -> anyhow::Result<(parts::Artifact, Preflight)> {
    let artifact = parts::artifact(&loaded.plan)?;
    let builds = build::builds(&loaded.plan, &artifact.module, &artifact.configuration)?;
    let hands = world::hands(&loaded.plan);
    let metrics = Prometheus::new(&loaded.plan.prometheus)?;
    let inputs = Inputs { plan: &loaded.plan, builds: &builds, hands: &*hands, metrics: &metrics, patience };
    let mut lines = Lines::new(quiet);
    Ok((artifact, preflight::run(&inputs, &mut lines)))
}

fn patience(no_wait: bool) -> Patience {
    if no_wait { Patience::None } else { Patience::Bake }
}

fn look(arguments: &arguments::Preflight) -> anyhow::Result<u8> {
    let loaded = parts::load(&arguments.file)?;
    let (_, preflight) = preflight(&loaded, patience(arguments.no_wait), arguments.json)?;
    if arguments.json {
        print_json(&serde_json::to_value(&preflight)?)?;
    } else {
        print_text(preflight.to_text().trim_end())?;
    }
    Ok(u8::from(!preflight.holds()))
}

fn begin(arguments: &arguments::Start) -> anyhow::Result<u8> {
    let loaded = parts::load(&arguments.which.file)?;
    // A token that is missing is told before the preflight, which takes its time.
    let announcer = Announcer::start(&loaded.plan, &[])?;
    let (artifact, preflight) = preflight(&loaded, patience(arguments.no_wait), arguments.json)?;
    let setup = Setup {
        plan_text: loaded.text.clone(),
        base: loaded.base.clone(),
        module: artifact.module,
        configuration: artifact.configuration.to_string(),
        preflight: preflight.checks.into_iter().map(|check| (check.check, check.holds, check.found)).collect(),
    };
    guarded(&loaded, announcer, &arguments.which, arguments.json, |tools| engine::start(tools, &setup))
}

fn go_on(arguments: &arguments::Go) -> anyhow::Result<u8> {
    let loaded = parts::load(&arguments.which.file)?;
    // A tool that runs and is paused goes on by itself; one that is gone is gone on with here.
    let folder = Folder::new(&arguments.which.state, &loaded.plan.name);
    if is_held(&folder) {
        return ask_for(&arguments.which, Ask::Resume, &arguments.comment, arguments.json);
    }
    let name = loaded.plan.name.clone();
    let announcer = Announcer::start(&loaded.plan, journal::read(&folder.journal())?.latest())?;
    guarded(&loaded, announcer, &arguments.which, arguments.json, |tools| {
        engine::resume(tools, &name, &arguments.comment, arguments.force)
    })
}

/// Whether a process is at it.
fn is_held(folder: &Folder) -> bool {
    std::fs::File::open(folder.lock())
        .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// Goes forward with a guard beside it.
fn guarded(
    loaded: &Loaded,
    announcer: Announcer,
    which: &arguments::Which,
    quiet: bool,
    go: impl FnOnce(Tools) -> Result<Ended, engine::Error>,
) -> anyhow::Result<u8> {
    let state = std::path::absolute(&which.state)?;
    let tools = tools(&state, Box::new(Told::new(quiet, &announcer)), on_signal()?);
    // Last: from here on nothing returns without a word to the guard, which would take back what it has no word of.
    let guard = match loaded.plan.policy.killed {
        Killed::Rollback => Some(start_guard(&state, &loaded.plan.name)?),
        Killed::Hold => None,
    };
    let ended = go(tools);
    if let Some(guard) = guard {
        // What was held on purpose is not taken back by the guard.
        let _ = guard.done();
    }
    finish_telling(&announcer);
    finish(&ended?, quiet)
}

/// What could not be announced in time is told here.
fn finish_telling(announcer: &Announcer) {
    for problem in announcer.finish(ANNOUNCED_WITHIN) {
        eprintln!("edge-observer: {problem}");
    }
}

/// The terminal, and whoever else hears of it.
#[derive(Debug)]
struct Told {
    lines: Lines,
    announcer: Announcer,
}

impl Told {
    fn new(quiet: bool, announcer: &Announcer) -> Self {
        Self { lines: Lines::new(quiet), announcer: announcer.clone() }
    }
}

impl Observer for Told {
    fn entry(&mut self, entry: &Entry) {
        self.lines.entry(entry);
        self.announcer.entry(entry);
    }

    fn waits(&mut self, what: &str) {
        self.lines.waits(what);
    }
}

fn start_guard(state: &Path, name: &str) -> anyhow::Result<Guard> {
    let folder = Folder::new(state, name);
    folder.make()?;
    let log = folder.path().join("guard.log");
    let output = std::fs::File::options().create(true).append(true).open(&log);
    let output = output.with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["rollout", "guard", name, "--state"]).arg(state);
    command.stdout(Stdio::null()).stderr(output);
    guard::spawn(command).context("cannot start the guard that takes the rollout back when this process is killed; `policy.killed: hold` goes without")
}

fn watch(arguments: &arguments::Guard) -> anyhow::Result<u8> {
    if guard::watch(std::io::stdin()) == guard::Word::Done {
        return Ok(0);
    }
    eprintln!("the tool that was at rollouts of {} is gone", arguments.name);
    let folder = Folder::new(&arguments.state, &arguments.name);
    let announcer = announcer_of(&folder);
    let tools = || match &announcer {
        Some(announcer) => tools(&arguments.state, Box::new(Told::new(false, announcer)), Stop::default()),
        None => tools(&arguments.state, Box::new(Lines::new(false)), Stop::default()),
    };
    let ended = guard::take_over(tools, &arguments.name)?;
    announcer.iter().for_each(finish_telling);
    eprintln!("{ended:?}");
    Ok(0)
}

/// Of the rollout that a journal has. Going back does not wait for somebody to be told.
fn announcer_of(folder: &Folder) -> Option<Announcer> {
    let read = journal::read(&folder.journal()).ok()?;
    let Event::Opened { plan, base, .. } = &read.latest().first()?.what else { return None };
    let plan = rollout::plan::parse(plan, Path::new(base)).ok()?;
    Announcer::start(&plan, read.latest()).inspect_err(|error| eprintln!("edge-observer: {error}")).ok()
}

fn finish(ended: &Ended, quiet: bool) -> anyhow::Result<u8> {
    let (code, outcome, why) = match ended {
        Ended::Done(why) => (0, "done", why),
        Ended::RolledBack(why) => (1, "rolled back", why),
        Ended::Refused(why) => (1, "refused", why),
        Ended::Held(why) => (1, "held", why),
    };
    if quiet {
        print_json(&json!({ "outcome": outcome, "reason": why }))?;
    } else {
        print_text(&format!("{outcome}: {why}"))?;
    }
    Ok(code)
}

fn ask_for(which: &arguments::Which, ask: Ask, comment: &str, quiet: bool) -> anyhow::Result<u8> {
    let loaded = parts::load(&which.file)?;
    let request = Request { ask, who: engine::who(), comment: comment.to_owned(), at: Timestamp::now() };
    let state = std::path::absolute(&which.state)?;
    let folder = Folder::new(&state, &loaded.plan.name);
    let announcer = announcer_of(&folder);
    let observer: Box<dyn Observer> = match &announcer {
        Some(announcer) => Box::new(Told::new(quiet, announcer)),
        None => Box::new(Lines::new(quiet)),
    };
    let reply = engine::request(tools(&state, observer, on_signal()?), &loaded.plan.name, &request, PATIENCE);
    announcer.iter().for_each(finish_telling);
    match reply? {
        Reply::Taken(holder) => {
            let by = holder.map_or_else(String::new, |holder| format!(" by process {} of {}", holder.pid, holder.who));
            print_text(&format!("taken{by}; see `edge-observer rollout status`"))?;
            Ok(0)
        }
        Reply::Written => {
            print_text("written down; it holds when the rollout goes on with `edge-observer rollout resume`")?;
            Ok(0)
        }
        Reply::Ended(ended) => match (&request.ask, &ended) {
            // That is what was asked for.
            (Ask::Rollback { .. }, Ended::RolledBack(_)) => finish(&ended, quiet).map(|_| 0),
            _ => finish(&ended, quiet),
        },
    }
}

fn read(which: &arguments::Which) -> anyhow::Result<(Folder, journal::Read)> {
    let loaded = parts::load(&which.file)?;
    let folder = Folder::new(&which.state, &loaded.plan.name);
    let read = journal::read(&folder.journal())?;
    if read.entries.is_empty() {
        return Err(Usage::error(format!(
            "there is no rollout in {}; is --state the folder that `start` was given?",
            folder.journal().display()
        )));
    }
    Ok((folder, read))
}

fn prove(arguments: &arguments::Verify) -> anyhow::Result<u8> {
    let (folder, _) = match read(&arguments.which) {
        Err(error) if error.downcast_ref::<journal::Error>().is_some() => {
            let loaded = parts::load(&arguments.which.file)?;
            (Folder::new(&arguments.which.state, &loaded.plan.name), journal::Read::default())
        }
        other => other?,
    };
    match journal::verify::verify(&folder) {
        Ok(whole) if arguments.json => print_json(&json!({ "whole": true, "found": whole })).map(|()| 0),
        Ok(whole) => {
            let mut text = format!(
                "whole: {} entries of {} rollouts, {} recorded blobs\nhead {}",
                whole.entries, whole.rollouts, whole.blobs, whole.head
            );
            for warning in &whole.warnings {
                text.push_str(&format!("\nodd: {warning}"));
            }
            print_text(&text).map(|()| 0)
        }
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            if arguments.json {
                print_json(&json!({ "whole": false, "errors": errors }))?;
            } else {
                print_text(&format!("NOT WHOLE\n{}", errors.join("\n")))?;
            }
            Ok(1)
        }
    }
}

fn show(arguments: &arguments::Plan) -> anyhow::Result<u8> {
    let loaded = parts::load(&arguments.file)?;
    let artifact = parts::artifact(&loaded.plan)?;
    let builds = build::builds(&loaded.plan, &artifact.module, &artifact.configuration)?;
    let proposal = Proposal::new(&loaded.plan, &builds, &*world::hands(&loaded.plan));
    if arguments.json {
        print_json(&serde_json::to_value(&proposal)?)?;
    } else {
        print_text(proposal.to_text().trim_end())?;
    }
    Ok(0)
}

fn tell(arguments: &arguments::Status) -> anyhow::Result<u8> {
    let overview = || {
        let (_, read) = read(&arguments.which)?;
        Overview::of(read.latest(), Timestamp::now()).context("the journal has no rollout yet")
    };
    let mut now = overview()?;
    if arguments.json {
        print_json(&serde_json::to_value(&now)?)?;
    } else if arguments.watch && std::io::stdout().is_terminal() {
        loop {
            // Home, and what is below is cleared: a screen that is drawn over does not flicker.
            print_text(&format!("\x1b[H{}\x1b[J", status::render(&now, width()).replace('\n', "\x1b[K\n")))?;
            if now.outcome.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
            now = overview()?;
        }
    } else {
        print_text(status::render(&now, width()).trim_end())?;
    }
    Ok(u8::from(now.outcome.is_some_and(|outcome| outcome != Outcome::Done)))
}

/// Columns of the terminal; enough for all where there is none.
fn width() -> usize {
    let own = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    own.unwrap_or_else(|| usize::from(Term::stdout().size_checked().map_or(160, |(_, columns)| columns)))
}

fn list(arguments: &arguments::History) -> anyhow::Result<u8> {
    let (_, read) = read(&arguments.which)?;
    if let Some(folder) = &arguments.report {
        return write_report(&read, folder, arguments.rollout.as_deref());
    }
    let rollouts = history(&read.entries, Timestamp::now());
    if arguments.json {
        print_json(&serde_json::to_value(&rollouts)?)?;
    } else {
        print_text(status::render_history(&rollouts, width()).trim_end())?;
    }
    Ok(0)
}

fn write_report(read: &journal::Read, folder: &Path, wanted: Option<&str>) -> anyhow::Result<u8> {
    let report = report(&read.entries, &read.head, wanted)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (ending, text) in [("md", &report.markdown), ("json", &report.json)] {
        let file = folder.join(format!("{}.{ending}", report.rollout));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        print_text(&file.display().to_string())?;
    }
    Ok(0)
}

fn layout(arguments: &arguments::Oci) -> anyhow::Result<u8> {
    let kind = match arguments.kind {
        arguments::OciKind::Image => oci::Kind::Image,
        arguments::OciKind::Artifact => oci::Kind::Artifact,
    };
    let written = oci::write(&arguments.module, &arguments.output, kind)?;
    if arguments.json {
        print_json(&json!({ "manifest": written.manifest_digest, "module_sha256": written.module_sha256 }))?;
    } else {
        let folder = written.folder.display();
        print_text(&format!(
            "manifest  {}\nmodule    {}\npush it   skopeo copy oci:{folder} docker://REGISTRY/REPOSITORY:TAG\nname it   oci://REGISTRY/REPOSITORY@{}",
            written.manifest_digest, written.module_sha256, written.manifest_digest
        ))?;
    }
    Ok(0)
}

fn render(arguments: &arguments::Manifests) -> anyhow::Result<u8> {
    let loaded = parts::load(&arguments.file)?;
    let HandsPlan::Istio(istio) = &loaded.plan.hands else {
        return Err(Usage::error(
            "the rings of this file are reached by watched files; only those in Istio have manifests",
        ));
    };
    let artifact = parts::artifact(&loaded.plan)?;
    let builds = build::builds(&loaded.plan, &artifact.module, &artifact.configuration)?;
    let mut all = Vec::new();
    for ring in &loaded.plan.rings {
        let build = builds.get(&ring.name).context("a ring has no build")?;
        let text = manifest(istio, ring, build)?;
        match &arguments.output {
            None => all.push(text),
            Some(folder) => {
                std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                let file = folder.join(format!("{}.yaml", object_name(istio, ring)));
                std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
                all.push(format!("{}\n", file.display()));
            }
        }
    }
    let between = if arguments.output.is_some() { "" } else { "---\n" };
    print_text(all.join(between).trim_end())?;
    Ok(0)
}
