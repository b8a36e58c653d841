/*
 * Body shared by the vector sets: the linear layer.
 *
 * A tile is a few rows times one panel, its sums in registers for the whole of a block of
 * k; one instance per number of rows and weight type. Between blocks of k the chains are
 * stored in y, which is exact, so blocking changes no bit. Up to FEW_ROWS rows read x in
 * place and stream the weights once from end to end. More rows are copied, a block at a
 * time, into a buffer whose row stride is constant and no multiple of the cache's, and
 * reuse the weights of a block of k from the cache for every tile of the block of rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

enum {
    FEW_ROWS = 4,
    BLOCK_K = 1024, /* a panel's block: at most 128 KiB of f32, for the L2 cache */
    BLOCK_STRIDE = BLOCK_K + 16, /* one cache line more: rows fall into different sets */
    BLOCK_TILES = 28 / LINEAR_ROWS, /* rows for which weights are read once */
    BLOCK_ROWS = BLOCK_TILES * LINEAR_ROWS,
    AHEAD_K = 128
};

/* While memory is the bound, the processor's own prefetching is best. Where rows are
 * multiplied about as fast as weights arrive, AHEAD_K more k are prefetched, because
 * weights arrive in bursts. */
#define PREFETCH(rows, type)                                                             \
    ((rows) > ((type) != DTYPE_F32 ? 1 : LINEAR_WIDE < 7 ? LINEAR_WIDE : 7))

/* A tile writes whole panels: for a last panel with fewer outputs, y is a scratch. */
struct tile {
    const char *w;  /* the panel at the block's first k */
    const float *x; /* the first row at the block's first k */
    float *y;       /* the first row at the panel's first output */
    size_t x_stride, ldy;
    int n_k;
    bool first; /* the chains start at 0; else they continue from y */
};

typedef void tile_fn(const struct tile *t);

INLINE size_t weight_bytes(enum dtype type)
{
    return type == DTYPE_F32 ? 4 : 2;
}

INLINE vec load_weights(const char *w, size_t i, enum dtype type)
{
    const void *at = w + i * weight_bytes(type);
    if (type == DTYPE_F16)
        return v_load_f16(at);
    if (type == DTYPE_BF16)
        return v_load_bf16(at);
    return v_load(at);
}

INLINE void tile_part(const struct tile *t, int rows, int half0, int halves,
                      enum dtype type)
{
    const size_t stride = rows <= FEW_ROWS ? t->x_stride : BLOCK_STRIDE;
    const int lines = type == DTYPE_F32 ? halves : 1; /* of the cache, for each k */
    const char *w = t->w + (size_t)(half0 * LANES) * weight_bytes(type);
    const float *x = t->x, *end = x + t->n_k;
    float *y = t->y + half0 * LANES;
    vec sum[LINEAR_ROWS][2];

    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int h = 0; h < halves; h++)
            sum[r][h] = t->first ? v_zero() : v_load(y + (size_t)r * t->ldy + h * LANES);
    }
    for (; x < end; x++, w += PANEL * weight_bytes(type)) {
        vec v[2];
        if (PREFETCH(rows, type)) {
            UNROLL
            for (int h = 0; h < lines; h++)
                v_prefetch_far(w + AHEAD_K * PANEL * weight_bytes(type) + h * 64);
        }
        UNROLL
        for (int h = 0; h < halves; h++)
            v[h] = load_weights(w, (size_t)(h * LANES), type);
        UNROLL
        for (int r = 0; r < rows; r++) {
            vec s = v_set1(x[(size_t)r * stride]);
            UNROLL
            for (int h = 0; h < halves; h++)
                sum[r][h] = v_fma(s, v[h], sum[r][h]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int h = 0; h < halves; h++)
            v_store(y + (size_t)r * t->ldy + h * LANES, sum[r][h]);
    }
}

INLINE void tile_whole(const struct tile *t, int rows, enum dtype type)
{
    if (rows <= LINEAR_WIDE) {
        tile_part(t, rows, 0, 2, type);
    } else {
        tile_part(t, rows, 0, 1, type);
        tile_part(t, rows, 1, 1, type);
    }
}

/* One function for each number of rows and type, and a table of them. */
#define TILE(rows)                                                                       \
    static void tile_f32_##rows(const struct tile *t)                                    \
    {                                                                                    \
        tile_whole(t, rows, DTYPE_F32);                                                  \
    }                                                                                    \
    static void tile_f16_##rows(const struct tile *t)                                    \
    {                                                                                    \
        tile_whole(t, rows, DTYPE_F16);                                                  \
    }                                                                                    \
    static void tile_bf16_##rows(const struct tile *t)                                   \
    {                                                                                    \
        tile_whole(t, rows, DTYPE_BF16);                                                 \
    }
#define ENTRY(rows) [rows] = {tile_f32_##rows, tile_f16_##rows, tile_bf16_##rows},

#define UP_TO_6(DO)  DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
#define UP_TO_14(DO) UP_TO_6(DO) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)

LINEAR_EACH(TILE)

static tile_fn *const tiles[LINEAR_ROWS + 1][DTYPE_FLOATS] = {LINEAR_EACH(ENTRY)};

