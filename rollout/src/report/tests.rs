use serde_json::Value;

use super::text::{code, fenced, inline};
use super::*;
use crate::hands::Taken;
use crate::journal::entry::Outcome;
use crate::judge::Verdict;
use crate::overview::fixture::{ALICE, BOB, ID, PLAN, Story, failed, good, kept, killed, taken_back, target};

fn of(story: &Story) -> Report {
    report(&story.entries, story.head(), None).unwrap()
}

/// The lines that are not between fences. A fence ends where as many backticks stand alone.
fn outside(markdown: &str) -> Vec<&str> {
    let mut fence = None;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            Some(open) if ticks >= open && line.len() == ticks => fence = None,
            Some(_) => {}
            None if ticks >= 3 => fence = Some(ticks),
            None => lines.push(line),
        }
    }
    assert_eq!(fence, None, "a fence is open");
    lines
}

/// The cells of each row of each table, as GitHub splits them; each row has as many as its header.
fn tables(markdown: &str) -> Vec<Vec<Vec<String>>> {
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    let mut before = "";
    for line in outside(markdown) {
        if line.starts_with('|') {
            if !before.starts_with('|') {
                tables.push(Vec::new());
            }
            let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            tables.last_mut().unwrap().push(cells);
        }
        before = line;
    }
    for rows in &tables {
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{rows:#?}");
        assert!(rows[1].iter().all(|cell| cell == "---"), "{rows:#?}");
    }
    tables
}

#[track_caller]
fn has(markdown: &str, expected: &str) {
    assert!(markdown.contains(expected), "not there: {expected}\n{markdown}");
}

#[test]
fn a_good_rollout_is_told_whole() {
    let story = good();
    let Report { rollout, markdown, json } = of(&story);
    assert_eq!(rollout, ID);
    has(&markdown, "# Rollout of edge-observer: done\n");
    has(&markdown, "| Outcome | **done**: all 3 rings have the build |");
    has(&markdown, "| Began | 2023-11-14 22:13:20 UTC, by alice@ops-1 |");
    has(&markdown, "| Rings | 3 planned, 3 touched, 3 keep the build |");
    has(&markdown, &format!("| Module | SHA-256 `{}` |", crate::build::sha256(b"module")));
    has(&markdown, "| module | holds | 214 requests of the corpus, no trap |");
    has(&markdown, "## Ring 1: keeps the build\n");
    has(
        &markdown,
        "| errors | pass | 0.4 % of 48000 requests of the ring are 5xx, 0.4 % of 31000 of its control | control_share 0.004, for_e 31, ring_share 0.004 |",
    );
    has(&markdown, "# total, ring: 2 series\nenvoy_http_downstream_rq_total{instance=~\"ring 0\",x=~\"a|b\"}\n");
    has(&markdown, "# 5xx, ring: Prometheus does not answer: connection refused\n");
    has(&markdown, "bob@ops-2 | approved ring 1 | CHG-4711 |");
    has(&markdown, PLAN);
    has(&markdown, story.head());
    assert!(!markdown.contains("## Rollback"), "there was none");
    tables(&markdown);

    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["shape"], &json["overview"]["outcome"]), (&Value::from(1), &Value::from("done")));
    assert_eq!(json["plan"]["text"], PLAN);
    assert_eq!(json["decisions"][1]["comment"], "CHG-4711");
    let asked = &json["looks"][0]["look"]["asked"][0];
    assert_eq!(asked["answer"]["Ok"]["samples"][1]["value"], 24_000.0);
    let looks = json["looks"].as_array().unwrap();
    assert_eq!(looks.len(), 12);
    assert_eq!(looks[11]["judgement"]["gates"][1]["verdict"], "pass");
    assert_eq!(looks[11]["judgement"]["gates"][1]["history"], Value::Array(Vec::new()), "once is enough");
    assert_eq!(json["overview"]["rings"][2]["judgement"]["gates"][1]["history"].as_array().unwrap().len(), 8);
    assert_eq!(json["course"].as_array().unwrap().len(), story.entries.len() - 12);
}

#[test]
fn what_a_ring_keeps_the_build_for_is_told_beside_what_was_seen_since() {
    let asked = "What Prometheus was asked at the latest look";
    let told = |verdict| {
        let markdown = of(&kept(verdict)).markdown;
        has(&markdown, "The verdict that it keeps the build for, on 48000 requests: **pass**.\n");
        has(&markdown, "| errors | pass |");
        let (before, since) = markdown.split_once("It was looked at until the end by the gates that").unwrap();
        assert!(before.contains(asked) && !before.contains("| traps |") && since.contains("| traps | inconclusive |"));
        (since.lines().next().unwrap().to_owned(), since.contains(asked))
    };
    let by = " need no ring to compare with: ";
    assert_eq!(told(Verdict::Pass), (format!("{by}none has failed."), false));
    assert_eq!(told(Verdict::Fail), (format!("{by}**it failed**."), true));
}

