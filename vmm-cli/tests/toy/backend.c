/* A toy backend: an engine whose guest is a string. Each byte at the "pc" is either an order (below) or a character
 * that is stored to the board's output register. It shows what a backend in C has to fill in. */
#include "vmm_plugin.h"

#include <stdlib.h>
#include <string.h>

enum { HALT = 1, RESET, FATAL, SPIN, BREAK, ECHO_INPUT, IDLE, HANG, STATUS = 11, CRASH };
/* HANG ignores STOP, STATUS is one that no host knows, CRASH takes the host down. */
#define UART 0xE0000000ull

typedef struct { const VmmBus *bus; VmmRam ram; uint32_t pc; uint64_t retired; } Engine;

static void say(const VmmSink *why, const char *text) {
    why->put(why->ctx, (VmmBytes){(const uint8_t *)text, strlen(text)});
}
static void info(const void *ctx, VmmInfo *out) {
    (void)ctx;
    strcpy(out->id, "toy");
    strcpy(out->summary, "Prints its kernel");
    out->rank = 1;
    if (getenv("TOY_WALLED")) out->caps = VMM_CAP_SANDBOX;
}
static int32_t probe(const void *ctx, const VmmSink *why) {
    (void)ctx;
    if (!getenv("TOY_UNUSABLE")) return VMM_OK;
    say(why, "TOY_UNUSABLE is set");
    return VMM_REFUSED;
}
static int32_t create(const void *ctx, const VmmEngineConfig *config, const VmmBus *bus, void **engine, const VmmSink *why) {
    Engine *made = calloc(1, sizeof *made);
    (void)ctx, (void)config;
    if (!made || bus->ram_ranges(bus->ctx, &made->ram, 1) < 1) { say(why, "No RAM"); return VMM_REFUSED; }
    made->bus = bus;
    *engine = made;
    return VMM_OK;
}
static int32_t run(void *engine, uint64_t budget, VmmExit *exit, const VmmSink *why) {
    Engine *e = engine;
    const VmmBus *bus = e->bus;
    uint64_t value;
    for (; budget; budget--, e->retired++) {
        uint32_t pins = __atomic_load_n(bus->attention, __ATOMIC_RELAXED);
        uint8_t order = e->ram.ptr[e->pc];
        exit->kind = VMM_EXIT_STOP;
        if (pins & VMM_ATTENTION_STOP && order != HANG) return VMM_OK;
        bus->advance(bus->ctx, 1);
        switch (order) {
        case HALT: exit->kind = VMM_EXIT_HALTED; return VMM_OK;
        case RESET: exit->kind = VMM_EXIT_RESET; exit->detail = 3; return VMM_OK;
        case FATAL: exit->kind = VMM_EXIT_GUEST_FATAL; say(why, "the toy is broken"); return VMM_OK;
        case BREAK: exit->kind = VMM_EXIT_ERROR; say(why, "the engine is broken"); return VMM_OK;
        case STATUS: return 77;
        case CRASH: *(volatile char *)1 = 0; break;
        case SPIN: case HANG: break;
        case IDLE: bus->idle(bus->ctx, VMM_NEVER); break;
        case ECHO_INPUT: /* until a line end; sleeps between characters */
            while (!(value = bus->read(bus->ctx, UART, 1)) && !(*bus->attention & VMM_ATTENTION_STOP)) {
                bus->idle(bus->ctx, VMM_NEVER);
                bus->advance(bus->ctx, 0);
            }
            if (value) bus->write(bus->ctx, UART, 1, value);
            e->pc += value == '\n';
            break;
        default: bus->write(bus->ctx, UART, 1, order); e->pc++;
        }
    }
    exit->kind = VMM_EXIT_BUDGET;
    return VMM_OK;
}
static int32_t get_state(void *engine, VmmCpuState *state, const VmmSink *why) {
    (void)why;
    state->pc = ((Engine *)engine)->pc;
    return VMM_OK;
}
static int32_t set_state(void *engine, const VmmCpuState *state, const VmmSink *refused, const VmmSink *why) {
    (void)why;
    ((Engine *)engine)->pc = state->pc;
    say(refused, "gpr");
    return VMM_OK;
}
static uint64_t retired(void *engine) { return ((Engine *)engine)->retired; }
static void stats(void *engine, const VmmCounterSink *out) {
    out->put(out->ctx, (VmmBytes){(const uint8_t *)"toy_pc", 6}, ((Engine *)engine)->pc);
}

static const VmmBackend backend = { .size = sizeof backend, .info = info, .probe = probe, .create = create,
    .destroy = free, .run = run, .get_state = get_state, .set_state = set_state, .retired = retired, .stats = stats };
static const VmmBackend *const backends[] = { &backend };
static const VmmPlugin plugin = { .size = sizeof plugin, .abi = VMM_ABI, .name = "toy-backend", .version = "1.0",
    .licence = "MIT", .backends = backends, .backend_count = 1 };
const VmmPlugin *vmm_plugin(void) { return &plugin; }
