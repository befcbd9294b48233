//! Phases, states and lengths of time in words, and words in lines.

use rollout::overview::{BakeView, Overview, Phase, Said, Stage};

use crate::table::{plural, printable};

/// What is going on, as a sentence without its full stop.
pub(super) fn phase(overview: &Overview) -> String {
    let since = |said: &Said| span(overview.at.duration_since(said.at).as_secs_f64().max(0.0));
    let took = |said: &Said| span(said.at.duration_since(overview.started.at).as_secs_f64().max(0.0));
    let ended = |how: &str| match &overview.finished {
        Some(end) => format!("{how} after {}: {}", took(end), end.what),
        None => how.to_owned(),
    };
    match &overview.phase {
        Phase::Preflight => match overview.preflight.len() {
            0 => "preflight".to_owned(),
            held => format!("preflight: {} held so far", plural(held as u64, "check")),
        },
        Phase::Recording => "what is in place is being recorded".to_owned(),
        Phase::Next { ring } => format!("ring {ring} is next"),
        Phase::Writing { ring } => {
            let places = overview.ring(ring).map(|ring| ring.places.as_slice()).unwrap_or_default();
            let written = places.iter().filter(|place| place.written.is_some()).count();
            format!("ring {ring} gets the build: {written} of {} places", places.len())
        }
        Phase::Converging { ring } => format!("ring {ring} has the build; until every proxy runs it"),
        Phase::Settling { ring } => {
            let left = overview.ring(ring).and_then(|ring| ring.bake).map_or(0.0, |bake| bake.settle_left_seconds);
            format!("ring {ring} settles; it is judged in {}", span(left))
        }
        Phase::Baking { ring } => {
            let bake = overview.ring(ring).and_then(|ring| ring.bake);
            format!("ring {ring} is watched{}", bake.map(|bake| time_left(&bake)).unwrap_or_default())
        }
        Phase::Waiting { ring } => match &overview.waiting {
            Some(wait) => format!(
                "ring {ring} waits for a person, {} so far: {}; `rollout approve` or `rollout rollback`",
                since(&wait.said),
                wait.said.what
            ),
            None => format!("ring {ring} waits for a person"),
        },
        Phase::Paused { ring } => {
            let at = ring.as_ref().map(|ring| format!(" at ring {ring}")).unwrap_or_default();
            match &overview.paused {
                Some(said) if said.what.is_empty() => {
                    format!("paused{at} by {}, {} so far; `rollout resume` goes on", said.who, since(said))
                }
                Some(said) => format!(
                    "paused{at} by {}, {} so far: {}; `rollout resume` goes on",
                    said.who,
                    since(said),
                    said.what
                ),
                None => format!("paused{at}"),
            }
        }
        Phase::Closing => "every ring has the build".to_owned(),
        Phase::RollingBack => match &overview.rolling_back {
            Some(said) => format!("being taken back, {} so far: {}", since(said), said.what),
            None => "being taken back".to_owned(),
        },
        Phase::Done => ended("done"),
        Phase::RolledBack => ended("rolled back"),
        Phase::Refused => ended("refused"),
    }
}

/// `: 4 min of 10 min, at most 2 h; about 7 min to go`.
fn time_left(bake: &BakeView) -> String {
    let passed = format!(
        ": {} of at least {} and at most {}",
        span(bake.passed_seconds),
        span(bake.min_seconds),
        span(bake.max_seconds)
    );
    match bake.estimate_seconds {
        _ if bake.max_left_seconds <= 0.0 => format!("{passed}; its time is over"),
        None => format!("{passed}; {} left at most", span(bake.max_left_seconds)),
        Some(estimate) if estimate > bake.max_left_seconds => {
            format!("{passed}; at this pace it is not decided in the {} that are left", span(bake.max_left_seconds))
        }
        Some(estimate) => format!("{passed}; about {} to go", span(estimate)),
    }
}

/// How far a ring is.
pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Untouched => "untouched",
        Stage::LeftOut => "left out",
        Stage::Writing => "writing",
        Stage::Converging => "converging",
        Stage::Settling => "settling",
        Stage::Baking => "watched",
        Stage::Promoted => "has the build",
        Stage::TakingBack => "taking back",
        Stage::Back => "back",
    }
}

/// A length of time in two units at most: `9 s`, `4 min`, `1 h 5 min`, `2 d 3 h`. From 10 minutes on without seconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths of time, at least 0 and far below 2^53 s"
)]
pub(super) fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let two = |whole: u64, unit: &str, part: u64, of: &str| {
        if part == 0 { format!("{whole} {unit}") } else { format!("{whole} {unit} {part} {of}") }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => two(seconds / 60, "min", seconds % 60, "s"),
        600..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// The beginning of a text, in so many columns, with `…` where something is left out.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A text in lines of so many columns, those after the first indented; words that are longer are broken. Control characters become visible.
pub(super) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let text = printable(text);
    let mut out = String::new();
    let mut column = 0;
    let mut first = true;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if !first && column + 1 + word.len() <= width {
            out.push(' ');
            column += 1;
        } else if !first {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        while column + word.len() > width {
            let rest = word.split_off(width.saturating_sub(column).max(1).min(word.len()));
            out.extend(word);
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
            word = rest;
        }
        column += word.len();
        out.extend(word);
        first = false;
    }
    out.push('\n');
    out
}
