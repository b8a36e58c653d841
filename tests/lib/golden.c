/* Reading the golden folders. Used by tests only, on their one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/golden.h"

#include "engine/base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char root[] = "tests/golden";

static int32_t *read_ids(const struct json *array, size_t *n)
{
    *n = json_len(array);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_as_int(json_at(array, i));
    return ids;
}

static struct json *load(const struct golden *g, const char *file)
{
    char path[256];
    struct json *doc = NULL;
    struct err err = {0};
    snprintf(path, sizeof path, "%s/%s", g->dir, file);
    if (json_load(&doc, path, 1 << 20, &err))
        fail_msg("%s", err.text);
    return doc;
}

static void read_logits(struct golden *g)
{
    char path[256];
    size_t n = g->n_ids * (size_t)g->n_vocab;
    snprintf(path, sizeof path, "%s/logits.f64", g->dir);
    FILE *f = fopen(path, "rb");
    g->logits = malloc(n * sizeof *g->logits);
    assert_non_null(g->logits);
    if (!f || fread(g->logits, sizeof *g->logits, n, f) != n || fgetc(f) != EOF)
        fail_msg("%s: expected %zu doubles", path, n);
    fclose(f);
}

static void read_folder(struct golden *g)
{
    struct json *config = load(g, "config.json"), *doc = load(g, "golden.json");
    const struct json *text = json_get(config, "text_config");
    g->n_vocab = (int)json_as_int(json_get(text ? text : config, "vocab_size"));
    g->context = (int)json_as_int(json_get(doc, "context"));
    g->ids = read_ids(json_get(doc, "ids"), &g->n_ids);
    g->greedy = read_ids(json_get(doc, "greedy"), &g->n_greedy);
    json_free(config);
    json_free(doc);
    assert_true(g->n_ids > 0 && g->n_vocab > 0);
    read_logits(g);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct golden *)a)->name, ((const struct golden *)b)->name);
}

size_t golden_all(struct golden out[GOLDEN_MAX])
{
    size_t n = 0;
    struct dirent *entry;
    DIR *d = opendir(root);
    if (!d)
        fail_msg("%s cannot be opened: run at the root of the tree", root);
    while ((entry = readdir(d)) && n < GOLDEN_MAX) {
        struct golden *g = &out[n];
        char path[256];
        *g = (struct golden){0};
        snprintf(g->name, sizeof g->name, "%.60s", entry->d_name);
        snprintf(g->dir, sizeof g->dir, "%s/%s", root, g->name);
        snprintf(path, sizeof path, "%s/golden.json", g->dir);
        if (access(path, F_OK) == 0)
            n++;
    }
    closedir(d);
    assert_true(n > 0);
    qsort(out, n, sizeof *out, by_name);
    for (size_t i = 0; i < n; i++)
        read_folder(&out[i]);
    return n;
}

void golden_free(struct golden *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(g[i].ids);
        free(g[i].greedy);
        free(g[i].logits);
    }
}
