/*
 * Quantises one tile at a time: the 32 inputs of a group by the 32 outputs of a panel,
 * outputs along the lanes. An output is then a column, sums run over the inputs in
 * ascending order, and the compiler vectorises the inner loops without changing a bit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/quant.h"

#include <math.h>
#include <string.h>

enum { F16_INF = 0x7c00 };

enum dtype quant_target(enum engine_weights ask, const struct quant_use *u)
{
    bool never = u->role == QUANT_EXACT || u->n_out < QUANT_MIN_OUT;
    bool small = (int64_t)u->n_out * u->n_in < QUANT_SMALL;
    switch (ask) {
    case ENGINE_WEIGHTS_F32:
        return DTYPE_F32;
    case ENGINE_WEIGHTS_BF16:
        return u->role == QUANT_EXACT ? u->own : DTYPE_BF16;
    case ENGINE_WEIGHTS_Q8:
        return never ? u->own : DTYPE_Q8;
    case ENGINE_WEIGHTS_Q4:
        if (never)
            return u->own;
        return u->role == QUANT_TABLE || small ? DTYPE_Q8 : DTYPE_Q4;
    default:
        return u->own;
    }
}

const char *quant_name(enum dtype type)
{
    static const char *const names[DTYPE_N] = {[DTYPE_F32] = "f32",
                                               [DTYPE_F16] = "f16",
                                               [DTYPE_BF16] = "bf16",
                                               [DTYPE_Q8] = "q8",
                                               [DTYPE_Q4] = "q4"};
    return names[type];
}

/* ---- floats ----------------------------------------------------------------- */

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float from_f16(uint16_t h)
{
    float x;
    kernel_c.widen[DTYPE_F16](&h, 1, &x);
    return x;
}

