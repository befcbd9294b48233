//! From operations to routes: what shares a template and a name becomes one entry, and what is claimed already is left out.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use telemetry::method::Method;
use telemetry::route::{Case, OVERFLOW_LABEL, RouteOptions, RouteSpec, RouteTable, UNKNOWN_LABEL};

use super::template::short;
use super::{Description, Findings, Operation};

/// The longest name of a route.
const MAX_NAME: usize = 200;

/// The routes of a description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Collected {
    /// In the order of the description.
    pub(super) routes: Vec<RouteSpec>,
    /// Operations that say the same again.
    pub(super) duplicates: Findings,
    /// Operations that a hand-written route stands for.
    pub(super) by_hand: Findings,
    /// Names of several templates.
    pub(super) shared_names: Findings,
}

/// What claims a place.
struct Claim {
    method: Option<Method>,
    template: String,
    name: Option<String>,
    place: String,
}

/// Makes routes of the operations; `by_hand` are routes that have precedence. What cannot be a route is added to the description's findings.
pub(super) fn routes(description: &mut Description, by_hand: &[RouteSpec], options: &RouteOptions) -> Collected {
    let mut out = Collected::default();
    let mut hand: HashMap<String, Vec<&RouteSpec>> = HashMap::new();
    for route in by_hand {
        hand.entry(shape(&route.template, options.case)).or_default().push(route);
    }
    let mut claims: HashMap<String, Vec<Claim>> = HashMap::new();
    let mut entries: IndexMap<(String, Option<String>, bool), Vec<Method>> = IndexMap::new();
    let operations = std::mem::take(&mut description.operations);
    for operation in &operations {
        let name = name(operation, &mut description.changed);
        let mut template = operation.template.clone();
        let place = shape(&template, options.case);
        let written = hand.get(&place).map(Vec::as_slice).unwrap_or_default();
        let covered = written.iter().find(|route| match (&route.methods, operation.method) {
            (None, _) => true,
            (Some(methods), Some(method)) => methods.contains(&method),
            (Some(_), None) => false,
        });
        if let Some(route) = covered {
            out.by_hand.push(&operation.place, &format!("`{}` is there by hand", short(&route.template)));
            continue;
        }
        let here = claims.entry(place).or_default();
        // A route for any method beside those for some has to write its template alike.
        let beside = written.iter().map(|route| &route.template).chain(here.iter().map(|claim| &claim.template)).next();
        if let Some(beside) = beside.filter(|_| operation.method.is_none()) {
            template.clone_from(beside);
        }
        let same =
            |claim: &&Claim| claim.method == operation.method || claim.method.is_none() || operation.method.is_none();
        match here.iter().find(same) {
            Some(claim) if claim.template == template && claim.name == name && claim.method == operation.method => {
                out.duplicates.push(&operation.place, &format!("the same as `{}`", claim.place));
                continue;
            }
            Some(claim) => {
                let message = format!(
                    "`{}` has these paths already, as `{}`; the first is kept",
                    claim.place,
                    short(&claim.template)
                );
                description.left_out.push(&operation.place, &message);
                continue;
            }
            None => {}
        }
        here.push(Claim {
            method: operation.method,
            template: template.clone(),
            name: name.clone(),
            place: operation.place.clone(),
        });
        entries.entry((template, name, operation.method.is_none())).or_default().extend(operation.method);
    }
    description.operations = operations;
    out.routes = entries
        .into_iter()
        .map(|((template, name, any), methods)| RouteSpec { methods: (!any).then_some(methods), template, name })
        .collect();
    until_sound(&mut out.routes, by_hand, options, &mut description.left_out);
    out.shared_names = shared_names(&out.routes);
    out
}

/// The name, if a route can have it.
fn name(operation: &Operation, changed: &mut Findings) -> Option<String> {
    let name = operation.name.as_ref().filter(|name| !name.is_empty())?;
    let problem = if name.len() > MAX_NAME {
        "is longer than 200 bytes"
    } else if name.chars().any(char::is_control) {
        "has a control character"
    } else if [UNKNOWN_LABEL, OVERFLOW_LABEL].contains(&name.as_str()) {
        "is the label of requests without a route"
    } else {
        return Some(name.clone());
    };
    changed.push(&operation.place, &format!("its name `{}` {problem}; the route has none", short(name)));
    None
}

