/* The plugin ABI of vmm: what a shared library fills in to be a backend or a board.
 *
 * Generated from vmm-plugin/src/abi.rs; do not edit. Refresh it with
 * VMM_UPDATE_HEADER=1 cargo test -p vmm-plugin --test header
 */

#ifndef VMM_PLUGIN_H
#define VMM_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * Version of this interface. Plugin and host must have the same.
 */
#define VMM_ABI 1

/**
 * Status: done.
 */
#define VMM_OK 0

/**
 * Status: refused; one sentence went into the sink.
 */
#define VMM_REFUSED 1

/**
 * Status: the plugin panicked; what it said went into the sink.
 */
#define VMM_PANICKED 2

/**
 * Log level: something failed.
 */
#define VMM_LOG_ERROR 1

/**
 * Log level: something is doubtful.
 */
#define VMM_LOG_WARN 2

/**
 * Log level: milestones.
 */
#define VMM_LOG_INFO 3

/**
 * Log level: for developers.
 */
#define VMM_LOG_DEBUG 4

/**
 * Log level: everything.
 */
#define VMM_LOG_TRACE 5

/**
 * Capability: honours `icount`.
 */
#define VMM_CAP_ICOUNT (1 << 0)

/**
 * Capability: `run(1)` executes exactly one instruction.
 */
#define VMM_CAP_STEP (1 << 1)

/**
 * Capability: can drop a single translation.
 */
#define VMM_CAP_DROP_PAGE (1 << 2)

/**
 * Capability: a guest that breaks the engine holds nothing of the host process.
 */
#define VMM_CAP_SANDBOX (1 << 3)

/**
 * Attention bit: external interrupt input.
 */
#define VMM_ATTENTION_EXT (1 << 0)

/**
 * Attention bit: critical interrupt input.
 */
#define VMM_ATTENTION_CRIT (1 << 1)

/**
 * Attention bit: machine check input.
 */
#define VMM_ATTENTION_MCHECK (1 << 2)

/**
 * Attention bit: the board asks for a reset, `run` returns `VMM_EXIT_RESET`.
 */
#define VMM_ATTENTION_RESET (1 << 3)

/**
 * Attention bit: the host wants `run` to return `VMM_EXIT_STOP` soon.
 */
#define VMM_ATTENTION_STOP (1 << 4)

/**
 * Attention bit: the board has work, call `advance`.
 */
#define VMM_ATTENTION_BOARD (1 << 5)

/**
 * Attention bit: a device wrote RAM, look at `dma_dirty`.
 */
#define VMM_ATTENTION_DMA (1 << 6)

/**
 * A time in timebase ticks that never comes.
 */
#define VMM_NEVER 18446744073709551615ull

/**
 * Treatment: writes may be kept and made later, in order and with all other calls after them; no register of the
 * machine that `VMM_TREATMENT_STABLE_READ` allows to keep changes by them. A millisecond late is soon enough.
 */
#define VMM_TREATMENT_POSTED_WRITE (1 << 0)

/**
 * Treatment: reads give the same value, and do nothing that matters. An engine asks again now and then, so that a
 * device can tell a guest that polls.
 */
#define VMM_TREATMENT_STABLE_READ (1 << 1)

/**
 * Exit: the budget is spent.
 */
#define VMM_EXIT_BUDGET 0

/**
 * Exit: the guest or a device asked for a reset; `detail` is 1 core, 2 chip, 3 system.
 */
#define VMM_EXIT_RESET 1

/**
 * Exit: nothing that is enabled can ever wake the core.
 */
#define VMM_EXIT_HALTED 2

/**
 * Exit: `VMM_ATTENTION_STOP` was seen.
 */
#define VMM_EXIT_STOP 3

/**
 * Exit: a debug event for an attached debugger.
 */
#define VMM_EXIT_DEBUG 4

/**
 * Exit: the guest cannot go on; why went into the sink.
 */
#define VMM_EXIT_GUEST_FATAL 5

/**
 * Exit: the engine failed; why went into the sink.
 */
#define VMM_EXIT_ERROR 6

/**
 * Number of UTLB entries of a 440 core.
 */
#define VMM_TLB_ENTRIES 64

