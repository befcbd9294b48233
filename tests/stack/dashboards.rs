//! The dashboards: each query parses, names only what exists, and keeps the rules of Grafana's dashboard linter.
