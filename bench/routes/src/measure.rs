//! Rounds over every table and kind of request, and what they took.
//!
//! One round runs each subject on each list, natively and in Wasm. What will be compared runs side by side, in an order that is drawn anew, so
//! that whatever else the machine does falls on all of it alike; a ratio is the median of the rounds' own ratios. The loop around a match is
//! measured as a subject of its own and taken away.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use edge_observer::quantile;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use routes_bench::examples::{self, Kind};
use routes_bench::host::{WasmBench, WasmModule};
use routes_bench::hostile::{self, Search};
use routes_bench::native::NativeBench;
use routes_bench::{Bench, Request, Subject};
use telemetry::route::RouteSpec;

/// A table to be measured.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) specs: Vec<RouteSpec>,
    /// A plugin configuration with it.
    pub(crate) config: Vec<u8>,
}

/// How long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rounds: usize,
    /// How long one run of a round is, in nanoseconds.
    run: u64,
    requests: usize,
}

impl Pace {
    pub(crate) const FULL: Pace = Pace { rounds: 31, run: 2_000_000, requests: 2_000 };
    pub(crate) const QUICK: Pace = Pace { rounds: 7, run: 400_000, requests: 500 };
}

/// Nanoseconds a match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time {
    /// Each round's.
    rounds: Vec<f64>,
}

impl Time {
    /// What this share of the rounds did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        quantile::of(&self.rounds, share)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// This as a multiple of another one: the median of the rounds' own ratios.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        let ratios: Vec<f64> = self.rounds.iter().zip(&other.rounds).map(|(this, other)| this / other).collect();
        quantile::of(&ratios, 0.5)
    }
}

/// What one router costs on one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) native: Time,
    pub(crate) wasm: Time,
    /// Fuel a match.
    pub(crate) fuel: f64,
    /// Of all its matches, natively and in Wasm.
    pub(crate) allocations: u64,
}

/// One list of requests for one table.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) table: String,
    pub(crate) kind: Kind,
    pub(crate) requests: usize,
    pub(crate) ours: Cost,
    pub(crate) matchit: Cost,
}

/// A request that costs much.
#[derive(Debug)]
pub(crate) struct Worst {
    pub(crate) table: String,
    pub(crate) what: String,
    pub(crate) bytes: usize,
    pub(crate) ours: u64,
    pub(crate) matchit: u64,
    pub(crate) allocations: u64,
}

/// What a table costs.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) table: String,
    pub(crate) routes: usize,
    /// Milliseconds to a compiled configuration.
    pub(crate) native: f64,
    pub(crate) wasm: f64,
    /// Bytes of the configuration in use, in Wasm.
    pub(crate) live: u64,
    /// Bytes by which the Wasm memory grew meanwhile, with all that was only needed on the way.
    pub(crate) grown: u64,
    /// Templates that `matchit` has no form for.
    pub(crate) refused: u64,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) cells: Vec<Cell>,
    /// Fuel of a plain match: the mean of the examples with parameters in the middle table.
    pub(crate) plain: f64,
    pub(crate) worst: Vec<Worst>,
    pub(crate) builds: Vec<Build>,
}

/// The middle table, whose plain match is the measure of the worst cases.
const PLAIN: &str = "1,000";

/// A table in all its forms.
struct Loaded {
    native: NativeBench,
    wasm: WasmBench,
    metered: WasmBench,
}

/// One thing to run: the cell's number, natively or not, and what.
#[derive(Clone, Copy)]
struct Run {
    cell: usize,
    wasm: bool,
    subject: Subject,
    rounds: u32,
}

