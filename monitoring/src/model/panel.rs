//! A panel: what it asks, and how it shows the answer.

use crate::RUNBOOKS;
use crate::model::steps::{Limit, Side, Step, steps};
use crate::names::Names;
use crate::rules::Alert;

/// How a panel shows its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// Lines over time.
    Lines,
    /// Areas over time, one upon the other.
    Areas,
    /// Numbers, with their course.
    Stat,
    /// Numbers without a course.
    Number,
    /// A dial.
    Gauge,
    /// Bars, one a series.
    Bars,
    /// A pie.
    Pie,
    /// A table of the latest values.
    Table,
    /// Buckets over time.
    Heatmap,
}

/// One query of a panel.
#[derive(Clone, Debug)]
pub struct Target {
    /// The query, with Grafana's variables.
    pub expr: String,
    /// What each series is called, with `{{label}}`.
    pub legend: String,
    /// Why it may have no answer although all is well.
    pub may_be_empty: Option<&'static str>,
}

/// A column of a table: the field's name, what stands above it, its unit, and the colours of an alert.
#[derive(Clone, Debug)]
pub struct Column {
    /// The field: a label, or `Value #A`.
    pub field: &'static str,
    /// What stands above it.
    pub title: &'static str,
    /// The unit of its values; empty for text.
    pub unit: &'static str,
    /// Its colours.
    pub steps: Vec<Step>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it says.
    pub title: String,
    /// Where it leads.
    pub url: String,
    /// Whether it opens beside the dashboard.
    pub beside: bool,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its heading.
    pub title: &'static str,
    /// What it shows, and how to read it.
    pub description: String,
    /// In columns of the grid.
    pub width: u32,
    /// In units of the grid.
    pub height: u32,
    /// How it shows its data.
    pub chart: Chart,
    /// The unit of its values, as Grafana calls it.
    pub unit: &'static str,
    /// Decimals; `None`: as many as fit.
    pub decimals: Option<u32>,
    /// The least value of the scale.
    pub min: Option<f64>,
    /// The greatest value of the scale.
    pub max: Option<f64>,
    /// What it says instead of a value that is not there.
    pub no_value: Option<&'static str>,
    /// One colour for all, where none comes from an alert.
    pub fixed_color: Option<&'static str>,
    /// Colours of series by a regular expression of their names.
    pub series_colors: Vec<(&'static str, &'static str)>,
    /// What it asks.
    pub targets: Vec<Target>,
    /// The limits of the alerts about it.
    pub limits: Vec<Limit>,
    /// Links at its heading.
    pub links: Vec<Link>,
    /// Links at its values.
    pub data_links: Vec<Link>,
    /// The columns, of a table.
    pub columns: Vec<Column>,
}

