//! The figures for people and for programs, and the goals.

use edge_observer::goal::{self, Goal};
use edge_observer::table::{Column, Table, bytes, count, printable};
use routes_bench::examples::Kind;
use serde_json::{Value, json};

use crate::measure::{Cell, Cost, Figures, Time};

/// Ours, as a multiple of `matchit`.
const MAX_RATIO: f64 = 1.5;
/// The largest table, as a multiple of the smallest.
const MAX_GROWTH: f64 = 1.5;
/// What one request may cost at most, as a multiple of a plain one, in the tables of an API.
const MAX_WORST: f64 = 1_000.0;
/// Milliseconds to configure a table of GitHub's size.
const MAX_CONFIGURE: f64 = 50.0;
/// Bytes by which a Wasm memory may grow for it: that memory never shrinks, so what was only needed on the way counts too.
const MAX_MEMORY: u64 = 1 << 20;

/// Tables that stand for an API; others are made to be worst.
fn is_api(figures: &Figures, table: &str) -> bool {
    figures.builds.iter().any(|build| build.table == table)
}

/// One cost as a multiple of another one, by one of its measures.
type Ratio = fn(&Cost, &Cost) -> f64;
const NATIVE: Ratio = |this, other| this.native.over(&other.native);
const WASM: Ratio = |this, other| this.wasm.over(&other.wasm);
const FUEL: Ratio = |this, other| this.fuel / other.fuel;

/// Every goal.
pub(crate) fn goals(figures: &Figures) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut beside_matchit = |what, ratio: Ratio| {
        let worst = figures.cells.iter().map(|cell| (ratio(&cell.ours, &cell.matchit), cell));
        if let Some((ratio, cell)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) {
            let found = format!("at most {ratio:.2} ({}, {})", cell.table, cell.kind.name());
            goals.push(Goal { what, found, met: ratio <= MAX_RATIO });
        }
    };
    beside_matchit("ours ÷ matchit, fuel: at most 1.5", FUEL);
    beside_matchit("ours ÷ matchit, time in Wasm: at most 1.5", WASM);
    beside_matchit("ours ÷ matchit, time natively: at most 1.5", NATIVE);
    let mut growth = |what, ratio: Ratio, judged: fn(Kind) -> bool| {
        let ratios = pairs(figures).filter(|(small, _)| judged(small.kind));
        let ratios = ratios.map(|(small, large)| (ratio(&large.ours, &small.ours), large));
        if let Some((ratio, cell)) = ratios.max_by(|a, b| a.0.total_cmp(&b.0)) {
            goals.push(Goal {
                what,
                found: format!("at most {ratio:.2} ({})", cell.kind.name()),
                met: ratio <= MAX_GROWTH,
            });
        }
    };
    growth("10,000 routes ÷ 100, fuel: at most 1.5", FUEL, |_| true);
    growth("10,000 routes ÷ 100, time in Wasm for the same traffic: at most 1.5", WASM, is_same_traffic);
    growth("10,000 routes ÷ 100, time natively for the same traffic: at most 1.5", NATIVE, is_same_traffic);
    let api = figures.worst.iter().filter(|worst| is_api(figures, &worst.table));
    if let Some(worst) = api.max_by_key(|worst| worst.ours) {
        let multiple = worst.ours as f64 / figures.plain;
        goals.push(Goal {
            what: "the worst request, fuel: at most 1,000 plain ones",
            found: format!("{multiple:.1} ({}, {})", worst.table, shortened(&worst.what)),
            met: multiple <= MAX_WORST,
        });
    }
    let allocations = figures.cells.iter().map(|cell| cell.ours.allocations).sum::<u64>()
        + figures.worst.iter().map(|worst| worst.allocations).sum::<u64>();
    goals.push(Goal { what: "allocations of our matches: none", found: count(allocations), met: allocations == 0 });
    // GitHub's own table where it is there, else the one that is about as large.
    if let Some(build) = figures.builds.iter().rfind(|build| (1_000..10_000).contains(&build.routes)) {
        goals.push(Goal {
            what: "configuring it in Wasm: under 50 ms",
            found: format!("{:.1} ms ({})", build.wasm, build.table),
            met: build.wasm < MAX_CONFIGURE,
        });
        goals.push(Goal {
            what: "Wasm memory grown by it: at most 1 MiB",
            found: format!("{} ({}), of which {} stay in use", bytes(build.grown), build.table, bytes(build.live)),
            met: build.grown <= MAX_MEMORY,
        });
    }
    goals
}

/// Whether requests of this kind touch no more routes where there are more of them. Of the others, a larger table has more traffic too, all of
/// which cannot stay in a processor's nearest cache: their times say as much about that as about the router.
fn is_same_traffic(kind: Kind) -> bool {
    matches!(kind, Kind::Hot | Kind::MissAtOnce)
}

/// The same kind in the smallest and in the largest table.
fn pairs(figures: &Figures) -> impl Iterator<Item = (&Cell, &Cell)> {
    let of = |table: &'static str| figures.cells.iter().filter(move |cell| cell.table == table);
    of("100").filter_map(move |small| of("10,000").find(|large| large.kind == small.kind).map(|large| (small, large)))
}

