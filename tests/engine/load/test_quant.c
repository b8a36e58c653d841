/*
 * The quantiser against plain double precision: scales, codes, layout, both formats,
 * every width, type and address of the source, and the weights that it refuses. What the
 * kernels do with the result has its own tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/quant.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OUT = 70, MAX_IN = 100, MAX_TILES = 3 * 4, TILE = PANEL * QUANT_GROUP };
enum { PACKED_BYTES = MAX_TILES * (TILE + PANEL * 2) };

static const enum engine_weights asks[] = {ENGINE_WEIGHTS_OWN, ENGINE_WEIGHTS_F32,
                                           ENGINE_WEIGHTS_BF16, ENGINE_WEIGHTS_Q8,
                                           ENGINE_WEIGHTS_Q4};

/* ---- the oracle ------------------------------------------------------------- */

static double half(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return h & 0x8000 ? -x : x;
}

/* The half that is nearest to x >= 0; ties to even. */
static uint16_t nearest_half(double x)
{
    uint16_t lo = 0, hi = 0x7bff;
    while (lo < hi) {
        uint16_t mid = (uint16_t)((lo + hi + 1) / 2);
        if (half(mid) <= x)
            lo = mid;
        else
            hi = (uint16_t)(mid - 1);
    }
    double below = x - half(lo), above = half((uint16_t)(lo + 1)) - x;
    bool up = lo < 0x7bff && (above < below || (above == below && lo % 2));
    return (uint16_t)(lo + up);
}

static int code_at(const struct matrix *m, size_t tile, int o, int k)
{
    const uint8_t *codes = m->panels;
    if (m->type == DTYPE_Q8)
        return codes[tile * TILE + (size_t)((k / 4 * PANEL + o) * 4 + k % 4)];
    uint8_t both =
        codes[tile * TILE / 2 + (size_t)((k % 16 / 4 * PANEL + o) * 4 + k % 4)];
    return k < 16 ? both & 15 : both >> 4;
}

static double value_at(const struct matrix *m, size_t tile, int o, int k)
{
    int code = code_at(m, tile, o, k);
    int q = m->type == DTYPE_Q8 ? code - 128 : quant_levels[code];
    return half(m->scales[tile * PANEL + (size_t)o]) * q;
}

static double level_error(double w, double scale)
{
    double best = INFINITY;
    for (int c = 0; c < 16; c++) {
        double d = w - scale * quant_levels[c];
        best = d * d < best ? d * d : best;
    }
    return best;
}

/* The least squared error of 32 weights over a fine grid of scales of both signs. */
static double best_error(const double *w)
{
    double most = 0, best = INFINITY;
    for (int k = 0; k < QUANT_GROUP; k++)
        most = fabs(w[k]) > most ? fabs(w[k]) : most;
    for (int i = -400; i <= 400; i++) {
        double sum = 0, scale = (i < 0 ? -0.6 : 0.6) * most / 127 + most / 127 * i / 400;
        for (int k = 0; k < QUANT_GROUP; k++)
            sum += level_error(w[k], scale);
        best = sum < best ? sum : best;
    }
    return best;
}

/* ---- sources ---------------------------------------------------------------- */

struct made {
    struct matrix m;
    struct arena arena; /* of codes and scales, each time anew */
    double w[MAX_OUT][MAX_IN];
    char source[1 + MAX_OUT * MAX_IN * 4];
    enum dtype from;
};

static struct made made;
static uint64_t seed = 1;

