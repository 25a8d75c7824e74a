//! The results as the table that stands in a Markdown file, between two marks.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::facts::{Setting, meaning};
use super::page::times;
use super::table::{Results, significant};

/// Where the table begins and ends.
const MARKS: [&str; 2] = ["<!-- bench: written by cargo xtask bench --readme -->", "<!-- /bench -->"];

/// Puts the table into `path`, in place of the one that stands there.
///
/// # Errors
/// When the file cannot be read or written, or has no marks.
pub(super) fn update(path: &Path, results: &Results, setting: &Setting) -> Result<()> {
    let old = std::fs::read_to_string(path).with_context(|| format!("Cannot read {}", path.display()))?;
    let new = replaced(&old, &table(results, setting))
        .with_context(|| format!("{} has no place for the table", path.display()))?;
    std::fs::write(path, new).with_context(|| format!("Cannot write {}", path.display()))
}

fn replaced(text: &str, table: &str) -> Result<String> {
    let [start, end] = MARKS;
    let place = text.find(start).zip(text.find(end)).filter(|(from, to)| from < to);
    ensure!(place.is_some(), "The lines `{start}` and `{end}` must stand in it, in this order");
    let (from, to) = place.unwrap_or_default();
    Ok(format!("{}{start}\n\n{table}\n{}", &text[..from], &text[to..]))
}

/// A line a figure; values of the peer, and for each other machine its value and the ratio.
fn table(results: &Results, setting: &Setting) -> String {
    let mut text = String::from("| work |");
    let mut rule = String::from("|---|");
    for machine in results.machines() {
        let _ = write!(text, " {machine} |");
        rule.push_str("---:|");
    }
    text = format!("{text}\n{rule}\n");
    for (figure, unit) in results.figures() {
        let _ = write!(text, "| {} |", meaning(figure));
        for machine in results.machines() {
            let value = results.value(machine, figure);
            let value = value.map_or_else(|| "-".into(), |v| format!("{} {unit}", significant(v.median)));
            match results.ratio(machine, figure).filter(|ratio| ratio.median.is_finite()) {
                Some(ratio) if machine != results.peer() => {
                    let _ = write!(text, " {value} (**{}x**) |", times(ratio.median));
                }
                _ => {
                    let _ = write!(text, " {value} |");
                }
            }
        }
        text.push('\n');
    }
    let peer = if setting.peer.is_empty() { String::new() } else { format!("; peer: {}", setting.peer) };
    let _ = write!(
        text,
        "\nMedians of {} rounds in turn, {} MiB each; in brackets {}'s value over this one's. {}, \
         load {:.1} before{peer}. {}, commit {}, `{}`.\n",
        setting.rounds,
        setting.megabytes,
        results.peer(),
        setting.machine(),
        setting.load[0],
        setting.date,
        setting.commit,
        setting.command,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_the_one_between_the_marks_and_nothing_else() {
        let [start, end] = MARKS;
        let text = replaced(&format!("before\n{start}\nold\n{end}\nafter\n"), "new\n").expect("marks");
        assert_eq!(text, format!("before\n{start}\n\nnew\n\n{end}\nafter\n"));
        assert_eq!(replaced(&text, "new\n").expect("marks"), text);
        assert!(replaced("no marks", "").is_err());
        assert!(replaced(&format!("{end} {start}"), "").is_err());
    }

    #[test]
    fn a_line_holds_the_peer_and_the_ratio_of_each_other() {
        let mut results = Results::new(vec!["qemu".into(), "jit".into()], "qemu");
        results.add("qemu", "tlb-miss", "ns", 2500.0);
        results.add("jit", "tlb-miss", "ns", 100.0);
        results.add("jit", "other", "ns", 1.0);
        let text = table(&results, &Setting::default());
        assert!(text.contains("| 2500 ns | 100.0 ns (**25x**) |"), "{text}");
        assert!(text.contains("| other | - | 1.000 ns |"), "{text}");
    }
}
