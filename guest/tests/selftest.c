/*
 * Self test of a running guest: what a user of the machine would notice first if the processor, the MMU or
 * the timers were wrong. One line per check, "selftest: NAME: ok" or "selftest: NAME: FAILED: why"; the exit
 * status is the number of failed checks. A line "selftest: md5: HEX" carries the MD5 of the megabyte that
 * fill_pattern() makes, for the host to compare. Arguments choose checks by name.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <asm/ptrace.h>

#define MEGABYTE (1024 * 1024)
#define PAGE 4096

static const char *reason;
static char reason_text[200];

/* Records why a check failed; the first reason stands. */
__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
    if (!reason) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reason_text, sizeof reason_text, format, arguments);
        va_end(arguments);
        reason = reason_text;
    }
    return false;
}

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            return fail("line %d: %s (errno %d)", __LINE__, #condition, errno); \
    } while (0)

/* Marsaglia's 32-bit xorshift; the host makes the same bytes from the same seed. */
static uint32_t xorshift(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* Big-endian words of xorshift from seed 2463534242. */
static void fill_pattern(uint32_t *words, size_t count)
{
    uint32_t state = 2463534242u;
    for (size_t i = 0; i < count; i++)
        words[i] = xorshift(&state);
}

static bool exited_with(pid_t child, int code)
{
    int status;
    if (waitpid(child, &status, 0) != child)
        return fail("waitpid: errno %d", errno);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        return fail("a child ended with status 0x%x, expected exit %d", status, code);
    return true;
}

static bool test_fork(void)
{
    volatile int shared = 1;
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            shared += i; /* copy on write: the parent must not see it */
            _exit(shared);
        }
        if (!exited_with(child, 1 + i))
            return false;
        CHECK(shared == 1);
    }
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit $((6 * 7))", (char *)NULL);
        _exit(127);
    }
    return exited_with(child, 42);
}

static bool read_fully(int fd, void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, (char *)buffer + done, size - done);
        if (got <= 0)
            return fail("read: %zd, errno %d", got, errno);
        done += (size_t)got;
    }
    return true;
}

static bool write_fully(int fd, const void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)buffer + done, size - done);
        if (put <= 0)
            return fail("write: %zd, errno %d", put, errno);
        done += (size_t)put;
    }
    return true;
}

/* A megabyte goes to a child that inverts it and sends it back while we still write. */
static bool test_pipes(void)
{
    enum { CHUNK = 3001 * 4, CHUNKS = 80 };
    static uint32_t out[CHUNK / 4], back[CHUNK / 4];
    int there[2], here[2];
    CHECK(pipe(there) == 0 && pipe(here) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(there[1]);
        close(here[0]);
        for (int n = 0; n < CHUNKS; n++) {
            if (!read_fully(there[0], out, CHUNK))
                _exit(1);
            for (int i = 0; i < CHUNK / 4; i++)
                out[i] = ~out[i];
            if (!write_fully(here[1], out, CHUNK))
                _exit(2);
        }
        _exit(0);
    }
    close(there[0]);
    close(here[1]);
    uint32_t state = 7;
    for (int n = 0; n < CHUNKS; n++) {
        for (int i = 0; i < CHUNK / 4; i++)
            out[i] = xorshift(&state);
        if (!write_fully(there[1], out, CHUNK) || !read_fully(here[0], back, CHUNK))
            return false;
        for (int i = 0; i < CHUNK / 4; i++)
            CHECK(back[i] == ~out[i]);
    }
    close(there[1]);
    close(here[0]);
    return exited_with(child, 0);
}

