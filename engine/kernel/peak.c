/*
 * The loops. Each is written in assembler, so that no compiler removes the work, over ten
 * independent chains, which saturate two units of a latency up to five. All operands of
 * arithmetic are ones: the chains' final values count the operations that were done.
 * Reading has no such check.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/peak.h"

#include "engine/base/mem.h"
#include "engine/kernel/cpu.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    BUFFER_BYTES = 256 << 20,
    PIECE_BYTES = 1 << 20, /* of a reading task */
    TASKS = 16, /* of arithmetic, for each thread: others take over from a slow one */
    CHAINS = 10,
    LINE = 64
};

/* A loop of n rounds of CHAINS instruction groups; returns the sum of their first lanes.
 * each: what one group adds there; ops: its operations. */
struct loop {
    int (*run)(long n);
    int each;
    double ops;
};

/* Operands that are one: a float, four bytes. */
enum { ONE = 0x3f800000, ONES = 0x01010101 };

#if defined(__x86_64__)

/* clang-format off */
#define TEN(GROUP) \
    GROUP("0") GROUP("1") GROUP("2") GROUP("3") GROUP("4") \
    GROUP("5") GROUP("6") GROUP("7") GROUP("8") GROUP("9")
/* clang-format on */
#define REGISTERS                                                                        \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",      \
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

#define FMA_512(I) "vfmadd231ps %%zmm10, %%zmm10, %%zmm" I "\n\t"
#define FMA_256(I) "vfmadd231ps %%ymm10, %%ymm10, %%ymm" I "\n\t"
#define DOT_512(I) "vpdpbusd %%zmm10, %%zmm10, %%zmm" I "\n\t"
#define DOT_256(I) "%{vex%} vpdpbusd %%ymm10, %%ymm10, %%ymm" I "\n\t"
/* Exact as long as one operand is below 128 in size: then no pair of vpmaddubsw
 * saturates. */
#define PAIR_512(I)                                                                      \
    "vpmaddubsw %%zmm10, %%zmm10, %%zmm11\n\tvpmaddwd %%zmm10, %%zmm11, "                \
    "%%zmm11\n\tvpaddd %%zmm11, %%zmm" I ", %%zmm" I "\n\t"
#define PAIR_256(I)                                                                      \
    "vpmaddubsw %%ymm10, %%ymm10, %%ymm11\n\tvpmaddwd %%ymm10, %%ymm11, "                \
    "%%ymm11\n\tvpaddd %%ymm11, %%ymm" I ", %%ymm" I "\n\t"

enum { PAIR_EACH = 2 * 2 * 0x0101 }; /* the second operand is bytes of one, too */

/* Sums of the chains, in the first lane of register 11. */
#define ADD_FLOATS(I)   "vaddss %%xmm" I ", %%xmm11, %%xmm11\n\t"
#define ADD_INTEGERS(I) "vpaddd %%xmm" I ", %%xmm11, %%xmm11\n\t"

#define LOOP(NAME, TARGET, WIDE, GROUP, OPERAND, ADD, TAKE)                              \
    __attribute__((target(TARGET), noinline)) static int NAME(long n)                    \
    {                                                                                    \
        int sum = OPERAND;                                                               \
        __asm__ volatile("vzeroall\n\tvmovd %0, %%xmm10\n\t"                             \
                         "vpbroadcastd %%xmm10, %%" WIDE "10" ::"r"(sum)                 \
                         : REGISTERS);                                                   \
        for (; n > 0; n--)                                                               \
            __asm__ volatile(TEN(GROUP)::: REGISTERS);                                   \
        __asm__ volatile("vpxor %%xmm11, %%xmm11, %%xmm11\n\t" TEN(ADD) TAKE             \
                         " %%xmm11, %0\n\tvzeroupper"                                    \
                         : "=r"(sum)::REGISTERS);                                        \
        return sum;                                                                      \
    }