/**
 * Borrowed bytes (text is UTF-8, not terminated), valid until the call that carries them returns.
 */
typedef struct VmmBytes {
  /**
   * First byte; anything when `len` is 0.
   */
  const uint8_t *ptr;
  /**
   * Number of bytes.
   */
  size_t len;
} VmmBytes;

/**
 * What every plugin gets from its host, whatever it offers. All entries: any thread.
 */
typedef struct VmmHost {
  /**
   * `sizeof(VmmHost)`.
   */
  uint32_t size;
  /**
   * [`ABI`].
   */
  uint32_t abi;
  /**
   * Passed back to each entry.
   */
  void *ctx;
  /**
   * Non-zero where a message of this level and target would be shown. The answer never changes for one target.
   */
  uint32_t (*log_enabled)(void *ctx, uint32_t level, struct VmmBytes target);
  /**
   * Shows a message. `target` names the part that speaks, for example `devices_4xx::uic`.
   */
  void (*log)(void *ctx, uint32_t level, struct VmmBytes target, struct VmmBytes message);
} VmmHost;

/**
 * Where a call puts variable-length results. Called during that call, on its thread.
 */
typedef struct VmmSink {
  /**
   * Passed back to `put`.
   */
  void *ctx;
  /**
   * Takes one piece: a whole message, name or blob.
   */
  void (*put)(void *ctx, struct VmmBytes piece);
} VmmSink;

/**
 * What is printed about a backend or board, and how it ranks.
 */
typedef struct VmmInfo {
  /**
   * The name that the flag takes, NUL-terminated: lower-case letters, digits and `-`.
   */
  char id[32];
  /**
   * One line, NUL-terminated.
   */
  char summary[160];
  /**
   * `--backend auto` takes the usable backend of the highest rank; 0 for boards.
   */
  uint32_t rank;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Bits of `VMM_CAP_*`; 0 for boards.
   */
  uint64_t caps;
} VmmInfo;

/**
 * What a host forces on a guest. Zero means "no constraint".
 */
typedef struct VmmConstraints {
  /**
   * The only PVR that the engine can show.
   */
  uint32_t pvr;
  /**
   * CPU clock in Hz.
   */
  uint32_t cpu_hz;
  /**
   * Timebase frequency in Hz.
   */
  uint32_t tb_hz;
  /**
   * Bytes from address 0 that are mapped when the guest is entered; the kernel, tree and initrd must fit where the
   * boot protocol needs them mapped.
   */
  uint32_t initial_mapping;
} VmmConstraints;

/**
 * What an engine is created with.
 */
typedef struct VmmEngineConfig {
  /**
   * `sizeof(VmmEngineConfig)`.
   */
  uint32_t size;
  /**
   * Timebase frequency in Hz.
   */
  uint32_t tb_hz;
  /**
   * 0 host, 1 icount.
   */
  uint32_t clock;
  /**
   * Shadow pages that the engine may hold; 0 takes the engine's default.
   */
  uint32_t shadow_pages;
  /**
   * Replacement policy: 0 takes the engine's default, 1 round robin, 2 sparing, 3 clock, 4 LRU, 5 tree pseudo-LRU,
   * 6 random.
   */
  uint32_t tlb_policy;
  /**
   * Zero.
   */
  uint32_t reserved;
} VmmEngineConfig;

/**
 * One range of guest RAM in host memory.
 */
typedef struct VmmRam {
  /**
   * Guest physical address, a multiple of 4096.
   */
  uint64_t pa;
  /**
   * Bytes, a multiple of 4096.
   */
  uint64_t len;
  /**
   * Host memory, page aligned, valid as long as the bus.
   */
  uint8_t *ptr;
  /**
   * Index in `dma_dirty` of the bit of the first page.
   */
  uint64_t first_page;
} VmmRam;

/**
 * The outside of a core as an engine sees it. The table lives as long as the engine. All entries: vCPU's thread.
 *
 * RAM is never a call: engines load and store through the pointers of `ram_ranges`, and nobody else touches it while
 * `run` executes, save device code that the entries below run on the same thread.
 */
