//! Forwards a plugin's `tracing` events to its host. A cdylib has its own copy of `tracing`, whose events would
//! otherwise go nowhere; a linked plugin shares the host's copy, which already has a subscriber, and nothing is done.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::abi::{
    VMM_LOG_DEBUG, VMM_LOG_ERROR, VMM_LOG_INFO, VMM_LOG_TRACE, VMM_LOG_WARN, VmmBytes, VmmHost,
};

/// Installs the forwarder, unless this image has a subscriber already.
pub(super) fn forward(host: Option<&'static VmmHost>) {
    if let Some(host) = host.filter(|host| host.size as usize >= size_of::<VmmHost>()) {
        let _ = tracing::subscriber::set_global_default(Forward { host });
    }
}

struct Forward {
    host: &'static VmmHost,
}

fn number(level: Level) -> u32 {
    match level {
        Level::ERROR => VMM_LOG_ERROR,
        Level::WARN => VMM_LOG_WARN,
        Level::INFO => VMM_LOG_INFO,
        Level::DEBUG => VMM_LOG_DEBUG,
        Level::TRACE => VMM_LOG_TRACE,
    }
}

/// `message field=value field=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let Some(log_enabled) = self.host.log_enabled else { return false };
        let target = VmmBytes::lend(metadata.target().as_bytes());
        // SAFETY: an entry of the host's table, which lives as long as this image; any thread may call it.
        metadata.is_event() && unsafe { log_enabled(self.host.ctx, number(*metadata.level()), target) } != 0
    }
    fn event(&self, event: &Event<'_>) {
        let Some(log) = self.host.log else { return };
        let mut line = Line::default();
        event.record(&mut line);
        line.message.push_str(&line.fields);
        let (level, target) = (number(*event.metadata().level()), event.metadata().target());
        // SAFETY: as in `enabled`.
        unsafe {
            log(
                self.host.ctx,
                level,
                VmmBytes::lend(target.as_bytes()),
                VmmBytes::lend(line.message.as_bytes()),
            );
        }
    }
    // Spans are not forwarded: no plugin's message needs one to be understood.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
