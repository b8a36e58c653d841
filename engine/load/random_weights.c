/* Fills tensors with hashed counters (splitmix64): a block is filled in one pass, and its
 * values depend on the seed alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/random_weights.h"

#include "engine/base/mem.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

enum {
    MAX_TENSORS = 1 << 17, /* more than 4096 layers have */
    MAX_BLOCKS = 64,
    /* Windows are shifted by up to so many floats: 4096 places, so that two matrices of a
     * width are equal only 4096 tensors apart. */
    SLACK = 1 << 16,
    STRIDE = 592 /* of the shift; a multiple of 16 floats */
};

static const char file_name[] = "random weights";

/* Values of one width, ±sqrt(3 / n_in). */
struct block {
    float *data; /* owns */
    size_t n;
    int64_t n_in;
};

/* Behind struct weights. */
struct store {
    struct block blocks[MAX_BLOCKS];
    int n_blocks;
    const void *zeros; /* owns ZEROS_BYTES of address space; NULL: random values */
};

/* A tensor is no larger. Pages of it that are read are one page of the system's. */
#define ZEROS_BYTES ((size_t)1 << 38)

/* Ranges of tensors, by the end of their name, where the rank does not decide. */
static const struct {
    const char *end;
    float lo, hi;
} habits[] = {{".bias", 0, 0},
              {"_bias", 0, 0},
              {".b_g", 0, 0},
              {"ssd.A", -1, -0.1f},
              {".a_log", -5, -1},
              {".lam_re", -2, -0.5f},
              {".lam_im", -1, 2},
              {".log_dt", -6, -2},
              {".logit_scale", 2.3f, 2.3f},
              {".A_imag", 0, 3},
              {".inv_A_real", -1, 0},
              {".A_log", 0, 2.77f},
              {".dt_bias", -6.9f, -2.25f}};

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

/* A block of the width with room for n values after any shift, or NULL. The next block of
 * a width is at least twice as large: blocks stay few in any order of tensors. */
static const struct block *block_for(struct store *s, int64_t n_in, size_t n)
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
    const struct store *s = w->store;
    if (s->zeros && t->n_dims > 1)
        return t->bytes <= ZEROS_BYTES ? s->zeros : NULL;
    if (!found) {
        const struct block *b = block_for(w->store, t->shape[t->n_dims - 1], n);
        return b ? b->data + w->n_tensors * STRIDE % SLACK : NULL;
    }
    float *values = arena_alloc(&w->arena, n * sizeof *values);
    if (values)
        fill(values, n, lo, hi, mix(w->n_tensors));
    return values;
}

static int add(struct weights *w, const struct tensor_spec *s, struct err *err)
{
    size_t n = 1;
    bool fits = w->n_tensors < MAX_TENSORS && s->n_dims <= TENSOR_MAX_DIMS;
    for (int i = 0; i < s->n_dims; i++)
        fits = fits && !__builtin_mul_overflow(n, (size_t)s->shape[i], &n);
    char *name = arena_strdup(&w->arena, s->name, strlen(s->name));
    if (!fits || n > PTRDIFF_MAX / sizeof(float) || !name)
        return err_set(err, ERR_MEMORY, "out of memory for random tensor %.200s",
                       s->name);
    struct tensor *t = &w->tensors[w->n_tensors];
    *t = (struct tensor){.name = name,
                         .file = file_name,
                         .dtype = "F32",
                         .type = DTYPE_F32,
                         .n_dims = s->n_dims,
                         .bytes = n * sizeof(float),
                         .n_values = (int64_t)n};
    memcpy(t->shape, s->shape, (size_t)s->n_dims * sizeof *s->shape);
    t->data = make(w, t, n);
    if (!t->data || !strmap_put(&w->by_name, name, strlen(name), (int32_t)w->n_tensors))
        return err_set(err, ERR_MEMORY, "out of memory for random tensor %.200s",
                       s->name);
    w->n_tensors++;
    return 0;
}

/* ---- the source ------------------------------------------------------------- */

static int take(struct weights *w, const struct tensor_spec *s, struct tensor **out,
                struct err *err)
{
    int rc = weights_find(w, s->name) ? 0 : add(w, s, err);
    return rc ? rc : weights_lookup(w, s, out, err);
}

static void free_blocks(struct weights *w)
{
    struct store *s = w->store;
    for (int i = 0; i < s->n_blocks; i++)
        mem_free(s->blocks[i].data);
    s->n_blocks = 0;
}

static void close_store(struct weights *w)
{
    struct store *s = w->store;
    if (s)
        free_blocks(w);
    if (s && s->zeros)
        munmap((void *)s->zeros, ZEROS_BYTES);
    mem_free(s);
}

static int hash_seed(const struct weights *w, uint64_t *out, struct err *err)
{
    (void)w;
    (void)err;
    *out = mix(1);
    return 0;
}

static const struct weights_source source = {take,        NULL,      free_blocks,
                                             close_store, hash_seed, .keeps = false};

int random_weights_open(struct weights *w, struct err *err)
{
    /* The table never moves: callers hold tensors while they take more. */
    *w = (struct weights){.source = &source,
                          .store = mem_zalloc(1, sizeof(struct store)),
                          .tensors = mem_alloc(MAX_TENSORS * sizeof(struct tensor)),
                          .tensors_cap = MAX_TENSORS};
    arena_init(&w->arena);
    if (w->store && w->tensors && strmap_init(&w->by_name, 256))
        return 0;
    weights_close(w);
    return err_set(err, ERR_MEMORY, "out of memory for random weights");
}

int random_weights_open_sizes(struct weights *w, struct err *err)
{
    int rc = random_weights_open(w, err);
    if (rc)
        return rc;
    void *zeros = mmap(NULL, ZEROS_BYTES, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED) {
        weights_close(w);
        return err_set(err, ERR_MEMORY, "out of address space for a model's sizes");
    }
    ((struct store *)w->store)->zeros = zeros;
    return 0;
}