static bool test_md5(void)
{
    uint32_t *data = mmap(NULL, MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    fill_pattern(data, MEGABYTE / 4);
    int in[2], out[2];
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execl("/bin/busybox", "md5sum", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    if (!write_fully(in[1], data, MEGABYTE))
        return false;
    close(in[1]);
    char digest[33] = "";
    if (!read_fully(out[0], digest, 32) || !exited_with(child, 0))
        return false;
    close(out[0]);
    munmap(data, MEGABYTE);
    printf("selftest: md5: %s\n", digest);
    return true;
}

static uint64_t bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

/* Results of the IEEE 754 operations, as bit patterns worked out beforehand. */
static bool test_float(void)
{
    volatile double one = 1.0, three = 3.0, ten = 10.0, tiny = 0x1p-1022, huge = 0x1.fffffffffffffp1023;
    volatile float single = 16777217.0f;
    CHECK(bits(one / three) == 0x3fd5555555555555);
    CHECK(bits(one / ten) == 0x3fb999999999999a);
    CHECK(bits(one / ten + one / ten + one / ten) == 0x3fd3333333333334);
    CHECK(bits(tiny / 4) == 0x0004000000000000);
    CHECK(bits(tiny / 4 * 4) == bits(tiny));
    CHECK(isinf(huge * ten) && huge * ten > 0);
    CHECK(isnan((huge * ten) - (huge * ten)));
    CHECK(single == 16777216.0f);
    CHECK((float)(one / three) == 0x1.555556p-2f);
    CHECK((int)(-7.0 / 2 * one) == -3 && (int)(1e10 * one) == INT32_MAX);
    /* Only a fused operation keeps the low half of the product. */
    volatile double x = 0x1.0000001p0;
    CHECK(fma(x, x, -(x * x)) == 0x1p-56);
    double sum = 0;
    for (int i = 1; i <= 100000; i++)
        sum += one / i;
    CHECK(bits(sum) == 0x40282e27a22f3f7c);
    CHECK(fabs(sqrt(2.0 * one) - 1.4142135623730951) < 1e-15 && fabs(exp(one) - 2.718281828459045) < 1e-14);

    static const struct { int mode; uint64_t third, minus_third; } rounding[] = {
        { FE_TONEAREST, 0x3fd5555555555555, 0xbfd5555555555555 },
        { FE_TOWARDZERO, 0x3fd5555555555555, 0xbfd5555555555555 },
        { FE_UPWARD, 0x3fd5555555555556, 0xbfd5555555555555 },
        { FE_DOWNWARD, 0x3fd5555555555555, 0xbfd5555555555556 },
    };
    for (size_t i = 0; i < sizeof rounding / sizeof *rounding; i++) {
        CHECK(fesetround(rounding[i].mode) == 0);
        /* Volatile results, or the compiler may divide after the mode is back. */
        volatile double third = one / three, minus_third = -one / three;
        fesetround(FE_TONEAREST);
        CHECK(bits(third) == rounding[i].third && bits(minus_third) == rounding[i].minus_third);
    }
    feclearexcept(FE_ALL_EXCEPT);
    volatile double sink = one / three;
    CHECK(fetestexcept(FE_ALL_EXCEPT) == FE_INEXACT);
    feclearexcept(FE_ALL_EXCEPT);
    sink = one / (one - one);
    CHECK(fetestexcept(FE_ALL_EXCEPT) == FE_DIVBYZERO && isinf(sink));
    feclearexcept(FE_ALL_EXCEPT);
    sink = huge * huge;
    CHECK(fetestexcept(FE_ALL_EXCEPT) == (FE_OVERFLOW | FE_INEXACT));
    feclearexcept(FE_ALL_EXCEPT);
    sink = tiny * (one / three);
    CHECK(fetestexcept(FE_ALL_EXCEPT) == (FE_UNDERFLOW | FE_INEXACT) && sink != 0);
    feclearexcept(FE_ALL_EXCEPT);
    sink = tiny / 2;
    CHECK(fetestexcept(FE_ALL_EXCEPT) == 0 && sink != 0);
    feclearexcept(FE_ALL_EXCEPT);
    return true;
}

/* Floating-point loads and stores at every offset of a line: the 440 traps some of them to the kernel. */
static bool test_float_unaligned(void)
{
    static unsigned char buffer[128] __attribute__((aligned(32)));
    for (int offset = 0; offset < 64; offset += 4) {
        volatile double value = 1.0 / (offset + 3), back;
        __asm__ volatile("stfd %0,0(%1)" : : "d"(value), "b"(buffer + offset) : "memory");
        CHECK(memcmp(buffer + offset, (const void *)&value, 8) == 0);
        __asm__ volatile("lfd %0,0(%1)" : "=d"(back) : "b"(buffer + offset) : "memory");
        CHECK(bits(back) == bits(value));
    }
    return true;
}

/* Several processes with their own numbers in the FPU: the kernel hands the unit from one to the next. */
static bool test_float_switch(void)
{
    enum { PROCESSES = 4 };
    pid_t children[PROCESSES];
    for (int n = 0; n < PROCESSES; n++) {
        children[n] = fork();
        CHECK(children[n] >= 0);
        if (children[n] == 0) {
            double value = n + 1;
            for (int i = 0; i < 400; i++) {
                value = value * 1.0009765625 / 1.0009765625;
                if (i % 8 == 0)
                    sched_yield();
            }
            _exit(fabs(value - (n + 1)) < 1e-9 ? 0 : 1);
        }
    }
    for (int n = 0; n < PROCESSES; n++)
        if (!exited_with(children[n], 0))
            return false;
    return true;
}

static sigjmp_buf escape;
static volatile siginfo_t caught;
static volatile sig_atomic_t caught_count;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    caught = *info;
    caught_count++;
    siglongjmp(escape, 1);
}

static void on_count(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    caught = *info;
    caught_count++;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(number, &action, NULL);
}

#define CATCH(number, statement) \
    do { \
        caught_count = 0; \
        handle(number, on_fault); \
        if (sigsetjmp(escape, 1) == 0) { \
            statement; \
        } \
        signal(number, SIG_DFL); \
    } while (0)

static bool test_signals(void)
{
    caught_count = 0;
    handle(SIGUSR1, on_count);
    for (int i = 0; i < 100; i++)
        CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(caught_count == 100 && caught.si_pid == getpid());

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    int status;
    CHECK(kill(child, SIGTERM) == 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    return true;
}

static bool test_sigill(void)
{
    CATCH(SIGILL, __asm__ volatile(".long 0"));
    CHECK(caught_count == 1 && caught.si_code == ILL_ILLOPC);
    /* A privileged instruction in user mode. */
    CATCH(SIGILL, __asm__ volatile("mtspr 26,%0" : : "r"(0)));
    CHECK(caught_count == 1 && caught.si_code == ILL_PRVOPC);
    return true;
}

static bool test_sigtrap(void)
{
    CATCH(SIGTRAP, __asm__ volatile("tweqi %0,5" : : "r"(5)));
    CHECK(caught_count == 1 && caught.si_code == TRAP_BRKPT);
    CATCH(SIGTRAP, __asm__ volatile("tweqi %0,5" : : "r"(6)));
    CHECK(caught_count == 0);
    return true;
}

static bool test_sigfpe(void)
{
    volatile double one = 1.0, zero = 0.0, sink = 0;
    feclearexcept(FE_ALL_EXCEPT);
    CHECK(feenableexcept(FE_DIVBYZERO) != -1);
    CATCH(SIGFPE, sink = one / zero);
    fedisableexcept(FE_ALL_EXCEPT);
    feclearexcept(FE_ALL_EXCEPT);
    CHECK(caught_count == 1 && caught.si_code == FPE_FLTDIV);
    CHECK(sink == 0);
    return true;
}

static bool test_sigsegv(void)
{
    /* A volatile address keeps the compiler from judging the access. */
    volatile uintptr_t address = 0x40;
    volatile uint32_t *nowhere = (volatile uint32_t *)address;
    CATCH(SIGSEGV, *nowhere = 1);
    CHECK(caught_count == 1 && caught.si_code == SEGV_MAPERR && caught.si_addr == (void *)0x40);
    address = 0xc0000000;
    volatile uint32_t *kernel = (volatile uint32_t *)address;
    CATCH(SIGSEGV, (void)*kernel);
    CHECK(caught_count == 1 && caught.si_addr == (void *)0xc0000000);
    /* Data that is not executable. */
    void *data = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    *(uint32_t *)data = 0x4e800020; /* blr */
    CATCH(SIGSEGV, ((void (*)(void))data)());
    CHECK(caught_count == 1 && caught.si_code == SEGV_ACCERR && caught.si_addr == data);
    munmap(data, PAGE);
    return true;
}

static bool test_sigbus(void)
{
    char name[] = "/tmp/selftest.XXXXXX";
    int file = mkstemp(name);
    CHECK(file >= 0 && ftruncate(file, 10) == 0);
    volatile char *mapped = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    CHECK(mapped != MAP_FAILED);
    CATCH(SIGBUS, (void)mapped[PAGE]);
    CHECK(caught_count == 1 && caught.si_code == BUS_ADRERR && caught.si_addr == (void *)(mapped + PAGE));
    munmap((void *)mapped, 2 * PAGE);
    close(file);
    unlink(name);
    return true;
}

static bool test_unaligned(void)
{
    static unsigned char buffer[2 * PAGE] __attribute__((aligned(PAGE)));
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (unsigned char)(i * 7);
    for (int offset = PAGE - 5; offset < PAGE + 5; offset++) {
        const unsigned char *p = buffer + offset;
        uint32_t expected = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        uint32_t word, reversed;
        uint32_t half;
        __asm__ volatile("lwz %0,0(%1)" : "=r"(word) : "b"(p) : "memory");
        __asm__ volatile("lwbrx %0,0,%1" : "=r"(reversed) : "b"(p) : "memory");
        __asm__ volatile("lhz %0,0(%1)" : "=r"(half) : "b"(p) : "memory");
        CHECK(word == expected && reversed == __builtin_bswap32(expected) && half == expected >> 16);
    }
    return true;
}

static volatile unsigned ticks;

static void on_tick(int number)
{
    (void)number;
    ticks++;
}

static bool test_timers(void)
{
    struct timespec before, after, pause_time = { .tv_nsec = 30000000 };
    CHECK(clock_gettime(CLOCK_MONOTONIC, &before) == 0);
    CHECK(nanosleep(&pause_time, NULL) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &after) == 0);
    int64_t slept = (after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec);
    CHECK(slept >= 30000000);

    signal(SIGALRM, on_tick);
    ticks = 0;
    struct itimerval interval = { { 0, 12000 }, { 0, 12000 } }, off = { { 0, 0 }, { 0, 0 } };
    CHECK(setitimer(ITIMER_REAL, &interval, NULL) == 0);
    int64_t last = 0;
    while (ticks < 5) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t t = now.tv_sec * 1000000000LL + now.tv_nsec;
        CHECK(t >= last);
        last = t;
    }
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    signal(SIGALRM, SIG_DFL);
    return true;
}