LOOP(fma_512, "avx512f", "zmm", FMA_512, ONE, ADD_FLOATS, "vcvttss2si")
LOOP(fma_256, "avx2,fma", "ymm", FMA_256, ONE, ADD_FLOATS, "vcvttss2si")
LOOP(dot_512, "avx512f,avx512vnni", "zmm", DOT_512, ONES, ADD_INTEGERS, "vmovd")
LOOP(dot_256, "avx2,avxvnni", "ymm", DOT_256, ONES, ADD_INTEGERS, "vmovd")
LOOP(pair_512, "avx512bw", "zmm", PAIR_512, ONES, ADD_INTEGERS, "vmovd")
LOOP(pair_256, "avx2", "ymm", PAIR_256, ONES, ADD_INTEGERS, "vmovd")

__attribute__((target("sse2"))) static void read_128(const char *p, size_t n)
{
    for (const char *end = p + n; p < end; p += 2 * LINE)
        __asm__ volatile("movaps (%0), %%xmm0\n\tmovaps 16(%0), %%xmm1\n\t"
                         "movaps 32(%0), %%xmm2\n\tmovaps 48(%0), %%xmm3\n\t"
                         "movaps 64(%0), %%xmm4\n\tmovaps 80(%0), %%xmm5\n\t"
                         "movaps 96(%0), %%xmm6\n\tmovaps 112(%0), %%xmm7" ::"r"(p)
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "memory");
}

