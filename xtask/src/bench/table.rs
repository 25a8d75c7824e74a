//! Collected values, ratios within a round, and two of their forms: a table and JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// Values of one figure on one machine, a value a round.
struct Series {
    machine: String,
    figure: String,
    unit: String,
    values: Vec<f64>,
}

/// Everything that was measured.
pub(super) struct Results {
    machines: Vec<String>,
    series: Vec<Series>,
    /// The machine that the others are compared with.
    peer: String,
}

/// A median with the least and the greatest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

/// One figure of one machine in the JSON file.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    figure: &'a str,
    machine: &'a str,
    unit: &'a str,
    values: &'a [f64],
    spread: Spread,
    /// The peer's value divided by this one, round by round: above 1 means less than the peer's.
    peer_over_this: Option<Spread>,
}

impl Results {
    pub(super) fn new(machines: Vec<String>, peer: &str) -> Self {
        Self { machines, series: Vec::new(), peer: peer.to_owned() }
    }

    /// The machine that the others are compared with.
    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    /// All machines, in the order of their columns.
    pub(super) fn machines(&self) -> &[String] {
        &self.machines
    }

    /// All figures with their units, in the order in which they were first measured.
    pub(super) fn figures(&self) -> Vec<(&str, &str)> {
        let mut figures: Vec<(&str, &str)> = Vec::new();
        for series in &self.series {
            if !figures.iter().any(|(name, _)| *name == series.figure) {
                figures.push((&series.figure, &series.unit));
            }
        }
        figures
    }

    /// What was measured.
    pub(super) fn value(&self, machine: &str, figure: &str) -> Option<Spread> {
        spread(&self.find(machine, figure)?.values)
    }

    /// The peer's value over a machine's, round by round: above 1 the machine is better.
    pub(super) fn ratio(&self, machine: &str, figure: &str) -> Option<Spread> {
        self.ratio_of(self.find(machine, figure)?)
    }

    pub(super) fn add(&mut self, machine: &str, figure: &str, unit: &str, value: f64) {
        match self.series.iter_mut().find(|series| series.machine == machine && series.figure == figure) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series {
                machine: machine.to_owned(),
                figure: figure.to_owned(),
                unit: unit.to_owned(),
                values: vec![value],
            }),
        }
    }

    fn find(&self, machine: &str, figure: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.machine == machine && series.figure == figure)
    }

    fn ratio_of(&self, series: &Series) -> Option<Spread> {
        let peer = self.find(&self.peer, &series.figure)?;
        let ratios: Vec<f64> =
            peer.values.iter().zip(&series.values).map(|(theirs, ours)| theirs / ours).collect();
        spread(&ratios)
    }

    /// A line a figure, a column a machine; ratios are the peer's value over ours.
    pub(super) fn table(&self) -> String {
        let (peer, figures) = (&self.peer, self.figures());
        let mut text = format!("{:<28}", "figure (median)");
        for machine in &self.machines {
            let _ = write!(text, " {machine:>12}");
            if machine != peer {
                let _ = write!(text, " {:>24}", format!("{peer}/{machine} (range)"));
            }
        }
        text.push('\n');
        for (figure, unit) in figures {
            let _ = write!(text, "{:<28}", format!("{figure} [{unit}]"));
            for machine in &self.machines {
                let value = self.value(machine, figure);
                let value = value.map_or_else(|| "-".to_owned(), |value| significant(value.median));
                let _ = write!(text, " {value:>12}");
                if machine != peer {
                    let ratio = self.ratio(machine, figure).map_or_else(
                        || "-".to_owned(),
                        |ratio| format!("{:.2} ({:.2}-{:.2})", ratio.median, ratio.least, ratio.greatest),
                    );
                    let _ = write!(text, " {ratio:>24}");
                }
            }
            text.push('\n');
        }
        text
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Vec<Entry<'_>> {
        self.series
            .iter()
            .filter_map(|series| {
                Some(Entry {
                    figure: &series.figure,
                    machine: &series.machine,
                    unit: &series.unit,
                    values: &series.values,
                    spread: spread(&series.values)?,
                    peer_over_this: if series.machine == self.peer { None } else { self.ratio_of(series) },
                })
            })
            .collect()
    }
}

fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = match sorted.len() {
        0 => return None,
        even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    };
    Some(Spread { median, least: sorted[0], greatest: *sorted.last()? })
}

/// Four digits that matter.
pub(super) fn significant(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 3 - value.abs().log10().floor() as i32 };
    format!("{value:.*}", usize::try_from(digits.clamp(0, 6)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_formed_within_a_round() {
        let mut results = Results::new(vec!["peer".into(), "ours".into()], "peer");
        for (theirs, ours) in [(10.0, 5.0), (30.0, 10.0), (8.0, 8.0)] {
            results.add("peer", "x", "us", theirs);
            results.add("ours", "x", "us", ours);
        }
        assert_eq!(results.ratio("ours", "x"), Some(Spread { median: 2.0, least: 1.0, greatest: 3.0 }));
        let table = results.table();
        assert!(table.contains("2.00 (1.00-3.00)"), "{table}");
        assert_eq!(results.json().len(), 2);
    }

    #[test]
    fn a_median_of_two_is_their_middle_and_of_none_is_nothing() {
        assert_eq!(spread(&[1.0, 4.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(significant(1234.56), "1235");
        assert_eq!(significant(0.012_345), "0.01235");
        assert_eq!(significant(0.0), "0");
    }
}
