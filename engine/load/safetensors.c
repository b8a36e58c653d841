/*
 * Maps and checks safetensors. No number of a file is used before it is checked. The
 * tensors of a file are contiguous in the table, in the order of the file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/safetensors.h"

#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mapping.h"
#include "engine/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 1024, HEADER_MAX_BYTES = 100 << 20, INDEX_MAX_BYTES = 64 << 20 };

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

struct mapped_file {
    const char *path; /* borrows from the weights' arena */
    const char *name; /* the path's last part */
    void *map;        /* owns the mapping */
    size_t map_bytes;
};

/* Behind struct weights; lies in its arena. */
struct store {
    struct mapped_file files[MAX_FILES];
    int n_files;
};

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

/* ---- files ------------------------------------------------------------------ */

static struct store *store_of(const struct weights *w)
{
    return w->store;
}

static int map_fd(struct mapped_file *f, int fd, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set(err, ERR_IO, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT, "expected a regular file");
    if (st.st_size < 8)
        return err_set(err, ERR_FORMAT, "expected at least 8 bytes, found %lld",
                       (long long)st.st_size);
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return err_set(err, ERR_IO, "mmap of %lld bytes: %s", (long long)st.st_size,
                       strerror(errno));
    f->map = map;
    f->map_bytes = (size_t)st.st_size;
    mapping_add(map, f->map_bytes, f->path);
    return 0;
}

static int read_file(struct weights *w, int file, struct err *err)
{
    const struct mapped_file *f = &store_of(w)->files[file];
    const unsigned char *map = f->map;
    uint64_t header = 0;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | map[i];
    if (header > HEADER_MAX_BYTES || header > f->map_bytes - 8)
        return err_set(
            err, ERR_FORMAT,
            "header length: expected at most %zu (file of %zu bytes), found %llu",
            f->map_bytes - 8 < HEADER_MAX_BYTES ? f->map_bytes - 8
                                                : (size_t)HEADER_MAX_BYTES,
            f->map_bytes, (unsigned long long)header);
    size_t first = w->n_tensors, data_bytes = f->map_bytes - 8 - (size_t)header;
    int rc =
        safetensors_header(w, (const char *)map + 8, (size_t)header, data_bytes, err);
    if (rc)
        return rc;
    for (size_t i = first; i < w->n_tensors; i++) {
        w->tensors[i].file = f->name;
        w->tensors[i].file_index = file;
        w->tensors[i].data = map + 8 + header + w->tensors[i].begin;
    }
    w->hash = w->hash * 1099511628211u ^ hash_bytes(map, f->map_bytes);
    return 0;
}

static int open_file(struct weights *w, const char *dir, const char *name,
                     struct err *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return err_set(err, ERR_ARGUMENT, "%.200s: path too long", name);
    struct store *s = store_of(w);
    struct mapped_file *f = &s->files[s->n_files];
    *f = (struct mapped_file){.path = arena_strdup(&w->arena, path, strlen(path))};
    if (!f->path)
        return err_set(err, ERR_MEMORY, "out of memory for file names");
    f->name = f->path + strlen(path) - strlen(name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_IO, "%.300s: %s", path, strerror(errno));
    int rc = map_fd(f, fd, err);
    close(fd);
    if (rc == 0)
        rc = read_file(w, s->n_files, err);
    if (f->map)
        s->n_files++;
    return rc ? err_prefix(err, "%.300s", path) : 0;
}

/* ---- shards ----------------------------------------------------------------- */

struct index_reader {
    struct weights *w;
    const char *dir;
    struct err *err;
};

static bool is_open(const struct store *s, const char *name)
{
    for (int i = 0; i < s->n_files; i++)
        if (strcmp(s->files[i].name, name) == 0)
            return true;
    return false;
}

static int open_shard(void *arg, const char *key, size_t len, const struct json *v)
{
    (void)len;
    struct index_reader *x = arg;
    const char *name = json_as_string(v, NULL);
    if (!name || !*name || strchr(name, '/') || name[0] == '.')
        return err_set(
            x->err, ERR_FORMAT,
            "weight_map: tensor %.150s: expected the plain name of a file, found %s "
            "\"%.100s\"",
            key, json_kind_name(v), name ? name : "");
    if (is_open(store_of(x->w), name))
        return 0;
    if (store_of(x->w)->n_files == MAX_FILES)
        return err_set(x->err, ERR_FORMAT, "weight_map: expected at most %d files",
                       MAX_FILES);
    return open_file(x->w, x->dir, name, x->err);
}