/// Measures everything.
pub(crate) fn measure(tables: &[Table], module: &[u8], native: &Path, pace: Pace) -> Result<Figures> {
    let plain = WasmModule::new(module, false)?;
    let metered = WasmModule::new(module, true)?;
    let mut figures = Figures::default();
    let mut loaded = Vec::new();
    // The number of each cell's table, and of its list there.
    let mut places = Vec::new();
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("    {wide_msg}")?);
    for (number, table) in tables.iter().enumerate() {
        bar.set_message(format!("{}: compiling the table, making requests", table.name));
        bar.tick();
        let (build, mut forms) = load(table, &plain, &metered, native)?;
        figures.builds.push(build);
        let mut here = Bench::new(&table.config).map_err(anyhow::Error::msg)?;
        here.add_matchit();
        for kind in Kind::ALL {
            let requests = examples::requests(kind, &table.specs, &here, pace.requests);
            if requests.is_empty() {
                continue;
            }
            let (cell, list) = cell(table, kind, &requests, &mut forms)?;
            figures.cells.push(cell);
            places.push((number, list));
        }
        bar.set_message(format!("{}: looking for the worst case", table.name));
        bar.tick();
        figures.worst.extend(worst(table, &mut forms)?);
        loaded.push(forms);
    }
    for table in made_to_be_worst() {
        bar.set_message(format!("{}: looking for the worst case", table.name));
        bar.tick();
        let (_, mut forms) = load(&table, &plain, &metered, native)?;
        figures.worst.extend(searched(&table, &mut forms)?);
    }
    bar.finish_and_clear();
    let plain = figures.cells.iter().find(|cell| cell.table == PLAIN && cell.kind == Kind::Parameters);
    figures.plain = plain.context("the middle table has no examples with parameters")?.ours.fuel;
    time(&mut figures, &mut loaded, &places, pace)?;
    Ok(figures)
}

/// Tables whose only purpose is to be expensive.
fn made_to_be_worst() -> Vec<Table> {
    let table = |name: &str, specs: Vec<RouteSpec>| {
        let config = routes_bench::tables::config(&specs, serde_json::json!({}));
        Table { name: name.to_owned(), config, specs }
    };
    vec![table("forks, 2⁸", hostile::forking_table(8)), table("partials, 64", hostile::partial_table(64))]
}

fn load(table: &Table, plain: &WasmModule, metered: &WasmModule, native: &Path) -> Result<(Build, Loaded)> {
    const TRIES: usize = 5;
    let mut native = NativeBench::start(native)?;
    let mut times = (Vec::new(), Vec::new());
    let mut wasm = WasmBench::empty(plain)?;
    let (mut live, mut grown) = (0, 0);
    for _ in 0..TRIES {
        times.0.push(native.load(&table.config)?.nanoseconds as f64 / 1e6);
        wasm = WasmBench::empty(plain)?;
        let (before, in_use) = (wasm.memory_size(), wasm.live_bytes()?);
        wasm.give(&table.config)?;
        let since = Instant::now();
        wasm.load()?;
        times.1.push(since.elapsed().as_secs_f64() * 1e3);
        live = wasm.live_bytes()?.saturating_sub(in_use);
        grown = (wasm.memory_size() - before) as u64;
    }
    let mut metered = WasmBench::new(metered, &table.config)?;
    let refused = native.add_matchit()?;
    wasm.add_matchit()?;
    metered.add_matchit()?;
    let build = Build {
        table: table.name.clone(),
        routes: table.specs.len(),
        native: quantile::of(&times.0, 0.5),
        wasm: quantile::of(&times.1, 0.5),
        live,
        grown,
        refused,
    };
    Ok((build, Loaded { native, wasm, metered }))
}

/// A cell with all that is exact: answers compared, fuel, allocations.
fn cell(table: &Table, kind: Kind, requests: &[Request], forms: &mut Loaded) -> Result<(Cell, u32)> {
    let list = forms.native.add_requests(requests)?;
    ensure!(list == forms.wasm.add_requests(requests)? && list == forms.metered.add_requests(requests)?);
    let mut cost = |subject| -> Result<(u64, Cost)> {
        let native = forms.native.run(subject, list, 1)?;
        let before = forms.wasm.allocations()?;
        let (sum, _) = forms.wasm.run(subject, list, 1)?;
        let allocations = native.allocations + forms.wasm.allocations()? - before;
        ensure!(native.sum == sum, "{}, {}: native and Wasm disagree about {subject:?}", table.name, kind.name());
        let fuel = forms.metered.fuel(subject, list)? as f64 / requests.len() as f64;
        Ok((sum, Cost { fuel, allocations, ..Cost::default() }))
    };
    let (sum, ours) = cost(Subject::Ours)?;
    let (its_sum, matchit) = cost(Subject::Matchit)?;
    ensure!(sum == its_sum, "{}, {}: the routers disagree", table.name, kind.name());
    Ok((Cell { table: table.name.clone(), kind, requests: requests.len(), ours, matchit }, list))
}

