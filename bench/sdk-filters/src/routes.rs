//! Which template a request is for, found by `matchit`.

use std::collections::HashMap;

use crate::config::Route;

/// The label of a request that no template covers.
pub const UNKNOWN: &str = "unknown";

/// The routes, compiled.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// For each path the routes by method.
    router: matchit::Router<Vec<Route>>,
}

impl Routes {
    /// Compiles a table.
    pub fn new(table: &[Route]) -> Result<Self, String> {
        // `matchit` refuses one path twice, also where only the names of its parameters differ, so methods are told
        // apart behind it.
        let mut order = Vec::new();
        let mut paths: HashMap<String, Vec<Route>> = HashMap::new();
        for route in table {
            let path = numbered(&route.template);
            let here = paths.entry(path.clone()).or_default();
            if here.is_empty() {
                order.push(path);
            }
            here.push(route.clone());
        }
        let mut router = matchit::Router::new();
        for path in order {
            let here = paths.remove(&path).unwrap_or_default();
            router.insert(&*path, here).map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(Self { router })
    }

    /// The label for a request: a path's template for this method, else for any, else its first.
    pub fn find(&self, method: &str, path: &str) -> &str {
        let Ok(found) = self.router.at(path) else { return UNKNOWN };
        let routes = found.value;
        let with = |method: &str| routes.iter().find(|route| route.method == method);
        with(method).or_else(|| with("*")).or(routes.first()).map_or(UNKNOWN, |route| &route.template)
    }
}

/// A template in `matchit`'s notation, its parameters named by their place: `{*name}` is the rest of the path.
fn numbered(template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    let mut number = 0;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        path.push_str(text);
        path.push_str(&if name.ends_with("...") { format!("{{*p{number}}}") } else { format!("{{p{number}}}") });
        number += 1;
        rest = after;
    }
    path + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_label_is_the_template() {
        let text = "naive\nGET /a/{id}\nDELETE /a/{name}\n* /a/{id}/parts/{part}\nGET /files/{rest...}\nGET /a/mine";
        let routes = Routes::new(&Config::parse(text).unwrap().routes).unwrap();
        let check = |method: &str, path: &str, label: &str| assert_eq!(routes.find(method, path), label, "{path}");
        check("GET", "/a/1", "/a/{id}");
        check("DELETE", "/a/1", "/a/{name}");
        check("POST", "/a/1", "/a/{id}");
        check("GET", "/a/mine", "/a/mine");
        check("POST", "/a/1/parts/2", "/a/{id}/parts/{part}");
        check("GET", "/files/x/y", "/files/{rest...}");
        check("GET", "/a/1/", UNKNOWN);
        check("GET", "/", UNKNOWN);
    }

    #[test]
    fn what_matchit_refuses_is_named() {
        let route = |template: &str| Route { method: "*".to_string(), template: template.to_string() };
        assert!(Routes::new(&[route("/a/{x}{y}")]).unwrap_err().starts_with("/a/{p0}{p1}: "));
    }
}