typedef struct VmmBus {
  /**
   * `sizeof(VmmBus)`.
   */
  uint32_t size;
  /**
   * [`ABI`].
   */
  uint32_t abi;
  /**
   * Passed back to each entry.
   */
  void *ctx;
  /**
   * Input pins and requests, `VMM_ATTENTION_*`; read atomically. Other threads set bits in it.
   */
  uint32_t *attention;
  /**
   * Changes when `ram_ranges` would give another answer; read atomically. It changes only during calls.
   */
  uint32_t *ram_generation;
  /**
   * One bit for each 4 KB page of RAM that a device wrote; taken by atomic exchange with 0.
   * Words are as wide as a pointer, because a 32-bit host may have no wider atomic operation; bit 0 is the lowest.
   */
  size_t *dma_dirty;
  /**
   * Number of words in `dma_dirty`.
   */
  size_t dma_dirty_words;
  /**
   * One bit for each word of `dma_dirty` that may be non-zero, so that taking is no scan of all RAM; exchange this
   * first, and before it clear `VMM_ATTENTION_DMA`.
   */
  size_t *dma_summary;
  /**
   * Writes up to `capacity` ranges to `out` and returns how many there are.
   */
  size_t (*ram_ranges)(void *ctx, struct VmmRam *out, size_t capacity);
  /**
   * Reads a device register of `len` (1, 2, 4 or 8) bytes.
   */
  uint64_t (*read)(void *ctx, uint64_t pa, uint32_t len);
  /**
   * Writes a device register of `len` (1, 2, 4 or 8) bytes.
   */
  void (*write)(void *ctx, uint64_t pa, uint32_t len, uint64_t value);
  /**
   * Reads a device control register (0-1023).
   */
  uint32_t (*dcr_read)(void *ctx, uint32_t dcrn);
  /**
   * Writes a device control register (0-1023).
   */
  void (*dcr_write)(void *ctx, uint32_t dcrn, uint32_t value);
  /**
   * Machine time in timebase ticks.
   */
  uint64_t (*now)(void *ctx);
  /**
   * Lets `retired` instructions' worth of time pass, runs device work that is due; returns the next deadline.
   */
  uint64_t (*advance)(void *ctx, uint64_t retired);
  /**
   * Sleeps until an attention bit, a deadline or `until`; returns the time then.
   */
  uint64_t (*idle)(void *ctx, uint64_t until);
  /**
   * Which of EXT and CRIT an enabled source could still assert one day.
   */
  uint32_t (*armed)(void *ctx);
  /**
   * The 4 KB page, aligned, that holds `attention` and `ram_generation` and nothing else, so that an engine behind
   * a wall may map it; null if there is none. A table of an older host ends before it.
   */
  const uint8_t *shared_page;
  /**
   * How the device register of `len` bytes at `pa`, which was accessed last, may be treated: bits of
   * `VMM_TREATMENT_*`. It holds until the attention word changes or another entry than `now` and `armed` is called,
   * except for accesses to registers that have a treatment themselves. May be null: every access must be a call.
   */
  uint32_t (*treatment)(void *ctx, uint64_t pa, uint32_t len);
} VmmBus;

/**
 * Why `run` returned.
 */
typedef struct VmmExit {
  /**
   * `VMM_EXIT_*`.
   */
  uint32_t kind;
  /**
   * Kind of reset; else 0.
   */
  uint32_t detail;
} VmmExit;

/**
 * A TLB entry as `tlbwe` writes it: three words and the TID.
 *
 * The fields are raw, so that a table of entries can be part of a plain state structure; whatever
 * they hold is accepted. Bits outside [`TlbEntry::WORD0_MASK`] and its sisters are dropped when the
 * entry is put into a [`Tlb`](crate::Tlb), and so read back as zero.
 */
typedef struct VmmTlbEntry {
  /**
   * EPN, V, TS and SIZE.
   */
  uint32_t word0;
  /**
   * RPN and ERPN.
   */
  uint32_t word1;
  /**
   * Storage attributes and access control.
   */
  uint32_t word2;
  /**
   * Translation ID: 0 matches every PID, 1-255 that PID alone. Only the low 8 bits are kept.
   */
  uint32_t tid;
} VmmTlbEntry;
/**
 * An entry with nothing in it: V = 0 and all else zero.
 */