/* To the nearest, ties to even; infinity beyond the range and for a NaN. */
static uint16_t to_f16(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, rest = u & 0x7fffffff;
    if (rest < 0x38800000) /* below 2^-14 in steps of 2^-24, the ulp of 0.5 */
        return (uint16_t)(sign | (bits_of(fabsf(x) + 0.5f) - 0x3f000000));
    uint32_t h = (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13;
    return (uint16_t)(sign | (h < F16_INF ? h : F16_INF));
}

static uint16_t to_bf16(float x)
{
    uint32_t u = bits_of(x);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40); /* a NaN stays one */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

void quant_floats(enum dtype to, void *dst, enum dtype from, const void *src, size_t n)
{
    enum { PIECE = 256 };
    float piece[PIECE];
    const char *s = src;
    size_t width = dtype_bytes(from);
    for (size_t at = 0; at < n; at += PIECE) {
        size_t m = n - at < PIECE ? n - at : PIECE;
        kernel_c.widen[from](s + at * width, m, piece);
        if (to == DTYPE_F32)
            memcpy((float *)dst + at, piece, m * sizeof *piece);
        else
            for (size_t i = 0; i < m; i++)
                ((uint16_t *)dst)[at + i] = to_bf16(piece[i]);
    }
}

/* ---- a tile ----------------------------------------------------------------- */

struct tile {
    float w[QUANT_GROUP][PANEL]; /* padding is 0 */
    float most[PANEL];           /* max |w| of each output; NaN or infinite if one is */
    int n_k;                     /* inputs that are not padding */
};

struct source {
    const char *w;
    enum dtype type;
    size_t n_out, n_in;
};

static void tile_load(struct tile *t, const struct source *s, size_t panel, size_t group)
{
    size_t o0 = panel * PANEL, k0 = group * QUANT_GROUP;
    size_t n_o = s->n_out - o0 < PANEL ? s->n_out - o0 : PANEL;
    size_t n_k = s->n_in - k0 < QUANT_GROUP ? s->n_in - k0 : QUANT_GROUP;
    size_t width = dtype_bytes(s->type);
    float row[QUANT_GROUP];
    t->n_k = (int)n_k;
    if (n_o < PANEL || n_k < QUANT_GROUP)
        memset(t->w, 0, sizeof t->w);
    for (size_t o = 0; o < n_o; o++) {
        kernel_c.widen[s->type](s->w + ((o0 + o) * s->n_in + k0) * width, n_k, row);
        for (size_t k = 0; k < n_k; k++)
            t->w[k][o] = row[k];
    }
}

/* The bits of magnitudes have the order of magnitudes, with infinities and NaNs above. */
static void tile_measure(struct tile *t)
{
    int32_t most[PANEL] = {0};
    for (int k = 0; k < QUANT_GROUP; k++)
        for (int o = 0; o < PANEL; o++) {
            int32_t u;
            memcpy(&u, &t->w[k][o], sizeof u);
            u &= 0x7fffffff;
            most[o] = u > most[o] ? u : most[o];
        }
    memcpy(t->most, most, sizeof most);
}

static int tile_check(const struct tile *t, size_t panel, struct err *err)
{
    for (int o = 0; o < PANEL; o++)
        if (to_f16(t->most[o] / 127.0f) >= F16_INF)
            return err_set(err, ERR_FORMAT,
                           "row %zu: expected finite weights up to 8e6 to quantise, "
                           "found %g",
                           panel * PANEL + (size_t)o, (double)t->most[o]);
    return 0;
}

/* ---- q8 --------------------------------------------------------------------- */

/* The f16 nearest to m / 127, or the next one where a code would leave ±127, which
 * happens among the denormals. */
static uint16_t q8_scale(float m)
{
    uint16_t h = to_f16(m / 127.0f);
    return m > 0 && m >= 127.5f * from_f16(h) ? (uint16_t)(h + 1) : h;
}

static void q8_tile(const struct tile *t, uint8_t *codes, uint16_t *scales)
{
    /* Adding it leaves the nearest integer in the low bits, ties to even. */
    const float round = 0x1.8p23f;
    float scale[PANEL];
    for (int o = 0; o < PANEL; o++) {
        scales[o] = q8_scale(t->most[o]);
        scale[o] = scales[o] ? from_f16(scales[o]) : 1.0f;
    }
    for (int k = 0; k < QUANT_GROUP; k++)
        for (int o = 0; o < PANEL; o++) {
            float x = t->w[k][o] / scale[o] + round;
            uint32_t u;
            memcpy(&u, &x, sizeof u);
            codes[(k / 4 * PANEL + o) * 4 + k % 4] = (uint8_t)(u + 128);
        }
}

/* ---- q4 --------------------------------------------------------------------- */

/* The nearest level of x by a table over steps of a half, where all boundaries lie. */
enum { STEPS = 1024, STEP_ZERO = STEPS / 2 };

struct nearest {
    float level[STEPS];
    uint8_t code[STEPS];
};

static void nearest_make(struct nearest *n)
{
    for (int i = 0, c = 0; i < STEPS; i++) {
        /* Step i is x from (i - 512) / 2 up to the next half. */
        while (c < 15 && i - STEP_ZERO >= quant_levels[c] + quant_levels[c + 1])
            c++;
        n->code[i] = (uint8_t)c;
        n->level[i] = quant_levels[c];
    }
}

/* Clamped: beyond the table the last level is nearest. Denormal scales lead there. */
static int step_of(float x)
{
    x = x < 255.0f ? x : 255.0f;
    x = x > -255.0f ? x : -255.0f;
    return (int)(x * 2.0f + (float)STEP_ZERO);
}

static void inverses(const uint16_t *scale, float *s, float *inverse)
{
    for (int o = 0; o < PANEL; o++) {
        s[o] = from_f16(scale[o]);
        inverse[o] = s[o] != 0 ? 1.0f / s[o] : 0.0f;
    }
}

/* Σ w q and Σ q q of each output, q the levels that are nearest to w * inverse. */
struct sums {
    float wq[PANEL], qq[PANEL];
};

static void sums_of(struct sums *x, const struct tile *t, const struct nearest *n,
                    const float *inverse)
{
    *x = (struct sums){{0}, {0}};
    for (int k = 0; k < t->n_k; k++)
        for (int o = 0; o < PANEL; o++) {
            float w = t->w[k][o], q = n->level[step_of(w * inverse[o])];
            x->wq[o] += w * q;
            x->qq[o] += q * q;
        }
}

/* False for a NaN, and for a value whose nearest f16 is infinite. */
static bool is_f16(float x)
{
    return fabsf(x) < 65520.0f;
}

/* Of 18 scales, the one whose codes leave the least squared error when the scale of least
 * squares, Σ w q / Σ q q, takes its place; (Σ w q)² / Σ q q is the part
 * of Σ w² that they explain. */
static void search_scale(const struct tile *t, const struct nearest *n, uint16_t *scale)
{
    enum { FACTORS = 9 };
    float best[PANEL], fit[PANEL] = {0};
    struct sums x;
    for (int o = 0; o < PANEL; o++)
        best[o] = -1;
    for (int i = 0; i < 2 * FACTORS; i++) {
        float factor = 0.76f + 0.0775f * (float)(i / 2), inverse[PANEL];
        for (int o = 0; o < PANEL; o++)
            inverse[o] =
                t->most[o] > 0 ? (i % 2 ? -127 : 127) / (t->most[o] * factor) : 0;
        sums_of(&x, t, n, inverse);
        for (int o = 0; o < PANEL; o++) {
            float scale_o = x.wq[o] / x.qq[o], explained = x.wq[o] * scale_o;
            bool better = explained > best[o] && is_f16(scale_o);
            fit[o] = better ? scale_o : fit[o];
            best[o] = better ? explained : best[o];
        }
    }
    for (int o = 0; o < PANEL; o++)
        scale[o] = to_f16(fit[o]);
}

/* The scale of least squares for the codes of the given one, where an f16 can hold it. */
static void refine_scale(const struct tile *t, const struct nearest *n, uint16_t *scale)
{
    float s[PANEL], inverse[PANEL];
    struct sums x;
    inverses(scale, s, inverse);
    sums_of(&x, t, n, inverse);
    for (int o = 0; o < PANEL; o++) {
        float fit = x.wq[o] / x.qq[o];
        scale[o] = is_f16(fit) ? to_f16(fit) : scale[o];
    }
}

static void q4_tile(const struct tile *t, const struct nearest *n, uint8_t *codes,
                    uint16_t *scales)
{
    float s[PANEL], inverse[PANEL];
    search_scale(t, n, scales);
    refine_scale(t, n, scales);
    inverses(scales, s, inverse);
    memset(codes, 0, matrix_tile_bytes(DTYPE_Q4));
    for (int k = 0; k < t->n_k; k++)
        for (int o = 0; o < PANEL; o++) {
            int code = n->code[step_of(t->w[k][o] * inverse[o])];
            uint8_t *at = codes + (k % 16 / 4 * PANEL + o) * 4 + k % 4;
            *at = (uint8_t)(*at | code << (k < 16 ? 0 : 4));
        }
}

/* ---- a matrix --------------------------------------------------------------- */

int quant_room(struct matrix *m, struct arena *a, struct err *err)
{
    size_t code_bytes = matrix_panel_bytes(m), scale_bytes = matrix_scale_bytes(m);
    m->panels = arena_alloc(a, code_bytes);
    m->scales = arena_alloc(a, scale_bytes);
    if (m->panels && m->scales)
        return 0;
    return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of codes and scales",
                   code_bytes + scale_bytes);
}

