//! From the configured table to places in the trie and the labels that they carry, with every conflict found.

use super::template::{self, Segment};
use super::trie::{Place, Terminal};
use super::{
    Case, EndpointId, LabelStyle, OVERFLOW_LABEL, RouteField, RouteOptions, RouteProblem, RouteSpec, UNKNOWN_LABEL,
    UndeclaredMethods,
};
use crate::method::Method;
use crate::sorted::SortedMap;

/// The longest name of a route.
const MAX_NAME: usize = 200;

/// A table without mistakes.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) labels: Vec<Box<str>>,
    /// **Invariant:** sorted by their segments, no two the same.
    pub(super) places: Vec<Place>,
}

impl Compiled {
    /// For each label a bit for each method that a place declares for it, by [`Method::index`].
    pub(super) fn declared(&self) -> Vec<u16> {
        let mut declared = vec![0; self.labels.len()];
        for (_, terminal) in &self.places {
            for method in Method::ALL {
                if let Some(endpoint) = terminal.declared(method)
                    && let Some(methods) = declared.get_mut(endpoint.index())
                {
                    *methods |= 1 << method.index();
                }
            }
        }
        declared
    }
}

/// Reads the table.
pub(super) fn compile(routes: &[RouteSpec], options: &RouteOptions) -> Result<Compiled, Vec<RouteProblem>> {
    let mut problems = Vec::new();
    let mut places: SortedMap<Vec<Segment>, usize> = SortedMap::default();
    // The routes of each place, in the order in which the table first names the places: endpoints are numbered so, which makes lists of labels
    // pleasant to read.
    let mut routes_of: Vec<Vec<(usize, &RouteSpec)>> = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let mut report = |field, message| problems.push(RouteProblem { index, field, message });
        check_methods(route, &mut report);
        check_name(route, &mut report);
        match template::parse(&route.template, options) {
            Err(messages) => messages.into_iter().for_each(|message| report(RouteField::Template, message)),
            Ok(segments) => {
                let place = *places.get_or_insert_with(segments, || routes_of.len());
                if place == routes_of.len() {
                    routes_of.push(Vec::new());
                }
                let Some(here) = routes_of.get_mut(place) else { continue };
                let conflicts = here.iter().find_map(|(other, earlier)| conflict(route, *other, earlier, options));
                if let Some(message) = conflicts {
                    report(RouteField::Template, message);
                }
                here.push((index, route));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut labels = Labels::default();
    let terminals: Vec<Terminal> = routes_of.iter().map(|here| terminal(here, options, &mut labels)).collect();
    let places = places
        .into_entries()
        .into_iter()
        .filter_map(|(segments, place)| Some((segments, *terminals.get(place)?)))
        .collect();
    Ok(Compiled { labels: labels.texts, places })
}

fn check_methods(route: &RouteSpec, report: &mut impl FnMut(RouteField, String)) {
    let Some(methods) = &route.methods else { return };
    if methods.is_empty() {
        report(RouteField::Methods, "the list is empty; name a method, or leave the field out for any".into());
    }
    for (position, method) in methods.iter().enumerate() {
        if methods.iter().take(position).any(|earlier| earlier == method) {
            report(RouteField::Methods, format!("`{method}` is there twice; remove one"));
        }
    }
}

fn check_name(route: &RouteSpec, report: &mut impl FnMut(RouteField, String)) {
    let Some(name) = &route.name else { return };
    if name.is_empty() {
        report(RouteField::Name, "the name is empty; give one, or leave the field out".into());
    }
    if name.len() > MAX_NAME {
        report(RouteField::Name, format!("the name has {} bytes; use at most {MAX_NAME}", name.len()));
    }
    if name.chars().any(char::is_control) {
        report(RouteField::Name, format!("{name:?} has a control character; remove it"));
    }
    if name == UNKNOWN_LABEL || name == OVERFLOW_LABEL {
        report(RouteField::Name, format!("`{name}` is the label of requests without a route; use another name"));
    }
}

/// The message about two routes for the same paths and a method in common.
fn conflict(route: &RouteSpec, other: usize, earlier: &RouteSpec, options: &RouteOptions) -> Option<String> {
    let same_text = route.template == earlier.template;
    let shared = match (&route.methods, &earlier.methods) {
        (Some(a), Some(b)) => Some(a.iter().find(|method| b.contains(method))?.as_str()),
        (None, None) => None,
        // Of two routes with one template, the one that names the method goes before the one for any.
        (Some(_), None) | (None, Some(_)) if same_text => return None,
        (Some(a), None) | (None, Some(a)) => a.first().map(|method| method.as_str()),
    };
    let template = &route.template;
    let other_template = &earlier.template;
    if same_text {
        let what =
            shared.map_or_else(|| format!("`{template}` for any method"), |method| format!("`{method} {template}`"));
        return Some(format!("{what} is already routes.table[{other}]; remove one of the two"));
    }
    let same_but_for_case = options.case == Case::Insensitive && template.eq_ignore_ascii_case(other_template);
    let cure = match (without_names(template) == without_names(other_template), same_but_for_case) {
        (true, _) => "use one name for the parameter",
        (false, true) => "they differ in case alone, which `case: insensitive` ignores; remove one of the two",
        (false, false) => "they match the same paths; write both alike",
    };
    Some(format!("`{template}` conflicts with routes.table[{other}].template `{other_template}`; {cure}"))
}

/// A template's text with the names of its parameters taken out.
fn without_names(template: &str) -> String {
    let mut inside = false;
    template
        .chars()
        .filter(|found| {
            match found {
                '{' => inside = true,
                '}' => inside = false,
                _ if inside => return false,
                _ => {}
            }
            true
        })
        .collect()
}

/// The labels in use, numbered as they are first needed.
struct Labels<'a> {
    texts: Vec<Box<str>>,
    numbers: SortedMap<&'a str, EndpointId>,
}

impl Default for Labels<'_> {
    fn default() -> Self {
        Self { texts: vec![UNKNOWN_LABEL.into(), OVERFLOW_LABEL.into()], numbers: SortedMap::default() }
    }
}