#define VmmTlbEntry_EMPTY (VmmTlbEntry){ .word0 = 0, .word1 = 0, .word2 = 0, .tid = 0 }
/**
 * Word 0: effective page number, bits 0:21. The bits below the page size are ignored.
 */
#define VmmTlbEntry_EPN 4294966272
/**
 * Word 0: valid.
 */
#define VmmTlbEntry_V 512
/**
 * Word 0: translation space, compared with MSR\[IS\] for fetches and MSR\[DS\] for data.
 */
#define VmmTlbEntry_TS 256
/**
 * Word 0: page size code, bits 24:27.
 */
#define VmmTlbEntry_SIZE 240
/**
 * How far SIZE stands above bit 31.
 */
#define VmmTlbEntry_SIZE_SHIFT 4
/**
 * The implemented bits of word 0.
 */
#define VmmTlbEntry_WORD0_MASK (((VmmTlbEntry_EPN | VmmTlbEntry_V) | VmmTlbEntry_TS) | VmmTlbEntry_SIZE)
/**
 * Word 1: real page number, bits 0:21. The bits below the page size are ignored.
 */
#define VmmTlbEntry_RPN 4294966272
/**
 * Word 1: extended real page number, the high 4 bits of the physical address.
 */
#define VmmTlbEntry_ERPN 15
/**
 * The implemented bits of word 1.
 */
#define VmmTlbEntry_WORD1_MASK (VmmTlbEntry_RPN | VmmTlbEntry_ERPN)
/**
 * Word 2: user-definable attribute 0.
 */
#define VmmTlbEntry_U0 32768
/**
 * Word 2: user-definable attribute 1.
 */
#define VmmTlbEntry_U1 16384
/**
 * Word 2: user-definable attribute 2.
 */
#define VmmTlbEntry_U2 8192
/**
 * Word 2: user-definable attribute 3.
 */
#define VmmTlbEntry_U3 4096
/**
 * Word 2: write-through.
 */
#define VmmTlbEntry_W 2048
/**
 * Word 2: caching inhibited.
 */
#define VmmTlbEntry_I 1024
/**
 * Word 2: memory coherence required.
 */
#define VmmTlbEntry_M 512
/**
 * Word 2: guarded.
 */
#define VmmTlbEntry_G 256
/**
 * Word 2: little-endian.
 */
#define VmmTlbEntry_E 128
/**
 * Word 2: user state may execute.
 */
#define VmmTlbEntry_UX 32
/**
 * Word 2: user state may write.
 */
#define VmmTlbEntry_UW 16
/**
 * Word 2: user state may read.
 */
#define VmmTlbEntry_UR 8
/**
 * Word 2: supervisor state may execute.
 */
#define VmmTlbEntry_SX 4
/**
 * Word 2: supervisor state may write.
 */
#define VmmTlbEntry_SW 2
/**
 * Word 2: supervisor state may read.
 */
#define VmmTlbEntry_SR 1


/**
 * Everything that a 440EP core remembers between two instructions.
 */
