/*
 * Body shared by the vector sets: the product of quantised rows with q8 and q4 weights.
 *
 * A tile is a few rows times one panel. A group of 32 along k is summed in integers, then
 * joins the float chains; a set needs no more than six operations on integers: a row's
 * four bytes everywhere (v_quad), the weights of 16 outputs and 4 k as the dot product
 * wants them (v_codes, v_codes_q4), where sums begin (v_begin), the dot product (v_dot)
 * and the sums as floats (v_float). q8 and q4 differ in how codes are unpacked.
 *
 * Up to QUANT_ROWS rows stream the weights once from end to end. With more rows the next
 * panel is fetched while this one is computed with, a share of it by every tile.
 */

enum {
    QUANT_PIECE = PANEL * 4,       /* bytes of 4 k of a panel */
    QUANT_STEPS = QUANT_GROUP / 4, /* pieces of a group */
    QUANT_AHEAD = 4096             /* bytes that a lone tile fetches ahead */
};

INLINE size_t quant_bytes(enum dtype type) /* of a group's codes */
{
    return QUANT_GROUP * PANEL / (type == DTYPE_Q8 ? 1 : 2);
}

struct quant_tile {
    const uint8_t *codes, *ahead; /* the panel's, and what to fetch while on it */
    const uint16_t *scales;
    const struct quant_group *q; /* the first row */
    const float *bias;           /* of the panel, or NULL */
    float *y;                    /* the first row at the panel's first output */
    size_t ldy, n_groups, n;     /* n outputs */
    int ahead_lines;             /* of 64 bytes, a group */
};

typedef void quant_tile_fn(const struct quant_tile *t);

/* Adds the products of one group to s. */
INLINE void quant_dots(ivec s[][2], const struct quant_tile *t, const uint8_t *codes,
                       const struct quant_group *q, int rows, int half0, int halves,
                       enum dtype type)
{
    const int parts = type == DTYPE_Q8 ? 1 : 2, steps = QUANT_STEPS / parts;
    codes += half0 * QUANT_PIECE / 2;
    UNROLL
    for (int j = 0; j < steps; j++) {
        vcodes w[2][2];
        UNROLL
        for (int h = 0; h < halves; h++) {
            const uint8_t *at = codes + j * QUANT_PIECE + h * QUANT_PIECE / 2;
            if (type == DTYPE_Q8)
                w[0][h] = v_codes(at);
            else
                v_codes_q4(at, &w[0][h], &w[1][h]);
        }
        UNROLL
        for (int part = 0; part < parts; part++) {
            UNROLL
            for (int r = 0; r < rows; r++) {
                vquad x = v_quad(q[(size_t)r * t->n_groups].q + 4 * j + 16 * part);
                UNROLL
                for (int h = 0; h < halves; h++)
                    s[r][h] = v_dot(s[r][h], w[part][h], x);
            }
        }
    }
}

INLINE void quant_store(const struct quant_tile *t, int row, int half, vec sum)
{
    size_t o = (size_t)(half * LANES);
    if (o >= t->n)
        return;
    size_t n = t->n - o < LANES ? t->n - o : LANES;
    if (t->bias)
        sum = v_add(sum, load_lanes(t->bias + o, n));
    store_lanes(t->y + (size_t)row * t->ldy + o, sum, n);
}

INLINE void quant_part(const struct quant_tile *t, int rows, int half0, int halves,
                       enum dtype type)
{
    const uint8_t *codes = t->codes, *ahead = t->ahead;
    const uint16_t *scales = t->scales + half0 * LANES;
    const struct quant_group *q = t->q, *end = q + t->n_groups;
    vec sum[QUANT_ROWS][2];