static unsigned char *guarded;

static void on_guard(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    caught_count++;
    unsigned char *page = (unsigned char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    if (page < guarded || page >= guarded + 16 * PAGE || mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0)
        _exit(99);
}

/* A fault is repaired by its handler and the instruction runs again. */
static bool test_mprotect(void)
{
    guarded = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guarded != MAP_FAILED);
    memset(guarded, 0x5a, 16 * PAGE);
    CHECK(mprotect(guarded, 16 * PAGE, PROT_READ) == 0);
    caught_count = 0;
    handle(SIGSEGV, on_guard);
    volatile unsigned char *p = guarded;
    for (int page = 0; page < 16; page++)
        p[page * PAGE + 3 * page]++;
    for (int page = 0; page < 16; page++)
        p[page * PAGE + 3 * page]++;
    signal(SIGSEGV, SIG_DFL);
    CHECK(caught_count == 16);
    for (int page = 0; page < 16; page++)
        CHECK(p[page * PAGE + 3 * page] == 0x5c && p[page * PAGE + 4000] == 0x5a);
    CHECK(mprotect(guarded, 16 * PAGE, PROT_NONE) == 0);
    CATCH(SIGSEGV, (void)p[0]);
    CHECK(caught_count == 1 && caught.si_code == SEGV_ACCERR);
    munmap(guarded, 16 * PAGE);
    return true;
}