typedef struct VmmCpuState {
  /**
   * Size of this structure in bytes, for versioning across the plugin boundary.
   */
  uint32_t size;
  /**
   * Address of the next instruction.
   */
  uint32_t pc;
  /**
   * General purpose registers.
   */
  uint32_t gpr[32];
  /**
   * Floating-point registers, as IEEE 754 binary64 images.
   */
  uint64_t fpr[32];
  /**
   * Floating-point status and control register.
   */
  uint32_t fpscr;
  /**
   * Condition register.
   */
  uint32_t cr;
  /**
   * Fixed-point exception register (SPR 1): SO, OV, CA and the byte count in bits 25:31.
   */
  uint32_t xer;
  /**
   * Link register (SPR 8).
   */
  uint32_t lr;
  /**
   * Count register (SPR 9).
   */
  uint32_t ctr;
  /**
   * Machine state register.
   */
  uint32_t msr;
  /**
   * Save/restore registers 0 and 1 (SPR 26, 27).
   */
  uint32_t srr[2];
  /**
   * Critical save/restore registers 0 and 1 (SPR 58, 59).
   */
  uint32_t csrr[2];
  /**
   * Machine check save/restore registers 0 and 1 (SPR 570, 571).
   */
  uint32_t mcsrr[2];
  /**
   * Exception syndrome register (SPR 62).
   */
  uint32_t esr;
  /**
   * Data exception address register (SPR 61).
   */
  uint32_t dear;
  /**
   * Machine check syndrome register (SPR 572).
   */
  uint32_t mcsr;
  /**
   * Interrupt vector prefix register (SPR 63).
   */
  uint32_t ivpr;
  /**
   * Interrupt vector offset registers 0-15 (SPR 400-415).
   */
  uint32_t ivor[16];
  /**
   * Process identifier (SPR 48), 8 bits.
   */
  uint32_t pid;
  /**
   * MMU control register (SPR 946).
   */
  uint32_t mmucr;
  /**
   * SPRG0-7 (SPR 272-279).
   */
  uint32_t sprg[8];
  /**
   * USPRG0 (SPR 256).
   */
  uint32_t usprg0;
  /**
   * Processor version register (SPR 287).
   */
  uint32_t pvr;
  /**
   * Processor identification register (SPR 286).
   */
  uint32_t pir;
  /**
   * Core configuration registers 0 and 1 (SPR 947, 888).
   */
  uint32_t ccr[2];
  /**
   * Reset configuration register (SPR 923).
   */
  uint32_t rstcfg;
  /**
   * Decrementer (SPR 22) at the moment of the copy.
   */
  uint32_t dec;
  /**
   * Decrementer auto-reload register (SPR 54).
   */
  uint32_t decar;
  /**
   * Timer control register (SPR 340).
   */
  uint32_t tcr;
  /**
   * Timer status register (SPR 336).
   */
  uint32_t tsr;
  /**
   * Time base (TBU:TBL) at the moment of the copy, in timebase ticks.
   */
  uint64_t tb;
  /**
   * Debug status register (SPR 304).
   */
  uint32_t dbsr;
  /**
   * Debug control registers 0-2 (SPR 308-310).
   */
  uint32_t dbcr[3];
  /**
   * Instruction address compare registers 1-4 (SPR 312-315).
   */
  uint32_t iac[4];
  /**
   * Data address compare registers 1 and 2 (SPR 316, 317).
   */
  uint32_t dac[2];
  /**
   * Data value compare registers 1 and 2 (SPR 318, 319).
   */
  uint32_t dvc[2];
  /**
   * Debug data register (SPR 1011).
   */
  uint32_t dbdr;
  /**
   * Instruction cache normal victim registers (SPR 880-883).
   */
  uint32_t inv[4];
  /**
   * Instruction cache transient victim registers (SPR 884-887).
   */
  uint32_t itv[4];
  /**
   * Data cache normal victim registers (SPR 912-915).
   */
  uint32_t dnv[4];
  /**
   * Data cache transient victim registers (SPR 916-919).
   */
  uint32_t dtv[4];
  /**
   * Data and instruction cache victim limits (SPR 920, 921).
   */
  uint32_t vlim[2];
  /**
   * Data cache debug tag registers low, high (SPR 924, 925).
   */
  uint32_t dcdbtr[2];
  /**
   * Instruction cache debug tag registers low, high (SPR 926, 927).
   */
  uint32_t icdbtr[2];
  /**
   * Instruction cache debug data register (SPR 979).
   */
  uint32_t icdbdr;
  /**
   * Non-zero while a reservation made by `lwarx` is held.
   */
  uint32_t reserve_valid;
  /**
   * Physical address (low 32 bits) of the reserved word.
   */
  uint32_t reserve_addr;
  /**
   * Physical address (high 4 bits) of the reserved word.
   */
  uint32_t reserve_addr_high;
  /**
   * Non-zero while the shadow TLB entry that hardware installs at reset still maps the top 4 KB page
   * (IBM PPC440x5 core manual, initialization; it goes at the first context synchronising event).
   */
  uint32_t reset_entry;
  /**
   * The unified TLB with each entry's hidden TID.
   */
  struct VmmTlbEntry tlb[VMM_TLB_ENTRIES];
} VmmCpuState;

/**
 * Where a call puts named counters. Called during that call, on its thread.
 */
typedef struct VmmCounterSink {
  /**
   * Passed back to `put`.
   */
  void *ctx;
  /**
   * Takes one counter.
   */
  void (*put)(void *ctx, struct VmmBytes name, uint64_t value);
} VmmCounterSink;