#[test]
fn what_was_put_back_and_seen_is_told() {
    let markdown = of(&taken_back()).markdown;
    has(&markdown, "# Rollout of edge-observer: rolled back\n");
    has(&markdown, "bob@ops-2 | rolled back | asked for by bob@ops-2: checkout is slow |");
    has(&markdown, "| Rings | 3 planned, 2 touched, 0 keep the build |");
    let before = crate::build::sha256(b"before ring 1, 127.0.0.4");
    has(&markdown, &format!("| 1 | 127.0.0.4 | `{before}` | taken |"));
    has(&markdown, "| 0 | 1 of 1 proxies report build bbbbbbbbbbb0, 0 another one |");
    has(&markdown, "## Ring 2: untouched\n\nNothing was changed in it.\n");

    let markdown = of(&failed()).markdown;
    has(
        &markdown,
        "| **errors** | fail | 1.1 % of 48000 requests of the ring are 5xx, 0.4 % of 31000 of its control |",
    );
    has(&markdown, "against_e 5120");
    let people =
        tables(&markdown).into_iter().find(|rows| rows[0].get(2).is_some_and(|cell| cell == "Decision")).unwrap();
    assert_eq!(people.len(), 2 + 1, "a rollback that the judge led to is no person's: {people:?}");
}

#[test]
fn one_that_is_not_over_says_so() {
    let markdown = of(&killed()).markdown;
    has(&markdown, "# Rollout of edge-observer: under way\n");
    has(&markdown, "| Ended | not yet; its latest entry is of 2023-11-14 22:28:49 UTC |");
    has(&markdown, "## Ring 1: being written\n");
}

#[test]
fn the_same_journal_gives_the_same_bytes() {
    for story in [good(), failed(), killed()] {
        assert_eq!(of(&story), of(&story));
        let text: Vec<String> = story.entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        let read: Vec<Entry> = text.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(report(&read, story.head(), None).unwrap(), of(&story), "also when it was read from a file");
    }
}

#[test]
fn one_of_several_is_found_by_the_beginning_of_its_id_and_has_its_own_head() {
    let mut story = failed();
    let (first_head, count) = (story.head().to_owned(), story.entries.len());
    story.open(60, "018bcfe5-7000-7000-8000-00000000000b");
    let find = |id| report(&story.entries, story.head(), id);
    let first = find(Some("018bcfe5-68")).unwrap();
    let json: Value = serde_json::from_str(&first.json).unwrap();
    assert_eq!((first.rollout.as_str(), json["journal"]["head_sha256"].as_str()), (ID, Some(first_head.as_str())));
    assert_eq!(json["journal"]["last_line"], count);
    assert_eq!(first, of(&failed()), "what came later changes nothing in it");
    let latest: Value = serde_json::from_str(&find(None).unwrap().json).unwrap();
    assert_eq!(latest["journal"]["first_line"], count + 1);
    assert_eq!(latest["journal"]["previous_sha256"], first_head);
    assert_eq!(find(Some("018bcfe5")), Err(ReportError::Ambiguous("018bcfe5".into())));
    assert_eq!(
        find(Some("x")).unwrap_err().to_string(),
        "the journal has no rollout with ID x; `rollout history` lists them"
    );
    assert_eq!(report(&[], "", None), Err(ReportError::Empty));
}

#[test]
fn the_heads_and_the_looks_hashes_are_those_of_the_lines() {
    let story = good();
    let json: Value = serde_json::from_str(&of(&story).json).unwrap();
    let hash = |line: u64| {
        let entry = &story.entries[usize::try_from(line).unwrap() - 1];
        crate::build::sha256(&serde_json::to_vec(entry).unwrap())
    };
    for look in json["looks"].as_array().unwrap() {
        assert_eq!(look["line_sha256"], hash(look["line"].as_u64().unwrap()), "{look}");
    }
    assert_eq!(json["journal"]["head_sha256"], hash(json["journal"]["last_line"].as_u64().unwrap()));
}

const EVIL: &str = "a|b\\|c\r\n# h\n| x | y |\n```\n<script>alert(1)</script> [l](javascript:x) ![i](http://e/x.png) `x` ``` **b** _e_ ~~s~~ $m$ &amp; https://evil.example \u{202e}gnp.exe \u{1b}[2J";

/// Every text that somebody else wrote is hostile.
fn hostile() -> Story {
    let mut story = taken_back();
    story.tell(1, EVIL, Event::Trouble { what: EVIL.to_owned() });
    for entry in &mut story.entries {
        EVIL.clone_into(&mut entry.who);
        match &mut entry.what {
            Event::Looked { look, judgement, .. } => {
                for gate in &mut judgement.gates {
                    EVIL.clone_into(&mut gate.gate);
                    EVIL.clone_into(&mut gate.reason);
                    gate.numbers.insert(EVIL.to_owned(), 1.0);
                }
                for asked in &mut look.asked {
                    EVIL.clone_into(&mut asked.query);
                    EVIL.clone_into(&mut asked.signal);
                }
            }
            Event::Approved { comment, .. } => EVIL.clone_into(comment),
            Event::RollingBack { reason } => *reason = format!("asked for by {EVIL}"),
            Event::Finished { reason, .. } => EVIL.clone_into(reason),
            Event::Preflight { check, found, .. } => [check, found].into_iter().for_each(|text| EVIL.clone_into(text)),
            Event::Recorded { digest, .. } => *digest = Some(EVIL.to_owned()),
            Event::Restored { taken, .. } => *taken = Taken::Refused(EVIL.to_owned()),
            Event::Verified { found, .. } => EVIL.clone_into(found),
            _ => {}
        }
    }
    story
}