static void make_visible(uint32_t *code)
{
    __asm__ volatile("dcbst 0,%0\n\tsync\n\ticbi 0,%0\n\tsync\n\tisync" : : "r"(code) : "memory");
}

/* Code that is written, run and rewritten many times in one place. */
static bool test_new_code(void)
{
    uint32_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(code != MAP_FAILED);
    int (*function)(void) = (int (*)(void))code;
    for (int n = 0; n < 2000; n++) {
        code[0] = 0x38600000u | (uint32_t)n; /* li r3,n */
        code[1] = 0x4e800020;                /* blr */
        make_visible(code);
        CHECK(function() == n);
    }
    munmap(code, PAGE);
    return true;
}

/* More pages than the TLB has entries, in an order that no replacement policy likes. */
static bool test_memory(void)
{
    enum { PAGES = 512 };
    uint32_t *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    for (int i = 0; i < PAGES; i++)
        memory[i * (PAGE / 4) + i] = (uint32_t)i * 2654435761u;
    uint32_t state = 99;
    for (int i = 0; i < 20000; i++) {
        int page = (int)(xorshift(&state) % PAGES);
        uint32_t *word = &memory[page * (PAGE / 4) + page];
        CHECK(*word == (uint32_t)page * 2654435761u);
        word[(page < 256) ? 256 : -256] = (uint32_t)i;
        CHECK(*word == (uint32_t)page * 2654435761u);
    }
    munmap(memory, PAGES * PAGE);
    return true;
}

