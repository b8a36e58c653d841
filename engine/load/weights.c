/* The table of tensors: a growing array, an index by name, and the metadata's texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/weights.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- filling ---------------------------------------------------------------- */

struct tensor *weights_add(struct weights *w, const char *name)
{
    char *copy = arena_strdup(&w->arena, name, strlen(name));
    if (copy && w->n_tensors == w->tensors_cap) {
        size_t cap = w->tensors_cap ? w->tensors_cap * 2 : 64;
        struct tensor *grown =
            mem_grow(w->tensors, w->n_tensors * sizeof *grown, cap * sizeof *grown);
        if (!grown)
            return NULL;
        w->tensors = grown;
        w->tensors_cap = cap;
    }
    if (!copy)
        return NULL;
    struct tensor *t = &w->tensors[w->n_tensors++];
    *t = (struct tensor){.name = copy};
    return t;
}

int weights_index(struct weights *w, struct err *err)
{
    if (!strmap_init(&w->by_name, w->n_tensors))
        return err_set(err, ERR_MEMORY, "out of memory for tensor names");
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct tensor *t = &w->tensors[i];
        int32_t twin = strmap_get(&w->by_name, t->name, strlen(t->name), -1);
        if (twin >= 0)
            return err_set(err, ERR_FORMAT, "tensor %.150s stands in both %s and %s",
                           t->name, w->tensors[twin].file, t->file);
        if (!strmap_put(&w->by_name, t->name, strlen(t->name), (int32_t)i))
            return err_set(err, ERR_MEMORY, "out of memory for tensor names");
    }
    return 0;
}

bool weights_add_note(struct weights *w, const char *key, const char *text)
{
    if (w->n_texts == w->texts_cap) {
        size_t cap = w->texts_cap ? w->texts_cap * 2 : 64;
        const char **grown =
            mem_grow(w->texts, w->n_texts * sizeof *grown, cap * sizeof *grown);
        if (!grown)
            return false;
        w->texts = grown;
        w->texts_cap = cap;
    }
    char *name = arena_strdup(&w->arena, key, strlen(key));
    char *copy = arena_strdup(&w->arena, text, strlen(text));
    if (!name || !copy || (!w->notes.cap && !strmap_init(&w->notes, 64)) ||
        !strmap_put(&w->notes, name, strlen(name), (int32_t)w->n_texts))
        return false;
    w->texts[w->n_texts++] = copy;
    return true;
}

/* ---- taking ----------------------------------------------------------------- */

static void print_shape(char *out, size_t cap, int n, const int64_t *shape)
{
    size_t used = (size_t)snprintf(out, cap, "[");
    for (int i = 0; i < n && used < cap; i++)
        used += (size_t)snprintf(out + used, cap - used, "%s%lld", i ? ", " : "",
                                 (long long)shape[i]);
    if (used < cap)
        snprintf(out + used, cap - used, "]");
}

struct tensor *weights_find(const struct weights *w, const char *name)
{
    int32_t i = strmap_get(&w->by_name, name, strlen(name), -1);
    return i < 0 ? NULL : &w->tensors[i];
}

const char *weights_note(const struct weights *w, const char *key)
{
    int32_t i = strmap_get(&w->notes, key, strlen(key), -1);
    return i < 0 ? NULL : w->texts[i];
}

int weights_lookup(struct weights *w, const struct tensor_spec *s, struct tensor **out,
                   struct err *err)
{
    char want[128], found[128];
    const char *types = s->dtype ? s->dtype : "F32, F16 or BF16";
    struct tensor *t = weights_find(w, s->name);
    print_shape(want, sizeof want, s->n_dims, s->shape);
    if (!t)
        return err_set(err, ERR_FORMAT, "tensor %.200s: expected %s, found nothing",
                       s->name, want);
    print_shape(found, sizeof found, t->n_dims, t->shape);
    if (t->n_dims != s->n_dims ||
        memcmp(t->shape, s->shape, (size_t)t->n_dims * sizeof *t->shape) != 0)
        return err_set(err, ERR_FORMAT, "%s: tensor %.200s: expected shape %s, found %s",
                       t->file, t->name, want, found);
    if (s->dtype ? strcmp(t->dtype, s->dtype) != 0 : t->type == DTYPE_N)
        return err_set(err, ERR_FORMAT, "%s: tensor %.200s: expected %s, found %s",
                       t->file, t->name, types, t->dtype);
    *out = t;
    return 0;
}

int weights_take(struct weights *w, const struct tensor_spec *s, struct tensor **out,
                 struct err *err)
{
    int rc = w->source->take(w, s, out, err);
    if (rc == 0)
        (*out)->used = true;
    return rc;
}

static bool begins_with_one(const char *name, const char *const *prefixes)
{
    for (; prefixes && *prefixes; prefixes++)
        if (strncmp(name, *prefixes, strlen(*prefixes)) == 0)
            return true;
    return false;
}

static bool is_rotary(const char *name)
{
    static const char end[] = ".rotary_emb.inv_freq";
    size_t n = strlen(name), m = sizeof end - 1;
    return n >= m && strcmp(name + n - m, end) == 0;
}

int weights_finish(const struct weights *w, const char *const *left_out, struct err *err)
{
    size_t n_left = 0, left_bytes = 0;
    const char *first = NULL;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct tensor *t = &w->tensors[i];
        if (t->used || is_rotary(t->name))
            continue;
        if (!begins_with_one(t->name, left_out))
            return err_set(
                err, ERR_FORMAT,
                "%s: tensor %.200s: surplus, this architecture has none of that name",
                t->file, t->name);
        first = first ? first : t->name;
        n_left++;
        left_bytes += t->bytes;
    }
    if (n_left)
        log_line(LOG_INFO, "tensors_left_out",
                 "\"tensors\":%zu,\"bytes\":%zu,\"first\":\"%.100s\"", n_left, left_bytes,
                 first);
    return 0;
}

/* ---- values ----------------------------------------------------------------- */

int weights_hash(const struct weights *w, uint64_t *out, struct err *err)
{
    return w->source->hash(w, out, err);
}

bool weights_keep(struct weights *w, struct tensor *t)
{
    t->kept = w->source->keeps;
    return t->kept;
}

size_t weights_kept_bytes(const struct weights *w)
{
    size_t sum = 0;
    for (size_t i = 0; i < w->n_tensors; i++)
        sum += w->tensors[i].kept ? w->tensors[i].bytes : 0;
    return sum;
}

void weights_packed(struct weights *w, const struct tensor *t)
{
    if (w->source->release_tensor && !t->kept)
        w->source->release_tensor(w, t);
}

void weights_release_pages(struct weights *w)
{
    w->source->release_pages(w);
}

void weights_close(struct weights *w)
{
    if (w->source)
        w->source->close(w);
    strmap_free(&w->by_name);
    strmap_free(&w->notes);
    mem_free(w->texts);
    mem_free(w->tensors);
    arena_free(&w->arena);
    *w = (struct weights){0};
}
