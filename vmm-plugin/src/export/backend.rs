//! [`Backend`] and [`Engine`] behind C tables. Each entry catches panics: one in an engine makes that engine fail from
//! then on.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ppc440_core::state::CpuState;

use crate::abi::*;
use crate::api::{Backend, Clock, Constraints, Engine, EngineConfig, Exit, Refusal};
use crate::bus::PluginBus;
use crate::ffi::{borrow, fill, guard, panic_text, put, text};

/// What an engine pointer points to.
struct Slot {
    engine: Box<dyn Engine>,
    /// What a panic said; the engine is not called again.
    broken: Option<String>,
}

pub(super) const fn table<T: Backend + 'static>(instance: &'static T) -> VmmBackend {
    VmmBackend {
        size: size_of::<VmmBackend>() as u32,
        reserved: 0,
        ctx: std::ptr::from_ref(instance).cast(),
        info: Some(info::<T>),
        probe: Some(probe::<T>),
        constraints: Some(constraints::<T>),
        create: Some(create::<T>),
        destroy: Some(destroy),
        run: Some(run),
        get_state: Some(get_state),
        set_state: Some(set_state),
        retired: Some(retired),
        stats: Some(stats),
        extension: Some(extension),
    }
}

/// # Safety
/// `ctx` is the one that [`table`] put into the table for `T`.
unsafe fn instance<T: 'static>(ctx: *const c_void) -> &'static T {
    // SAFETY: the caller vouches for it.
    unsafe { &*ctx.cast::<T>() }
}

/// # Safety
/// `engine` came from [`create`], was not destroyed, and this is its thread.
unsafe fn slot<'a>(engine: *mut c_void) -> &'a mut Slot {
    // SAFETY: the caller vouches for it; entries do not re-enter an engine.
    unsafe { &mut *engine.cast::<Slot>() }
}

impl Slot {
    /// Calls the engine unless it broke; a panic breaks it.
    fn call<R>(&mut self, f: impl FnOnce(&mut dyn Engine) -> R) -> Result<R, Refusal> {
        if let Some(broken) = &self.broken {
            return Err(Refusal(broken.clone()));
        }
        catch_unwind(AssertUnwindSafe(|| f(&mut *self.engine))).map_err(|payload| {
            let text = panic_text(&*payload);
            self.broken = Some(text.clone());
            Refusal(text)
        })
    }
}

// SAFETY of all entries: the loader calls them as the table demands (valid pointers, the right thread), and each
// pointer is used for what the table says of it.

unsafe extern "C" fn info<T: Backend + 'static>(ctx: *const c_void, out: *mut VmmInfo) {
    // SAFETY: see above.
    let (instance, out) = unsafe { (instance::<T>(ctx), &mut *out) };
    *out = VmmInfo { id: [0; 32], summary: [0; 160], rank: 0, reserved: 0, caps: 0 };
    if let Ok(info) = catch_unwind(AssertUnwindSafe(|| instance.info())) {
        fill(&mut out.id, &info.id);
        fill(&mut out.summary, &info.summary);
        out.rank = info.rank;
        out.caps = info.caps;
    }
}

unsafe extern "C" fn probe<T: Backend + 'static>(ctx: *const c_void, why: *const VmmSink) -> i32 {
    // SAFETY: see above.
    unsafe { guard(why, || instance::<T>(ctx).probe()) }
}

unsafe extern "C" fn constraints<T: Backend + 'static>(ctx: *const c_void, out: *mut Constraints) {
    // SAFETY: see above.
    let (instance, out) = unsafe { (instance::<T>(ctx), &mut *out) };
    *out = catch_unwind(AssertUnwindSafe(|| instance.constraints())).unwrap_or_default();
}