enum { THREADS = 4, ROUNDS = 5000 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned under_mutex;
static uint32_t atomic_sum;

static void *add_up(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        under_mutex++;
        pthread_mutex_unlock(&mutex);
        __atomic_fetch_add(&atomic_sum, 3, __ATOMIC_SEQ_CST);
        if (i % 500 == 0)
            sched_yield();
    }
    return NULL;
}

static bool test_threads(void)
{
    pthread_t threads[THREADS];
    under_mutex = atomic_sum = 0;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, add_up, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(under_mutex == THREADS * ROUNDS && atomic_sum == 3 * THREADS * ROUNDS);
    return true;
}

/*
 * Runs in the traced child. The stepped loop keeps out of r2 and r3: when an interrupt or a TLB miss comes at
 * a stepped instruction, Linux 6.1 on a 44x loses both (its debug vector, on finding that the event belongs to
 * an exception's first instruction, returns without restoring what its prologue put there). The exit is a bare
 * system call for the same reason.
 */
extern const uint32_t step_before[], step_first[], step_after[];

__attribute__((noreturn, noinline, noclone)) static void traced_child(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    __asm__ volatile(".globl step_before, step_first, step_after\n"
                     "step_before:\n\ttrap\n"
                     "step_first:\n\tli 14,0\n\tli 15,20\n\tmtctr 15\n"
                     "1:\tmfctr 15\n\tadd 14,14,15\n\tbdnz 1b\n"
                     "step_after:\n\ttrap\n"
                     "\tmr 3,14\n\tli 0,%0\n\tsc"
                     :
                     : "i"(SYS_exit)
                     : "r0", "r3", "r14", "r15", "ctr");
    __builtin_unreachable();
}

static volatile uint32_t poked = 17;

static bool stopped_at(pid_t child, int signal_number, const uint32_t *place)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    if (WSTOPSIG(status) != signal_number)
        return fail("stopped by signal %d instead of %d", WSTOPSIG(status), signal_number);
    long pc = ptrace(PTRACE_PEEKUSER, child, (void *)(PT_NIP * sizeof(long)), NULL);
    if (place && pc != (long)(uintptr_t)place)
        return fail("stopped at %lx instead of %p", pc, (const void *)place);
    return true;
}

