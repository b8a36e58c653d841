/* Binding tensors to mixers, at open. Any alignment and type of the file is widened or
 * packed here, so that a step meets neither. */
#include "engine/mixer/bind.h"

#include "engine/base/mem.h"

#include <stdarg.h>
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

/* Widens any alignment and type to f32. */
static const float *widen(const struct bind *b, const struct tensor *t, enum dtype type,
                          size_t n)
{
    float *out = arena_alloc(b->arena, n * sizeof *out);
    if (out)
        kernel_c.widen[type](t->data, n, out);
    return out;
}

int bind_tensor(const float **out, const struct bind *b, const char *name, int n_dims,
                const int64_t *shape, struct err *err)
{
    char full[NAME_CAP];
    const struct tensor *t = NULL;
    enum dtype type = DTYPE_F32;
    size_t n = 1;
    int rc = full_name(full, b, name, "", err);
    if (rc == 0)
        rc = weights_take(b->weights, full, n_dims, shape, &t, &type, err);
    if (rc)
        return rc;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)shape[i];
    *out = widen(b, t, type, n);
    return *out ? 0 : err_set(err, ERR_MEMORY, "out of memory for tensor %.200s", full);
}

int bind_vector(const float **out, const struct bind *b, const char *name, int n,
                struct err *err)
{
    const int64_t shape[] = {n};
    return bind_tensor(out, b, name, 1, shape, err);
}

/* ---- matrices --------------------------------------------------------------- */

int bind_record(const struct bind *b, const struct bound *x, struct err *err)
{
    struct bind_list *l = b->list;
    if (x->m.type >= DTYPE_FLOATS && b->quant_in && x->m.n_in > *b->quant_in)
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

static int quantise(struct packed *q, const struct bind *b, const struct tensor *t,
                    enum dtype own, struct err *err)
{
    uint8_t *codes = arena_alloc(b->arena, quant_code_bytes(q));
    uint16_t *scales = arena_alloc(b->arena, quant_scale_bytes(q));
    if (!codes || !scales)
        return err_set(err, ERR_MEMORY, "out of memory for tensor %.200s", t->name);
    q->codes = codes;
    q->scales = scales;
    int rc = quant_pack(q, codes, scales, own, t->data, err);
    if (rc)
        err_prefix(err, "%s: tensor %.200s", t->file, t->name);
    return rc;
}

static void hold(struct matrix *m, const struct packed *q)
{
    m->type = q->type;
    m->panels = q->codes;
    m->scales = q->scales;
}

/* Floats of the file as floats of another type, packed from a passing copy. */
static int convert(struct matrix *m, const struct bind *b, const struct tensor *t,
                   enum dtype own, struct err *err)
{
    size_t n = (size_t)m->n_out * (size_t)m->n_in;
    void *copy = mem_alloc(n * dtype_bytes(m->type));
    if (!copy)
        return err_set(err, ERR_MEMORY, "out of memory for tensor %.200s", t->name);
    quant_floats(m->type, copy, own, t->data, n);
    int rc = gemm_pack(m, b->arena, m->type, copy, m->n_out, m->n_in, b->blas, err);
    mem_free(copy);
    return rc;
}

static enum dtype target(const struct bind *b, const struct bound *x, enum dtype own)
{
    struct quant_use use = {x->role, own, x->m.n_out, x->m.n_in};
    return quant_target(b->held, &use);
}

static int take_floats(struct bound *x, const struct bind *b, struct err *err)
{
    struct matrix *m = &x->m;
    const int64_t shape[] = {m->n_out, m->n_in};
    enum dtype own = DTYPE_F32;
    int rc = weights_take(b->weights, x->name, 2, shape, &x->source, &own, err);
    if (rc)
        return rc;
    m->type = target(b, x, own);
    if (m->type >= DTYPE_FLOATS) {
        struct packed q = {m->type, m->n_out, m->n_in, NULL, NULL};
        rc = quantise(&q, b, x->source, own, err);
        hold(m, &q);
        return rc;
    }
    if (m->type != own)
        return convert(m, b, x->source, own, err);
    return gemm_pack(m, b->arena, own, x->source->data, m->n_out, m->n_in, b->blas, err);
}

static int take_packed(struct bound *x, const struct bind *b, struct err *err)
{
    struct packed q = {.n_out = x->m.n_out, .n_in = x->m.n_in};
    int rc = quant_file_take(&q, b->weights, b->arena, x->name, err);
    hold(&x->m, &q);
    enum dtype want = target(b, x, q.type);
    if (rc || want == q.type || (b->held == QUANT_Q4 && q.type == DTYPE_Q4))
        return rc;
    return err_param(err, ERR_ARGUMENT, "weights",
                     "weights: tensor %.200s: expected floats to make %s of, found %s "
                     "(--weights own takes a quantised file as it is)",
                     x->name, quant_name(want), quant_name(q.type));
}

static int take(struct bound *x, const struct bind *b, struct err *err)
{
    int rc = quant_file_has(b->weights, x->name) ? take_packed(x, b, err)
                                                 : take_floats(x, b, err);
    return rc ? rc : bind_record(b, x, err);
}

struct want {
    enum quant_role role;
    int n_out, n_in;
    bool bias;
};

static int bind_as(struct matrix *m, const struct bind *b, const char *name,
                   const struct want *w, struct err *err)
{
    char full[NAME_CAP];
    const float *offsets = NULL;
    struct bound x = {
        .name = full, .role = w->role, .m = {.n_out = w->n_out, .n_in = w->n_in}};
    int rc = full_name(full, b, name, ".weight", err);
    if (rc == 0)
        rc = take(&x, b, err);
    if (rc == 0 && w->bias) {
        struct bind root = *b;
        root.prefix = "";
        rc = full_name(full, b, name, ".bias", err);
        if (rc == 0)
            rc = bind_vector(&offsets, &root, full, w->n_out, err);
    }
    *m = x.m;
    m->bias = offsets;
    return rc;
}

int bind_matrix(struct matrix *m, const struct bind *b, const char *name, int n_out,
                int n_in, bool bias, struct err *err)
{
    struct want w = {QUANT_MATRIX, n_out, n_in, bias};
    return bind_as(m, b, name, &w, err);
}

int bind_exact(struct matrix *m, const struct bind *b, const char *name, int n_out,
               int n_in, bool bias, struct err *err)
{
    struct want w = {QUANT_EXACT, n_out, n_in, bias};
    return bind_as(m, b, name, &w, err);
}

int bind_table(struct matrix *m, const struct bind *b, const char *name, int n_out,
               int n_in, struct err *err)
{
    char full[NAME_CAP];
    struct bound x = {
        .name = full, .role = QUANT_TABLE, .m = {.n_out = n_out, .n_in = n_in}};
    int rc = full_name(full, b, name, "", err);
    if (rc == 0)
        rc = take(&x, b, err);
    *m = x.m;
    return rc;
}

bool bind_has(const struct bind *b, const char *name)
{
    char full[NAME_CAP];
    return full_name(full, b, name, "", NULL) == 0 &&
           weights_find(b->weights, full) != NULL;
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