fn worst(table: &Table, forms: &mut Loaded) -> Result<Vec<Worst>> {
    let mut worst = searched(table, forms)?;
    if table.name == PLAIN {
        for (what, request) in hostile::fixed() {
            worst.push(expensive(table, what.to_owned(), &request, forms)?);
        }
    }
    Ok(worst)
}

/// The worst request that can be found for a table.
fn searched(table: &Table, forms: &mut Loaded) -> Result<Vec<Worst>> {
    let found = Search::new(&table.specs).most_expensive(&mut forms.metered, Subject::Ours)?;
    let Some((request, _)) = found else { return Ok(Vec::new()) };
    let what = String::from_utf8_lossy(&request.target).into_owned();
    Ok(vec![expensive(table, what, &request, forms)?])
}

fn expensive(table: &Table, what: String, request: &Request, forms: &mut Loaded) -> Result<Worst> {
    let one = std::slice::from_ref(request);
    let list = forms.metered.add_requests(one)?;
    let before = forms.metered.allocations()?;
    let ours = forms.metered.fuel(Subject::Ours, list)?;
    let in_wasm = forms.metered.allocations()? - before;
    let list_native = forms.native.add_requests(one)?;
    let allocations = in_wasm + forms.native.run(Subject::Ours, list_native, 1)?.allocations;
    forms.wasm.add_requests(one)?;
    let matchit = forms.metered.fuel(Subject::Matchit, list)?;
    Ok(Worst { table: table.name.clone(), what, bytes: request.target.len(), ours, matchit, allocations })
}

/// Fills in the times.
fn time(figures: &mut Figures, loaded: &mut [Loaded], places: &[(usize, u32)], pace: Pace) -> Result<()> {
    let mut runs = Vec::new();
    for cell in 0..figures.cells.len() {
        for wasm in [false, true] {
            for subject in Subject::ALL {
                let mut run = Run { cell, wasm, subject, rounds: 1 };
                let took = once(loaded, places, run)?.max(1);
                run.rounds = (pace.run / took).clamp(1, 100_000) as u32;
                runs.push((run, Vec::new()));
            }
        }
    }
    let bar = ProgressBar::new((pace.rounds * runs.len()) as u64)
        .with_style(ProgressStyle::with_template("    rounds {bar:40} {percent} %, {eta} left")?);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut order: Vec<usize> = (0..runs.len()).collect();
    let mut sides: Vec<(Kind, bool)> = Kind::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]).collect();
    for _ in 0..pace.rounds {
        order.shuffle(&mut rng);
        sides.shuffle(&mut rng);
        // All tables and routers for one kind of request, then those for the next one; a stable sort keeps the drawn order among them.
        order.sort_by_key(|number| {
            runs.get(*number).and_then(|(run, _)| {
                let kind = figures.cells.get(run.cell)?.kind;
                sides.iter().position(|side| *side == (kind, run.wasm))
            })
        });
        for number in &order {
            let Some((run, times)) = runs.get_mut(*number) else { continue };
            let requests = figures.cells.get(run.cell).map_or(1, |cell| cell.requests);
            let took = once(loaded, places, *run)?;
            times.push(took as f64 / f64::from(run.rounds) / requests as f64);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for three in runs.chunks_mut(3) {
        let [nothing, ours, matchit] = three else { continue };
        let alone = quantile::of(&nothing.1, 0.5);
        let Some(cell) = figures.cells.get_mut(ours.0.cell) else { continue };
        for ((run, times), to) in [(ours, &mut cell.ours), (matchit, &mut cell.matchit)] {
            let time = Time { rounds: times.iter().map(|time| (time - alone).max(0.0)).collect() };
            *(if run.wasm { &mut to.wasm } else { &mut to.native }) = time;
        }
    }
    Ok(())
}

/// Nanoseconds of one run, after a pass that is not measured: what ran before has left the caches full of something else.
fn once(loaded: &mut [Loaded], places: &[(usize, u32)], run: Run) -> Result<u64> {
    let (table, list) = *places.get(run.cell).context("a cell without a table")?;
    let forms = loaded.get_mut(table).context("a cell without a table")?;
    if run.wasm {
        forms.wasm.run(run.subject, list, 1)?;
        let since = Instant::now();
        forms.wasm.run(run.subject, list, run.rounds)?;
        Ok(since.elapsed().as_nanos() as u64)
    } else {
        forms.native.run(run.subject, list, 1)?;
        Ok(forms.native.run(run.subject, list, run.rounds)?.nanoseconds)
    }
}
