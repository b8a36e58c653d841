/* Binds tensors to mixers, at open. Any alignment and type of the file is widened or
 * packed here; a step sees none of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/bind.h"

#include "engine/base/mem.h"
#include "engine/kernel/pool.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { NAME_CAP = 512 };

static int full_name(char *out, const struct bind *b, const char *name,
                     const char *suffix, struct err *err)
{
    if (!b->prefix)
        return err_set(err, ERR_MEMORY, "out of memory for tensor names");
    int n = snprintf(out, NAME_CAP, "%s%s%s", b->prefix, name, suffix);
    return n < NAME_CAP
               ? 0
               : err_set(err, ERR_INTERNAL, "tensor name too long: %.100s", name);
}

/* Values of any float type at any address become f32 in the arena. */
static int take_widened(const float **out, const struct bind *b,
                        const struct tensor_spec *s, struct err *err)
{
    struct tensor *t = NULL;
    int rc = weights_take(b->weights, s, &t, err);
    if (rc)
        return rc;
    size_t n = (size_t)t->n_values;
    float *wide = arena_alloc(b->arena, n * sizeof *wide);
    if (!wide)
        return err_set(err, ERR_MEMORY, "out of memory for tensor %.200s", s->name);
    kernel_c.widen[t->type](t->data, n, wide);
    *out = wide;
    return 0;
}

int bind_tensor(const float **out, const struct bind *b, const struct tensor_spec *s,
                struct err *err)
{
    char full[NAME_CAP];
    struct tensor_spec whole = *s;
    whole.name = full;
    int rc = full_name(full, b, s->name, "", err);
    return rc ? rc : take_widened(out, b, &whole, err);
}

int bind_vector(const float **out, const struct bind *b, const char *name, int n,
                struct err *err)
{
    const struct tensor_spec s = {.name = name, .n_dims = 1, .shape = (int64_t[]){n}};
    return bind_tensor(out, b, &s, err);
}

int bind_mapped(const float **out, const struct bind *b, const char *name, int n,
                double (*f)(double), struct err *err)
{
    const float *raw = NULL;
    int rc = bind_vector(&raw, b, name, n, err);
    if (rc)
        return rc;
    float *y = arena_alloc(b->arena, (size_t)n * sizeof *y);
    if (!y)
        return err_set(err, ERR_MEMORY, "out of memory for tensor %s%.200s", b->prefix,
                       name);
    for (int i = 0; i < n; i++)
        y[i] = (float)f(raw[i]);
    *out = y;
    return 0;
}

/* ---- matrices --------------------------------------------------------------- */

/* Adds to the list, and to the widest quantised matrix. What the file has of it is not read
 * again, unless it is kept. */
static int record(const struct bind *b, const struct bound *x, struct err *err)
{
    struct bind_list *l = b->list;
    if (x->source)
        weights_packed(b->weights, x->source);
    if (dtype_quantised(x->m.type) && b->quant_in && x->m.n_in > *b->quant_in)
        *b->quant_in = x->m.n_in;
    if (!l)
        return 0;
    struct bound *copy = arena_alloc(b->arena, sizeof *copy);
    char *name = arena_strdup(b->arena, x->name, strlen(x->name));
    if (!copy || !name)
        return err_set(err, ERR_MEMORY, "out of memory for tensor names");
    *copy = *x;
    copy->name = name;
    copy->next = NULL;
    *(l->end ? l->end : &l->first) = copy;
    l->end = &copy->next;
    return 0;
}

static enum dtype target(const struct bind *b, const struct bound *x, enum dtype own)
{
    struct quant_use use = {x->role, own, x->m.n_out, x->m.n_in};
    return quant_target(b->held, &use);
}

static int take_quantised(struct bound *x, const struct bind *b, struct err *err)
{
    int rc = quant_file_take(&x->m, b->weights, b->arena, x->name, err);
    enum dtype own = x->m.type, want = target(b, x, own);
    if (rc || want == own || (b->held == ENGINE_WEIGHTS_Q4 && own == DTYPE_Q4))
        return rc;
    return err_param(err, ERR_ARGUMENT, "weights",
                     "weights: tensor %.200s: expected floats to make %s of, found %s "
                     "(--weights own takes a quantised file as it is)",
                     x->name, quant_name(want), quant_name(own));
}

struct pack_job {
    const struct bound *x;
    int n_panels, per_task;
    atomic_bool failed;
};

static void pack_part(void *arg, int task, int thread)
{
    (void)thread;
    struct pack_job *j = arg;
    const struct tensor *t = j->x->source;
    int first = task * j->per_task, end = first + j->per_task;
    end = end < j->n_panels ? end : j->n_panels;
    if (quant_panels(&j->x->m, t->type, t->data, first, end, NULL))
        j->failed = true;
}

/* The first panel that fails is the one that is told, whichever thread met one first. */
static int pack_quantised(const struct bound *x, const struct bind *b, struct err *err)
{
    enum { PANELS_PER_TASK = 4 };
    struct pack_job j = {x, matrix_panels(x->m.n_out), PANELS_PER_TASK, false};
    if (b->pool)
        pool_run(b->pool, pack_part, &j,
                 (j.n_panels + PANELS_PER_TASK - 1) / PANELS_PER_TASK);
    if (b->pool && !j.failed)
        return 0;
    return quant_panels(&x->m, x->source->type, x->source->data, 0, j.n_panels, err);
}

