//! Replays a recorded trace of a guest's TLB activity through every replacement policy at several
//! pool sizes, with Belady's optimum (evict what is needed again last, which takes knowing the future)
//! as the limit beside them. Prints a table; `--svg FILE` also draws it.
//!
//! ```text
//! cargo run --release -p mmu-core --example policy-lab -- boot.trace --svg boot.svg
//! cargo run --release -p mmu-core --example policy-lab -- --synthetic pipe --write pipe.trace
//! ```
//!
//! A trace holds what reached the recorder. If an engine records only the misses of its fast table,
//! the miss rates here are those of the pool behind such a table.

mod belady;
mod plot;
mod replay;
mod synthetic;

use std::process::ExitCode;

use mmu_core::policy::{AnyPolicy, PolicyKind};
use mmu_core::trace::{Decoder, Event};
use replay::Options;

const USAGE: &str = "\
Usage: policy-lab (TRACE | --synthetic boot|compile|pipe) [options]
  --sizes N,N,...   pool sizes in pages (default 16,32,64,128,256,512,1024)
  --contexts N      contexts that the engine has, 1-256 (default 16)
  --max-page BYTES  largest page that the engine holds (default 4096)
  --svg FILE        draw the miss rates
  --write FILE      write the synthetic trace and stop";

/// One line of the table: a policy's name, and its misses for each pool size.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) misses: Vec<u64>,
}

struct Arguments {
    trace: Option<String>,
    synthetic: Option<String>,
    sizes: Vec<usize>,
    options: Options,
    svg: Option<String>,
    write: Option<String>,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        trace: None,
        synthetic: None,
        sizes: vec![16, 32, 64, 128, 256, 512, 1024],
        options: Options { contexts: 16, max_page: 4096 },
        svg: None,
        write: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u32>().map_err(|_| format!("Not a number: {text}"));
        match argument.as_str() {
            "--sizes" => {
                parsed.sizes = value()?
                    .split(',')
                    .map(|n| number(n.to_owned()).map(|n| n as usize))
                    .collect::<Result<_, _>>()?;
            }
            "--contexts" => parsed.options.contexts = number(value()?)? as usize,
            "--max-page" => parsed.options.max_page = number(value()?)?,
            "--svg" => parsed.svg = Some(value()?),
            "--write" => parsed.write = Some(value()?),
            "--synthetic" => parsed.synthetic = Some(value()?),
            "-h" | "--help" => return Err(USAGE.to_owned()),
            file if !file.starts_with('-') && parsed.trace.is_none() => {
                parsed.trace = Some(file.to_owned());
            }
            other => return Err(format!("Unknown argument: {other}\n{USAGE}")),
        }
    }
    if parsed.trace.is_some() == parsed.synthetic.is_some() {
        return Err(USAGE.to_owned());
    }
    Ok(parsed)
}

/// Replays the trace through everything.
pub(crate) fn table(events: &[Event], sizes: &[usize], options: Options) -> Result<(u64, Vec<Row>), String> {
    let references = replay::references(events, options)?;
    let mut rows = vec![];
    for kind in PolicyKind::ALL {
        let misses = sizes
            .iter()
            .map(|&size| replay::misses(events, size, AnyPolicy::from(kind), options))
            .collect::<Result<_, _>>()?;
        rows.push(Row { name: kind.name(), misses });
    }
    let misses = sizes.iter().map(|&size| belady::misses(&references, size)).collect();
    rows.push(Row { name: "belady", misses });
    Ok((references.len() as u64, rows))
}

fn run() -> Result<(), String> {
    let arguments = arguments()?;
    let (title, bytes) = match (&arguments.trace, &arguments.synthetic) {
        (Some(file), _) => {
            (file.clone(), std::fs::read(file).map_err(|error| format!("Cannot read {file}: {error}"))?)
        }
        (_, Some(name)) => (format!("synthetic {name}"), synthetic::trace(name)?),
        _ => unreachable!("one of them is given"),
    };
    if let Some(file) = &arguments.write {
        return std::fs::write(file, &bytes).map_err(|error| format!("Cannot write {file}: {error}"));
    }
    let events: Vec<Event> = Decoder::new(&bytes)
        .and_then(Iterator::collect)
        .map_err(|error| format!("Cannot read {title}: {error}"))?;
    let (references, rows) = table(&events, &arguments.sizes, arguments.options)?;
    if references == 0 {
        return Err(format!("{title} has no references that a guest entry answers"));
    }
    println!("{title}: {} events, {references} references, {} bytes", events.len(), bytes.len());
    println!("misses per 1,000 references, by pool size");
    print!("{:>12}", "");
    for size in &arguments.sizes {
        print!("{size:>9}");
    }
    println!();
    for row in &rows {
        print!("{:>12}", row.name);
        for misses in &row.misses {
            print!("{:>9.3}", *misses as f64 * 1000.0 / references as f64);
        }
        println!();
    }
    if let Some(file) = &arguments.svg {
        let svg = plot::svg(&title, &arguments.sizes, references, &rows);
        std::fs::write(file, svg).map_err(|error| format!("Cannot write {file}: {error}"))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_policy_beats_belady_and_large_pools_make_all_equal() {
        for name in ["boot", "compile", "pipe"] {
            let bytes = synthetic::trace(name).unwrap();
            let events: Vec<Event> = Decoder::new(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
            let options = Options { contexts: 16, max_page: 4096 };
            let (references, rows) = table(&events, &[8, 32, 128, 60_000], options).unwrap();
            let belady = rows.last().unwrap();
            assert!(references > 10_000);
            for row in &rows {
                for (misses, least) in row.misses.iter().zip(&belady.misses) {
                    assert!(misses >= least && *misses <= references, "{name} {}", row.name);
                }
                assert_eq!(row.misses[3], belady.misses[3], "{name} {}", row.name);
                assert!(row.misses[0] > row.misses[2]);
            }
        }
    }

    #[test]
    fn belady_is_the_textbook_s() {
        // Belady's own example: 12 references, three frames, seven faults under the optimum.
        let references = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5];
        assert_eq!(belady::misses(&references, 3), 7);
        assert_eq!(belady::misses(&references, 4), 6);
        assert_eq!(belady::misses(&references, 100), 5);
        assert_eq!(belady::misses(&references, 1), 12);
        assert_eq!(belady::misses(&[], 1), 0);
    }
}