static bool test_ptrace_once(void)
{
    poked = 17;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        traced_child();
    if (!stopped_at(child, SIGSTOP, NULL))
        return false;
    errno = 0;
    CHECK(ptrace(PTRACE_PEEKDATA, child, (void *)&poked, NULL) == 17 && errno == 0);
    CHECK(ptrace(PTRACE_POKEDATA, child, (void *)&poked, (void *)18) == 0);
    CHECK(ptrace(PTRACE_PEEKDATA, child, (void *)&poked, NULL) == 18 && poked == 17);

    /* A breakpoint, and on from behind it. */
    CHECK(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
    if (!stopped_at(child, SIGTRAP, step_before))
        return false;
    CHECK(ptrace(PTRACE_POKEUSER, child, (void *)(PT_NIP * sizeof(long)), (void *)step_first) == 0);

    /* Three instructions, then twenty times three: each step ends exactly one instruction on. */
    for (int step = 1; step <= 63; step++) {
        const uint32_t *place = step < 3 ? step_first + step : step < 63 ? step_first + 3 + step % 3 : step_after;
        CHECK(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
        if (!stopped_at(child, SIGTRAP, place))
            return false;
    }
    CHECK(ptrace(PTRACE_PEEKUSER, child, (void *)((PT_R0 + 14) * sizeof(long)), NULL) == 210);
    CHECK(ptrace(PTRACE_POKEUSER, child, (void *)(PT_NIP * sizeof(long)), (void *)(step_after + 1)) == 0);
    CHECK(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
    return exited_with(child, 210);
}

/* Often enough that interrupts meet stepped instructions. */
static bool test_ptrace(void)
{
    for (int i = 0; i < 20; i++)
        if (!test_ptrace_once())
            return false;
    return true;
}

static bool test_sockets(void)
{
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    CHECK(server >= 0 && bind(server, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(server, 1) == 0 && getsockname(server, (struct sockaddr *)&address, &size) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    static uint32_t data[16384], back[16384];
    fill_pattern(data, 16384);
    if (child == 0) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) != 0)
            _exit(1);
        _exit(write_fully(client, data, sizeof data) ? 0 : 2);
    }
    int connection = accept(server, NULL, NULL);
    CHECK(connection >= 0);
    if (!read_fully(connection, back, sizeof back))
        return false;
    CHECK(memcmp(data, back, sizeof data) == 0);
    close(connection);
    close(server);
    return exited_with(child, 0);
}

static bool test_files(void)
{
    char name[] = "/tmp/selftest.XXXXXX", other[] = "/tmp/selftest.renamed";
    static uint32_t data[65536], back[65536];
    int file = mkstemp(name);
    CHECK(file >= 0);
    fill_pattern(data, 65536);
    if (!write_fully(file, data, sizeof data))
        return false;
    CHECK(close(file) == 0 && rename(name, other) == 0);
    file = open(other, O_RDONLY);
    CHECK(file >= 0);
    uint32_t *mapped = mmap(NULL, sizeof data, PROT_READ, MAP_SHARED, file, 0);
    CHECK(mapped != MAP_FAILED && memcmp(mapped, data, sizeof data) == 0);
    if (!read_fully(file, back, sizeof back))
        return false;
    CHECK(memcmp(back, data, sizeof data) == 0);
    munmap(mapped, sizeof data);
    CHECK(close(file) == 0 && unlink(other) == 0);
    return true;
}

static const struct {
    const char *name;
    bool (*run)(void);
} checks[] = {
    { "fork", test_fork },
    { "pipes", test_pipes },
    { "md5sum", test_md5 },
    { "float", test_float },
    { "float-unaligned", test_float_unaligned },
    { "float-switch", test_float_switch },
    { "signals", test_signals },
    { "sigill", test_sigill },
    { "sigtrap", test_sigtrap },
    { "sigfpe", test_sigfpe },
    { "sigsegv", test_sigsegv },
    { "sigbus", test_sigbus },
    { "unaligned", test_unaligned },
    { "timers", test_timers },
    { "mprotect", test_mprotect },
    { "new-code", test_new_code },
    { "memory", test_memory },
    { "threads", test_threads },
    { "ptrace", test_ptrace },
    { "sockets", test_sockets },
    { "files", test_files },
};

static bool chosen(const char *name, int count, char **names)
{
    if (count == 0)
        return true;
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

int main(int count, char **arguments)
{
    int failed = 0, run = 0;
    /* A child that is forked with text in the buffer would print it again. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (!chosen(checks[i].name, count - 1, arguments + 1))
            continue;
        reason = NULL;
        run++;
        if (checks[i].run()) {
            printf("selftest: %s: ok\n", checks[i].name);
        } else {
            printf("selftest: %s: FAILED: %s\n", checks[i].name, reason ? reason : "no reason");
            failed++;
        }
    }
    printf("selftest: %d run, %d failed\n", run, failed);
    return failed;
}