impl Panel {
    /// A panel of this size in grid units.
    pub fn new(chart: Chart, (width, height): (u32, u32), title: &'static str, unit: &'static str) -> Self {
        Self {
            title,
            description: String::new(),
            width,
            height,
            chart,
            unit,
            decimals: None,
            min: None,
            max: None,
            no_value: None,
            fixed_color: None,
            series_colors: Vec::new(),
            targets: Vec::new(),
            limits: Vec::new(),
            links: Vec::new(),
            data_links: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// What it shows.
    #[must_use]
    pub fn says(mut self, description: &str) -> Self {
        if !self.description.is_empty() {
            self.description.push(' ');
        }
        self.description.push_str(description);
        self
    }

    /// Asks this; `legend` names the series.
    #[must_use]
    pub fn asks(mut self, expr: impl Into<String>, legend: &str) -> Self {
        self.targets.push(Target { expr: expr.into(), legend: legend.to_owned(), may_be_empty: None });
        self
    }

    /// The same, of what may not be there although all is well.
    #[must_use]
    pub fn asks_perhaps(mut self, expr: impl Into<String>, legend: &str, why_empty: &'static str) -> Self {
        self.targets.push(Target { expr: expr.into(), legend: legend.to_owned(), may_be_empty: Some(why_empty) });
        self
    }

    /// A scale from 0.
    #[must_use]
    pub fn from_zero(mut self) -> Self {
        self.min = Some(0.0);
        self
    }

    /// A scale from `min` to `max`.
    #[must_use]
    pub fn scale(mut self, min: f64, max: f64) -> Self {
        (self.min, self.max) = (Some(min), Some(max));
        self
    }

    /// This many decimals.
    #[must_use]
    pub fn decimals(mut self, decimals: u32) -> Self {
        self.decimals = Some(decimals);
        self
    }

    /// What it says where there is no value.
    #[must_use]
    pub fn without_value(mut self, text: &'static str) -> Self {
        self.no_value = Some(text);
        self
    }

    /// One colour for everything.
    #[must_use]
    pub fn color(mut self, color: &'static str) -> Self {
        self.fixed_color = Some(color);
        self
    }

    /// Colours of series, by a regular expression of the name.
    #[must_use]
    pub fn series_colors(mut self, colors: &[(&'static str, &'static str)]) -> Self {
        self.series_colors.extend_from_slice(colors);
        self
    }

    /// The columns of a table.
    #[must_use]
    pub fn columns(mut self, columns: Vec<Column>) -> Self {
        self.columns = columns;
        self
    }

    /// A link at each value.
    #[must_use]
    pub fn data_link(mut self, title: &str, url: &str) -> Self {
        self.data_links.push(Link { title: title.to_owned(), url: url.to_owned(), beside: false });
        self
    }

    /// Turns colour at a value that no alert has; [`crate::lint`] wants the reason.
    #[must_use]
    pub fn own_limit(mut self, side: Side, value: f64, color: &'static str) -> Self {
        self.limits.push(Limit { side, value, color });
        self
    }

    /// Turns colour where this alert fires: at the plain number of its leftmost comparison.
    #[must_use]
    pub fn alert(self, names: &Names, name: &str) -> Self {
        self.limited(names, name, |alert| {
            let limits = alert.comparisons().into_iter().take(1);
            limits.filter_map(|comparison| Limit::of(comparison, color_of(alert))).collect()
        })
    }

    /// The same for an alert with several windows, each with its own number.
    #[must_use]
    pub fn alert_windows(self, names: &Names, name: &str) -> Self {
        self.limited(names, name, |alert| {
            let limits = alert.comparisons().into_iter().filter(|comparison| comparison.value > 0.0);
            limits.filter_map(|comparison| Limit::of(comparison, color_of(alert))).collect()
        })
    }

    /// Turns colour at the bucket bound that this alert looks at: what it calls slow.
    #[must_use]
    pub fn alert_bound(self, names: &Names, name: &str) -> Self {
        self.limited(names, name, |alert| {
            let bounds = names.bucket_bounds(alert).into_iter();
            bounds.map(|value| Limit { side: Side::Above, value, color: color_of(alert) }).collect()
        })
    }

    /// Turns colour where what is left of 1 is what this alert fires for.
    #[must_use]
    pub fn alert_complement(self, names: &Names, name: &str) -> Self {
        self.limited(names, name, |alert| {
            let limits = alert.threshold().and_then(|comparison| Limit::of(comparison, color_of(alert)));
            limits.map(Limit::complement).into_iter().collect()
        })
    }

    /// A link to the runbook of this alert, with no colours: its number is not one of this panel's unit.
    #[must_use]
    pub fn runbook(mut self, names: &Names, name: &str) -> Self {
        if names.alert(name).is_some() {
            self.links.push(runbook(name));
        }
        self
    }

    fn limited(mut self, names: &Names, name: &str, limits: impl Fn(&Alert) -> Vec<Limit>) -> Self {
        let Some(alert) = names.alert(name) else { return self };
        let limits = limits(alert);
        if limits.is_empty() {
            names.problem(format!("panel `{}`: the alert `{name}` has no number that could be a limit", self.title));
        }
        self.limits.extend(limits);
        self.links.push(runbook(name));
        self
    }

    /// Its colours; green alone where no alert is about it. Contradictory limits are a problem that is remembered.
    pub fn steps(&self, names: &Names) -> Vec<Step> {
        steps(&self.limits).unwrap_or_else(|| {
            names.problem(format!("panel `{}`: its alerts have limits on both sides", self.title));
            Vec::new()
        })
    }
}

/// The colour of an alert's severity.
fn color_of(alert: &Alert) -> &'static str {
    match alert.severity() {
        "critical" => "red",
        "warning" => "orange",
        _ => "blue",
    }
}

/// A link to the runbook of an alert.
fn runbook(alert: &str) -> Link {
    Link { title: format!("Runbook: {alert}"), url: format!("{RUNBOOKS}/{alert}.md"), beside: true }
}
