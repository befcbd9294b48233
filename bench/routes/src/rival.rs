//! `matchit` with our tables: what it needs to give the answers that ours gives.

use std::collections::BTreeMap;

use telemetry::method::Method;
use telemetry::route::{EndpointId, RouteSpec};

use crate::bench::{Loaded, Router};

/// The endpoint for each method, by [`Method::index`], as ours has at each place of its table.
type ByMethod = [u32; Method::COUNT];

/// A `matchit` router over the templates of a table.
#[derive(Default)]
pub(crate) struct Rival {
    router: matchit::Router<ByMethod>,
    /// The templates that it has no form for, and what it said.
    pub(crate) refused: Vec<(String, String)>,
}

impl Rival {
    /// The same table, with the endpoints numbered as in `labels`, which are templates.
    pub(crate) fn build(specs: &[RouteSpec], labels: &[Box<str>]) -> Self {
        let numbers: BTreeMap<&str, u32> =
            labels.iter().enumerate().map(|(number, label)| (&**label, number as u32)).collect();
        // It refuses two templates that differ in their parameters' names alone, which only methods tell apart: they become one.
        let mut places: BTreeMap<String, Vec<&RouteSpec>> = BTreeMap::new();
        // Whether it refuses two templates may depend on which comes first, so they go in as the table has them.
        let mut order = Vec::new();
        for spec in specs {
            let here = places.entry(its_notation(&spec.template)).or_default();
            if here.is_empty() {
                order.push(its_notation(&spec.template));
            }
            here.push(spec);
        }
        let mut rival = Self::default();
        for template in order {
            let here = places.remove(&template).unwrap_or_default();
            let number = |spec: &RouteSpec| numbers.get(&*spec.template).copied().unwrap_or(EndpointId::UNKNOWN.0);
            let any = here.iter().find(|spec| spec.methods.is_none());
            let mut by_method =
                [any.or(here.first()).map_or(EndpointId::UNKNOWN.0, |spec| number(spec)); Method::COUNT];
            for spec in &here {
                for method in spec.methods.iter().flatten() {
                    if let Some(slot) = by_method.get_mut(method.index()) {
                        *slot = number(spec);
                    }
                }
            }
            if let Err(error) = rival.router.insert(template.clone(), by_method) {
                rival.refused.push((template, error.to_string()));
            }
        }
        rival
    }
}

impl Router for &Rival {
    // One call for each request, as a filter makes it.
    #[inline(never)]
    fn find(&mut self, request: &Loaded) -> u32 {
        let Some(text) = &request.text else { return EndpointId::UNKNOWN.0 };
        match self.router.at(text) {
            Ok(found) => found.value.get(request.method.index()).copied().unwrap_or(EndpointId::UNKNOWN.0),
            Err(matchit::MatchError::NotFound) => EndpointId::UNKNOWN.0,
        }
    }
}

/// A template as `matchit` writes it: parameters numbered, `{*name}` for the rest.
fn its_notation(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut number = 0;
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(literal);
        text.push_str(if name.ends_with("...") { "{*p" } else { "{p" });
        text.push_str(&format!("{number}}}"));
        number += 1;
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_written_in_its_notation() {
        let check = |template: &str, expected: &str| assert_eq!(its_notation(template), expected);
        check("/", "/");
        check("/a/{id}/b/{other}", "/a/{p0}/b/{p1}");
        check("/a/{id}.json", "/a/{p0}.json");
        check("/a/{rest...}", "/a/{*p0}");
    }

    #[test]
    fn what_it_cannot_do_is_named() {
        let spec = |template: &str| RouteSpec { methods: None, template: template.into(), name: None };
        let rival = Rival::build(&[spec("/a/{base}...{head}"), spec("/a/b")], &[]);
        assert_eq!(rival.refused.len(), 1);
        assert_eq!(rival.refused[0].0, "/a/{p0}...{p1}");
    }
}
