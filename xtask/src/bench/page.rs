//! The results as one HTML file that needs nothing else: a plot of the ratios, small plots of the values, the table, and
//! what was measured on what. Plots are SVG, written here: bars and whiskers need no library.

use std::fmt::Write as _;

use super::facts::{Setting, meaning};
use super::table::{Results, Spread, significant};

/// Width of a plot in pixels of the page.
const WIDTH: f64 = 860.0;
/// Where bars begin: names stand before.
const LEFT: f64 = 270.0;
/// Room behind the longest bar, for its number.
const RIGHT: f64 = 80.0;
/// Height of a bar with its gap.
const BAR: f64 = 15.0;
/// Gap between figures.
const GAP: f64 = 10.0;

/// Colours that can be told apart by everyone (Okabe and Ito), one a machine.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --faint: #d8d8d8; --soft: #666666; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181b; --faint: #3a3d42; --soft: #a0a4aa; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--faint); } svg .one { stroke: var(--ink); } svg .whisker { stroke: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
td, th { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--faint); white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
td small { color: var(--soft); } .key { display: inline-block; margin-right: 1.2rem; }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
p.soft, li { color: var(--soft); }
";

/// The page.
pub(super) fn page(results: &Results, setting: &Setting, troubles: &[String]) -> String {
    let peer = results.peer();
    let others: Vec<&str> =
        results.machines().iter().map(String::as_str).filter(|machine| *machine != peer).collect();
    let mut html = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>ppc440-vmm beside {peer}</title>\n<style>{STYLE}</style></head><body>\n\
         <h1>ppc440-vmm beside {peer}</h1>\n<p>{}</p>\n",
        escape(&introduction(setting, peer)),
        peer = escape(peer),
    );
    if !others.is_empty() {
        let _ = write!(html, "<h2>How many times less than {} each takes</h2>\n<p>", escape(peer));
        for (machine, colour) in others.iter().zip(COLOURS.iter().cycle()) {
            let _ = write!(
                html,
                "<span class=\"key\"><i style=\"background:{colour}\"></i>{}</span>",
                escape(machine)
            );
        }
        html.push_str("</p>\n");
        html.push_str(&ratios(results, &others));
        html.push_str(
            "<p class=\"soft\">Medians of the ratios within a round; whiskers from the least to the greatest. \
             The scale is logarithmic; left of 1 is worse.</p>\n",
        );
    }
    let _ = write!(html, "<h2>Values</h2>\n<div class=\"scroll\">{}</div>\n", table(results));
    if !troubles.is_empty() {
        html.push_str("<h2>What could not be measured</h2>\n<ul>\n");
        for trouble in troubles {
            let _ = writeln!(html, "<li>{}</li>", escape(trouble));
        }
        html.push_str("</ul>\n");
    }
    html.push_str("</body></html>\n");
    html
}

fn introduction(setting: &Setting, peer: &str) -> String {
    let peer = if setting.peer.is_empty() {
        format!("QEMU was not there, so everything is compared with {peer}.")
    } else {
        format!("The peer is {}.", setting.peer)
    };
    format!(
        "{} UTC, commit {}, on {}; load {:.1} before, {:.1} with the measurement. The same kernel and root file system \
         with {} MiB on each, in turn, {} round{}. {peer} Made by {}.",
        setting.date,
        setting.commit,
        setting.machine(),
        setting.load[0],
        setting.load[1],
        setting.megabytes,
        setting.rounds,
        if setting.rounds == 1 { "" } else { "s" },
        setting.command,
    )
}

/// A logarithmic scale from `least` to `greatest`, both powers of ten or halves of it, onto the plot's width.
struct Scale {
    least: f64,
    greatest: f64,
}

impl Scale {
    /// The scale that holds all values and 1.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut greatest) = (1.0_f64, 1.0_f64);
        for value in values {
            (least, greatest) = (least.min(value), greatest.max(value));
        }
        let steps = steps();
        let below = steps.iter().rev().find(|step| **step <= least).copied();
        let above = steps.iter().find(|step| **step >= greatest).copied();
        Self { least: below.unwrap_or(least), greatest: above.unwrap_or(greatest).max(10.0) }
    }
    fn x(&self, value: f64) -> f64 {
        let part = (value / self.least).ln() / (self.greatest / self.least).ln();
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }
    fn marks(&self) -> impl Iterator<Item = f64> {
        steps().into_iter().filter(|step| (self.least..=self.greatest).contains(step))
    }
}

/// 1, 2 and 5 in each decade.
fn steps() -> Vec<f64> {
    (-4..7).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power))).collect()
}

fn is_plottable(spread: &Spread) -> bool {
    [spread.least, spread.median, spread.greatest].iter().all(|value| value.is_finite() && *value > 0.0)
}

