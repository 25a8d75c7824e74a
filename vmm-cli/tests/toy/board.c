/* A toy board: RAM at 0, into which the kernel file is copied, and one register at 0xE0000000: writes go out of the
 * serial port of that many bytes minus one, reads take the next character that came in. */
#include "vmm_plugin.h"

#include <stdlib.h>
#include <string.h>

typedef struct { const VmmBoardHost *host; VmmRam ram; uint8_t fifo[16]; uint32_t count, resets; } Machine;

static void say(const VmmSink *why, const char *text) {
    why->put(why->ctx, (VmmBytes){(const uint8_t *)text, strlen(text)});
}
static void info(const void *ctx, VmmInfo *out) {
    (void)ctx;
    strcpy(out->id, "toy");
    strcpy(out->summary, "RAM and a character register");
}
static int32_t create(const void *ctx, const VmmBoardConfig *config, const VmmBoardHost *host, void **machine, const VmmSink *why) {
    Machine *made = calloc(1, sizeof *made);
    (void)ctx;
    if (!made || host->map_ram(host->ctx, 0, config->memory ? config->memory : 65536, &made->ram) != VMM_OK) {
        free(made);
        say(why, "The host gives no RAM");
        return VMM_REFUSED;
    }
    made->host = host;
    *machine = made;
    return VMM_OK;
}
static void core(void *machine, VmmCoreDescription *out) {
    (void)machine;
    *out = (VmmCoreDescription){ .pvr = 0x422218D3, .cpu_hz = 400000000, .tb_hz = 1000000, .serial_ports = 2 };
}
static int32_t load(void *machine, const VmmImages *images, VmmCpuState *state, const VmmSink *why) {
    Machine *m = machine;
    if (images->kernel.len > m->ram.len) { say(why, "The kernel is larger than RAM"); return VMM_REFUSED; }
    memcpy(m->ram.ptr, images->kernel.ptr, images->kernel.len);
    if (m->resets && images->kernel.len) m->ram.ptr[0] += m->resets; /* so that a test can tell boots apart */
    state->pc = 0;
    return VMM_OK;
}
static uint64_t read_register(void *machine, uint64_t pa, uint32_t len) {
    Machine *m = machine;
    uint8_t first = m->fifo[0];
    (void)pa, (void)len;
    if (!m->count) return 0;
    memmove(m->fifo, m->fifo + 1, --m->count);
    m->host->set_attention(m->host->ctx, VMM_ATTENTION_EXT, m->count != 0);
    return first;
}
static void write_register(void *machine, uint64_t pa, uint32_t len, uint64_t value) {
    Machine *m = machine;
    uint8_t byte = (uint8_t)value;
    (void)pa;
    m->host->char_write(m->host->ctx, len - 1, (VmmBytes){&byte, 1});
}
static uint32_t armed(void *machine) { (void)machine; return VMM_ATTENTION_EXT; }
static size_t char_input(void *machine, uint32_t port, VmmBytes bytes) {
    Machine *m = machine;
    size_t take = sizeof m->fifo - m->count;
    if (port) return bytes.len;
    if (take > bytes.len) take = bytes.len;
    memcpy(m->fifo + m->count, bytes.ptr, take);
    m->count += (uint32_t)take;
    m->host->set_attention(m->host->ctx, VMM_ATTENTION_EXT, m->count != 0);
    return take;
}
static void reset(void *machine, uint32_t kind) { (void)kind; ((Machine *)machine)->resets++; }
static void describe(void *machine, const VmmSink *out) { (void)machine; say(out, "toy character register\n"); }

static const VmmBoard board = { .size = sizeof board, .info = info, .create = create, .destroy = free, .core = core,
    .load = load, .read = read_register, .write = write_register, .armed = armed, .char_input = char_input,
    .reset = reset, .describe = describe };
static const VmmBoard *const boards[] = { &board };
static const VmmPlugin plugin = { .size = sizeof plugin, .abi = VMM_ABI, .name = "toy-board", .version = "1.0",
    .licence = "MIT", .boards = boards, .board_count = 1 };
const VmmPlugin *vmm_plugin(void) { return &plugin; }