static double random_unit(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

/* Nearly normal. */
static double random_weight(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += random_unit();
    return sum;
}

/* Stores x as the source's type; w becomes what that type holds. */
static void put(int o, int k, double x)
{
    size_t at = (size_t)(o * made.m.n_in + k);
    float f = (float)x;
    uint32_t u;
    uint16_t h;
    memcpy(&u, &f, 4);
    if (made.from == DTYPE_F32) {
        memcpy(made.source + 1 + 4 * at, &f, 4);
    } else if (made.from == DTYPE_BF16) {
        h = (uint16_t)(u >> 16);
        u &= 0xffff0000;
        memcpy(&f, &u, 4);
        memcpy(made.source + 1 + 2 * at, &h, 2);
    } else {
        h = (uint16_t)(nearest_half(fabs(x)) | (x < 0 ? 0x8000 : 0));
        f = (float)half(h);
        memcpy(made.source + 1 + 2 * at, &h, 2);
    }
    made.w[o][k] = f;
}

static void fill(enum dtype to, enum dtype from, int n_out, int n_in, double spread)
{
    made.from = from;
    made.m = (struct matrix){.type = to, .n_out = n_out, .n_in = n_in};
    memset(made.w, 0, sizeof made.w);
    for (int o = 0; o < n_out; o++)
        for (int k = 0; k < n_in; k++)
            put(o, k, random_weight() * spread);
}

static int open_arena(void **state)
{
    (void)state;
    return arena_fixed(&made.arena, PACKED_BYTES) ? 0 : -1;
}

static int free_arena(void **state)
{
    (void)state;
    arena_free(&made.arena);
    return 0;
}

/* Into memory that is full of other bytes, from one byte behind any alignment. */
static int pack(struct err *err)
{
    arena_release(&made.arena, 0);
    memset(arena_alloc(&made.arena, PACKED_BYTES), 0x55, PACKED_BYTES);
    arena_release(&made.arena, 0);
    return quant_pack(&made.m, &made.arena, made.from, made.source + 1, err);
}

typedef void group_fn(size_t tile, int o, const double *w, int n_k, bool absent);

static void each_group(group_fn *check)
{
    int groups = (made.m.n_in + 31) / 32, panels = (made.m.n_out + 31) / 32;
    for (int p = 0; p < panels; p++)
        for (int g = 0; g < groups; g++)
            for (int o = 0; o < PANEL; o++) {
                double w[QUANT_GROUP] = {0};
                bool absent = 32 * p + o >= made.m.n_out;
                int n_k = made.m.n_in - 32 * g < 32 ? made.m.n_in - 32 * g : 32;
                for (int k = 0; k < n_k && !absent; k++)
                    w[k] = made.w[32 * p + o][32 * g + k];
                check((size_t)(p * groups + g), o, w, n_k, absent);
            }
}

static const int sizes[][2] = {{1, 1}, {31, 33}, {32, 32}, {33, 31}, {70, 100}, {64, 64}};

static void each_source(enum dtype to, group_fn *check)
{
    static const double spreads[] = {0.02, 1, 300};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (enum dtype from = DTYPE_F32; from < DTYPE_FLOATS; from++)
            for (size_t s = 0; s < 3; s++) {
                struct err err = {0};
                fill(to, from, sizes[i][0], sizes[i][1], spreads[s]);
                assert_int_equal(pack(&err), 0);
                each_group(check);
            }
}

/* ---- q8 --------------------------------------------------------------------- */

static double most_of(const double *w)
{
    double most = 0;
    for (int k = 0; k < QUANT_GROUP; k++)
        most = fabs(w[k]) > most ? fabs(w[k]) : most;
    return most;
}

static void check_q8(size_t tile, int o, const double *w, int n_k, bool absent)
{
    uint16_t h = made.m.scales[tile * PANEL + (size_t)o];
    double scale = half(h);
    /* The division by 127 is in f32: at a tie of halves it may fall to either side. */
    double exact = most_of(w) / 127;
    uint16_t lo = nearest_half(exact * (1 - 1e-7)), hi = nearest_half(exact * (1 + 1e-7));
    if (absent)
        assert_int_equal(h, 0);
    else
        assert_true(h == lo || h == hi);
    for (int k = 0; k < QUANT_GROUP; k++) {
        int code = code_at(&made.m, tile, o, k);
        assert_in_range(code, 1, 255);
        if (k >= n_k || absent || scale == 0)
            assert_int_equal(code, 128);
        else if (fabs(fabs(w[k] / scale - rint(w[k] / scale)) - 0.5) > 1e-4)
            assert_int_equal(code - 128, (int)rint(w[k] / scale));
        assert_true(fabs(w[k] - value_at(&made.m, tile, o, k)) <= scale * 0.5001);
    }
}

static void q8_is_the_nearest_code_under_the_nearest_scale(void **state)
{
    (void)state;
    each_source(DTYPE_Q8, check_q8);
}

/* Half of the codes lie exactly between two: the even one is taken. */
static void a_tie_goes_to_the_even_code(void **state)
{
    (void)state;
    struct err err = {0};
    fill(DTYPE_Q8, DTYPE_F32, 32, 32, 0);
    for (int k = 0; k < 32; k++)
        put(0, k, k ? (k - 16) + 0.5 : 127);
    assert_int_equal(pack(&err), 0);
    assert_int_equal(made.m.scales[0], 0x3c00);
    for (int k = 1; k < 32; k++)
        assert_int_equal(code_at(&made.m, 0, 0, k) - 128, (int)rint(k - 16 + 0.5));
}

/* Down where halves are denormal a scale can be far from m / 127. */
static void the_smallest_weights_keep_their_codes_in_range(void **state)
{
    (void)state;
    struct err err = {0};
    for (double most = 1e-10; most < 1e-2; most *= 1.07) {
        fill(DTYPE_Q8, DTYPE_F32, 32, 32, most / 6);
        put(3, 3, most);
        assert_int_equal(pack(&err), 0);
        double scale = half(made.m.scales[3]);
        assert_true(scale > 0 && most <= 127.5 * scale);
        for (int k = 0; k < 32; k++) {
            assert_in_range(code_at(&made.m, 0, 3, k), 1, 255);
            assert_true(fabs(made.w[3][k] - value_at(&made.m, 0, 3, k)) <=
                        scale * 0.5001);
        }
    }
}

/* ---- q4 --------------------------------------------------------------------- */

static double q4_found, q4_best;

static void check_q4(size_t tile, int o, const double *w, int n_k, bool absent)
{
    double scale = half(made.m.scales[tile * PANEL + (size_t)o]), found = 0;
    if (absent || most_of(w) == 0)
        assert_true(scale == 0);
    for (int k = 0; k < QUANT_GROUP; k++) {
        double d = w[k] - value_at(&made.m, tile, o, k);
        if (k >= n_k) {
            assert_int_equal(code_at(&made.m, tile, o, k), 0);
            continue;
        }
        assert_true(d * d <= level_error(w[k], scale) * 1.001 + 1e-9 * scale * scale);
        found += d * d;
    }
    if (n_k < QUANT_GROUP || absent)
        return;
    q4_found += found / (most_of(w) * most_of(w) + 1e-300);
    q4_best += best_error(w) / (most_of(w) * most_of(w) + 1e-300);
}

static void q4_is_the_nearest_level_under_nearly_the_best_scale(void **state)
{
    (void)state;
    q4_found = q4_best = 0;
    each_source(DTYPE_Q4, check_q4);
    assert_true(q4_best > 0);
    if (q4_found > 1.02 * q4_best)
        fail_msg("error %g, the best scales leave %g", q4_found, q4_best);
}

static void levels_are_found_again_exactly_under_either_sign(void **state)
{
    (void)state;
    struct err err = {0};
    for (int sign = -1; sign <= 1; sign += 2) {
        fill(DTYPE_Q4, DTYPE_F32, 32, 32, 0);
        for (int o = 0; o < 32; o++)
            for (int k = 0; k < 32; k++)
                put(o, k, sign * quant_levels[(k + o) % 16] * ldexp(1, o - 16));
        assert_int_equal(pack(&err), 0);
        for (int o = 0; o < 32; o++)
            for (int k = 0; k < 32; k++)
                if (o > 4) /* below, the scale is denormal */
                    assert_true(value_at(&made.m, 0, o, k) == made.w[o][k]);
    }
}

static void one_weight_among_zeros_is_preserved(void **state)
{
    (void)state;
    struct err err = {0};
    static const double ones[] = {1, -1, 3e-5, -7e6, 1e-9};
    fill(DTYPE_Q4, DTYPE_F32, 32, 32, 0);
    for (int o = 0; o < 5; o++)
        put(o, 7 * o % 32, ones[o]);
    assert_int_equal(pack(&err), 0);
    for (int o = 0; o < 5; o++) {
        double at = value_at(&made.m, 0, o, 7 * o % 32);
        if (fabs(ones[o]) > 1e-6)
            assert_true(fabs(at - ones[o]) < 0.02 * fabs(ones[o]));
    }
}

/* ---- both ------------------------------------------------------------------- */

static void a_row_is_scale_times_code(void **state)
{
    (void)state;
    for (enum dtype to = DTYPE_Q8; to <= DTYPE_Q4; to++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct err err = {0};
            fill(to, DTYPE_F32, sizes[i][0], sizes[i][1], 1);
            assert_int_equal(pack(&err), 0);
            int groups = (made.m.n_in + 31) / 32;
            for (int o = 0; o < made.m.n_out; o++) {
                float row[MAX_IN + 1];
                row[made.m.n_in] = 42;
                quant_row(&made.m, o, row);
                for (int k = 0; k < made.m.n_in; k++) {
                    size_t tile = (size_t)(o / 32 * groups + k / 32);
                    float want = (float)value_at(&made.m, tile, o % 32, k % 32);
                    assert_memory_equal(&row[k], &want, sizeof want);
                }
                assert_true(row[made.m.n_in] == 42);
            }
        }
}

static void what_does_not_fit_the_arena_is_refused(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 2 * TILE + 2 * PANEL * 2; bytes += 64) {
        struct err err = {0};
        struct arena small;
        fill(DTYPE_Q8, DTYPE_F32, 33, 32, 1);
        assert_true(arena_fixed(&small, bytes));
        assert_int_equal(quant_pack(&made.m, &small, DTYPE_F32, made.source + 1, &err),
                         -ERR_MEMORY);
        arena_free(&small);
    }
}

