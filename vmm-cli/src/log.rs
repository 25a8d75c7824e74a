//! The program's log on standard error, and the table through which plugins speak into the same log.

mod table;

use std::fmt;
use std::io::Write as _;
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

pub(crate) use table::host;

/// What is shown; set once, before any plugin is loaded.
static FILTER: OnceLock<Targets> = OnceLock::new();

/// Starts logging.
pub(crate) fn start(filter: Targets) {
    let shown = FILTER.get_or_init(|| filter).clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).event_format(Line);
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(lines.with_filter(shown)).try_init();
}

fn enabled(level: Level, target: &str) -> bool {
    FILTER.get().is_some_and(|filter| filter.would_enable(target, &level))
}

/// One line of a plugin's.
fn show(level: Level, target: &str, message: &str) {
    if enabled(level, target) {
        let _ = writeln!(std::io::stderr().lock(), "vmm: {}: {target}: {message}", word(level));
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// `vmm: warning: target: message field=value`, for our own events and for plugins' alike.
struct Line;

impl<S, N> tracing_subscriber::fmt::FormatEvent<S, N> for Line
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    N: for<'a> tracing_subscriber::fmt::FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &tracing_subscriber::fmt::FmtContext<'_, S, N>,
        mut writer: tracing_subscriber::fmt::format::Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        write!(writer, "vmm: {}: {}: ", word(*metadata.level()), metadata.target())?;
        ctx.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