static int check_placed(void *arg, const char *key, size_t len, const struct json *v)
{
    struct index_reader *x = arg;
    const struct tensor *t = strlen(key) == len ? weights_find(x->w, key) : NULL;
    const char *name = json_as_string(v, NULL);
    if (!t || strcmp(t->file, name) != 0)
        return err_set(x->err, ERR_FORMAT,
                       "weight_map: tensor %.150s: expected in %.100s, found %s", key,
                       name, t ? t->file : "nowhere");
    return 0;
}

/* And the reverse: every tensor of the shards is listed in the map. */
static int check_listed(const struct weights *w, const struct json *map, struct err *err)
{
    for (size_t i = 0; i < w->n_tensors; i++)
        if (!json_get(map, w->tensors[i].name))
            return err_set(
                err, ERR_FORMAT,
                "weight_map: tensor %.150s of %.100s: expected an entry, found none",
                w->tensors[i].name, w->tensors[i].file);
    return 0;
}

static int open_index(struct weights *w, const char *dir, const char *path,
                      struct err *err)
{
    struct json *doc = NULL;
    int rc = json_load(&doc, path, INDEX_MAX_BYTES, err);
    if (rc)
        return rc;
    const struct json *map = json_get(doc, "weight_map");
    struct index_reader x = {w, dir, err};
    if (json_kind(map) != JK_OBJECT || json_len(map) == 0)
        rc = err_set(err, ERR_FORMAT,
                     "weight_map: expected an object with members, found %s",
                     json_kind_name(map));
    if (rc == 0)
        rc = json_each(map, open_shard, &x);
    if (rc == 0)
        rc = weights_index(w, err);
    if (rc == 0)
        rc = json_each(map, check_placed, &x);
    if (rc == 0)
        rc = check_listed(w, map, err);
    json_free(doc);
    return rc ? err_prefix(err, "%s", index_name) : 0;
}

/* ---- the source ------------------------------------------------------------- */

/* Drops the whole pages between two offsets of a file. */
static void drop(const struct mapped_file *f, size_t begin, size_t end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    begin = (begin + page - 1) / page * page;
    end = end == f->map_bytes ? end : end / page * page;
    if (begin < end)
        madvise((char *)f->map + begin, end - begin, MADV_DONTNEED);
}

/* Pages of hot tensors excepted: every step reads them. */
static void release_pages(struct weights *w)
{
    const struct store *s = w->store;
    size_t t = 0;
    for (int i = 0; i < s->n_files; i++) {
        const struct mapped_file *f = &s->files[i];
        size_t done = 0;
        for (; t < w->n_tensors && w->tensors[t].file_index == i; t++) {
            size_t begin = (size_t)((const char *)w->tensors[t].data - (char *)f->map);
            if (!w->tensors[t].hot)
                continue;
            drop(f, done, begin);
            done = begin + w->tensors[t].bytes;
        }
        drop(f, done, f->map_bytes);
    }
}

static void close_files(struct weights *w)
{
    const struct store *s = w->store;
    for (int i = 0; s && i < s->n_files; i++) {
        mapping_remove(s->files[i].map);
        munmap(s->files[i].map, s->files[i].map_bytes);
    }
}

static const struct weights_source source = {weights_lookup, release_pages, close_files,
                                             .keeps = true};

static int open_single(struct weights *w, const char *dir, struct err *err)
{
    int rc = open_file(w, dir, single_name, err);
    return rc ? rc : weights_index(w, err);
}

int safetensors_open(struct weights *w, const char *dir, struct err *err)
{
    char single[4096], index[4096];
    snprintf(single, sizeof single, "%s/%s", dir, single_name);
    snprintf(index, sizeof index, "%s/%s", dir, index_name);
    *w = (struct weights){.source = &source};
    arena_init(&w->arena);
    w->store = arena_zalloc(&w->arena, 1, sizeof(struct store));
    int rc;
    if (!w->store)
        rc = err_set(err, ERR_MEMORY, "out of memory for file tables");
    else if (access(single, F_OK) == 0)
        rc = open_single(w, dir, err);
    else if (access(index, F_OK) == 0)
        rc = open_index(w, dir, index, err);
    else
        rc = err_set(err, ERR_IO, "%.300s: expected %s or %s, found neither", dir,
                     single_name, index_name);
    if (rc)
        weights_close(w);
    return rc;
}
