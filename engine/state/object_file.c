/* Reading and writing state objects by pread and pwrite, in pieces that are hashed while
 * they are in the cache.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/object_file.h"

#include "engine/base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024 };

static int io_error(struct err *err, int why)
{
    return err_set(err, err_of_errno(why), "state object: %s", strerror(why));
}

static int read_at(int fd, void *to, uint64_t len, uint64_t at, struct err *err)
{
    for (uint64_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(err, errno);
        if (n == 0)
            return object_differs(err, "bytes of the file", at + len, at + done);
        done += (uint64_t)n;
    }
    return 0;
}

static int write_at(int fd, const void *from, uint64_t len, uint64_t at, struct err *err)
{
    for (uint64_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const char *)from + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_error(err, n ? errno : EIO);
        done += (uint64_t)n;
    }
    return 0;
}

/* ---- head and tokens -------------------------------------------------------- */

static int check_length(int fd, const struct object_head *h, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return io_error(err, errno);
    if ((uint64_t)st.st_size != h->bytes)
        return object_differs(err, "bytes of the file", h->bytes, (uint64_t)st.st_size);
    return 0;
}

/* Layout 1 does not say how answers ended: the last one maybe inside a character. */
static int copy_history(struct history *to, const struct history *from, int layout,
                        struct err *err)
{
    size_t more = layout < 2;
    int rc = history_make(to, from->n_ids, from->n_ends + more, err);
    if (rc)
        return rc;
    int32_t n = (int32_t)from->n_ids;
    memcpy(to->ids, from->ids, from->n_ids * sizeof *to->ids);
    memcpy(to->ends, from->ends, from->n_ends * sizeof *to->ends);
    if (more)
        to->ends[0] = (struct answer_end){.at = n, .from = n};
    return 0;
}

static int read_history(struct history *said, int fd, const struct object_head *h,
                        const struct object_kind *k, struct err *err)
{
    char *memory = mem_alloc(h->body_at);
    if (!memory)
        return err_set(err, ERR_MEMORY, "out of memory for %d tokens", h->n_tokens);
    int rc = read_at(fd, memory, h->body_at, 0, err);
    if (rc == 0)
        rc = object_check_tokens(h, memory, k, err);
    if (rc == 0) {
        struct history read = object_history(h, memory);
        rc = copy_history(said, &read, h->layout, err);
    }
    mem_free(memory);
    return rc;
}

int object_file_peek(struct object_head *h, int fd, const struct object_kind *k,
                     const char *tenant, struct err *err)
{
    char first[OBJECT_HEAD_BYTES];
    int rc = read_at(fd, first, sizeof first, 0, err);
    if (rc == 0)
        rc = object_parse(h, first, k, tenant, err);
    if (rc == 0)
        rc = check_length(fd, h, err);
    return rc;
}

int object_file_open(struct object_head *h, struct history *said, int fd,
                     const struct object_kind *k, const char *tenant, struct err *err)
{
    int rc = object_file_peek(h, fd, k, tenant, err);
    return rc ? rc : read_history(said, fd, h, k, err);
}

/* ---- the body --------------------------------------------------------------- */

/* Bytes that are neighbours in memory and in the file. */
struct stretch {
    char *data;
    uint64_t len, at;
};

typedef int stretch_fn(int fd, const struct stretch *s, struct hash *hash,
                       struct err *err);

static int read_stretch(int fd, const struct stretch *s, struct hash *hash,
                        struct err *err)
{
    int rc = read_at(fd, s->data, s->len, s->at, err);
    if (rc == 0)
        hash_put(hash, s->data, s->len);
    return rc;
}

static int write_stretch(int fd, const struct stretch *s, struct hash *hash,
                         struct err *err)
{
    hash_put(hash, s->data, s->len);
    return write_at(fd, s->data, s->len, s->at, err);
}

struct body { /* what a walk over it needs */
    int fd;
    const struct object_head *head;
    const struct object_kind *kind;
    const struct object_file_state *state;
    struct hash hash;
    stretch_fn *fn;
};

static int walk_stretch(struct body *b, struct stretch s, struct err *err)
{
    int rc = 0;
    while (rc == 0 && s.len > 0) {
        struct stretch piece = s;
        piece.len = s.len < PIECE_BYTES ? s.len : PIECE_BYTES;
        rc = b->fn(b->fd, &piece, &b->hash, err);
        s.data += piece.len;
        s.at += piece.len;
        s.len -= piece.len;
    }
    return rc;
}

/* The constant part, then runs of pages that are neighbours in the pool. */
static int walk_parts(struct body *b, struct err *err)
{
    const int32_t *table = b->state->table;
    int n_pages = b->head->n_pages;
    struct stretch s = {b->state->slot, b->kind->slot_bytes, b->head->body_at};
    int rc = walk_stretch(b, s, err);
    for (int i = 0, n = 1; rc == 0 && i < n_pages; i += n) {
        for (n = 1; i + n < n_pages && table[i + n] == table[i] + n;)
            n++;
        s.at += s.len;
        s.len = (uint64_t)n * b->kind->page_bytes;
        s.data = b->state->pages + (uint64_t)table[i] * b->kind->page_bytes;
        rc = walk_stretch(b, s, err);
    }
    return rc;
}

/* *hash: of all of it. */
static int walk(struct body *b, uint64_t *hash, struct err *err)
{
    if (!hash_begin(&b->hash))
        return err_set(err, ERR_MEMORY, "out of memory for a checksum");
    int rc = walk_parts(b, err);
    *hash = hash_value(&b->hash);
    hash_free(&b->hash);
    return rc;
}

int object_file_load(int fd, const struct object_head *h, const struct object_kind *k,
                     const struct object_file_state *to, struct err *err)
{
    struct body b = {.fd = fd, .head = h, .kind = k, .state = to, .fn = read_stretch};
    uint64_t hash;
    int rc = walk(&b, &hash, err);
    if (rc == 0 && hash != h->body_hash)
        rc = object_differs_hash(err, "checksum of the body", h->body_hash, hash);
    return rc;
}

int object_file_save(int fd, struct object_head *h, const struct history *said,
                     const struct object_kind *k, const struct object_file_state *from,
                     struct err *err)
{
    struct body b = {.fd = fd, .head = h, .kind = k, .state = from, .fn = write_stretch};
    int rc = walk(&b, &h->body_hash, err);
    if (rc)
        return rc;
    char *memory = mem_alloc(h->body_at);
    if (!memory)
        return err_set(err, ERR_MEMORY, "out of memory for %d tokens", h->n_tokens);
    object_write(memory, h, k, said);
    rc = write_at(fd, memory, h->body_at, 0, err);
    mem_free(memory);
    return rc;
}
