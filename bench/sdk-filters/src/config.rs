//! The plugin's configuration: a line `empty` or `naive`, then a line `METHOD TEMPLATE` for each route.
//!
//! A template is `/api/v1/things/{id}/parts/{part_id}`, at its end also `{rest...}`; the method may be `*`.

/// Which filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Does nothing.
    Empty,
    /// Does the job.
    Naive,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method, or `*`.
    pub method: String,
    /// Its path, with `{name}` for what varies.
    pub template: String,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which filter.
    pub kind: Kind,
    /// The routes, for a filter that wants them.
    pub routes: Vec<Route>,
}

impl Config {
    /// Reads a configuration; empty lines are skipped.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let kind = match lines.next() {
            Some("empty") => Kind::Empty,
            Some("naive") => Kind::Naive,
            other => return Err(format!("first line: expected `empty` or `naive`, found {other:?}")),
        };
        let routes = lines
            .map(|line| match line.split_once(' ') {
                Some((method, template)) if template.starts_with('/') => {
                    Ok(Route { method: method.to_string(), template: template.to_string() })
                }
                _ => Err(format!("expected `METHOD /TEMPLATE`, found `{line}`")),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { kind, routes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_filter_and_each_other_a_route() {
        assert_eq!(Config::parse("empty"), Ok(Config { kind: Kind::Empty, routes: Vec::new() }));
        let config = Config::parse("naive\nGET /a/{id}\n\n* /b\n").unwrap();
        assert_eq!(config.kind, Kind::Naive);
        let routes: Vec<_> = config.routes.iter().map(|route| (&*route.method, &*route.template)).collect();
        assert_eq!(routes, [("GET", "/a/{id}"), ("*", "/b")]);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "other", "GET /a", "naive\n/a", "naive\nGET a"] {
            assert!(Config::parse(text).is_err(), "{text:?}");
        }
    }
}
