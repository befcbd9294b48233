//! Prometheus, Alertmanager and Grafana: what is shipped for each, checked by the program's own tools and against live data.

mod alertmanager;
mod dashboards;
mod kubernetes;
mod live;
mod prometheus;
mod rules;