/// Bars of the ratios: a group a figure, a bar a machine.
fn ratios(results: &Results, machines: &[&str]) -> String {
    let bar = |figure: &str, machine: &str| results.ratio(machine, figure).filter(is_plottable);
    let figures: Vec<&str> = results
        .figures()
        .into_iter()
        .map(|(figure, _)| figure)
        .filter(|figure| machines.iter().any(|machine| bar(figure, machine).is_some()))
        .collect();
    let all = figures
        .iter()
        .flat_map(|figure| machines.iter().filter_map(|machine| bar(figure, machine)))
        .flat_map(|spread| [spread.least, spread.greatest]);
    let scale = Scale::of(all);
    let group = BAR * machines.len() as f64 + GAP;
    let bottom = 24.0 + group * figures.len() as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"Ratios by figure and machine\">\n",
        bottom + 8.0
    );
    for mark in scale.marks() {
        let (x, class) = (scale.x(mark), if mark == 1.0 { "one" } else { "grid" });
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"18\" y2=\"{bottom:.0}\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"12\" text-anchor=\"middle\">{mark}</text>"
        );
    }
    for (row, figure) in figures.iter().enumerate() {
        let top = 24.0 + group * row as f64;
        let middle = top + BAR * machines.len() as f64 / 2.0 + 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            escape(&shortened(meaning(figure)))
        );
        for (place, (machine, colour)) in machines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let Some(spread) = bar(figure, machine) else { continue };
            let y = top + BAR * place as f64;
            svg.push_str(&one_bar(&scale, &spread, y, colour, &format!("{figure}, {machine}")));
        }
    }
    svg + "</svg>\n"
}

/// A bar from 1 to the median, its whiskers and its number.
fn one_bar(scale: &Scale, spread: &Spread, y: f64, colour: &str, name: &str) -> String {
    let [one, least, median, greatest] =
        [1.0, spread.least, spread.median, spread.greatest].map(|value| scale.x(value));
    let (from, to) = (one.min(median), one.max(median));
    let (height, centre) = (BAR - 3.0, y + (BAR - 3.0) / 2.0);
    format!(
        "<g><title>{}: {} ({} to {})</title>\
         <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height}\" fill=\"{colour}\"/>\
         <path class=\"whisker\" d=\"M{least:.1} {centre:.1}H{greatest:.1}M{least:.1} {:.1}v6M{greatest:.1} {:.1}v6\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>\n",
        escape(name),
        significant(spread.median),
        significant(spread.least),
        significant(spread.greatest),
        (to - from).max(1.0),
        centre - 3.0,
        centre - 3.0,
        to.max(greatest) + 6.0,
        centre + 4.0,
        times(spread.median),
    )
}

/// A ratio as a person reads it.
pub(super) fn times(ratio: f64) -> String {
    let digits = if ratio >= 10.0 {
        0
    } else if ratio >= 1.0 {
        1
    } else {
        2
    };
    format!("{ratio:.digits$}")
}

fn shortened(text: &str) -> String {
    const MOST: usize = 44;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let cut: String = text.chars().take(MOST - 1).collect();
    cut.trim_end().to_owned() + "\u{2026}"
}

fn table(results: &Results) -> String {
    let mut html = String::from("<table><thead><tr><th>figure</th>");
    for machine in results.machines() {
        let _ = write!(html, "<th>{}</th>", escape(machine));
    }
    html.push_str("</tr></thead><tbody>\n");
    for (figure, unit) in results.figures() {
        let _ = write!(html, "<tr><td>{}, {}</td>", escape(meaning(figure)), escape(unit));
        for machine in results.machines() {
            let cell = match results.value(machine, figure) {
                None => "-".to_owned(),
                Some(spread) if spread.least == spread.greatest => significant(spread.median),
                Some(spread) => format!(
                    "{}<br><small>{}-{}</small>",
                    significant(spread.median),
                    significant(spread.least),
                    significant(spread.greatest)
                ),
            };
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table>"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::new(vec!["qemu".into(), "jit".into(), "interp".into()], "qemu");
        for (machine, values) in [("qemu", [20.0, 22.0]), ("jit", [0.5, 0.4]), ("interp", [40.0, 40.0])] {
            for value in values {
                results.add(machine, "null-syscall", "us", value);
            }
        }
        results.add("jit", "a<b", "ns", 1.0);
        results.add("qemu", "idle-cpu", "%", 0.0);
        results.add("jit", "idle-cpu", "%", 0.0);
        results
    }

    #[test]
    fn the_page_is_whole_and_holds_plots_values_and_troubles() {
        let setting = Setting { command: "cargo xtask bench \"x\"".into(), ..Setting::default() };
        let html = page(&results(), &setting, &["kvm: <no> device".into()]);
        for text in ["null system call", "a&lt;b", "kvm: &lt;no&gt; device", "&quot;x&quot;", "</html>"] {
            assert!(html.contains(text), "{text}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        // Two ratios of a system call; an idle share of 0 has none.
        assert_eq!(html.matches("<rect").count(), 2, "{html}");
        assert!(!html.contains("NaN") && !html.contains("inf") && !html.contains("http"), "{html}");
    }

    #[test]
    fn a_bar_ends_where_its_value_stands_on_the_scale() {
        let scale = Scale::of([0.3, 45.0].into_iter());
        assert_eq!((scale.least, scale.greatest), (0.2, 50.0));
        assert_eq!((scale.x(0.2), scale.x(50.0)), (LEFT, WIDTH - RIGHT));
        assert!(scale.x(1.0) > LEFT && scale.x(10.0) < WIDTH - RIGHT);
        let spread = Spread { median: 10.0, least: 8.0, greatest: 12.0 };
        let bar = one_bar(&scale, &spread, 0.0, "#000", "x");
        assert!(bar.contains(&format!("x=\"{:.1}\"", scale.x(1.0))), "{bar}");
        assert!(bar.contains(&format!("width=\"{:.1}\"", scale.x(10.0) - scale.x(1.0))), "{bar}");
    }

    #[test]
    fn ratios_are_written_with_as_many_digits_as_they_are_worth() {
        assert_eq!([0.456, 1.26, 9.96, 47.8].map(times), ["0.46", "1.3", "10.0", "48"]);
    }
}
