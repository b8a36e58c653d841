/*
 * Checks a case: the C set's outputs, then those of every level at two places, once right
 * after and once right before an untouchable page, with guard bytes on the other side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/compare.h"

#include "tests/kernels/input.h"
#include "tests/kernels/memory.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { GUARD_BYTES = 256, GUARD = 0xa5 };

static const struct levels *levels;
static struct totals totals;
static struct region wanted[CASE_OUTPUTS], gotten[CASE_OUTPUTS];
static char running[200]; /* what a signal interrupts */

static void on_signal(int number)
{
    (void)number;
    ssize_t n = write(STDOUT_FILENO, running, strlen(running));
    (void)n;
    _exit(1);
}

void compare_open(const struct levels *l)
{
    levels = l;
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    signal(SIGILL, on_signal);
}

void compare_begin(void)
{
    totals = (struct totals){.digest = 0xcbf29ce484222325u};
}

const struct totals *compare_totals(void)
{
    return &totals;
}

/* ---- outputs ---------------------------------------------------------------- */

/* Where output o lies in its region: behind the guard, or before it. */
static char *place(struct region *r, const struct output *o, bool low)
{
    char *all = memory_place(r, o->n_bytes + GUARD_BYTES, low);
    char *at = low ? all : all + GUARD_BYTES;
    memset(all, GUARD, o->n_bytes + GUARD_BYTES);
    if (o->start)
        memcpy(at, o->start, o->n_bytes);
    return at;
}

static void run_at(const struct subject *s, const struct kernel_case *c, struct region *r,
                   const struct kernels *k, bool low, char *out[CASE_OUTPUTS])
{
    void *given[CASE_OUTPUTS];
    bool reference = r == wanted && s->reference;
    for (int i = 0; i < CASE_OUTPUTS; i++)
        given[i] = out[i] = c->out[i].n_bytes ? place(&r[i], &c->out[i], low) : NULL;
    snprintf(running, sizeof running,
             "FAIL %s, %s, %s: touched memory that is not its own, or died otherwise\n",
             s->name, k->name, c->size);
    (reference ? s->reference : s->run)(k, c->args, given);
}

static bool guard_broken(const char *out, const struct output *o, bool low)
{
    const char *guard = low ? out + o->n_bytes : out - GUARD_BYTES;
    for (int i = 0; i < GUARD_BYTES; i++)
        if ((uint8_t)guard[i] != GUARD)
            return true;
    return false;
}

static void settle_f16(char *at, size_t n_bytes)
{
    for (uint16_t h; n_bytes >= sizeof h; n_bytes -= sizeof h, at += sizeof h) {
        memcpy(&h, at, sizeof h);
        h = (h & 0x7fff) > 0x7c00 ? 0x7e00 : h;
        memcpy(at, &h, sizeof h);
    }
}

/* Every float at `first`, and every `step` bytes on. */
static void settle_f32(char *at, size_t n_bytes, size_t first, size_t step)
{
    uint32_t u;
    for (size_t i = first; i + sizeof u <= n_bytes; i += step) {
        memcpy(&u, at + i, sizeof u);
        u = (u & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : u;
        memcpy(at + i, &u, sizeof u);
    }
}

/* Which NaN it is no set promises: all become one. */
static void settle(char *out, const struct output *o)
{
    if (o->unit == UNIT_F16)
        settle_f16(out, o->n_bytes);
    if (o->unit == UNIT_F32)
        settle_f32(out, o->n_bytes, 0, sizeof(float));
    if (o->unit == UNIT_GROUPS)
        settle_f32(out, o->n_bytes, offsetof(struct quant_group, scale),
                   sizeof(struct quant_group));
}

/* ---- comparison ------------------------------------------------------------- */

static void add_digest(const char *out, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        totals.digest = (totals.digest ^ (uint8_t)out[i]) * 0x100000001b3u;
}

static char reason[120]; /* what is wrong with the last output that is */

static bool wrong(const struct output *o, const char *want, char *got, bool low)
{
    static const size_t width[UNIT_N] = {1, 2, 4, 1};
    if (guard_broken(got, o, low)) {
        snprintf(reason, sizeof reason, "wrote %s its output", low ? "behind" : "before");
        return true;
    }
    settle(got, o);
    if (memcmp(want, got, o->n_bytes) == 0)
        return false;
    size_t at = 0, step = width[o->unit];
    while (memcmp(want + at, got + at, step) == 0)
        at += step;
    uint32_t a = 0, b = 0;
    memcpy(&a, want + at, step);
    memcpy(&b, got + at, step);
    snprintf(reason, sizeof reason, "element %zu of %zu: C gives 0x%0*x, this set 0x%0*x",
             at / step, o->n_bytes / step, (int)(2 * step), a, (int)(2 * step), b);
    return true;
}

/* At both places; the outputs before an untouchable page count for the digest. */
static bool level_fails(const struct subject *s, const struct kernel_case *c, int level,
                        char *const want[CASE_OUTPUTS])
{
    for (int low = 1; low >= 0; low--) {
        char *got[CASE_OUTPUTS];
        run_at(s, c, gotten, levels->set[level], low, got);
        for (int i = 0; i < CASE_OUTPUTS && got[i]; i++) {
            if (wrong(&c->out[i], want[i], got[i], low))
                return true;
            if (level == levels->n - 1 && !low)
                add_digest(got[i], c->out[i].n_bytes);
        }
    }
    return false;
}

static void tell(const struct subject *s, const struct kernel_case *c, int level)
{
    if (totals.failed[level]++ == 0)
        printf("FAIL %s, %s, case %u, %s: %s\n", s->name, levels->set[level]->name,
               totals.n_cases, c->size, reason);
}

void compare_case(const struct subject *s, const struct kernel_case *c)
{
    char *want[CASE_OUTPUTS];
    input_lock();
    run_at(s, c, wanted, &kernel_c, false, want);
    for (int i = 0; i < CASE_OUTPUTS && want[i]; i++)
        settle(want[i], &c->out[i]);
    for (int level = 0; level < levels->n; level++)
        if (level_fails(s, c, level, want))
            tell(s, c, level);
    totals.n_cases++;
}
