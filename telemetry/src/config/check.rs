//! Shape: what was read against the table of fields, every mistake reported.

use super::error::ConfigErrors;
use super::fields::{Field, Kind, ROOT};
use super::tree::{Entry, Tree};
use crate::decimal::shortest;

/// Reports every unknown field, wrong type and value out of range, and leaves what is sound. Everything else becomes null:
/// such fields are passed over later, and the other items of a list keep their positions.
pub(super) fn prune(tree: &mut Tree<'_>, errors: &mut ConfigErrors) {
    if !check(&Kind::Section(ROOT), tree, "", errors) {
        *tree = Tree::empty();
    }
}

/// Whether it is sound, perhaps without some of its parts; null if not.
fn check(kind: &Kind, tree: &mut Tree<'_>, path: &str, errors: &mut ConfigErrors) -> bool {
    let sound = match (kind, &mut *tree) {
        (Kind::Bool, Tree::Bool(_)) | (Kind::Decimal, Tree::Number(_)) | (Kind::Text { .. }, Tree::Text(_)) => true,
        (Kind::Whole { min, max }, Tree::Number(number)) => {
            match whole(number).filter(|whole| (min..=max).contains(&whole)) {
                Some(whole) => {
                    **number = whole.into();
                    true
                }
                None => refuse(kind, tree, path, errors),
            }
        }
        (Kind::Choice(words), Tree::Text(word)) if words.contains(&&**word) => true,
        (Kind::Section(fields), Tree::Object(entries)) => section(fields, entries, path, errors),
        (Kind::List { most: Some(most), many, .. }, Tree::List(items)) if items.len() > *most => {
            errors.push(path.to_owned(), format!("found {} {many}; use at most {most}", items.len()));
            false
        }
        (Kind::List { of, .. }, Tree::List(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                check(of, item, &format!("{path}[{index}]"), errors);
            }
            true
        }
        (Kind::Map { most, many, .. }, Tree::Object(entries)) if entries.len() > *most => {
            errors.push(path.to_owned(), format!("found {} {many}; use at most {most}", entries.len()));
            false
        }
        (Kind::Map { of, .. }, Tree::Object(entries)) => {
            map(of, entries, path, errors);
            true
        }
        (Kind::Either(kinds), value) => match kinds.iter().find(|kind| same_type(kind, value)) {
            // An object or list is checked in detail; for a word, the message has to show every way out.
            Some(kind @ (Kind::Section(_) | Kind::List { .. } | Kind::Map { .. })) => check(kind, value, path, errors),
            Some(kind) if fits(kind, value) => check(kind, value, path, errors),
            _ => refuse(kind, value, path, errors),
        },
        (kind, value) => refuse(kind, value, path, errors),
    };
    if !sound {
        *tree = Tree::Null;
    }
    sound
}

fn section(fields: &[Field], entries: &mut [Entry<'_>], path: &str, errors: &mut ConfigErrors) -> bool {
    for same in entries.chunk_by_mut(|(a, _), (b, _)| a == b) {
        if let Some((name, _)) = same.first()
            && !fields.iter().any(|field| field.name == name)
        {
            errors.push(join(path, name), format!("unknown field; {}", suggestion(name, fields, path)));
            same.iter_mut().for_each(|(_, value)| *value = Tree::Null);
        }
    }
    let mut complete = true;
    for field in fields {
        let path = join(path, field.name);
        let mut same = entries.iter_mut().filter(|(name, _)| name == field.name);
        let sound = match (same.next(), same.count()) {
            (Some((_, value)), 0) => check(&field.kind, value, &path, errors),
            // Of several, the first is the one that is read later.
            (Some((_, value)), others) => {
                errors.push(path, format!("is there {} times; keep one", others + 1));
                *value = Tree::Null;
                false
            }
            (None, _) => {
                if field.default.is_none() {
                    errors.push(path, format!("missing; add {}", expected(&field.kind)));
                }
                false
            }
        };
        complete &= sound || field.default.is_some();
    }
    complete
}

/// The entries of a map; which names it may have is a matter of meaning.
fn map(of: &Kind, entries: &mut [Entry<'_>], path: &str, errors: &mut ConfigErrors) {
    for same in entries.chunk_by_mut(|(a, _), (b, _)| a == b) {
        let times = same.len();
        for (position, (name, value)) in same.iter_mut().enumerate() {
            let path = join(path, name);
            if times == 1 {
                check(of, value, &path, errors);
                continue;
            }
            if position == 0 {
                errors.push(path, format!("is there {times} times; keep one"));
            }
            *value = Tree::Null;
        }
    }
}

fn refuse(kind: &Kind, value: &Tree<'_>, path: &str, errors: &mut ConfigErrors) -> bool {
    let or_remove = if matches!(value, Tree::Null) && !path.is_empty() { ", or remove it" } else { "" };
    errors.push(path.to_owned(), format!("found {}; use {}{or_remove}", found(value), expected(kind)));
    false
}

/// A whole number; the proxy's API may carry it as a double.
fn whole(number: &serde_json::Number) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..=EXACT).contains(float))?;
        shortest(float).parse().ok()
    })
}

