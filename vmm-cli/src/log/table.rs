//! The C table that plugins log through. Unsafe because text comes by pointer.

use std::ffi::c_void;

use tracing::Level;
use vmm_plugin::abi::{ABI, VMM_LOG_DEBUG, VMM_LOG_ERROR, VMM_LOG_INFO, VMM_LOG_WARN, VmmBytes, VmmHost};

/// The table; it lives for ever.
pub(crate) fn host() -> &'static VmmHost {
    static HOST: VmmHost = VmmHost {
        size: size_of::<VmmHost>() as u32,
        abi: ABI,
        ctx: std::ptr::null_mut(),
        log_enabled: Some(log_enabled),
        log: Some(log),
    };
    &HOST
}

fn level(number: u32) -> Level {
    match number {
        VMM_LOG_ERROR => Level::ERROR,
        VMM_LOG_WARN => Level::WARN,
        VMM_LOG_INFO => Level::INFO,
        VMM_LOG_DEBUG => Level::DEBUG,
        _ => Level::TRACE,
    }
}

/// # Safety
/// `bytes` points to `len` readable bytes for the duration of the call.
unsafe fn text<'a>(bytes: VmmBytes) -> std::borrow::Cow<'a, str> {
    if bytes.len == 0 || bytes.ptr.is_null() {
        return "".into();
    }
    // SAFETY: the caller vouches for it.
    String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len) })
}

unsafe extern "C" fn log_enabled(_: *mut c_void, number: u32, target: VmmBytes) -> u32 {
    // SAFETY: the plugin lends the bytes for this call.
    u32::from(super::enabled(level(number), &unsafe { text(target) }))
}

unsafe extern "C" fn log(_: *mut c_void, number: u32, target: VmmBytes, message: VmmBytes) {
    // SAFETY: the plugin lends the bytes for this call.
    let (target, message) = unsafe { (text(target), text(message)) };
    super::show(level(number), &target, &message);
}