__attribute__((target("avx512f"))) static void read_512(const char *p, size_t n)
{
    for (const char *end = p + n; p < end; p += 4 * LINE)
        __asm__ volatile("vmovaps (%0), %%zmm0\n\tvmovaps 64(%0), %%zmm1\n\t"
                         "vmovaps 128(%0), %%zmm2\n\tvmovaps 192(%0), %%zmm3" ::"r"(p)
                         : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

static struct loop f32_loop(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return (struct loop){fma_512, 1, 32};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct loop){fma_256, 1, 16};
    return (struct loop){NULL, 0, 0};
}

/* As in cpu.c: a compiler's own list of extensions need not have this one. */
static bool has_avxvnni(void)
{
    const struct kernels *k;
    struct err err;
    return cpu_kernels(&k, "avxvnni", &err) == 0;
}

static struct loop int8_loop(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni"))
        return (struct loop){dot_512, 4, 128};
    if (has_avxvnni())
        return (struct loop){dot_256, 4, 64};
    if (__builtin_cpu_supports("avx512bw"))
        return (struct loop){pair_512, PAIR_EACH, 128};
    if (__builtin_cpu_supports("avx2"))
        return (struct loop){pair_256, PAIR_EACH, 64};
    return (struct loop){NULL, 0, 0};
}

static void read_piece(const char *p, size_t n)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        read_512(p, n);
    else
        read_128(p, n);
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

/* clang-format off */
#define TEN(GROUP) \
    GROUP("0") GROUP("1") GROUP("2") GROUP("3") GROUP("4") \
    GROUP("5") GROUP("6") GROUP("7") GROUP("16") GROUP("17")
/* clang-format on */
#define REGISTERS                                                                        \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19"

/* sdot is written as its machine code: not every assembler has the extension. */
#define FMLA(I)  "fmla v" I ".4s, v18.4s, v18.4s\n\t"
#define SDOT(I)  ".inst 0x4e929640 + " I "\n\t"
#define WIDEN(I) "smull v19.8h, v18.8b, v18.8b\n\tsadalp v" I ".4s, v19.8h\n\t"

#define CLEAR(I)        "movi v" I ".4s, #0\n\t"

/* Sums of the chains, in the first lane of register 19. */
#define ADD_FLOATS(I)   "fadd v19.4s, v19.4s, v" I ".4s\n\t"
#define ADD_INTEGERS(I) "add v19.4s, v19.4s, v" I ".4s\n\t"

#define LOOP(NAME, GROUP, OPERAND, ADD, TAKE)                                            \
    __attribute__((noinline)) static int NAME(long n)                                    \
    {                                                                                    \
        int sum = OPERAND;                                                               \
        __asm__ volatile(TEN(CLEAR) "dup v18.4s, %w0" ::"r"(sum) : REGISTERS);           \
        for (; n > 0; n--)                                                               \
            __asm__ volatile(TEN(GROUP)::: REGISTERS);                                   \
        __asm__ volatile("movi v19.4s, #0\n\t" TEN(ADD) TAKE " %w0, s19"                 \
                         : "=r"(sum)::REGISTERS);                                        \
        return sum;                                                                      \
    }

/* clang-format off */
LOOP(fma_128, FMLA, ONE, ADD_FLOATS, "fcvtzs")
LOOP(dot_128, SDOT, ONES, ADD_INTEGERS, "fmov")
LOOP(widen_64, WIDEN, ONES, ADD_INTEGERS, "fmov")
/* clang-format on */

static struct loop f32_loop(void)
{
    return (struct loop){fma_128, 1, 8};
}

static struct loop int8_loop(void)
{
    enum { HAS_DOTPROD = 1 << 20 }; /* HWCAP_ASIMDDP */
    return getauxval(AT_HWCAP) & HAS_DOTPROD ? (struct loop){dot_128, 4, 32}
                                             : (struct loop){widen_64, 2, 16};
}

static void read_piece(const char *p, size_t n)
{
    for (const char *end = p + n; p < end; p += LINE)
        __asm__ volatile("ldp q0, q1, [%0]\n\tldp q2, q3, [%0, #32]" ::"r"(p)
                         : "v0", "v1", "v2", "v3", "memory");
}

#else

static struct loop f32_loop(void)
{
    return (struct loop){NULL, 0, 0};
}

static struct loop int8_loop(void)
{
    return (struct loop){NULL, 0, 0};
}

static void read_piece(const char *p, size_t n)
{
    const volatile uint64_t *x = (const volatile void *)p;
    for (size_t i = 0; i < n / sizeof *x; i++)
        (void)x[i];
}

#endif

int peak_open(struct peak *peak, struct err *err)
{
    if (peak->buffer)
        return 0;
    peak->buffer = mem_alloc(BUFFER_BYTES);
    if (!peak->buffer)
        return err_set(err, ERR_MEMORY, "out of memory for %d bytes to read",
                       (int)BUFFER_BYTES);
    memset(peak->buffer, 1,
           BUFFER_BYTES); /* pages never written would all be one page of zeros */
    return 0;
}

void peak_close(struct peak *peak)
{
    mem_free(peak->buffer);
    peak->buffer = NULL;
}

static void read_task(void *arg, int task, int thread)
{
    (void)thread;
    read_piece((const char *)arg + (size_t)task * PIECE_BYTES, PIECE_BYTES);
}

struct rounds {
    struct loop loop;
    long n;
    atomic_llong sum; /* of the loops' results, each below 2^31 */
};

static void loop_task(void *arg, int task, int thread)
{
    (void)task;
    (void)thread;
    struct rounds *r = arg;
    atomic_fetch_add(&r->sum, r->loop.run(r->n));
}

double peak_run(const struct peak *peak, struct pool *p, enum engine_peak kind)
{
    if (kind == ENGINE_PEAK_READ) {
        pool_run(p, read_task, peak->buffer, BUFFER_BYTES / PIECE_BYTES);
        return BUFFER_BYTES;
    }
    struct rounds r = {kind == ENGINE_PEAK_F32 ? f32_loop() : int8_loop(), 20000, 0};
    if (!r.loop.run)
        return 0;
    pool_run(p, loop_task, &r, TASKS * pool_threads(p));
    return (double)(r.sum / r.loop.each) * r.loop.ops;
}
