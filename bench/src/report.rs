//! Reports the measured figures: in a table on stdout, and in `target/bench.json`.

use std::path::Path;

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::statistics::Samples;

/// The measured values of one figure (quantity) and one contender (a process whose speed or cost is
/// measured).
#[derive(Debug)]
struct Row {
    figure: String,
    contender: String,
    unit: &'static str,
    samples: Samples,
}

/// All rows of a measurement, in the order in which [`Report::add`] made them.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a value to the row of this figure, contender and unit. If there is no such row, makes the row.
    pub fn add(&mut self, figure: &str, contender: &str, unit: &'static str, value: f64) {
        let same = |row: &&mut Row| row.figure == figure && row.contender == contender && row.unit == unit;
        match self.rows.iter_mut().find(same) {
            Some(row) => row.samples.push(value),
            None => {
                let mut samples = Samples::default();
                samples.push(value);
                self.rows.push(Row { figure: figure.into(), contender: contender.into(), unit, samples });
            }
        }
    }

    /// The report as a table in Markdown: median, least and greatest value, number of samples.
    pub fn table(&self) -> String {
        let mut table =
            String::from("| figure | contender | median | min - max | n |\n|---|---|---|---|---|\n");
        for Row { figure, contender, unit, samples } in &self.rows {
            let (least, greatest) = samples.spread();
            table.push_str(&format!(
                "| {figure} | {contender} | {} {unit} | {} - {} | {} |\n",
                shown(samples.median()),
                shown(least),
                shown(greatest),
                samples.count()
            ));
        }
        table
    }

    /// Writes a JSON file with the description of the machine, the exact figures and all rows.
    pub fn write(&self, path: &Path, machine: &Machine, exact: Value) -> std::io::Result<()> {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|Row { figure, contender, unit, samples }| {
                let (least, greatest) = samples.spread();
                json!({
                    "figure": figure, "contender": contender, "unit": unit, "median": samples.median(),
                    "min": least, "max": greatest, "samples": samples.count(),
                })
            })
            .collect();
        let report = json!({"machine": machine.to_json(), "exact": exact, "figures": rows});
        std::fs::write(path, format!("{report:#}\n"))
    }
}

/// The value, rounded: to two decimals below 10, to one decimal below 100, else to a whole number.
fn shown(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