/// Leaves out what the table would refuse, until it refuses nothing.
fn until_sound(routes: &mut Vec<RouteSpec>, by_hand: &[RouteSpec], options: &RouteOptions, left_out: &mut Findings) {
    loop {
        let all: Vec<RouteSpec> = by_hand.iter().chain(routes.iter()).cloned().collect();
        let Err(problems) = RouteTable::build(&all, options) else { return };
        let mut bad = HashSet::new();
        for problem in problems {
            let Some(index) = problem.index.checked_sub(by_hand.len()) else { continue };
            if let Some(route) = routes.get(index).filter(|_| bad.insert(index)) {
                left_out.push(&route.template, &problem.message);
            }
        }
        // Hand-written routes that are wrong in themselves were refused before.
        if bad.is_empty() {
            return;
        }
        let mut index = 0;
        routes.retain(|_| {
            index += 1;
            !bad.contains(&(index - 1))
        });
    }
}

/// Names that stand for more than one template: as a label they put several endpoints together.
fn shared_names(routes: &[RouteSpec]) -> Findings {
    let mut templates: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for route in routes {
        if let Some(name) = &route.name {
            let here = templates.entry(name).or_default();
            if here.last() != Some(&&*route.template) {
                here.push(&route.template);
            }
        }
    }
    let mut out = Findings::default();
    for (name, mut here) in templates {
        here.dedup();
        if let [first, second, more @ ..] = here.as_slice() {
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            out.push(name, &format!("`{}`, `{}`{more}", short(first), short(second)));
        }
    }
    out
}

/// What two templates for the same paths have in common: their text without the names of parameters, unreserved characters decoded.
pub(super) fn shape(template: &str, case: Case) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        normal(literal, case, &mut out);
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(if name.ends_with("...") { "{...}" } else { "{}" });
        rest = behind;
    }
    normal(rest, case, &mut out);
    out
}

