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
#include "engine/load/safetensors_header.h"

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

/* Drops the whole pages between two offsets of a file. */
static void drop(const struct mapped_file *f, size_t begin, size_t end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    begin = (begin + page - 1) / page * page;
    end = end == f->map_bytes ? end : end / page * page;
    if (begin < end)
        madvise((char *)f->map + begin, end - begin, MADV_DONTNEED);
}

/* Goes through the file piece by piece, so that no more than one is resident. */
static int hash_file(const struct mapped_file *f, uint64_t *sum, struct err *err)
{
    enum { PIECE_BYTES = 16 << 20 };
    struct hash h = {0};
    if (!hash_begin(&h))
        return err_set(err, ERR_MEMORY, "out of memory for a hash");
    for (size_t at = 0; at < f->map_bytes; at += PIECE_BYTES) {
        size_t left = f->map_bytes - at, n = left < PIECE_BYTES ? left : PIECE_BYTES;
        hash_put(&h, (const char *)f->map + at, n);
        drop(f, at, at + n);
    }
    *sum = *sum * 1099511628211u ^ hash_value(&h);
    hash_free(&h);
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

static bool is_missing(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) != 0 && errno == ENOENT;
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
    if (is_missing(x->dir, name))
        return err_set(
            x->err, ERR_IO,
            "weight_map: tensor %.150s: expected in %.200s, found no such file "
            "in %.300s",
            key, name, x->dir);
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

/* Neighbours on its first and last page are read in again. */
static void release_tensor(struct weights *w, const struct tensor *t)
{
    const struct mapped_file *f = &store_of(w)->files[t->file_index];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (size_t)((const char *)t->data - (char *)f->map);
    drop(f, begin / page * page, (begin + t->bytes + page - 1) / page * page);
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

static int hash_files(const struct weights *w, uint64_t *out, struct err *err)
{
    const struct store *s = w->store;
    int rc = 0;
    *out = 0;
    for (int i = 0; rc == 0 && i < s->n_files; i++)
        rc = hash_file(&s->files[i], out, err);
    return rc;
}

static void close_files(struct weights *w)
{
    const struct store *s = w->store;
    for (int i = 0; s && i < s->n_files; i++) {
        mapping_remove(s->files[i].map);
        munmap(s->files[i].map, s->files[i].map_bytes);
    }
}

static const struct weights_source source = {weights_lookup, release_tensor,
                                             release_pages,  close_files,
                                             hash_files,     .keeps = true};

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