unsafe extern "C" fn create<T: Backend + 'static>(
    ctx: *const c_void,
    config: *const VmmEngineConfig,
    bus: *const VmmBus,
    engine: *mut *mut c_void,
    why: *const VmmSink,
) -> i32 {
    // SAFETY: see above.
    unsafe {
        guard(why, || {
            let config = &*config;
            let config = EngineConfig {
                tb_hz: config.tb_hz,
                clock: if config.clock == 0 { Clock::Host } else { Clock::Icount },
                shadow_pages: config.shadow_pages,
                tlb_policy: config.tlb_policy,
            };
            let bus =
                PluginBus::from_table(bus).map_err(|entry| format!("The host's bus lacks `{entry}`"))?;
            let made = instance::<T>(ctx).create(&config, bus)?;
            *engine = Box::into_raw(Box::new(Slot { engine: made, broken: None })).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn destroy(engine: *mut c_void) {
    // SAFETY: see above; `create` made it from a box, and nobody uses it after this.
    let slot = unsafe { Box::from_raw(engine.cast::<Slot>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
}

unsafe extern "C" fn run(engine: *mut c_void, budget: u64, exit: *mut VmmExit, why: *const VmmSink) -> i32 {
    // SAFETY: see above.
    unsafe {
        guard(why, || {
            let ended = slot(engine).call(|engine| engine.run(budget))?;
            let (kind, detail, message) = match ended {
                Exit::Budget => (VMM_EXIT_BUDGET, 0, None),
                Exit::Reset(kind) => (VMM_EXIT_RESET, kind as u32, None),
                Exit::Halted => (VMM_EXIT_HALTED, 0, None),
                Exit::Stop => (VMM_EXIT_STOP, 0, None),
                Exit::Debug => (VMM_EXIT_DEBUG, 0, None),
                Exit::GuestFatal(message) => (VMM_EXIT_GUEST_FATAL, 0, Some(message)),
                Exit::Error(message) => (VMM_EXIT_ERROR, 0, Some(message)),
            };
            exit.write(VmmExit { kind, detail });
            if let Some(message) = message {
                put(why, message.as_bytes());
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn get_state(engine: *mut c_void, state: *mut CpuState, why: *const VmmSink) -> i32 {
    // SAFETY: see above; the state is initialised by the caller.
    unsafe { guard(why, || slot(engine).call(|engine| engine.get_state(&mut *state))) }
}

unsafe extern "C" fn set_state(
    engine: *mut c_void,
    state: *const CpuState,
    refused: *const VmmSink,
    why: *const VmmSink,
) -> i32 {
    // SAFETY: see above.
    unsafe {
        guard(why, || {
            for field in slot(engine).call(|engine| engine.set_state(&*state))? {
                put(refused, field.as_bytes());
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn retired(engine: *mut c_void) -> u64 {
    // SAFETY: see above.
    unsafe { slot(engine) }.call(|engine| engine.retired()).unwrap_or(0)
}

unsafe extern "C" fn stats(engine: *mut c_void, out: *const VmmCounterSink) {
    // SAFETY: see above.
    let (slot, out) = unsafe { (slot(engine), out.as_ref()) };
    let Some(VmmCounterSink { ctx, put: Some(put) }) = out else { return };
    for (name, value) in slot.call(|engine| engine.stats()).unwrap_or_default() {
        // SAFETY: the sink's owner asks to be called like this.
        unsafe { put(*ctx, VmmBytes::lend(name.as_bytes()), value) };
    }
}

static INSPECT: VmmInspect = VmmInspect {
    size: size_of::<VmmInspect>() as u32,
    reserved: 0,
    describe: Some(describe),
    record: Some(record),
    recorded: Some(recorded),
};

unsafe extern "C" fn extension(_: *const c_void, name: VmmBytes) -> *const c_void {
    // SAFETY: see above.
    match unsafe { borrow(name) } {
        name if name == VMM_EXTENSION_INSPECT.as_bytes() => (&raw const INSPECT).cast(),
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn describe(engine: *mut c_void, topic: VmmBytes, out: *const VmmSink) {
    // SAFETY: see above.
    unsafe {
        let topic = text(topic);
        if let Ok(told) = slot(engine).call(|engine| engine.inspect(&topic)) {
            put(out, told.as_bytes());
        }
    }
}

unsafe extern "C" fn record(engine: *mut c_void, topic: VmmBytes, why: *const VmmSink) -> i32 {
    // SAFETY: see above.
    unsafe {
        let topic = text(topic);
        guard(why, || slot(engine).call(|engine| engine.record(&topic))?)
    }
}

unsafe extern "C" fn recorded(engine: *mut c_void, out: *const VmmSink) {
    // SAFETY: see above.
    unsafe {
        if let Ok(bytes) = slot(engine).call(|engine| engine.recorded()) {
            put(out, &bytes);
        }
    }
}