static void weights_that_are_no_numbers_or_too_large_are_refused(void **state)
{
    (void)state;
    static const double bad[] = {NAN, INFINITY, -INFINITY, 8.4e6, 1e30};
    for (enum dtype to = DTYPE_Q8; to <= DTYPE_Q4; to++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            struct err err = {0};
            fill(to, DTYPE_F32, 70, 70, 1);
            put(40, 69, bad[i]);
            assert_int_equal(pack(&err), -ERR_FORMAT);
            assert_non_null(strstr(err.text, "row 40"));
            assert_non_null(strstr(err.text, "finite"));
        }
        struct err err = {0};
        fill(to, DTYPE_F32, 70, 70, 1);
        put(40, 69, -8.3e6);
        assert_int_equal(pack(&err), 0);
    }
}

/* Groups whose best scale by least squares is larger than f16 holds. */
static void no_scale_is_infinite(void **state)
{
    const size_t n = (70 + PANEL - 1) / PANEL * 3 * PANEL;
    (void)state;
    static const float levels[] = {106, 82, 65, 50, 36, 24, 13, 2};
    for (enum dtype to = DTYPE_Q8; to <= DTYPE_Q4; to++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct err err = {0};
            fill(to, DTYPE_F32, 70, 70, 1);
            for (size_t k = 0; k < 32; k++) {
                put(3, k, sign * 70000.0 * (double)levels[k % 8]);
                put(9, 32 + k, sign * 7.0 * 0x1p20);
            }
            assert_int_equal(pack(&err), 0);
            for (size_t i = 0; i < n; i++)
                assert_true((made.m.scales[i] & 0x7c00) != 0x7c00);
        }
}