    UNROLL
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = v_zero();
    for (; q < end; q++, codes += quant_bytes(type), scales += PANEL) {
        ivec s[QUANT_ROWS][2];
        for (int i = 0; i < t->ahead_lines; i++, ahead += 64)
            v_prefetch(ahead);
        UNROLL
        for (int r = 0; r < rows; r++)
            s[r][0] = s[r][1] = v_begin(q[(size_t)r * t->n_groups].offset);
        quant_dots(s, t, codes, q, rows, half0, halves, type);
        UNROLL
        for (int h = 0; h < halves; h++) {
            vec w = v_load_f16(scales + h * LANES);
            UNROLL
            for (int r = 0; r < rows; r++) {
                vec scale = v_mul(w, v_set1(q[(size_t)r * t->n_groups].scale));
                sum[r][h] = v_fma(v_float(s[r][h]), scale, sum[r][h]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int h = 0; h < halves; h++)
            quant_store(t, r, half0 + h, sum[r][h]);
    }
}

INLINE void quant_whole(const struct quant_tile *t, int rows, enum dtype type)
{
    if (rows <= QUANT_WIDE) {
        quant_part(t, rows, 0, 2, type);
    } else {
        quant_part(t, rows, 0, 1, type);
        quant_part(t, rows, 1, 1, type);
    }
}

#define QUANT_TILE(rows)                                                                 \
    static void quant_q8_##rows(const struct quant_tile *t)                              \
    {                                                                                    \
        quant_whole(t, rows, DTYPE_Q8);                                                  \
    }                                                                                    \
    static void quant_q4_##rows(const struct quant_tile *t)                              \
    {                                                                                    \
        quant_whole(t, rows, DTYPE_Q4);                                                  \
    }
#define QUANT_ENTRY(rows) [rows] = {quant_q8_##rows, quant_q4_##rows},

#define QUANT_UP_TO_4(DO) DO(1) DO(2) DO(3) DO(4)
#define QUANT_UP_TO_6(DO) QUANT_UP_TO_4(DO) DO(5) DO(6)

QUANT_EACH(QUANT_TILE)

static quant_tile_fn *const quant_tiles[QUANT_ROWS + 1][2] = {QUANT_EACH(QUANT_ENTRY)};

/* All rows of one panel, in as few tiles as will do, all of nearly the same height. */
static void quant_panel(const struct linear_args *a, enum dtype type, int panel)
{
    int n_tiles = (a->n_rows + QUANT_ROWS - 1) / QUANT_ROWS;
    size_t n_groups = ((size_t)a->n_in + QUANT_GROUP - 1) / QUANT_GROUP;
    size_t group0 = (size_t)panel * n_groups, o = (size_t)panel * PANEL;
    size_t panel_bytes = n_groups * quant_bytes(type);
    int group_lines = (int)(quant_bytes(type) / 64);
    struct quant_tile t = {
        .codes = (const uint8_t *)a->panels + group0 * quant_bytes(type),
        .scales = a->scales + group0 * PANEL,
        .bias = a->bias ? a->bias + o : NULL,
        .ldy = a->ldy,
        .n_groups = n_groups,
        .n = (size_t)a->n_out - o < PANEL ? (size_t)a->n_out - o : PANEL,
        .ahead_lines = (group_lines + n_tiles - 1) / n_tiles};
    for (int i = 0; i < n_tiles; i++) {
        int row0 = (int)((int64_t)a->n_rows * i / n_tiles);
        int row1 = (int)((int64_t)a->n_rows * (i + 1) / n_tiles);
        t.ahead = n_tiles == 1 ? t.codes + QUANT_AHEAD
                               : t.codes + panel_bytes * (1 + (size_t)i) / n_tiles;
        t.q = a->q + (size_t)row0 * n_groups;
        t.y = a->y + (size_t)row0 * a->ldy + o;
        quant_tiles[row1 - row0][type - DTYPE_Q8](&t);
    }
}

static void linear_q8(const struct linear_args *a)
{
    for (int p = a->panel0; p < a->panel1; p++)
        quant_panel(a, DTYPE_Q8, p);
}

static void linear_q4(const struct linear_args *a)
{
    for (int p = a->panel0; p < a->panel1; p++)
        quant_panel(a, DTYPE_Q4, p);
}