static void copy_rows(float *to, size_t ld_to, const float *from, size_t ld_from,
                      int n_rows, size_t n)
{
    for (size_t r = 0; r < (size_t)n_rows; r++)
        memcpy(to + r * ld_to, from + r * ld_from, n * sizeof *to);
}

static void add_bias(const float *bias, float *y, size_t ldy, int n_rows, size_t n)
{
    for (size_t r = 0; r < (size_t)n_rows; r++)
        for (size_t o = 0; o < n; o += LANES) {
            size_t m = n - o < LANES ? n - o : LANES;
            float *at = y + r * ldy + o;
            store_lanes(at, v_add(load_lanes(at, m), load_lanes(bias + o, m)), m);
        }
}

/* A tile of a panel that has only n outputs. */
static void run_narrow(const struct tile *t, tile_fn *run, int n_rows, size_t n)
{
    _Alignas(64) float scratch[LINEAR_ROWS * PANEL] = {0};
    struct tile whole = *t;
    whole.y = scratch;
    whole.ldy = PANEL;
    if (!t->first)
        copy_rows(scratch, PANEL, t->y, t->ldy, n_rows, n);
    run(&whole);
    copy_rows(t->y, t->ldy, scratch, PANEL, n_rows, n);
}

/* n_rows rows of one panel over the tile's block of k; `last`: the chains end here. */
static void linear_tile(const struct linear_args *a, enum dtype type, struct tile *t,
                        int panel, int n_rows, bool last)
{
    int n = a->n_out - panel * PANEL;
    tile_fn *run = tiles[n_rows][type];
    if (n >= PANEL)
        run(t);
    else
        run_narrow(t, run, n_rows, (size_t)n);
    if (last && a->bias)
        add_bias(a->bias + panel * PANEL, t->y, t->ldy, n_rows,
                 n < PANEL ? (size_t)n : (size_t)PANEL);
}

INLINE const char *panel_at(const struct linear_args *a, enum dtype type, int panel,
                            int k)
{
    size_t row = (size_t)panel * (size_t)a->n_in + (size_t)k;
    return (const char *)a->panels + row * PANEL * weight_bytes(type);
}

static void linear_few(const struct linear_args *a, enum dtype type)
{
    struct tile t = {
        .x = a->x, .x_stride = a->ldx, .ldy = a->ldy, .n_k = a->n_in, .first = true};
    for (int p = a->panel0; p < a->panel1; p++) {
        t.w = panel_at(a, type, p, 0);
        t.y = a->y + (size_t)p * PANEL;
        linear_tile(a, type, &t, p, a->n_rows, true);
    }
}

/* Rows [row0, row0 + n_rows) in as few tiles as possible, of nearly equal heights. */
struct rows {
    int row0, n_rows, n_tiles;
};

static int tile_row(const struct rows *b, int i)
{
    return b->n_rows * i / b->n_tiles;
}

static void linear_block(const struct linear_args *a, enum dtype type,
                         const struct rows *b, int k0)
{
    _Alignas(64) float buffer[BLOCK_ROWS * BLOCK_STRIDE];
    int n_k = a->n_in - k0 < BLOCK_K ? a->n_in - k0 : BLOCK_K;
    bool last = k0 + n_k == a->n_in;
    struct tile t = {
        .x_stride = BLOCK_STRIDE, .ldy = a->ldy, .n_k = n_k, .first = k0 == 0};

    copy_rows(buffer, BLOCK_STRIDE, a->x + (size_t)b->row0 * a->ldx + k0, a->ldx,
              b->n_rows, (size_t)n_k);
    for (int p = a->panel0; p < a->panel1; p++) {
        float *y = a->y + (size_t)b->row0 * a->ldy + (size_t)p * PANEL;
        t.w = panel_at(a, type, p, k0);
        for (int i = 0; i < b->n_tiles; i++) {
            int row = tile_row(b, i);
            t.x = buffer + row * BLOCK_STRIDE;
            t.y = y + (size_t)row * a->ldy;
            linear_tile(a, type, &t, p, tile_row(b, i + 1) - row, last);
        }
    }
}

INLINE void linear(const struct linear_args *a, enum dtype type)
{
    if (a->n_rows <= 0)
        return;
    if (a->n_rows <= FEW_ROWS) {
        linear_few(a, type);
        return;
    }
    int n_blocks = (a->n_rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (int i = 0; i < n_blocks; i++) {
        struct rows b = {.row0 = (int)((int64_t)a->n_rows * i / n_blocks)};
        b.n_rows = (int)((int64_t)a->n_rows * (i + 1) / n_blocks) - b.row0;
        b.n_tiles = (b.n_rows + LINEAR_ROWS - 1) / LINEAR_ROWS;
        for (int k0 = 0; k0 < a->n_in; k0 += BLOCK_K)
            linear_block(a, type, &b, k0);
    }
}

static void linear_f32(const struct linear_args *a)
{
    linear(a, DTYPE_F32);
}

static void linear_f16(const struct linear_args *a)
{
    linear(a, DTYPE_F16);
}

static void linear_bf16(const struct linear_args *a)
{
    linear(a, DTYPE_BF16);
}