/// Whether a single value of the right type is sound.
fn fits(kind: &Kind, value: &Tree<'_>) -> bool {
    match (kind, value) {
        (Kind::Choice(words), Tree::Text(word)) => words.contains(&&**word),
        (Kind::Whole { min, max }, Tree::Number(number)) => {
            whole(number).is_some_and(|whole| (*min..=*max).contains(&whole))
        }
        _ => true,
    }
}

fn same_type(kind: &Kind, value: &Tree<'_>) -> bool {
    match kind {
        Kind::Bool => matches!(value, Tree::Bool(_)),
        Kind::Whole { .. } | Kind::Decimal => matches!(value, Tree::Number(_)),
        Kind::Text { .. } | Kind::Choice(_) => matches!(value, Tree::Text(_)),
        Kind::Section(_) | Kind::Map { .. } => matches!(value, Tree::Object(_)),
        Kind::List { .. } => matches!(value, Tree::List(_)),
        Kind::Either(kinds) => kinds.iter().any(|kind| same_type(kind, value)),
    }
}

/// What a field may hold, in words that follow "use".
pub(super) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Decimal => "a number".to_owned(),
        Kind::Text { form, .. } => (*form).to_owned(),
        Kind::Choice(words) => either(words.iter().map(|word| format!("`{word}`"))),
        Kind::Section(fields) if fields.len() > 3 => "an object with fields".to_owned(),
        Kind::Section(fields) => format!("an object ({})", names(fields)),
        Kind::List { many, .. } => format!("a list of {many}"),
        Kind::Map { many, .. } => format!("an object with {many}"),
        Kind::Either(kinds) => either(kinds.iter().flat_map(|kind| match kind {
            Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect(),
            kind => vec![expected(kind)],
        })),
    }
}

fn names(fields: &[Field]) -> String {
    let names: Vec<String> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
    names.join(", ")
}

fn either(options: impl Iterator<Item = String>) -> String {
    let options: Vec<String> = options.collect();
    match options.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn found(value: &Tree<'_>) -> String {
    match value {
        Tree::Null => "nothing".to_owned(),
        Tree::Bool(value) => value.to_string(),
        Tree::Number(number) => number.to_string(),
        Tree::Text(text) => quoted(text),
        Tree::List(_) => "a list".to_owned(),
        Tree::Object(_) => "an object".to_owned(),
    }
}

/// Text in backticks: shortened, on one line.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 80
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let key = if plain { key.to_owned() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// What to do about an unknown field: the nearest name here, the same name elsewhere, or the list of names.
fn suggestion(key: &str, fields: &[Field], path: &str) -> String {
    let near = fields
        .iter()
        .map(|field| {
            let key = key.to_ascii_lowercase().replace('-', "_");
            // Swapped letters are the likeliest slip: `tabel` is nearer to `table` than to `label`.
            let swapped = key != field.name && same_letters(&key, field.name);
            (if swapped { 1 } else { distance(&key, field.name) }, !swapped, field.name)
        })
        .filter(|(distance, _, name)| *distance <= 2.min(name.len() / 2))
        .min();
    if let Some((_, _, name)) = near {
        return format!("did you mean `{name}`?");
    }
    let mut elsewhere = Vec::new();
    places(key, ROOT, "", &mut elsewhere);
    if let [only] = elsewhere.as_slice() {
        return match only.strip_suffix(key).and_then(|section| section.strip_suffix('.')) {
            Some(section) => format!("it belongs in `{section}`"),
            None => "it belongs at the top level".to_owned(),
        };
    }
    let here = if path.is_empty() { "the fields here are" } else { "the fields beside it are" };
    format!("{here} {}", names(fields))
}

fn places(key: &str, fields: &[Field], path: &str, found: &mut Vec<String>) {
    for field in fields {
        let here = join(path, field.name);
        if let Kind::Section(fields) = &field.kind {
            places(key, fields, &here, found);
        }
        if field.name == key {
            found.push(here);
        }
    }
}

/// Longer than the name of any field, and short enough for what takes the square of it.
const LONGEST_NAME: usize = 40;

/// Whether one text is the other with its letters in another order.
fn same_letters(a: &str, b: &str) -> bool {
    let count = |text: &str, letter: u8| text.bytes().filter(|byte| *byte == letter).count();
    a.len() == b.len() && a.len() <= LONGEST_NAME && a.bytes().all(|letter| count(a, letter) == count(b, letter))
}

/// Edits (insertions, deletions, substitutions) between two short texts; anything long is far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > LONGEST_NAME {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let value = (corner + usize::from(x != y)).min(left + 1).min(*cell + 1);
            corner = std::mem::replace(cell, value);
            left = value;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