int quant_panels(const struct matrix *m, enum dtype from, const void *rows, int first,
                 int end, struct err *err)
{
    const struct source s = {rows, from, (size_t)m->n_out, (size_t)m->n_in};
    size_t groups = matrix_groups(m->n_in), at = (size_t)first * groups;
    uint8_t *codes = (uint8_t *)(uintptr_t)m->panels + at * matrix_tile_bytes(m->type);
    uint16_t *scales = (uint16_t *)(uintptr_t)m->scales + at * PANEL;
    struct nearest nearest;
    struct tile t;
    nearest_make(&nearest);
    for (size_t p = (size_t)first; p < (size_t)end; p++)
        for (size_t g = 0; g < groups; g++) {
            tile_load(&t, &s, p, g);
            tile_measure(&t);
            int rc = tile_check(&t, p, err);
            if (rc)
                return rc;
            if (m->type == DTYPE_Q8)
                q8_tile(&t, codes, scales);
            else
                q4_tile(&t, &nearest, codes, scales);
            codes += matrix_tile_bytes(m->type);
            scales += PANEL;
        }
    return 0;
}

int quant_pack(struct matrix *m, struct arena *a, enum dtype from, const void *rows,
               struct err *err)
{
    int rc = quant_room(m, a, err);
    return rc ? rc : quant_panels(m, from, rows, 0, matrix_panels(m->n_out), err);
}

void quant_row(const struct matrix *m, int row, float *out)
{
    size_t tile_bytes = matrix_tile_bytes(m->type), o = (size_t)(row % PANEL);
    size_t tile = (size_t)(row / PANEL) * matrix_groups(m->n_in);
    for (size_t k = 0; k < (size_t)m->n_in; k++) {
        size_t g = tile + k / QUANT_GROUP, in = k % QUANT_GROUP;
        const uint8_t *c = (const uint8_t *)m->panels + g * tile_bytes;
        float scale = from_f16(m->scales[g * PANEL + o]);
        int q;
        if (m->type == DTYPE_Q8)
            q = c[(in / 4 * PANEL + o) * 4 + in % 4] - 128;
        else
            q = quant_levels[c[(in % 16 / 4 * PANEL + o) * 4 + in % 4] >>
                                 (in < 16 ? 0 : 4) &
                             15];
        out[k] = scale * (float)q;
    }
}
