/*
 * Safetensors: a header by itself against a data section of a size taken from its first
 * bytes, then the same bytes as a whole file that is opened and read. Whatever the bytes,
 * nothing may crash, and every tensor that comes out lies inside the file. A tensor "a"
 * of 3 x 5 is taken as a quantised one; what is taken has codes and scales for its panel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/quant_file.h"
#include "engine/load/safetensors.h"
#include "engine/load/safetensors_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64], path[128];

static void remove_dir(void)
{
    unlink(path);
    rmdir(dir);
}

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "%s/ssmd-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(dir))
        abort();
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    atexit(remove_dir);
}

/* The tensors tile the data section. */
static void check(const struct weights *w, size_t first, size_t data_bytes)
{
    size_t sum = 0;
    for (size_t i = first; i < w->n_tensors; i++) {
        const struct tensor *t = &w->tensors[i];
        if (t->begin != sum || t->bytes > data_bytes - sum)
            abort();
        sum += t->bytes;
    }
    if (sum != data_bytes)
        abort();
}

static void try_header(const uint8_t *data, size_t size)
{
    struct weights w = {0};
    struct err err = {0};
    size_t data_bytes = size > 8 ? data[0] | (size_t)data[1] << 8 : 0;
    size_t skip = size > 8 ? 8 : 0;
    arena_init(&w.arena);
    int rc =
        safetensors_header(&w, (const char *)data + skip, size - skip, data_bytes, &err);
    if (rc == 0)
        check(&w, 0, data_bytes);
    else if (!err.text[0])
        abort();
    weights_close(&w);
}

static volatile unsigned read_sum; /* volatile: the reading is not optimised away */

static void read_all(const struct weights *w)
{
    for (size_t i = 0; i < w->n_tensors; i++) {
        const unsigned char *p = w->tensors[i].data;
        for (size_t b = 0; b < w->tensors[i].bytes; b++)
            read_sum = read_sum + p[b];
        if (weights_find(w, w->tensors[i].name) != &w->tensors[i])
            abort();
    }
}

static void take_quantised(struct weights *w)
{
    struct matrix m = {.n_out = 3, .n_in = 5};
    struct arena a;
    struct err err = {0};
    float row[5];
    arena_init(&a);
    if (!quant_file_has(w, "a") || quant_file_take(&m, w, &a, "a", &err)) {
        arena_free(&a);
        return;
    }
    for (int o = 0; o < m.n_out; o++) {
        quant_row(&m, o, row);
        for (int k = 0; k < m.n_in; k++)
            if (!(row[k] >= -1e9f && row[k] <= 1e9f))
                abort();
    }
    arena_free(&a);
}

static void try_file(const uint8_t *data, size_t size)
{
    struct weights w;
    struct err err = {0};
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size)
        abort();
    fclose(f);
    if (safetensors_open(&w, dir, &err) == 0) {
        read_all(&w);
        take_quantised(&w);
        if (weights_finish(&w, NULL, &err) && !err.text[0])
            abort();
        weights_close(&w);
    } else if (!strstr(err.text, "model.safetensors"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!dir[0])
        make_dir();
    try_header(data, size);
    try_file(data, size);
    return 0;
}