/// For people.
pub(crate) fn text(figures: &Figures, goals: &[Goal]) -> String {
    let number = Column::Number;
    let mut text = String::from(
        "A match, the loop around it taken away: median of the rounds, the tenth and ninetieth percentile of ours, and the median of \
         the rounds' own ratios.\n\n",
    );
    let mut table = Table::new([
        ("routes", Column::Text),
        ("requests", Column::Text),
        ("native ns", number),
        ("10–90 %", number),
        ("matchit", number),
        ("ratio", number),
        ("Wasm ns", number),
        ("10–90 %", number),
        ("matchit", number),
        ("ratio", number),
        ("fuel", number),
        ("matchit", number),
        ("ratio", number),
    ]);
    for cell in &figures.cells {
        let mut row = vec![cell.table.clone(), cell.kind.name().to_owned()];
        for (ours, its) in [(&cell.ours.native, &cell.matchit.native), (&cell.ours.wasm, &cell.matchit.wasm)] {
            row.extend([one(ours.median()), range(ours), one(its.median()), two(ours.over(its))]);
        }
        let (ours, its) = (cell.ours.fuel, cell.matchit.fuel);
        row.extend([one(ours), one(its), two(ours / its)]);
        table.row(row);
    }
    text.push_str(&table.render());

    text.push_str("\nThe largest table as a multiple of the smallest.\n\n");
    let mut table = Table::new([
        ("10,000 ÷ 100 routes", Column::Text),
        ("native", number),
        ("matchit", number),
        ("Wasm", number),
        ("matchit", number),
        ("fuel", number),
        ("matchit", number),
    ]);
    for (small, large) in pairs(figures) {
        let mut row = vec![small.kind.name().to_owned()];
        for ratio in [NATIVE, WASM, FUEL] {
            row.push(two(ratio(&large.ours, &small.ours)));
            row.push(two(ratio(&large.matchit, &small.matchit)));
        }
        table.row(row);
    }
    text.push_str(&table.render());

    let plain = figures.plain;
    text.push_str(&format!(
        "\nThe worst requests, in fuel. A plain match is {plain:.1}: an example with parameters among 1,000 routes.\n\n"
    ));
    let mut table = Table::new([
        ("routes", Column::Text),
        ("request", Column::Text),
        ("bytes", number),
        ("fuel", number),
        ("plain ones", number),
        ("fuel a byte", number),
        ("matchit", number),
    ]);
    for worst in &figures.worst {
        table.row([
            worst.table.clone(),
            shortened(&worst.what),
            count(worst.bytes as u64),
            count(worst.ours),
            one(worst.ours as f64 / plain),
            one(worst.ours as f64 / worst.bytes as f64),
            count(worst.matchit),
        ]);
    }
    text.push_str(&table.render());

    text.push_str("\nConfiguring: the whole configuration read and its routes compiled, by our router alone.\n\n");
    let mut table = Table::new([
        ("routes", Column::Text),
        ("templates", number),
        ("native ms", number),
        ("Wasm ms", number),
        ("in use", number),
        ("memory grown by", number),
        ("not for matchit", number),
    ]);
    for build in &figures.builds {
        table.row([
            build.table.clone(),
            count(build.routes as u64),
            two(build.native),
            two(build.wasm),
            bytes(build.live),
            bytes(build.grown),
            count(build.refused),
        ]);
    }
    text.push_str(&table.render());

    text.push('\n');
    text.push_str(&goal::text(goals));
    text
}

/// For programs.
pub(crate) fn json(figures: &Figures, goals: &[Goal]) -> Value {
    let time =
        |time: &Time| json!({"median_ns": time.median(), "p10_ns": time.quantile(0.1), "p90_ns": time.quantile(0.9)});
    let cost = |cost: &Cost| json!({"native": time(&cost.native), "wasm": time(&cost.wasm), "fuel": cost.fuel, "allocations": cost.allocations});
    let ratio = |cell: &Cell| {
        let of = |ratio: Ratio| ratio(&cell.ours, &cell.matchit);
        json!({"native": of(NATIVE), "wasm": of(WASM), "fuel": of(FUEL)})
    };
    let cells = figures.cells.iter().map(|cell| {
        json!({"routes": cell.table, "requests": cell.kind.name(), "number": cell.requests, "ours": cost(&cell.ours), "matchit": cost(&cell.matchit), "ratio": ratio(cell)})
    });
    let worst = figures.worst.iter().map(|worst| {
        json!({"routes": worst.table, "request": shortened(&worst.what), "bytes": worst.bytes, "fuel": worst.ours, "matchit_fuel": worst.matchit, "allocations": worst.allocations})
    });
    let builds = figures.builds.iter().map(|build| {
        json!({"routes": build.table, "templates": build.routes, "native_ms": build.native, "wasm_ms": build.wasm, "bytes_in_use": build.live, "bytes_grown": build.grown, "not_for_matchit": build.refused})
    });
    json!({
        "matches": cells.collect::<Vec<_>>(),
        "plain_fuel": figures.plain,
        "worst": worst.collect::<Vec<_>>(),
        "configuring": builds.collect::<Vec<_>>(),
        "goals": goal::json(goals),
    })
}

fn one(value: f64) -> String {
    format!("{value:.1}")
}

fn two(value: f64) -> String {
    format!("{value:.2}")
}

fn range(time: &Time) -> String {
    format!("{:.0}–{:.0}", time.quantile(0.1), time.quantile(0.9))
}

fn shortened(text: &str) -> String {
    const MOST: usize = 50;
    let text = printable(text);
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}
