/* Binding tensors to mixers, at open. Any alignment and type of the file is widened or
 * packed here, so that a step meets neither. */
#include "engine/mixer/bind.h"

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
    if (!out)
        return NULL;
    const unsigned char *src = t->data;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        if (type == DTYPE_F32) {
            memcpy(&out[i], src + 4 * i, 4);
            continue;
        }
        memcpy(&half, src + 2 * i, 2);
        kernel_c.widen[type](&half, 1, &out[i]);
    }
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

int bind_matrix(struct matrix *m, const struct bind *b, const char *name, int n_out,
                int n_in, bool bias, struct err *err)
{
    char full[NAME_CAP];
    const int64_t shape[] = {n_out, n_in};
    const struct tensor *t = NULL;
    enum dtype type = DTYPE_F32;
    const float *offsets = NULL;
    int rc = full_name(full, b, name, ".weight", err);
    if (rc == 0)
        rc = weights_take(b->weights, full, 2, shape, &t, &type, err);
    if (rc == 0 && bias) {
        rc = full_name(full, b, name, ".bias", err);
        struct bind root = *b;
        root.prefix = "";
        if (rc == 0)
            rc = bind_vector(&offsets, &root, full, n_out, err);
    }
    if (rc)
        return rc;
    rc = gemm_pack(m, b->arena, type, t->data, n_out, n_in, b->blas, err);
    m->bias = offsets;
    if (m->type >= DTYPE_FLOATS && b->quant_in && n_in > *b->quant_in)
        *b->quant_in = n_in;
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
