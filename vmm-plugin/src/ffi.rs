//! The few unsafe helpers that both sides of the boundary share: borrowed bytes, sinks, fixed text fields, and the
//! place where panics stop.

use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{VMM_OK, VMM_PANICKED, VMM_REFUSED, VmmBytes, VmmCounterSink, VmmSink};
use crate::api::Refusal;

impl VmmBytes {
    /// Lends bytes for the duration of a call.
    #[must_use]
    pub fn lend(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}

/// The bytes that a caller lent.
///
/// # Safety
/// `bytes` must point to `len` readable bytes for `'a`, or have length 0.
pub(crate) unsafe fn borrow<'a>(bytes: VmmBytes) -> &'a [u8] {
    if bytes.len == 0 || bytes.ptr.is_null() {
        return &[];
    }
    // SAFETY: the caller vouches for pointer, length and lifetime.
    unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len) }
}

/// The text that a caller lent; what is not UTF-8 is replaced.
///
/// # Safety
/// As for [`borrow`].
pub(crate) unsafe fn text(bytes: VmmBytes) -> String {
    // SAFETY: the caller vouches for it.
    String::from_utf8_lossy(unsafe { borrow(bytes) }).into_owned()
}

/// A NUL-terminated string of the other side.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string.
pub(crate) unsafe fn c_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Puts one piece into a sink of the other side.
///
/// # Safety
/// `sink` is null or points to a valid sink, and this is the thread of the call that brought it.
pub(crate) unsafe fn put(sink: *const VmmSink, piece: &[u8]) {
    // SAFETY: the caller vouches for the pointer.
    if let Some(VmmSink { ctx, put: Some(put) }) = unsafe { sink.as_ref() } {
        // SAFETY: the sink's owner asks to be called like this.
        unsafe { put(*ctx, VmmBytes::lend(piece)) };
    }
}

/// Pieces that a call put into our sink.
#[derive(Debug, Default)]
pub(crate) struct Pieces(pub(crate) Vec<Vec<u8>>);

impl Pieces {
    /// Calls `f` with a sink that collects into a new list.
    pub(crate) fn collect<R>(f: impl FnOnce(*const VmmSink) -> R) -> (R, Self) {
        unsafe extern "C" fn put(ctx: *mut c_void, piece: VmmBytes) {
            // SAFETY: `collect` made ctx from its own list, which it does not touch during the call.
            let pieces = unsafe { &mut *ctx.cast::<Pieces>() };
            // SAFETY: the caller lends the bytes for this call.
            pieces.0.push(unsafe { borrow(piece) }.to_vec());
        }
        let mut pieces = Self::default();
        let sink = VmmSink { ctx: (&raw mut pieces).cast(), put: Some(put) };
        let result = f(&raw const sink);
        (result, pieces)
    }

    /// All pieces in a row.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.concat()
    }

    /// All pieces in a row, as text.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

/// Calls `f` with a sink for counters and returns what it got.
pub(crate) fn collect_counters(f: impl FnOnce(*const VmmCounterSink)) -> Vec<(String, u64)> {
    unsafe extern "C" fn put(ctx: *mut c_void, name: VmmBytes, value: u64) {
        // SAFETY: `collect_counters` made ctx from its own list, which it does not touch during the call.
        let counters = unsafe { &mut *ctx.cast::<Vec<(String, u64)>>() };
        // SAFETY: the caller lends the bytes for this call.
        counters.push((unsafe { text(name) }, value));
    }
    let mut counters = Vec::new();
    let sink = VmmCounterSink { ctx: (&raw mut counters).cast(), put: Some(put) };
    f(&raw const sink);
    counters
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let said = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    format!("Panicked: {said}")
}

/// Runs `f` and turns a refusal or a panic into a status, and its message into the sink.
///
/// # Safety
/// As for [`put`].
pub(crate) unsafe fn guard(why: *const VmmSink, f: impl FnOnce() -> Result<(), Refusal>) -> i32 {
    let (status, message) = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => return VMM_OK,
        Ok(Err(refusal)) => (VMM_REFUSED, refusal.0),
        Err(payload) => (VMM_PANICKED, panic_text(&*payload)),
    };
    // SAFETY: the caller vouches for the sink.
    unsafe { put(why, message.as_bytes()) };
    status
}

/// Turns a status and what came through the sink back into a result.
pub(crate) fn outcome((status, why): (i32, Pieces)) -> Result<(), Refusal> {
    match status {
        VMM_OK => Ok(()),
        VMM_REFUSED | VMM_PANICKED => {
            let text = why.text();
            Err(Refusal(if text.is_empty() { "Refused without saying why".to_owned() } else { text }))
        }
        other => Err(Refusal(format!("Answered with the unknown status {other}"))),
    }
}

/// Copies text into a fixed field, cut at a character's edge and NUL-terminated.
pub(crate) fn fill(field: &mut [c_char], text: &str) {
    let mut end = text.len().min(field.len() - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    field.fill(0);
    for (to, from) in field.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = *from as c_char;
    }
}

/// Reads a fixed field up to its NUL or end.
pub(crate) fn unfill(field: &[c_char]) -> String {
    let bytes: Vec<u8> = field.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