/**
 * An execution backend: a factory of engines. `ctx` is the first argument of the factory's entries, `engine` that
 * of an engine's.
 */
typedef struct VmmBackend {
  /**
   * `sizeof(VmmBackend)`.
   */
  uint32_t size;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Passed back to the factory's entries.
   */
  const void *ctx;
  /**
   * Any thread. Names and ranks the backend.
   */
  void (*info)(const void *ctx, struct VmmInfo *out);
  /**
   * Any thread. Whether this host can run it; if not, one sentence goes to `why`. May be null: it can.
   */
  int32_t (*probe)(const void *ctx, const struct VmmSink *why);
  /**
   * Any thread. What this host forces on a guest. May be null: nothing.
   */
  void (*constraints)(const void *ctx, struct VmmConstraints *out);
  /**
   * vCPU's thread. Makes an engine; `bus` outlives it.
   */
  int32_t (*create)(const void *ctx,
                    const struct VmmEngineConfig *config,
                    const struct VmmBus *bus,
                    void **engine,
                    const struct VmmSink *why);
  /**
   * vCPU's thread. Frees an engine.
   */
  void (*destroy)(void *engine);
  /**
   * vCPU's thread. Executes until `budget` instructions have retired or something ends the run.
   */
  int32_t (*run)(void *engine, uint64_t budget, struct VmmExit *exit, const struct VmmSink *why);
  /**
   * vCPU's thread. Copies the state out.
   */
  int32_t (*get_state)(void *engine, struct VmmCpuState *state, const struct VmmSink *why);
  /**
   * vCPU's thread. Copies a state in; `refused` gets the name of each field that could not be set.
   */
  int32_t (*set_state)(void *engine,
                       const struct VmmCpuState *state,
                       const struct VmmSink *refused,
                       const struct VmmSink *why);
  /**
   * vCPU's thread. Instructions retired since creation.
   */
  uint64_t (*retired)(void *engine);
  /**
   * vCPU's thread. Counters for people. May be null: none.
   */
  void (*stats)(void *engine, const struct VmmCounterSink *out);
  /**
   * Any thread. A further table by name, or null. Optional powers only. May be null: none.
   */
  const void *(*extension)(const void *ctx, struct VmmBytes name);
} VmmBackend;

/**
 * A board strap, `name=value`.
 */
typedef struct VmmStrap {
  /**
   * Name.
   */
  struct VmmBytes name;
  /**
   * Value.
   */
  struct VmmBytes value;
} VmmStrap;

/**
 * What a machine is created with.
 */
typedef struct VmmBoardConfig {
  /**
   * `sizeof(VmmBoardConfig)`.
   */
  uint32_t size;
  /**
   * 0 host clock, 1 icount.
   */
  uint32_t clock;
  /**
   * A flattened device tree; null takes the board's own.
   */
  const struct VmmBytes *tree;
  /**
   * Where it came from, for messages.
   */
  struct VmmBytes tree_name;
  /**
   * RAM in bytes; 0 takes the tree's, else the board's default.
   */
  uint64_t memory;
  /**
   * What the backend forces.
   */
  struct VmmConstraints constraints;
  /**
   * `strap_count` straps.
   */
  const struct VmmStrap *straps;
  /**
   * Number of straps.
   */
  size_t strap_count;
} VmmBoardConfig;

/**
 * What a board may ask of its host. The table lives as long as the machine. All entries: vCPU's thread.
 */
