/*
 * The header of a safetensors file: names, types, shapes and places of its tensors, which
 * must tile the data. No number is used before it is checked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/safetensors_header.h"

#include "engine/base/json.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [DTYPE_F32] = {"F32", 4},
    [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2},
    {"F64", 8},
    {"I64", 8},
    {"U64", 8},
    {"I32", 4},
    {"U32", 4},
    {"I16", 2},
    {"U16", 2},
    {"I8", 1},
    {"U8", 1},
    {"BOOL", 1},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static int dtype_of(const char *name)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- one tensor of a header ------------------------------------------------- */

struct header_reader {
    struct weights *w;
    struct err *err;
    size_t data_bytes;
};

static int read_shape(struct tensor *t, const struct json *shape, size_t *count,
                      struct err *err)
{
    if (json_kind(shape) != JK_ARRAY || json_len(shape) > TENSOR_MAX_DIMS)
        return err_set(err, ERR_FORMAT, "shape: expected an array of at most %d sizes",
                       TENSOR_MAX_DIMS);
    *count = 1;
    t->n_dims = (int)json_len(shape);
    for (int i = 0; i < t->n_dims; i++) {
        const struct json *v = json_at(shape, (size_t)i);
        if (json_kind(v) != JK_INT || json_as_int(v) < 0)
            return err_set(err, ERR_FORMAT, "shape: expected sizes >= 0, found %s",
                           json_kind(v) == JK_INT ? "a negative one" : json_kind_name(v));
        t->shape[i] = json_as_int(v);
        if (__builtin_mul_overflow(*count, (size_t)t->shape[i], count))
            return err_set(err, ERR_FORMAT, "shape: the product of its sizes overflows");
    }
    return 0;
}

static int read_offsets(struct tensor *t, const struct json *o, size_t data_bytes,
                        struct err *err)
{
    const struct json *b = json_at(o, 0), *e = json_at(o, 1);
    if (json_kind(o) != JK_ARRAY || json_len(o) != 2 || json_kind(b) != JK_INT ||
        json_kind(e) != JK_INT)
        return err_set(err, ERR_FORMAT, "data_offsets: expected two integers");
    int64_t begin = json_as_int(b), end = json_as_int(e);
    if (begin < 0 || end < begin)
        return err_set(err, ERR_FORMAT,
                       "data_offsets: expected 0 <= begin <= end, found [%lld, %lld]",
                       (long long)begin, (long long)end);
    if ((uint64_t)end > data_bytes)
        return err_set(err, ERR_FORMAT,
                       "data_offsets: end %lld is past the %zu bytes of data in the file",
                       (long long)end, data_bytes);
    t->begin = (size_t)begin;
    t->bytes = (size_t)(end - begin);
    return 0;
}

static int read_tensor(struct tensor *t, const struct json *v, size_t data_bytes,
                       struct err *err)
{
    if (json_kind(v) != JK_OBJECT)
        return err_set(err, ERR_FORMAT, "expected an object, found %s",
                       json_kind_name(v));
    const struct json *type = json_get(v, "dtype");
    if (json_kind(type) != JK_STRING)
        return err_set(err, ERR_FORMAT, "dtype: expected a string, found %s",
                       json_kind_name(type));
    int d = dtype_of(json_as_string(type, NULL));
    if (d < 0)
        return err_set(err, ERR_FORMAT,
                       "dtype: expected F32, F16 or BF16, found \"%.40s\"",
                       json_as_string(type, NULL));
    size_t count = 0, bytes = 0;
    int rc = read_shape(t, json_get(v, "shape"), &count, err);
    if (rc == 0)
        rc = read_offsets(t, json_get(v, "data_offsets"), data_bytes, err);
    if (rc)
        return rc;
    if (__builtin_mul_overflow(count, dtypes[d].bytes, &bytes) || bytes != t->bytes)
        return err_set(err, ERR_FORMAT,
                       "data_offsets: expected %zu bytes for %zu values of %s, found %zu",
                       bytes, count, dtypes[d].name, t->bytes);
    t->dtype = dtypes[d].name;
    t->type = d < DTYPE_FLOATS ? (enum dtype)d : DTYPE_N;
    t->n_values = (int64_t)count;
    return 0;
}

