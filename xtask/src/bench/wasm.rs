//! `cargo xtask bench wasm`: what each stream of the corpus costs in the module, beside what the golden file says.
//!
//! The figures are those of the test `corpus::cost`, which `cargo test` compares as well; here they are a table, with what has changed.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::workspace::{cargo, root, run, shown, step, target_dir};

/// The golden file.
const GOLDEN: &str = "tests/golden/corpus_cost.txt";
/// The test.
const TEST: &str = "corpus::cost::every_stream_costs_this_much";

/// Options of `cargo xtask bench wasm`.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Take what was found as the new golden file.
    #[arg(long)]
    update: bool,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
}

/// One stream's cost.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    case: &'a str,
    /// Which of the case's streams.
    stream: usize,
    fuel: u64,
    callbacks: u64,
    asked: u64,
    bytes_in: u64,
    bytes_out: u64,
    kib: u64,
    hostcalls: &'a str,
}

/// Measures, prints, and fails where a cost is not what the golden file says.
pub(crate) fn wasm(options: &Options) -> Result<()> {
    let golden = root().join(GOLDEN);
    let before = std::fs::read_to_string(&golden).unwrap_or_default();
    let folder = target_dir().join("edge-observer/found");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(golden.file_name().context("the golden file has a name")?);
    let _ = std::fs::remove_file(&file);
    step("running the corpus");
    let mut test = cargo();
    test.args(["test", "--quiet", "--locked", "--workspace", "--test", "integration", "--", "--exact", TEST]);
    test.env("EDGE_OBSERVER_FOUND", &folder).env_remove("UPDATE_EXPECT").stdout(std::process::Stdio::null());
    // It fails where a cost has changed, which is told below.
    let ran = run(&mut test);
    let found = match std::fs::read_to_string(&file) {
        Ok(found) => found,
        Err(_) => return ran.with_context(|| format!("{TEST} has measured nothing")),
    };

    let (old, new) = (rows(&before), rows(&found));
    let changed: Vec<&Row<'_>> = new.iter().filter(|row| !old.contains(row)).collect();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&json_of(&new, &old))?);
    } else {
        print!("{found}");
        println!();
        for row in &changed {
            println!("{}", change(row, &old));
        }
        println!("{} streams, {} of them cost other than {GOLDEN} says", new.len(), changed.len());
    }
    if options.update {
        write(&golden, &found)?;
        return Ok(());
    }
    ensure!(found == before, "if that is meant, run `cargo xtask bench wasm --update`");
    Ok(())
}

fn write(golden: &Path, found: &str) -> Result<()> {
    std::fs::write(golden, found).with_context(|| format!("cannot write {}", shown(golden)))
}

/// The rows of a golden file: the case's name on a line of its own, then a line for each of its streams.
fn rows(text: &str) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut case = "";
    // The first two paragraphs say what the columns are.
    for line in text.split("\n\n").skip(2).flat_map(str::lines) {
        let mut columns = line.split_whitespace();
        let mut number = || columns.next()?.parse::<u64>().ok();
        let numbers = [number(), number(), number(), number(), number(), number()];
        let [Some(fuel), Some(callbacks), Some(asked), Some(bytes_in), Some(bytes_out), Some(kib)] = numbers else {
            case = line;
            continue;
        };
        // What stands behind the sixth number.
        let hostcalls = line.rsplit("  ").next().unwrap_or_default();
        let stream = rows.iter().filter(|row| row.case == case).count();
        rows.push(Row { case, stream, fuel, callbacks, asked, bytes_in, bytes_out, kib, hostcalls });
    }
    rows
}

/// What has changed of one stream's cost.
fn change(row: &Row<'_>, old: &[Row<'_>]) -> String {
    let name = format!("{}, stream {}", row.case, row.stream + 1);
    let Some(before) = old.iter().find(|old| old.case == row.case && old.stream == row.stream) else {
        return format!("new      {name}");
    };
    let mut what = Vec::new();
    for (unit, before, now) in [
        ("fuel", before.fuel, row.fuel),
        ("callbacks", before.callbacks, row.callbacks),
        ("asked", before.asked, row.asked),
        ("bytes in", before.bytes_in, row.bytes_in),
        ("bytes out", before.bytes_out, row.bytes_out),
        ("KiB", before.kib, row.kib),
    ] {
        if before != now {
            what.push(format!("{unit} {before} → {now}"));
        }
    }
    if before.hostcalls != row.hostcalls {
        what.push(format!("{} → {}", before.hostcalls, row.hostcalls));
    }
    format!("changed  {name}: {}", what.join(", "))
}

fn json_of(new: &[Row<'_>], old: &[Row<'_>]) -> Value {
    let streams: Vec<Value> = new
        .iter()
        .map(|row| {
            json!({
                "case": row.case,
                "stream": row.stream,
                "fuel": row.fuel,
                "callbacks": row.callbacks,
                "allocator_calls": row.asked,
                "bytes_in": row.bytes_in,
                "bytes_out": row.bytes_out,
                "memory_kib": row.kib,
                "hostcalls": row.hostcalls,
                "as_expected": old.contains(row),
            })
        })
        .collect();
    json!({ "streams": streams })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = "what the columns are\n\n fuel  calls\n\na case\n    12  5  2  198  77  1088  2 clock_time_get, set_property\n    13  5  2  198  77  1088  set_property\n\nanother\n    14  1  0    0   0  1088  \n";

    #[test]
    fn a_row_has_its_case() {
        let rows = rows(GOLDEN);
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[1].case, rows[1].stream, rows[1].fuel, rows[1].hostcalls), ("a case", 1, 13, "set_property"));
        assert_eq!((rows[2].case, rows[2].stream, rows[2].kib, rows[2].hostcalls), ("another", 0, 1088, ""));
        assert_eq!(rows[0].hostcalls, "2 clock_time_get, set_property");
    }

    #[test]
    fn a_change_is_told_by_its_unit() {
        let new = GOLDEN.replace("    13  5", "    15  5").replace("another", "a third");
        let (old, new) = (rows(GOLDEN), rows(&new));
        assert_eq!(change(&new[1], &old), "changed  a case, stream 2: fuel 13 → 15");
        assert_eq!(change(&new[2], &old), "new      a third, stream 1");
    }
}
