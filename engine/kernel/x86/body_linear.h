/*
 * Body shared by the x86 sets: the linear layer.
 *
 * A tile is a few rows times one panel, its sums in registers for the whole of a block of
 * k; one instance per number of rows and weight type. Between blocks of k the chains rest
 * in y, which is exact, so blocking never shows. Up to FEW_ROWS rows read x where it is
 * and stream the weights once from end to end. More rows are copied, a block at a time,
 * into a buffer whose row stride is constant and no multiple of the cache's, and reuse
 * the weights of a block of k from the cache for every tile of the block of rows.
 */

enum {
    FEW_ROWS = 4,
    BLOCK_K = 256,               /* a panel's block: 32 KiB of f32, for the L2 cache */
    BLOCK_STRIDE = BLOCK_K + 16, /* one cache line more: rows fall into different sets */
    BLOCK_TILES = 4,
    BLOCK_ROWS = BLOCK_TILES * LINEAR_ROWS,
    PREFETCH_BYTES = 1024
};

/* One row, and f32, stream best by the hardware's own prefetching; narrow weights of
 * several rows leave it too little time between misses (half the rate at 4 rows,
 * measured). */
#define PREFETCH(rows, type) ((type) != DTYPE_F32 && (rows) > 1)

struct tile {
    const char *w;  /* the panel at the block's first k */
    const float *x; /* the first row at the block's first k */
    float *y;       /* the first row at the panel's first output */
    const float
        *bias; /* at the panel's first output; NULL: none, or more blocks follow */
    size_t x_stride, ldy;
    int n_k, n_valid; /* outputs of this panel that exist */
    bool first;       /* the chains start here, at 0 */
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

/* Outputs that exist in one half of a panel. */
INLINE size_t valid_in_half(const struct tile *t, int half)
{
    int n = t->n_valid - half * LANES;
    return n < 0 ? 0 : n > LANES ? LANES : (size_t)n;
}

INLINE void tile_begin(const struct tile *t, int rows, int half0, int halves,
                       vec sum[][2])
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int h = 0; h < halves; h++) {
            const float *y = t->y + (size_t)r * t->ldy + (half0 + h) * LANES;
            sum[r][h] = v_zero();
            if (!t->first)
                sum[r][h] = t->n_valid == PANEL
                                ? v_load(y)
                                : v_load_n(y, valid_in_half(t, half0 + h));
        }
    }
}

INLINE void tile_end(const struct tile *t, int rows, int half0, int halves, vec sum[][2])
{
    UNROLL
    for (int h = 0; h < halves; h++) {
        size_t n = valid_in_half(t, half0 + h);
        int o = (half0 + h) * LANES;
        vec bias = t->bias ? v_load_n(t->bias + o, n) : v_zero();
        UNROLL
        for (int r = 0; r < rows; r++) {
            float *y = t->y + (size_t)r * t->ldy + o;
            vec v = t->bias ? v_add(sum[r][h], bias) : sum[r][h];
            if (t->n_valid == PANEL)
                v_store(y, v);
            else
                v_store_n(y, v, n);
        }
    }
}

INLINE void tile_part(const struct tile *t, int rows, int half0, int halves,
                      enum dtype type)
{
    const size_t stride = rows <= FEW_ROWS ? t->x_stride : BLOCK_STRIDE;
    const char *w = t->w + (size_t)(half0 * LANES) * weight_bytes(type);
    const float *x = t->x, *end = x + t->n_k;
    vec sum[LINEAR_ROWS][2];

    tile_begin(t, rows, half0, halves, sum);
    for (; x < end; x++, w += PANEL * weight_bytes(type)) {
        vec v[2];
        if (PREFETCH(rows, type))
            _mm_prefetch(w + PREFETCH_BYTES, _MM_HINT_T0);
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
    tile_end(t, rows, half0, halves, sum);
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

static tile_fn *const tiles[LINEAR_ROWS + 1][DTYPE_N] = {LINEAR_EACH(ENTRY)};

INLINE void linear_panel(const struct linear_args *a, enum dtype type, int panel,
                         struct tile *t)
{
    size_t panel_bytes = PANEL * (size_t)a->n_in * weight_bytes(type);
    t->w = (const char *)a->panels + (size_t)panel * panel_bytes;
    t->y = a->y + (size_t)panel * PANEL;
    t->bias = a->bias ? a->bias + panel * PANEL : NULL;
    t->n_valid = a->n_out - panel * PANEL < PANEL ? a->n_out - panel * PANEL : PANEL;
}

static void linear_few(const struct linear_args *a, enum dtype type)
{
    struct tile t = {
        .x = a->x, .x_stride = a->ldx, .ldy = a->ldy, .n_k = a->n_in, .first = true};
    for (int p = a->panel0; p < a->panel1; p++) {
        linear_panel(a, type, p, &t);
        tiles[a->n_rows][type](&t);
    }
}

/* Rows [row0, row0 + n_rows), in as few tiles as will do, all of nearly the same height.
 */
struct rows {
    int row0, n_rows, n_tiles;
};

static int tile_row(const struct rows *b, int i)
{
    return b->n_rows * i / b->n_tiles;
}

static void copy_x(const struct linear_args *a, const struct rows *b, int k0, int n_k,
                   float *buffer)
{
    for (int r = 0; r < b->n_rows; r++)
        memcpy(buffer + r * BLOCK_STRIDE, a->x + (size_t)(b->row0 + r) * a->ldx + k0,
               (size_t)n_k * sizeof *buffer);
}

static void linear_block(const struct linear_args *a, enum dtype type,
                         const struct rows *b, int k0)
{
    _Alignas(64) float buffer[BLOCK_ROWS * BLOCK_STRIDE];
    int n_k = a->n_in - k0 < BLOCK_K ? a->n_in - k0 : BLOCK_K;
    bool last = k0 + n_k == a->n_in;
    struct tile t = {
        .x_stride = BLOCK_STRIDE, .ldy = a->ldy, .n_k = n_k, .first = k0 == 0};

    copy_x(a, b, k0, n_k, buffer);
    for (int p = a->panel0; p < a->panel1; p++) {
        linear_panel(a, type, p, &t);
        t.w += (size_t)k0 * PANEL * weight_bytes(type);
        t.bias = last ? t.bias : NULL;
        float *y = t.y + (size_t)b->row0 * a->ldy;
        for (int i = 0; i < b->n_tiles; i++) {
            int row = tile_row(b, i);
            t.x = buffer + row * BLOCK_STRIDE;
            t.y = y + (size_t)row * a->ldy;
            tiles[tile_row(b, i + 1) - row][type](&t);
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
