/* Making tensors. The generator is a counter hashed into bits (splitmix64), so that a
 * block is filled in one pass and its values depend on the seed alone. */
#include "engine/load/random_weights.h"

#include "engine/base/mem.h"

#include <math.h>
#include <string.h>

enum {
    MAX_TENSORS = 1 << 17, /* more than 4096 layers have */
    MAX_BLOCKS = 64,
    SLACK = 1 << 16, /* floats that windows are shifted by: 4096 places, so that matrices
                      * of a width are alike only 4096 tensors apart */
    STRIDE = 592     /* of the shift; a multiple of 16 floats */
};

static const char file_name[] = "random weights";

/* Values of one width, ±sqrt(3 / n_in). */
struct block {
    float *data; /* owns */
    size_t n;
    int64_t n_in;
};

struct random_weights {
    struct block blocks[MAX_BLOCKS];
    int n_blocks;
};

/* Tensors whose values lie elsewhere than their rank says, by the end of their name. */
static const struct {
    const char *end;
    float lo, hi;
} habits[] = {{".bias", 0, 0},      {"_bias", 0, 0},       {".b_g", 0, 0},
              {"ssd.A", -1, -0.1f}, {".a_log", -5, -1},    {".lam_re", -2, -0.5f},
              {".lam_im", -1, 2},   {".log_dt", -6, -2},   {".logit_scale", 2.3f, 2.3f},
              {".A_imag", 0, 3},    {".inv_A_real", -1, 0}};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void fill(float *out, size_t n, double lo, double hi, uint64_t seed)
{
    double scale = (hi - lo) * 0x1p-24;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(lo + scale * (double)(mix(seed + i) >> 40));
}

int random_weights_open(struct weights *w, struct err *err)
{
    *w = (struct weights){.hash = mix(1)};
    arena_init(&w->arena);
    w->random = mem_zalloc(1, sizeof *w->random);
    w->tensors = mem_alloc(MAX_TENSORS * sizeof *w->tensors);
    w->tensors_cap =
        MAX_TENSORS; /* never moves: callers hold tensors while taking more */
    if (w->random && w->tensors && strmap_init(&w->by_name, 256))
        return 0;
    weights_close(w);
    return err_set(err, ERR_MEMORY, "out of memory for random weights");
}

void random_weights_release_pages(struct random_weights *s)
{
    for (int i = 0; i < s->n_blocks; i++)
        mem_free(s->blocks[i].data);
    s->n_blocks = 0;
}

void random_weights_close(struct random_weights *s)
{
    if (s)
        random_weights_release_pages(s);
    mem_free(s);
}

/* A block of the width with room for n values behind any shift, or NULL. The next one of
 * a width is at least twice as large: they stay few whatever order tensors come in. */
static const struct block *block_for(struct random_weights *s, int64_t n_in, size_t n)
{
    if (n > PTRDIFF_MAX / sizeof(float) - SLACK)
        return NULL;
    struct block b = {.n_in = n_in, .n = n + SLACK};
    for (int i = 0; i < s->n_blocks; i++) {
        if (s->blocks[i].n_in != n_in)
            continue;
        if (s->blocks[i].n >= n + SLACK)
            return &s->blocks[i];
        b.n = b.n > 2 * s->blocks[i].n ? b.n : 2 * s->blocks[i].n;
    }
    if (s->n_blocks == MAX_BLOCKS)
        return NULL;
    b.data = mem_alloc(b.n * sizeof *b.data);
    if (!b.data)
        return NULL;
    double most = sqrt(3 / (double)n_in);
    fill(b.data, b.n, -most, most, mix((uint64_t)n_in));
    s->blocks[s->n_blocks] = b;
    return &s->blocks[s->n_blocks++];
}

static const float *make(struct weights *w, const struct tensor *t, size_t n)
{
    size_t len = strlen(t->name);
    double lo = 1, hi = 1;
    bool found = t->n_dims < 2;
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++) {
        size_t end = strlen(habits[i].end);
        if (len < end || strcmp(t->name + len - end, habits[i].end) != 0)
            continue;
        found = true;
        lo = habits[i].lo;
        hi = habits[i].hi;
    }
    if (!found) {
        const struct block *b = block_for(w->random, t->shape[t->n_dims - 1], n);
        return b ? b->data + w->n_tensors * STRIDE % SLACK : NULL;
    }
    float *values = arena_alloc(&w->arena, n * sizeof *values);
    if (values)
        fill(values, n, lo, hi, mix(w->n_tensors));
    return values;
}

int random_weights_take(struct weights *w, const char *name, int n_dims,
                        const int64_t *shape, const struct tensor **out, struct err *err)
{
    size_t n = 1;
    int32_t known = strmap_get(&w->by_name, name, strlen(name), -1);
    if (known >= 0) { /* a table is asked for its type, then for its values */
        *out = &w->tensors[known];
        return 0;
    }
    bool fits = w->n_tensors < MAX_TENSORS && n_dims <= TENSOR_MAX_DIMS;
    for (int i = 0; i < n_dims; i++)
        fits = fits && !__builtin_mul_overflow(n, (size_t)shape[i], &n);
    char *copy = arena_strdup(&w->arena, name, strlen(name));
    if (!fits || n > PTRDIFF_MAX / sizeof(float) || !copy)
        return err_set(err, ERR_MEMORY, "out of memory for random tensor %.200s", name);
    struct tensor *t = &w->tensors[w->n_tensors];
    *t = (struct tensor){.name = copy,
                         .file = file_name,
                         .dtype = "F32",
                         .n_dims = n_dims,
                         .bytes = n * sizeof(float),
                         .n_values = (int64_t)n,
                         .used = true};
    memcpy(t->shape, shape, (size_t)n_dims * sizeof *shape);
    t->data = make(w, t, n);
    if (!t->data || !strmap_put(&w->by_name, copy, strlen(copy), (int32_t)w->n_tensors))
        return err_set(err, ERR_MEMORY, "out of memory for random tensor %.200s", name);
    w->n_tensors++;
    *out = t;
    return 0;
}