typedef struct VmmBoardHost {
  /**
   * `sizeof(VmmBoardHost)`.
   */
  uint32_t size;
  /**
   * [`ABI`].
   */
  uint32_t abi;
  /**
   * Passed back to each entry.
   */
  void *ctx;
  /**
   * Asks for `len` bytes (a multiple of 4096) of zeroed RAM at physical address `pa`; only during `create`.
   * Returns [`VMM_OK`] and fills `out`, or [`VMM_REFUSED`].
   */
  int32_t (*map_ram)(void *ctx, uint64_t pa, uint64_t len, struct VmmRam *out);
  /**
   * Drives attention bits as levels.
   */
  void (*set_attention)(void *ctx, uint32_t bits, uint32_t level);
  /**
   * Tells engines that a device wrote `len` bytes of RAM at `pa`.
   */
  void (*mark_dma_dirty)(void *ctx, uint64_t pa, uint64_t len);
  /**
   * Sends characters out of serial port `port`.
   */
  void (*char_write)(void *ctx, uint32_t port, struct VmmBytes bytes);
  /**
   * Machine time in timebase ticks.
   */
  uint64_t (*now)(void *ctx);
  /**
   * Seconds since 1970-01-01 00:00 UTC for a real-time clock.
   */
  uint64_t (*wall_clock)(void *ctx);
  /**
   * 0 host clock, 1 icount.
   */
  uint32_t (*clock)(void *ctx);
  /**
   * The machine cannot go on (a panic was caught, say): the host stops the run and shows the message.
   */
  void (*fail)(void *ctx, struct VmmBytes message);
} VmmBoardHost;

/**
 * What a board says of its core.
 */
typedef struct VmmCoreDescription {
  /**
   * Processor version register.
   */
  uint32_t pvr;
  /**
   * CPU clock in Hz.
   */
  uint32_t cpu_hz;
  /**
   * Timebase frequency in Hz.
   */
  uint32_t tb_hz;
  /**
   * Serial ports that `--serialN` can connect.
   */
  uint32_t serial_ports;
} VmmCoreDescription;

/**
 * Files to boot from.
 */
typedef struct VmmImages {
  /**
   * `sizeof(VmmImages)`.
   */
  uint32_t size;
  /**
   * Non-zero: `load_address` counts.
   */
  uint32_t has_load_address;
  /**
   * The kernel.
   */
  struct VmmBytes kernel;
  /**
   * Where it came from, for messages.
   */
  struct VmmBytes kernel_name;
  /**
   * The initial RAM disk; null when there is none.
   */
  const struct VmmBytes *initrd;
  /**
   * Where it came from, for messages.
   */
  struct VmmBytes initrd_name;
  /**
   * The kernel command line; null when none was given.
   */
  const struct VmmBytes *append;
  /**
   * Where a raw image goes (physical).
   */
  uint64_t load_address;
} VmmImages;

/**
 * A board: a factory of machines. `ctx` is the first argument of the factory's entries, `machine` that of a
 * machine's.
 */
typedef struct VmmBoard {
  /**
   * `sizeof(VmmBoard)`.
   */
  uint32_t size;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Passed back to the factory's entries.
   */
  const void *ctx;
  /**
   * Any thread. Names the board.
   */
  void (*info)(const void *ctx, struct VmmInfo *out);
  /**
   * Any thread. The board's own flattened device tree goes to `out`. May be null: none.
   */
  void (*default_tree)(const void *ctx, const struct VmmSink *out);
  /**
   * vCPU's thread. Builds a machine; `host` outlives it.
   */
  int32_t (*create)(const void *ctx,
                    const struct VmmBoardConfig *config,
                    const struct VmmBoardHost *host,
                    void **machine,
                    const struct VmmSink *why);
  /**
   * vCPU's thread. Frees a machine.
   */
  void (*destroy)(void *machine);
  /**
   * vCPU's thread. What the machine says of its core.
   */
  void (*core)(void *machine, struct VmmCoreDescription *out);
  /**
   * vCPU's thread. Puts the images into RAM; `state` becomes the state in which the core starts.
   */
  int32_t (*load)(void *machine,
                  const struct VmmImages *images,
                  struct VmmCpuState *state,
                  const struct VmmSink *why);
  /**
   * vCPU's thread. Reads a device register of `len` (1, 2, 4 or 8) bytes.
   */
  uint64_t (*read)(void *machine, uint64_t pa, uint32_t len);
  /**
   * vCPU's thread. Writes a device register of `len` (1, 2, 4 or 8) bytes.
   */
  void (*write)(void *machine, uint64_t pa, uint32_t len, uint64_t value);
  /**
   * vCPU's thread. Reads a device control register. May be null: 0.
   */
  uint32_t (*dcr_read)(void *machine, uint32_t dcrn);
  /**
   * vCPU's thread. Writes a device control register. May be null: ignored.
   */
  void (*dcr_write)(void *machine, uint32_t dcrn, uint32_t value);
  /**
   * vCPU's thread. Runs device work due at tick `now`; returns the next deadline or [`VMM_NEVER`]. May be null: no device work.
   */
  uint64_t (*service)(void *machine, uint64_t now);
  /**
   * vCPU's thread. Which of EXT and CRIT an enabled source could still assert one day. May be null: none.
   */
  uint32_t (*armed)(void *machine);
  /**
   * vCPU's thread. Characters for serial port `port`; returns how many were taken. May be null: they are lost.
   */
  size_t (*char_input)(void *machine, uint32_t port, struct VmmBytes bytes);
  /**
   * vCPU's thread. Resets the devices: 1 core, 2 chip, 3 system. May be null: nothing to reset.
   */
  void (*reset)(void *machine, uint32_t kind);
  /**
   * vCPU's thread. Every device's state goes to `out`. May be null: no state.
   */
  void (*save)(void *machine, const struct VmmSink *out);
  /**
   * vCPU's thread. Restores what `save` gave. May be null: refused.
   */
  int32_t (*restore)(void *machine, struct VmmBytes saved, const struct VmmSink *why);
  /**
   * vCPU's thread. One line a device goes to `out`. May be null: nothing to tell.
   */
  void (*describe)(void *machine, const struct VmmSink *out);
  /**
   * Any thread. A further table by name, or null. Optional powers only. May be null: none.
   */
  const void *(*extension)(const void *ctx, struct VmmBytes name);
  /**
   * vCPU's thread. As [`VmmBus`]'s `treatment`. May be null: every access must be a call. A table of an older plugin
   * ends before it.
   */
  uint32_t (*treatment)(void *machine, uint64_t pa, uint32_t len);
} VmmBoard;

