/* Every tensor that the model took is one item: copied, converted, or its panels.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/export.h"

#include "engine/base/mem.h"

#include <string.h>

/* The items to write. */
struct lists {
    struct quant_file_item *items; /* owns */
    size_t n;
};

/* Whether the name is that of the matrix's codes. */
static bool is_codes(const char *name, const struct bound *x)
{
    size_t n = strlen(x->name);
    return strncmp(name, x->name, n) == 0 &&
           (strcmp(name + n, ".q8") == 0 || strcmp(name + n, ".q4") == 0);
}

static bool is_scale(const char *name, const struct bound *x)
{
    size_t n = strlen(x->name);
    return strncmp(name, x->name, n) == 0 && strcmp(name + n, ".scale") == 0;
}

static void add(struct lists *l, const struct quant_file_item *it)
{
    l->items[l->n++] = *it;
}

static void add_matrix(struct lists *l, const struct bound *x)
{
    const struct matrix *m = dtype_quantised(x->m.type) ? &x->m : NULL;
    struct quant_file_item it = {x->name, x->m.type, m, x->source};
    add(l, &it);
}

static void add_tensor(struct lists *l, const struct model *m, const struct tensor *t)
{
    for (const struct bound *x = m->bound.first; x; x = x->next) {
        if (x->source == t || (!x->source && is_codes(t->name, x))) {
            add_matrix(l, x);
            return;
        }
        if (!x->source && is_scale(t->name, x))
            return;
    }
    struct quant_file_item it = {.name = t->name, .type = t->type, .raw = t};
    add(l, &it);
}

int export_model(const struct model *m, const char *path, size_t *bytes, struct err *err)
{
    const struct weights *w = &m->weights;
    struct lists l = {.items = mem_zalloc(w->n_tensors, sizeof *l.items)};
    int rc =
        l.items ? 0
                : err_set(err, ERR_MEMORY, "out of memory for %zu tensors", w->n_tensors);
    for (size_t i = 0; rc == 0 && i < w->n_tensors; i++)
        if (w->tensors[i].used && !w->tensors[i].twin)
            add_tensor(&l, m, &w->tensors[i]);
    if (rc == 0)
        rc = quant_file_save(path, l.items, l.n, bytes, err);
    mem_free(l.items);
    return rc;
}
