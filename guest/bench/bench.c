/*
 * Benchmarks of a running guest. Each figure is calibrated first (the repeat count doubles until one run
 * takes long enough) and then measured several times; the line of a figure is
 *
 *     bench: NAME MINIMUM MEDIAN UNIT (N runs of COUNT)
 *
 * Time is the guest's own CLOCK_MONOTONIC. Arguments: names of figures (none: all), `runs=N` (default 5),
 * `time=MS` (least time of one run, default 100), `count=N` (fixed repeat count, no calibration).
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mixed.h"

#define PAGE 4096
enum { MISS_PAGES = 512, BIG = 8 * 1024 * 1024 };

static unsigned runs = 5, least_ms = 100;
static unsigned long fixed_count;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static void null_syscall(unsigned long count)
{
    while (count--)
        syscall(SYS_getppid);
}

static void pipe_roundtrip(unsigned long count)
{
    int there[2], back[2];
    char byte = 0;
    if (pipe(there) || pipe(back))
        stop("pipe");
    pid_t child = fork();
    if (child < 0)
        stop("fork");
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1)
            if (write(back[1], &byte, 1) != 1)
                break;
        _exit(0);
    }
    close(there[0]);
    while (count--)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            stop("ping-pong");
    close(there[1]);
    close(back[0]);
    close(back[1]);
    waitpid(child, NULL, 0);
}

static void fork_wait(unsigned long count)
{
    while (count--) {
        pid_t child = fork();
        if (child < 0)
            stop("fork");
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
}

/* One load in each of 512 pages in turn: with 64 TLB entries and round robin every one misses. */
static void tlb_miss(unsigned long count)
{
    static volatile unsigned char *pages;
    if (!pages) {
        pages = mmap(NULL, MISS_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            stop("mmap");
        for (int i = 0; i < MISS_PAGES; i++)
            pages[i * PAGE] = 1;
    }
    unsigned page = 0;
    while (count--) {
        (void)pages[page * PAGE];
        page = (page + 1) % MISS_PAGES;
    }
}

static volatile uint32_t result;

/* One dependent chain; exactly five instructions a round, so that instructions per second follow. */
static void integer_loop(unsigned long count)
{
    uint32_t x = 12345, scratch;
    __asm__ volatile("mtctr %2\n"
                     "1:\tmullw %0,%0,%3\n"
                     "\tadd %0,%0,%4\n"
                     "\tsrwi %1,%0,7\n"
                     "\txor %0,%0,%1\n"
                     "\tbdnz 1b"
                     : "+r"(x), "=&r"(scratch)
                     : "r"(count), "r"(1664525u), "r"(1013904223u)
                     : "ctr");
    result = x;
}

static void load_store(unsigned long count)
{
    static volatile uint32_t words[PAGE / 4];
    unsigned i = 0;
    while (count--) {
        words[i] += 3;
        i = (i + 1) % (PAGE / 4);
    }
}

static void double_madd(unsigned long count)
{
    volatile double factor = 0.999999, addend = 0.5;
    double x = 1.0, f = factor, a = addend;
    while (count--)
        x = x * f + a;
    factor = x;
}

/* 64 KiB a round. */
static void copy_memory(unsigned long count)
{
    static char from[65536], to[65536];
    while (count--) {
        memcpy(to, from, sizeof to);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
}

/* Runs a busybox applet on the eight megabytes of big_file(), output thrown away. */
static void applet(const char *name, const char *option)
{
    static const char *file = "/tmp/bench.data";
    if (access(file, R_OK) != 0) {
        /* Text-like bytes: words from a small vocabulary, so that a compressor has something to find. */
        FILE *out = fopen(file, "w");
        if (!out)
            stop(file);
        uint32_t state = 1;
        for (size_t written = 0; written < BIG; written += 8) {
            state = state * 1664525u + 1013904223u;
            fprintf(out, "%07x ", (unsigned)(state >> 8) % 5003u * 40503u & 0xfffffffu);
        }
        fclose(out);
    }
    pid_t child = fork();
    if (child < 0)
        stop("fork");
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execl("/bin/busybox", name, option, file, (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0) {
        fprintf(stderr, "bench: %s ended with status 0x%x\n", name, (unsigned)status);
        exit(1);
    }
}

static void gzip_big(unsigned long count)
{
    while (count--)
        applet("gzip", "-c");
}

static void md5_big(unsigned long count)
{
    while (count--)
        applet("md5sum", "--");
}

static void mixed(unsigned long count)
{
    static bool checked;
    uint32_t sum = mixed_run(count);
    if (!checked) {
        /* The same work gives the same sum everywhere; a wrong engine must not look fast. */
        checked = true;
        uint32_t one = mixed_run(1);
        if (one != MIXED_SUM) {
            fprintf(stderr, "bench: mixed gives %08x, expected %08x\n", (unsigned)one, (unsigned)MIXED_SUM);
            exit(1);
        }
    }
    result = sum;
}

static const struct {
    const char *name;
    void (*run)(unsigned long);
    double divisor; /* nanoseconds of one unit */
    const char *unit;
    unsigned most_runs; /* 0: as many as asked for */
} figures[] = {
    { "null-syscall", null_syscall, 1e3, "us", 0 },
    { "pipe-roundtrip", pipe_roundtrip, 1e3, "us", 0 },
    { "fork-wait", fork_wait, 1e6, "ms", 0 },
    { "tlb-miss", tlb_miss, 1, "ns", 0 },
    { "integer-loop", integer_loop, 1, "ns", 0 },
    { "load-store", load_store, 1, "ns", 0 },
    { "double-madd", double_madd, 1, "ns", 0 },
    { "memcpy-64k", copy_memory, 1e3, "us", 0 },
    { "mixed", mixed, 1e3, "us", 0 },
    { "md5sum-8m", md5_big, 1e6, "ms", 3 },
    { "gzip-8m", gzip_big, 1e6, "ms", 3 },
};

static double timed(void (*run)(unsigned long), unsigned long count)
{
    double start = now_ns();
    run(count);
    return now_ns() - start;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(size_t index)
{
    unsigned long count = fixed_count ? fixed_count : 1;
    /* Also warms up what a first run has to set up. */
    double taken = timed(figures[index].run, count);
    while (!fixed_count && taken < least_ms * 1e6 && count < 1ul << 30) {
        count *= 2;
        taken = timed(figures[index].run, count);
    }
    unsigned n = runs;
    if (figures[index].most_runs && n > figures[index].most_runs)
        n = figures[index].most_runs;
    double values[64];
    for (unsigned i = 0; i < n; i++)
        values[i] = timed(figures[index].run, count) / (double)count / figures[index].divisor;
    qsort(values, n, sizeof *values, ascending);
    printf("bench: %s %.4g %.4g %s (%u runs of %lu)\n", figures[index].name, values[0], values[n / 2],
           figures[index].unit, n, count);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    bool chosen[sizeof figures / sizeof *figures] = { false }, any = false;
    for (int i = 1; i < argc; i++) {
        bool known = false;
        if (sscanf(argv[i], "runs=%u", &runs) == 1 || sscanf(argv[i], "time=%u", &least_ms) == 1
            || sscanf(argv[i], "count=%lu", &fixed_count) == 1)
            continue;
        for (size_t f = 0; f < sizeof figures / sizeof *figures; f++)
            if (strcmp(argv[i], figures[f].name) == 0)
                known = any = chosen[f] = true;
        if (!known) {
            fprintf(stderr, "bench: no figure is called %s\n", argv[i]);
            return 2;
        }
    }
    if (runs < 1 || runs > 64) {
        fprintf(stderr, "bench: runs must be 1 to 64\n");
        return 2;
    }
    for (size_t f = 0; f < sizeof figures / sizeof *figures; f++)
        if (!any || chosen[f])
            measure(f);
    return 0;
}