/* One text of __metadata__. Only keys of ours are read; shards may repeat one, with the
 * same text. */
static int read_note(void *arg, const char *key, size_t len, const struct json *v)
{
    struct header_reader *r = arg;
    struct weights *w = r->w;
    const char *text = json_as_string(v, NULL), *before = weights_note(w, key);
    if (strncmp(key, "ssmd.", 5) != 0)
        return 0;
    if (!text || strlen(key) != len)
        return err_set(r->err, ERR_FORMAT, "__metadata__: %.200s: expected a text", key);
    if (before && strcmp(before, text) != 0)
        return err_set(
            r->err, ERR_FORMAT,
            "__metadata__: %.200s: expected \"%.60s\" as before, found \"%.60s\"", key,
            before, text);
    if (before)
        return 0;
    return weights_add_note(w, key, text)
               ? 0
               : err_set(r->err, ERR_MEMORY, "out of memory for metadata");
}

static int read_member(void *arg, const char *key, size_t len, const struct json *v)
{
    struct header_reader *r = arg;
    if (strcmp(key, "__metadata__") == 0)
        return json_each(v, read_note, r);
    if (strlen(key) != len || len == 0)
        return err_set(r->err, ERR_FORMAT, "tensor name: expected text without NUL");
    struct tensor *t = weights_add(r->w, key);
    if (!t)
        return err_set(r->err, ERR_MEMORY, "out of memory for tensor tables");
    int rc = read_tensor(t, v, r->data_bytes, r->err);
    return rc ? err_prefix(r->err, "tensor %.200s", key) : 0;
}

static int by_begin(const void *pa, const void *pb)
{
    const struct tensor *a = pa, *b = pb;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

/* The tensors of one file must tile its data section: no overlap, no hole, no byte after
 * the last. */
static int check_tiling(struct tensor *t, size_t n, size_t data_bytes, struct err *err)
{
    size_t end = 0;
    qsort(t, n, sizeof *t, by_begin);
    for (size_t i = 0; i < n; i++) {
        if (t[i].begin < end)
            return err_set(
                err, ERR_FORMAT,
                "tensor %.150s overlaps tensor %.150s: begins at %zu, expected %zu",
                t[i].name, t[i - 1].name, t[i].begin, end);
        if (t[i].begin > end)
            return err_set(err, ERR_FORMAT,
                           "tensor %.150s: expected to begin at %zu, found %zu (a hole)",
                           t[i].name, end, t[i].begin);
        end = t[i].begin + t[i].bytes;
    }
    if (end != data_bytes)
        return err_set(err, ERR_FORMAT, "expected %zu bytes of tensor data, found %zu",
                       end, data_bytes);
    return 0;
}

int safetensors_header(struct weights *w, const char *json, size_t len, size_t data_bytes,
                       struct err *err)
{
    struct json *doc = NULL;
    int rc = json_parse(&doc, json, len, err);
    if (rc)
        return err_prefix(err, "header");
    if (json_kind(doc) != JK_OBJECT)
        rc = err_set(err, ERR_FORMAT, "header: expected an object, found %s",
                     json_kind_name(doc));
    size_t first = w->n_tensors;
    struct header_reader r = {w, err, data_bytes};
    if (rc == 0)
        rc = json_each(doc, read_member, &r);
    json_free(doc);
    if (rc == 0 && w->n_tensors > first)
        rc = check_tiling(w->tensors + first, w->n_tensors - first, data_bytes, err);
    else if (rc == 0 && data_bytes)
        rc = err_set(err, ERR_FORMAT, "header: no tensors, but %zu bytes of data",
                     data_bytes);
    return rc;
}