#[test]
fn hostile_text_makes_no_structure() {
    let (tame, evil) = (of(&taken_back()), of(&hostile()));
    let shape = |markdown: &str| tables(markdown).iter().map(|rows| (rows[0].clone(), rows.len())).collect::<Vec<_>>();
    let mut expected = shape(&tame.markdown);
    // The trouble that was added: a table in place of `None.`, and a line of the course.
    let course = expected.len() - 1;
    expected[course].1 += 1;
    expected.insert(course, (vec!["When".to_owned(), "What".to_owned()], 3));
    assert_eq!(shape(&evil.markdown), expected, "{}", evil.markdown);
    let headings = |markdown: &str| {
        outside(markdown).into_iter().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(headings(&evil.markdown), headings(&tame.markdown));
    let prose = outside(&evil.markdown).join("\n");
    for never in ["<script", "](", "https://", "\u{202e}", "\u{1b}", "~~", "**b**", "_e_", "$m$"] {
        assert!(!prose.contains(never), "{never}");
    }
    assert!(!evil.markdown.chars().any(|c| c == '\u{202e}' || c.is_control() && c != '\n'), "{:?}", evil.markdown);
    let json: Value = serde_json::from_str(&evil.json).unwrap();
    assert_eq!(json["troubles"][0]["what"], EVIL, "in the JSON everything is as it was written");
}

#[test]
fn text_is_escaped_as_little_as_it_can_be() {
    for (text, expected) in [
        ("0.4 % of 48000 requests, p = 0.01 (+/- 2)", "0.4 % of 48000 requests, p = 0.01 (+/- 2)"),
        ("own:checkout_failures", "own:checkout_failures"),
        ("_x_", "&#95;x&#95;"),
        ("a|b", "a&#124;b"),
        ("a\nb", "a&#92;nb"),
        ("\u{200b}", "&#92;u{200b}"),
        ("http://h", "http&#58;//h"),
        ("  ", "–"),
        ("", "–"),
        (" é ", "é"),
    ] {
        assert_eq!(inline(text), expected);
    }
    assert_eq!((code("sha:0a"), code("a`b"), code("")), ("`sha:0a`".into(), "a&#96;b".into(), "–".into()));
    assert_eq!(fenced("x", "a\n````\n"), "`````x\na\n````\n`````\n");
    assert_eq!(fenced("", "a\rb"), "```\na\\rb\n```\n");
}

/// Every secret is named by its variable; a rollout file with one in it is not read, so that none gets into a journal.
#[test]
fn no_secret_is_in_it() {
    let Report { markdown, json, .. } = of(&good());
    assert!(markdown.contains("token_env: PROMETHEUS_TOKEN") && json.contains("GRAFANA_TOKEN"), "{markdown}");
    for (from, to) in [
        ("http://127.0.0.1:9090", "http://me:secret@127.0.0.1:9090"),
        ("http://127.0.0.1:3000", "http://me:secret@127.0.0.1:3000"),
        ("token_env: PROMETHEUS_TOKEN", "token: secret"),
        ("token_env: GRAFANA_TOKEN", "token: secret"),
    ] {
        assert!(PLAN.contains(from));
        let mistakes = crate::plan::parse(&PLAN.replace(from, to), std::path::Path::new("/")).unwrap_err();
        assert!(!mistakes.is_empty(), "{to}");
    }
}

#[test]
fn numbers_are_short() {
    let mut story = Story::new();
    story.open(0, ID).start("0");
    let mut judgement = crate::overview::fixture::half();
    judgement.gates.truncate(1);
    judgement.gates[0].numbers = [("a", 0.1 + 0.2), ("b", 48_000.0), ("c", 1e-7), ("d", 0.0), ("e", 1e12), ("f", -2.5)]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    story.look(60, "0", judgement);
    has(&of(&story).markdown, "| a 0.3, b 48000, c 1.0000e-7, d 0, e 1.0000e12, f -2.5 |");
    story.tell(1, BOB, Event::Paused { comment: String::new() });
    has(&of(&story).markdown, "| bob@ops-2 | paused | – |");
}

#[test]
fn a_refused_rollout_has_a_report_too() {
    let mut story = Story::new();
    story.open(0, ID);
    story.tell(1, ALICE, Event::Preflight { check: "module".into(), holds: false, found: "it traps".into() });
    story.tell(0, ALICE, Event::Finished { outcome: Outcome::Refused, reason: "module: it traps".into() });
    let markdown = of(&story).markdown;
    has(&markdown, "# Rollout of edge-observer: refused\n");
    has(&markdown, "| module | **does not hold** | it traps |");
    assert_eq!(target("0", "x").to_string(), "ring 0, x");
}