/* Completes a quantised matrix; of floats it sets type and source. */
static int take(struct bound *x, const struct bind *b, struct err *err)
{
    if (quant_file_has(b->weights, x->name))
        return take_quantised(x, b, err);
    const int64_t shape[] = {x->m.n_out, x->m.n_in};
    const struct tensor_spec s = {.name = x->name, .n_dims = 2, .shape = shape};
    int rc = weights_take(b->weights, &s, &x->source, err);
    if (rc)
        return rc;
    x->m.type = target(b, x, x->source->type);
    if (b->sizes || !dtype_quantised(x->m.type))
        return 0;
    rc = quant_room(&x->m, b->arena, err);
    if (rc == 0)
        rc = pack_quantised(x, b, err);
    return rc ? err_prefix(err, "%s: tensor %.200s", x->source->file, x->name) : 0;
}

/* Floats of the file as they are, or converted in a copy that lives until they are
 * packed. */
static int pack_floats(struct bound *x, const struct bind *b, struct err *err)
{
    enum dtype own = x->source->type;
    if (x->m.type == own)
        return gemm_pack(&x->m, b->arena, x->source->data, b->blas, err);
    size_t n = (size_t)x->m.n_out * (size_t)x->m.n_in;
    void *copy = mem_alloc(n * dtype_bytes(x->m.type));
    if (!copy)
        return err_set(err, ERR_MEMORY, "out of memory for tensor %.200s", x->name);
    quant_floats(x->m.type, copy, own, x->source->data, n);
    int rc = gemm_pack(&x->m, b->arena, copy, b->blas, err);
    mem_free(copy);
    return rc;
}

static struct bound bound_of(const struct matrix_spec *s, const char *full)
{
    return (struct bound){
        .name = full, .role = s->role, .m = {.n_out = s->n_out, .n_in = s->n_in}};
}

int bind_matrix(struct matrix *m, const struct bind *b, const struct matrix_spec *s,
                struct err *err)
{
    char full[NAME_CAP];
    struct bound x = bound_of(s, full);
    int rc = full_name(full, b, s->name, ".weight", err);
    if (rc == 0)
        rc = take(&x, b, err);
    if (rc == 0 && !b->sizes && !dtype_quantised(x.m.type))
        rc = pack_floats(&x, b, err);
    if (rc == 0)
        rc = record(b, &x, err);
    if (rc == 0 && s->bias) {
        const struct tensor_spec bias = {
            .name = full, .n_dims = 1, .shape = (int64_t[]){s->n_out}};
        rc = full_name(full, b, s->name, ".bias", err);
        if (rc == 0)
            rc = take_widened(&x.m.bias, b, &bias, err);
    }
    *m = x.m;
    return rc;
}

int bind_matrices(struct matrix *const *m, const struct bind *b,
                  const struct matrix_spec *s, int n, struct err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = bind_matrix(m[i], b, &s[i], err);
    return rc;
}

/* Floats in place in the mapping, or an aligned copy of them. */
static int take_rows(struct table *t, const struct bind *b, struct err *err)
{
    struct tensor *from = t->source;
    size_t width = dtype_bytes(t->m.type), n = (size_t)from->n_values;
    bool odd = (uintptr_t)from->data % width; /* the header's length decides */
    if (t->m.type == from->type && !odd && weights_keep(b->weights, from)) {
        t->rows = from->data;
        return 0;
    }
    if (b->sizes)
        return 0;
    void *copy = arena_alloc(b->arena, n * width);
    if (!copy)
        return err_set(err, ERR_MEMORY, "out of memory for %.200s", from->name);
    if (t->m.type == from->type)
        memcpy(copy, from->data, from->bytes);
    else
        quant_floats(t->m.type, copy, from->type, from->data, n);
    t->rows = copy;
    return 0;
}

int bind_table(struct table *t, const struct bind *b, const struct matrix_spec *s,
               struct err *err)
{
    char full[NAME_CAP];
    struct bound x = bound_of(s, full);
    int rc = full_name(full, b, s->name, ".weight", err);
    if (rc == 0)
        rc = take(&x, b, err);
    *t = (struct table){.m = x.m, .source = x.source};
    x.rows = rc == 0 && !dtype_quantised(x.m.type);
    if (x.rows)
        rc = take_rows(t, b, err);
    return rc ? rc : record(b, &x, err);
}

const struct tensor *bind_find(const struct bind *b, const char *name)
{
    char full[NAME_CAP];
    return full_name(full, b, name, "", NULL) ? NULL : weights_find(b->weights, full);
}

bool bind_has(const struct bind *b, const char *name)
{
    return bind_find(b, name) != NULL;
}

struct bind bind_under(const struct bind *b, const char *fmt, ...)
{
    char tail[NAME_CAP / 2], full[NAME_CAP];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(tail, sizeof tail, fmt, ap);
    va_end(ap);
    int n = snprintf(full, sizeof full, "%s%s", b->prefix, tail);
    struct bind under = *b;
    under.prefix = arena_strdup(b->arena, full, (size_t)n < sizeof full ? (size_t)n : 0);
    return under;
}
