//! A table of measurements: one row per figure, one value per run, shown as medians.

use std::collections::BTreeMap;
use std::fmt;

/// Figures of several runs.
#[derive(Debug, Default)]
pub struct Table {
    title: String,
    rows: Vec<Row>,
    places: BTreeMap<&'static str, usize>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    original: &'static str,
    values: Vec<f64>,
}

impl Table {
    /// An empty table.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// Adds what one run measured. `original` is Spectrum 2's figure.
    pub fn add(&mut self, name: &'static str, value: f64, original: &'static str) {
        let place = *self.places.entry(name).or_insert(self.rows.len());
        if place == self.rows.len() {
            self.rows.push(Row {
                name,
                original,
                values: Vec::new(),
            });
        }
        self.rows[place].values.push(value);
    }
}

/// The middle value; of an even number, the lower of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(
            f,
            "| figure | median | lowest .. highest | runs | Spectrum 2 |\n|---|---|---|---|---|"
        )?;
        for row in &self.rows {
            let low = row.values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = row.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (middle, low, high) = (number(median(&row.values)), number(low), number(high));
            writeln!(
                f,
                "| {} | {middle} | {low} .. {high} | {} | {} |",
                row.name,
                row.values.len(),
                row.original
            )?;
        }
        Ok(())
    }
}

/// Three significant digits or more.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_medians_in_the_order_of_the_first_run() {
        let mut table = Table::new("Gateway");
        for run in [3.0, 1.0, 200.0] {
            table.add("speed", run, "54");
            table.add("memory", run / 1000.0, "15");
        }
        let shown = table.to_string();
        let rows: Vec<_> = shown.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| speed | 3.00 | 1.00 .. 200 | 3 | 54 |",
                "| memory | 0.003 | 0.001 .. 0.200 | 3 | 15 |"
            ]
        );
    }
}