fn normal(literal: &str, case: Case, out: &mut String) {
    let mut rest = literal;
    while let Some(found) = rest.chars().next() {
        let hex = rest.get(1..3).filter(|_| found == '%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (found, length) = match hex {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => (char::from(byte), 3),
            Some(_) => {
                out.push_str(&rest.get(..3).unwrap_or_default().to_ascii_uppercase());
                rest = rest.get(3..).unwrap_or_default();
                continue;
            }
            None => (found, found.len_utf8()),
        };
        out.push(if case == Case::Insensitive { found.to_ascii_lowercase() } else { found });
        rest = rest.get(length..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn operation(line: &str) -> Operation {
        let mut words = line.split(' ');
        let method = words.next().filter(|word| *word != "ANY").map(|word| Method::from_bytes(word.as_bytes()));
        let template = words.next().unwrap().to_owned();
        Operation { method, template, name: words.next().map(str::to_owned), place: line.to_owned() }
    }

    fn spec(line: &str) -> RouteSpec {
        let found = operation(line);
        RouteSpec { methods: found.method.map(|method| vec![method]), template: found.template, name: found.name }
    }

    fn collect(lines: &[&str], by_hand: &[&str], case: Case) -> (Vec<String>, Collected, Description) {
        let mut description = Description::new(Kind::Django);
        description.operations = lines.iter().map(|line| operation(line)).collect();
        let by_hand: Vec<RouteSpec> = by_hand.iter().map(|line| spec(line)).collect();
        let options = RouteOptions { case, ..RouteOptions::default() };
        let collected = routes(&mut description, &by_hand, &options);
        let shown = collected
            .routes
            .iter()
            .map(|route| {
                let methods = route.methods.as_ref().map_or("ANY".to_owned(), |methods| {
                    methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(",")
                });
                format!("{methods} {} {}", route.template, route.name.as_deref().unwrap_or("-"))
            })
            .collect();
        (shown, collected, description)
    }

    fn check(lines: &[&str], by_hand: &[&str], expected: &[&str], counts: (u64, u64, u64)) {
        let (shown, collected, description) = collect(lines, by_hand, Case::Sensitive);
        assert_eq!(shown, expected, "{lines:?}");
        let found = (collected.duplicates.total, description.left_out.total, collected.by_hand.total);
        assert_eq!(found, counts, "{lines:?}: duplicates, left out, by hand");
    }

    #[test]
    fn one_entry_for_a_template_and_a_name() {
        check(
            &["GET /a x", "POST /a x", "PUT /a y", "GET /b"],
            &[],
            &["GET,POST /a x", "PUT /a y", "GET /b -"],
            (0, 0, 0),
        );
        check(&["ANY /a x", "ANY /b x"], &[], &["ANY /a x", "ANY /b x"], (0, 0, 0));
    }

    #[test]
    fn the_first_of_two_claims_is_kept() {
        check(&["GET /a/{x} one", "GET /a/{y} two"], &[], &["GET /a/{x} one"], (0, 1, 0));
        check(&["GET /a/{x} one", "GET /a/{x} two"], &[], &["GET /a/{x} one"], (0, 1, 0));
        check(&["GET /a/{x} one", "GET /a/{x} one"], &[], &["GET /a/{x} one"], (1, 0, 0));
        check(&["GET /a/{x} one", "POST /a/{y} two"], &[], &["GET /a/{x} one", "POST /a/{y} two"], (0, 0, 0));
        check(&["GET /a/%62", "GET /a/b"], &[], &["GET /a/%62 -"], (0, 1, 0));
        check(&["GET /a/{x}", "GET /a/{x...}"], &[], &["GET /a/{x} -", "GET /a/{x...} -"], (0, 0, 0));
        check(&["ANY /a/{x} one", "GET /a/{y} two"], &[], &["ANY /a/{x} one"], (0, 1, 0));
    }

    #[test]
    fn hand_written_routes_come_first() {
        check(&["GET /a/{x} one", "POST /a/{x} one"], &["GET /a/{id} mine"], &["POST /a/{x} one"], (0, 0, 1));
        check(&["GET /a/{x} one", "POST /a/{x} one"], &["ANY /a/{id} mine"], &[], (0, 0, 2));
        check(&["ANY /a/{x} one"], &["GET /a/{id} mine"], &["ANY /a/{id} one"], (0, 0, 0));
    }

    #[test]
    fn case_is_that_of_the_configuration() {
        let (shown, _, description) = collect(&["GET /A/b", "GET /a/B"], &[], Case::Insensitive);
        assert_eq!((shown.len(), description.left_out.total), (1, 1));
        assert_eq!(collect(&["GET /A/b", "GET /a/B"], &[], Case::Sensitive).0.len(), 2);
    }

    #[test]
    fn what_the_table_refuses_is_left_out_with_its_reason() {
        let long = format!("GET /{}", "a".repeat(600));
        let (shown, _, description) = collect(&["GET /a", &long, "GET /b"], &[], Case::Sensitive);
        assert_eq!(shown, ["GET /a -", "GET /b -"]);
        assert!(description.left_out.listed[0].message.contains("use at most 512"), "{:?}", description.left_out);
    }

    #[test]
    fn names_that_cannot_be_labels_are_dropped_and_shared_ones_told() {
        let long = format!("GET /a {}", "n".repeat(201));
        let (shown, _, description) = collect(&[&long, "GET /b unknown", "GET /c x\u{1}"], &[], Case::Sensitive);
        assert_eq!(shown, ["GET /a -", "GET /b -", "GET /c -"]);
        assert_eq!(description.changed.total, 3);
        let (_, collected, _) = collect(&["GET /a x", "POST /a x", "GET /b x", "GET /c y"], &[], Case::Sensitive);
        assert_eq!(collected.shared_names.total, 1);
        assert_eq!(collected.shared_names.listed[0].message, "`/a`, `/b`");
    }
}
