//! The parts of a dashboard, typed. [`crate::grafana`] writes them down in Grafana's forms.

pub mod panel;
pub mod steps;

pub use panel::{Chart, Column, Link, Panel, Target};
pub use steps::{Limit, Side, Step};

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Its address: `/d/<uid>`.
    pub uid: &'static str,
    /// Its name.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Its tags besides `eucora`.
    pub tags: &'static [&'static str],
    /// The start of the time range that it opens with, for example `now-1h`.
    pub from: &'static str,
    /// What can be chosen at its top, after the data source.
    pub variables: Vec<Variable>,
    /// What is marked in its time series.
    pub annotations: Vec<Annotation>,
    /// Its panels.
    pub rows: Vec<Row>,
}

impl Dashboard {
    /// Every panel with its number, which is unique in the dashboard, and its place.
    pub fn placed(&self) -> Vec<PlacedRow<'_>> {
        let (mut id, mut y) = (0, 0);
        let mut rows = Vec::new();
        for row in &self.rows {
            id += 1;
            let mut placed = PlacedRow { id, y, row, panels: Vec::new() };
            y += 1;
            let (mut x, mut tallest) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > COLUMNS {
                    (x, y, tallest) = (0, y + tallest, 0);
                }
                id += 1;
                placed.panels.push(Placed { id, x, y, panel });
                x += panel.width;
                tallest = tallest.max(panel.height);
            }
            y += tallest;
            rows.push(placed);
        }
        rows
    }
}

/// The columns of Grafana's grid.
pub const COLUMNS: u32 = 24;

/// A heading and the panels below it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// The panels, from left to right; one that does not fit goes below.
    pub panels: Vec<Panel>,
}

/// A row with its place.
#[derive(Clone, Debug)]
pub struct PlacedRow<'a> {
    /// The number of its heading.
    pub id: u32,
    /// The place of its heading.
    pub y: u32,
    /// The row.
    pub row: &'a Row,
    /// Its panels.
    pub panels: Vec<Placed<'a>>,
}

/// A panel with its place.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Its number.
    pub id: u32,
    /// From the left, in columns.
    pub x: u32,
    /// From the top, in grid units.
    pub y: u32,
    /// The panel.
    pub panel: &'a Panel,
}

/// What can be chosen at the top of a dashboard: the values of a label.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name, as in `$name`.
    pub name: &'static str,
    /// What stands before it.
    pub label: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The selector whose series have the label.
    pub selector: String,
    /// The label whose values can be chosen.
    pub of_label: &'static str,
}

/// What is marked in time series.
#[derive(Clone, Debug)]
pub struct Annotation {
    /// What the switch at the top says.
    pub name: &'static str,
    /// The colour of the marks.
    pub color: &'static str,
    /// Where the marks come from.
    pub source: Marks,
}

/// Where marks come from.
#[derive(Clone, Debug)]
pub enum Marks {
    /// A mark wherever this has a value.
    Query {
        /// The query.
        expr: String,
        /// The heading of a mark.
        title: &'static str,
        /// Its text.
        text: &'static str,
        /// Labels that become tags, with commas.
        tags: &'static str,
    },
    /// Annotations in Grafana with this tag.
    Tag(&'static str),
}
