/*
 * Body shared by the vector sets: the product of quantised rows with q8 and q4 weights.
 *
 * A set defines a few operations on integers: broadcasting four bytes of a row (v_quad),
 * loading the weights of 16 outputs and 4 k in the dot product's order (v_codes,
 * v_codes_q4), the start of a sum (v_begin), the dot product (v_dot) and converting sums
 * to floats (v_float).
 *
 * A block of up to 32 rows runs through a panel group by group, so that the weights are
 * read once, in order, and all rows read a group of them from the L1 cache. Between
 * groups the float chains are stored in memory, which is exact. Registers hold the
 * integer sums of a tile, a few rows of the block times one or both halves of the panel,
 * and, where a set has 32 registers, all weights of the group from tile to tile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

enum {
    QUANT_PIECE = PANEL * 4, /* bytes of 4 k of a panel, or of 8 in q4 */
    QUANT_FEW = 4            /* rows that are bound by memory */
};

/* A panel, and a block of rows. */
struct quant_block {
    const uint8_t *codes;
    const uint16_t *scales;
    const struct quant_group *q;
    const float *bias; /* of the panel, or NULL */
    float *y;          /* the first row at the panel's first output */
    size_t ldy, n_groups;
    size_t n_bytes; /* of codes from here on, still to be read */
    size_t fetched; /* of these, prefetched already */
    size_t n_out;   /* <= 32 of the panel */
    int n_rows;     /* <= QUANT_BLOCK */
};

INLINE size_t quant_bytes(enum dtype type) /* of a group's codes */
{
    return (size_t)(QUANT_GROUP * PANEL) / (type == DTYPE_Q8 ? 1 : 2);
}

/* The dot products of 4 k, of each row's bytes with these weights. */
INLINE void quant_dots(ivec s[][2], const vcodes w[2], const struct quant_group *q,
                       size_t k, int rows, int halves)
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        vquad x = v_quad(q[r].q + k);
        UNROLL
        for (int h = 0; h < halves; h++)
            s[r][h] = v_dot(s[r][h], w[h], x);
    }
}

INLINE void quant_group_q8(ivec s[][2], const uint8_t *codes, const struct quant_group *q,
                           int rows, int halves)
{
    UNROLL
    for (int j = 0; j < QUANT_GROUP / 4; j++) {
        vcodes w[2];
        UNROLL
        for (int h = 0; h < halves; h++)
            w[h] = v_codes(codes + j * QUANT_PIECE + h * (QUANT_PIECE / 2));
        quant_dots(s, w, q, (size_t)(4 * j), rows, halves);
    }
}

INLINE void quant_group_q4(ivec s[][2], const uint8_t *codes, const struct quant_group *q,
                           int rows, int halves)
{
    UNROLL
    for (int j = 0; j < QUANT_GROUP / 8; j++) {
        vcodes low[2], high[2];
        UNROLL
        for (int h = 0; h < halves; h++)
            v_codes_q4(codes + j * QUANT_PIECE + h * (QUANT_PIECE / 2), &low[h],
                       &high[h]);
        quant_dots(s, low, q, (size_t)(4 * j), rows, halves);
        quant_dots(s, high, q, (size_t)(4 * j + QUANT_GROUP / 2), rows, halves);
    }
}

/* Adds one group's products with `rows` rows to the sums of one or both halves. */
INLINE void quant_half(const uint8_t *codes, const uint16_t *scales,
                       const struct quant_group *q, float *sum, int rows, int halves,
                       enum dtype type)
{
    ivec s[QUANT_ROWS][2];
    UNROLL
    for (int r = 0; r < rows; r++)
        s[r][0] = s[r][1] = v_begin(q[r].offset);
    if (type == DTYPE_Q8)
        quant_group_q8(s, codes, q, rows, halves);
    else
        quant_group_q4(s, codes, q, rows, halves);
    UNROLL
    for (int h = 0; h < halves; h++) {
        vec w = v_load_f16(scales + h * LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            float *at = sum + r * PANEL + h * LANES;
            vec scale = v_mul(w, v_set1(q[r].scale));
            v_store(at, v_fma(v_float(s[r][h]), scale, v_load(at)));
        }
    }
}

INLINE void quant_tile(const uint8_t *codes, const uint16_t *scales,
                       const struct quant_group *q, float *sum, int rows, enum dtype type)
{
    if (rows <= QUANT_WIDE) {
        quant_half(codes, scales, q, sum, rows, 2, type);
    } else {
        quant_half(codes, scales, q, sum, rows, 1, type);
        quant_half(codes + QUANT_PIECE / 2, scales + LANES, q, sum + LANES, rows, 1,
                   type);
    }
}

INLINE void quant_finish(const struct quant_block *b, const float *sums)
{
    for (int r = 0; r < b->n_rows; r++)
        for (size_t o = 0; o < b->n_out; o += LANES) {
            size_t n = b->n_out - o < LANES ? b->n_out - o : LANES;
            vec sum = v_load(sums + r * PANEL + o);
            if (b->bias)
                sum = v_add(sum, load_lanes(b->bias + o, n));
            store_lanes(b->y + (size_t)r * b->ldy + o, sum, n);
        }
}

