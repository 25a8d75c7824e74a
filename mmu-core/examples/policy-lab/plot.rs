//! Miss rates as an SVG plot: pool size on a binary logarithmic axis, misses on a decimal one.

use std::fmt::Write;

use crate::Row;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Distinct also for the colour blind (after Okabe and Ito); the optimum is black and dashed.
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"];

/// The plot of misses per 1,000 references.
pub(crate) fn svg(title: &str, sizes: &[usize], references: u64, rows: &[Row]) -> String {
    let rate = |misses: u64| (misses as f64 * 1000.0 / references as f64).max(1e-3);
    let rates = || rows.iter().flat_map(|row| &row.misses).map(|&misses| rate(misses));
    let top = rates().fold(f64::MIN, f64::max).log10().ceil();
    let bottom = rates().fold(f64::MAX, f64::min).log10().floor().min(top - 1.0);
    let (low, high) = sizes.iter().fold((f64::MAX, f64::MIN), |(low, high), &size| {
        let log = (size.max(1) as f64).log2();
        (low.min(log), high.max(log))
    });
    let x = |size: usize| {
        let part = ((size.max(1) as f64).log2() - low) / (high - low).max(1e-9);
        LEFT + part * (WIDTH - LEFT - RIGHT)
    };
    let y = |log: f64| TOP + (top - log) / (top - bottom) * (HEIGHT - TOP - BOTTOM);
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}: shadow misses per 1,000 references</text>\n"
    );
    // Writing to a string cannot fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    for log in bottom as i32..=top as i32 {
        let at = y(log.into());
        line(format_args!(
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>",
            WIDTH - RIGHT
        ));
        let value = 10f64.powi(log);
        line(format_args!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            at + 4.0
        ));
    }
    for &size in sizes {
        let at = x(size);
        line(format_args!(
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{size}</text>",
            HEIGHT - BOTTOM + 18.0
        ));
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    line(format_args!(
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">pool size, pages</text>",
        HEIGHT - 12.0
    ));
    for (i, row) in rows.iter().enumerate() {
        let (colour, dash) = match COLOURS.get(i) {
            Some(colour) => (*colour, ""),
            None => ("#000000", " stroke-dasharray=\"6 4\""),
        };
        let points: Vec<String> = sizes
            .iter()
            .zip(&row.misses)
            .map(|(&size, &misses)| format!("{:.1},{:.1}", x(size), y(rate(misses).log10())))
            .collect();
        line(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{dash}/>",
            points.join(" ")
        ));
        let (at, legend) = (TOP + 20.0 * i as f64, WIDTH - RIGHT + 12.0);
        line(format_args!(
            "<line x1=\"{legend}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            legend + 22.0
        ));
        line(format_args!("<text x=\"{}\" y=\"{}\">{}</text>", legend + 28.0, at + 4.0, row.name));
    }
    out.push_str("</svg>\n");
    out
}