/**
 * What a library offers. It lives as long as the library and never changes.
 */
typedef struct VmmPlugin {
  /**
   * `sizeof(VmmPlugin)`.
   */
  uint32_t size;
  /**
   * [`ABI`].
   */
  uint32_t abi;
  /**
   * Name, NUL-terminated.
   */
  const char *name;
  /**
   * Version, NUL-terminated.
   */
  const char *version;
  /**
   * SPDX licence expression, NUL-terminated.
   */
  const char *licence;
  /**
   * Loader's thread, once, before anything else. `host` lives as long as the library. May be null.
   */
  int32_t (*init)(const struct VmmHost *host, const struct VmmSink *why);
  /**
   * Loader's thread, once, when no instance is left. Not called after a failed `init`. May be null.
   */
  void (*deinit)(void);
  /**
   * `backend_count` pointers.
   */
  const struct VmmBackend *const *backends;
  /**
   * Number of backends.
   */
  size_t backend_count;
  /**
   * `board_count` pointers.
   */
  const struct VmmBoard *const *boards;
  /**
   * Number of boards.
   */
  size_t board_count;
} VmmPlugin;

/**
 * Extension of a backend by the name `inspect`: its engines' insides, for people who study them. It lives as long as
 * the library. Each
 * entry may be null.
 */
typedef struct VmmInspect {
  /**
   * `sizeof(VmmInspect)`.
   */
  uint32_t size;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * vCPU's thread. Text about `topic` goes to `out`, nothing if there is nothing to tell. The topic `tlb` is what
   * shadows the guest's TLB, `jit` what was translated.
   */
  void (*describe)(void *engine, struct VmmBytes topic, const struct VmmSink *out);
  /**
   * vCPU's thread. Starts to record `topic` in memory of the engine that is bounded. The topic `tlb` is the trace
   * format of `mmu-core`; `blocks` and `perf-map` are text lines about translated code.
   */
  int32_t (*record)(void *engine, struct VmmBytes topic, const struct VmmSink *why);
  /**
   * vCPU's thread. What was recorded since the last call goes to `out` and is forgotten by the engine. The pieces
   * of all calls, in a row, are the recording.
   */
  void (*recorded)(void *engine, const struct VmmSink *out);
} VmmInspect;



#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The exported symbol, [`crate::abi::ENTRY_SYMBOL`]: this image's plugin, or null where there is none.
 *
 * Any thread. The table lives as long as the image.
 */
const struct VmmPlugin *vmm_plugin(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VMM_PLUGIN_H */