/* How far ahead codes are prefetched, in bytes. For few rows a little, which supports the
 * processor's own prefetching; for more rows as much as memory delivers while they are
 * computed. */
INLINE size_t quant_distance(int n_rows, enum dtype type)
{
    if (n_rows > QUANT_FEW)
        return 12288;
    return type == DTYPE_Q8 ? 2048 : 4096;
}

/* Prefetches what was not yet; returns up to where. Few rows of q4 unpack as much as they
 * multiply, and keep up with memory only when codes are in the L1 cache. */
INLINE size_t quant_fetch(const struct quant_block *b, size_t ahead, size_t used,
                          enum dtype type)
{
    size_t stop = used + quant_distance(b->n_rows, type);
    stop = stop < b->n_bytes ? stop : b->n_bytes;
    for (; ahead < stop; ahead += 64)
        if (type == DTYPE_Q4 && b->n_rows <= QUANT_FEW)
            v_prefetch(b->codes + ahead);
        else
            v_prefetch_far(b->codes + ahead);
    return ahead;
}

/* In tiles of `rows` rows and, where that does not divide the block, of one row less. */
INLINE void quant_rows(const struct quant_block *b, int rows, enum dtype type)
{
    _Alignas(64) float sums[QUANT_BLOCK * PANEL];
    const int n_tiles = (b->n_rows + rows - 1) / rows;
    const int n_whole = b->n_rows - n_tiles * (rows - 1);
    const struct quant_group *q = b->q;
    size_t ahead = b->fetched;

    memset(sums, 0, (size_t)b->n_rows * PANEL * sizeof *sums);
    for (size_t g = 0; g < b->n_groups; g++) {
        const uint16_t *scales = b->scales + g * PANEL;
        const uint8_t *codes = b->codes + g * quant_bytes(type);
        float *sum = sums;
        ahead = quant_fetch(b, ahead, (g + 1) * quant_bytes(type), type);
        for (int i = 0; i < n_whole; i++, q += rows, sum += rows * PANEL)
            quant_tile(codes, scales, q, sum, rows, type);
        for (int i = n_whole; i < n_tiles; i++, q += rows - 1, sum += (rows - 1) * PANEL)
            quant_tile(codes, scales, q, sum, rows - 1, type);
    }
    quant_finish(b, sums);
}

#define QUANT_TILE(rows)                                                                 \
    static void quant_q8_##rows(const struct quant_block *b)                             \
    {                                                                                    \
        quant_rows(b, rows, DTYPE_Q8);                                                   \
    }                                                                                    \
    static void quant_q4_##rows(const struct quant_block *b)                             \
    {                                                                                    \
        quant_rows(b, rows, DTYPE_Q4);                                                   \
    }
#define QUANT_ENTRY(rows) [rows] = {quant_q8_##rows, quant_q4_##rows},

#define QUANT_UP_TO_4(DO) DO(1) DO(2) DO(3) DO(4)

QUANT_EACH(QUANT_TILE)

typedef void quant_block_fn(const struct quant_block *b);

static quant_block_fn *const quant_blocks[QUANT_ROWS + 1][DTYPE_N - DTYPE_Q8] = {
    QUANT_EACH(QUANT_ENTRY)};

static void quant_run(const struct quant_block *b, enum dtype type)
{
    int n_tiles = (b->n_rows + QUANT_ROWS - 1) / QUANT_ROWS;
    int rows = (b->n_rows + n_tiles - 1) / n_tiles;
    quant_blocks[rows][type - DTYPE_Q8](b);
}

static void quant_linear(const struct linear_args *a, enum dtype type)
{
    size_t n_groups = ((size_t)a->n_in + QUANT_GROUP - 1) / QUANT_GROUP;
    size_t panel_bytes = n_groups * quant_bytes(type);
    size_t fetched = 0;
    for (int p = a->panel0; p < a->panel1; p++) {
        size_t o = (size_t)p * PANEL;
        struct quant_block b = {
            .codes = (const uint8_t *)a->panels + (size_t)p * panel_bytes,
            .scales = a->scales + o * n_groups,
            .bias = a->bias ? a->bias + o : NULL,
            .n_bytes = (size_t)(a->panel1 - p) * panel_bytes,
            .n_groups = n_groups,
            .n_out = (size_t)a->n_out - o < PANEL ? (size_t)a->n_out - o : PANEL,
            .ldy = a->ldy,
            .fetched = fetched};
        for (int row = 0; row < a->n_rows; row += QUANT_BLOCK) {
            b.q = a->q + (size_t)row * n_groups;
            b.y = a->y + (size_t)row * a->ldy + o;
            b.n_rows = a->n_rows - row < QUANT_BLOCK ? a->n_rows - row : QUANT_BLOCK;
            quant_run(&b, type);
            b.fetched = fetched = quant_distance(b.n_rows, type);
        }
    }
}

static void linear_q8(const struct linear_args *a)
{
    quant_linear(a, DTYPE_Q8);
}

static void linear_q4(const struct linear_args *a)
{
    quant_linear(a, DTYPE_Q4);
}