/* ---- floats ----------------------------------------------------------------- */

static uint32_t bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static void bf16_is_rounded_to_the_nearest_even(void **state)
{
    (void)state;
    static const struct {
        uint32_t from;
        uint16_t to;
    } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81},
                 {0x3f818000, 0x3f82}, {0x3f817fff, 0x3f81}, {0x80000000, 0x8000},
                 {0x7f7fffff, 0x7f80}, {0xff800000, 0xff80}, {0x00000001, 0x0000},
                 {0x00018000, 0x0002}, {0xbf80c000, 0xbf81}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x = from_bits(cases[i].from);
        uint16_t y = 0;
        quant_floats(DTYPE_BF16, &y, DTYPE_F32, &x, 1);
        assert_int_equal(y, cases[i].to);
    }
    uint32_t nans[] = {0x7f800001, 0xffc12345};
    for (int i = 0; i < 2; i++) {
        float x = from_bits(nans[i]);
        uint16_t y = 0;
        quant_floats(DTYPE_BF16, &y, DTYPE_F32, &x, 1);
        assert_true(isnan(from_bits((uint32_t)y << 16)));
    }
}

static void halves_become_floats_and_bf16_at_any_length(void **state)
{
    (void)state;
    enum { N = 600 };
    static char source[1 + 2 * N];
    static float wide[N + 1];
    static uint16_t narrow[N + 1];
    for (int n = 0; n <= N; n += 75) {
        for (int i = 0; i < n; i++) {
            uint16_t h = (uint16_t)(i * 97);
            h = (h & 0x7c00) == 0x7c00 ? 0 : h;
            memcpy(source + 1 + 2 * i, &h, 2);
        }
        wide[n] = 42;
        narrow[n] = 42;
        quant_floats(DTYPE_F32, wide, DTYPE_F16, source + 1, (size_t)n);
        quant_floats(DTYPE_BF16, narrow, DTYPE_F16, source + 1, (size_t)n);
        for (int i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, source + 1 + 2 * i, 2);
            assert_true(wide[i] == half(h));
            double step = ldexp(1, ilogb(wide[i] == 0 ? 1 : wide[i]) - 7);
            assert_true(fabs(from_bits((uint32_t)narrow[i] << 16) - wide[i]) <= step / 2);
        }
        assert_true(wide[n] == 42 && narrow[n] == 42);
    }
    float x = 1.5f, y = 0;
    quant_floats(DTYPE_F32, &y, DTYPE_F32, &x, 1);
    assert_int_equal(bits(y), bits(x));
}