impl<'a> Labels<'a> {
    fn number(&mut self, label: &'a str) -> EndpointId {
        *self.numbers.get_or_insert_with(label, || {
            self.texts.push(label.into());
            EndpointId(u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX))
        })
    }
}

/// What the routes of one place say about each method.
fn terminal<'a>(here: &[(usize, &'a RouteSpec)], options: &RouteOptions, labels: &mut Labels<'a>) -> Terminal {
    let label = |route: &'a RouteSpec| match (options.label, &route.name) {
        (LabelStyle::Name, Some(name)) => name.as_str(),
        (LabelStyle::Name, None) | (LabelStyle::Template, _) => &route.template,
    };
    // Numbered as the table has them, whichever of them is looked at first below.
    let numbers: Vec<EndpointId> = here.iter().map(|(_, route)| labels.number(label(route))).collect();
    let any = here.iter().zip(&numbers).find(|((_, route), _)| route.methods.is_none()).map(|(_, number)| *number);
    let mut terminal = Terminal::new(any.unwrap_or(EndpointId::UNKNOWN));
    if let Some(any) = any {
        Method::ALL.iter().for_each(|method| terminal.declare(*method, any));
    }
    for ((_, route), number) in here.iter().zip(numbers) {
        route.methods.iter().flatten().for_each(|method| terminal.declare(*method, number));
    }
    if any.is_none() && options.undeclared_methods == UndeclaredMethods::Template {
        let first = here.first().map(|(_, route)| (label(route), route.template.as_str())).unwrap_or_default();
        let shared = here.iter().all(|(_, route)| label(route) == first.0);
        terminal.undeclared = labels.number(if shared { first.0 } else { first.1 });
    }
    terminal
}
