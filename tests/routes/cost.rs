//! What a match costs in Wasm, in fuel: exact, and the same on every machine.

use std::fmt::Write as _;

use routes_bench::host::WasmBench;
use routes_bench::hostile::{self, Search};
use routes_bench::{Bench, Request, Subject, tables};
use serde_json::json;
use telemetry::route::RouteSpec;

use super::metered;
use crate::support::golden;

/// What any request may cost, as a multiple of a plain one: bytes that have to be decoded, as many as are looked at.
const MOST_FOR_ANY_PATH: u64 = 400;

/// What a path may cost that is found wanting in as many branches of an API's table as there are.
const MOST_FOR_ANY_BRANCHES: u64 = 8;

/// Four segments, of which two are parameters, in a table of a thousand.
fn plain(table: &[RouteSpec]) -> Request {
    let route = table.iter().find(|route| {
        let segments: Vec<&str> = route.template.split('/').skip(1).collect();
        let parameter =
            |segment: &&&str| segment.starts_with('{') && segment.ends_with('}') && !segment.contains("...");
        segments.len() == 4 && segments.iter().filter(parameter).count() == 2
    });
    let route = route.unwrap();
    let segments = route.template.split('/').map(|segment| if segment.starts_with('{') { "octocat" } else { segment });
    let method = route.methods.as_ref().map_or(telemetry::method::Method::Get, |methods| methods[0]);
    let target = segments.collect::<Vec<_>>().join("/");
    Request { method, target: target.into_bytes() }
}

struct Costs {
    bench: WasmBench,
    text: String,
}

impl Costs {
    fn of(table: &[RouteSpec]) -> Self {
        Self { bench: WasmBench::new(&metered(), &tables::config(table, json!({}))).unwrap(), text: String::new() }
    }

    /// Adds a line; gives back the fuel. Nothing may be allocated.
    fn add(&mut self, name: &str, request: &Request) -> u64 {
        let list = self.bench.add_requests(std::slice::from_ref(request)).unwrap();
        let before = self.bench.allocations().unwrap();
        let fuel = self.bench.fuel(Subject::Ours, list).unwrap();
        assert_eq!(self.bench.allocations().unwrap(), before, "{name}: a match allocates");
        writeln!(self.text, "{fuel:>8}  {name}").unwrap();
        fuel
    }
}

#[test]
fn a_match_costs_this_much_and_its_worst_is_bounded() {
    let mut report = String::from("fuel a match\n");
    let middle = tables::made(1_000);
    let mut costs = Costs::of(&middle);
    let request = plain(&middle);
    let plain_fuel = costs.add(&format!("plain: {}", String::from_utf8_lossy(&request.target)), &request);
    for target in ["/", "/.env", "/wp-login.php", "/actions/x/y/z?page=1", "*"] {
        costs.add(target, &Request::get(target));
    }
    let mut most = 0;
    for (name, request) in hostile::fixed() {
        most = most.max(costs.add(name, &request));
    }
    write!(report, "\n1,000 routes\n{}", costs.text).unwrap();

    let mut most_branches = 0;
    for size in tables::SIZES {
        let table = tables::made(size);
        let mut costs = Costs::of(&table);
        let request = Search::new(&table).most_expensive(&mut costs.bench, Subject::Ours).unwrap().unwrap().0;
        let name = String::from_utf8(request.target.clone()).unwrap();
        most_branches = most_branches.max(costs.add(&name, &request));
        write!(report, "\nthe worst that is found for {size} routes\n{}", costs.text).unwrap();
    }
    let github = super::github::operations();
    let mut costs = Costs::of(&github);
    for target in ["/repos/octocat/hello-world/issues/1347", "/repos/octocat/hello-world/compare/main...feature"] {
        costs.add(target, &Request::get(target));
    }
    for text in ["x", ".", "..x"] {
        let long: Vec<u8> = text.bytes().cycle().take(8_000).collect();
        let target = [b"/repos/octocat/hello-world/compare/".as_slice(), &long].concat();
        let name = format!("8 KB of `{text}` where `{{base}}...{{head}}` may be");
        most = most.max(costs.add(&name, &Request::get(target)));
    }
    let found = Search::new(&github).most_expensive(&mut costs.bench, Subject::Ours).unwrap().unwrap().0;
    let name = format!("the worst that is found: {}", String::from_utf8_lossy(&found.target));
    most_branches = most_branches.max(costs.add(&name, &found));
    write!(report, "\nGitHub's 1,223 operations\n{}", costs.text).unwrap();

    for (name, table) in
        [("2⁸ forks", hostile::forking_table(8)), ("64 partial segments in one place", hostile::partial_table(64))]
    {
        let mut costs = Costs::of(&table);
        let request = Search::new(&table).most_expensive(&mut costs.bench, Subject::Ours).unwrap().unwrap().0;
        costs.add("the worst that is found", &request);
        let long = b"/".iter().copied().chain(b"aaaaaaab".iter().copied().cycle().take(8_000)).collect::<Vec<_>>();
        costs.add("8 KB of what nearly is such a segment", &Request::get(long));
        write!(report, "\na table made to be worst: {name}\n{}", costs.text).unwrap();
    }
    writeln!(
        report,
        "\nthe worst path is {:.1} plain ones, the worst branches are {:.1}",
        most as f64 / plain_fuel as f64,
        most_branches as f64 / plain_fuel as f64
    )
    .unwrap();
    golden::check("route_cost.txt", &report);
    assert!(most <= MOST_FOR_ANY_PATH * plain_fuel, "{most} is more than {MOST_FOR_ANY_PATH} times {plain_fuel}");
    assert!(
        most_branches <= MOST_FOR_ANY_BRANCHES * plain_fuel,
        "{most_branches} is more than {MOST_FOR_ANY_BRANCHES} times {plain_fuel}"
    );
}

#[test]
fn fuel_is_counted_per_match_and_not_per_run() {
    let table = tables::made(100);
    let mut bench = WasmBench::new(&metered(), &tables::config(&table, json!({}))).unwrap();
    let request = plain(&table);
    let one = bench.add_requests(std::slice::from_ref(&request)).unwrap();
    let three = bench.add_requests(&[request.clone(), request.clone(), request]).unwrap();
    let fuel = bench.fuel(Subject::Ours, one).unwrap();
    assert!(fuel > 100, "{fuel}");
    assert_eq!(bench.fuel(Subject::Ours, three).unwrap(), 3 * fuel);
    assert_eq!(bench.fuel(Subject::Nothing, one).unwrap(), 0);
}

/// What stays in use; reading the configuration takes more on the way, which `cargo xtask bench routes` shows.
#[test]
fn what_stays_in_use_of_1_223_templates_is_under_a_mebibyte() {
    let config = tables::config(&tables::made(1_223), json!({}));
    assert!(Bench::new(&config).is_ok());
    let mut bench = WasmBench::empty(&metered()).unwrap();
    let before = bench.live_bytes().unwrap();
    bench.give(&config).unwrap();
    bench.load().unwrap();
    let live = bench.live_bytes().unwrap() - before;
    assert!((10_000..1 << 20).contains(&live), "{live} bytes");
}