/* ---- types by role and size ------------------------------------------------- */

static void roles_and_sizes_decide_the_type(void **state)
{
    (void)state;
    static const enum dtype big[3][5] = {
        [QUANT_MATRIX] = {DTYPE_F16, DTYPE_F32, DTYPE_BF16, DTYPE_Q8, DTYPE_Q4},
        [QUANT_TABLE] = {DTYPE_F16, DTYPE_F32, DTYPE_BF16, DTYPE_Q8, DTYPE_Q8},
        [QUANT_EXACT] = {DTYPE_F16, DTYPE_F32, DTYPE_F16, DTYPE_F16, DTYPE_F16}};
    for (int role = 0; role < 3; role++)
        for (int i = 0; i < 5; i++) {
            struct quant_use use = {(enum quant_role)role, DTYPE_F16, 32, 4096};
            enum dtype whole = quant_target(asks[i], &use);
            assert_int_equal(whole, big[role][i]);
            use.n_in = 4095;
            assert_int_equal(quant_target(asks[i], &use),
                             whole == DTYPE_Q4 ? DTYPE_Q8 : whole);
            use.n_in = 1 << 20;
            use.n_out = 31;
            assert_int_equal(quant_target(asks[i], &use),
                             whole >= DTYPE_FLOATS ? DTYPE_F16 : whole);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q8_is_the_nearest_code_under_the_nearest_scale),
        cmocka_unit_test(a_tie_goes_to_the_even_code),
        cmocka_unit_test(the_smallest_weights_keep_their_codes_in_range),
        cmocka_unit_test(q4_is_the_nearest_level_under_nearly_the_best_scale),
        cmocka_unit_test(levels_are_found_again_exactly_under_either_sign),
        cmocka_unit_test(one_weight_among_zeros_is_preserved),
        cmocka_unit_test(a_row_is_scale_times_code),
        cmocka_unit_test(what_does_not_fit_the_arena_is_refused),
        cmocka_unit_test(weights_that_are_no_numbers_or_too_large_are_refused),
        cmocka_unit_test(no_scale_is_infinite),
        cmocka_unit_test(bf16_is_rounded_to_the_nearest_even),
        cmocka_unit_test(halves_become_floats_and_bf16_at_any_length),
        cmocka_unit_test(roles_and_sizes_decide_the_type),
    };
    return cmocka_run_group_tests(tests, open_arena, free_arena);
}
