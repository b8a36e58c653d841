/*
 * State objects: the state of one sequence as bytes, to be stored, sent and resumed.
 *
 * Layout 2, little-endian, nothing compressed:
 *
 *   0     head, OBJECT_HEAD_BYTES: struct wire in object.c
 *   256   tokens, int32 [n_tokens]: those that the state contains, and at most one more,
 *         the pending one, which was sampled but not run yet; then the ends of answers,
 *         struct answer_end [n_ends]; then zeros up to a multiple of 64
 *   body  the constant part, slot_bytes; then whole pages in order, as the step left them
 *         (rows at and behind depth in the last page mean nothing)
 *
 * Layout 1, which is still read, has no ends. The head has a checksum of all that is
 * before the body and one of the body (XXH3, 64 bits), and names everything that the
 * state's bits depend on. Whatever differs from what is expected, be it one bit, is
 * ERR_CONFLICT with both values. The layout's number is raised when the layout, that of a
 * slot or page, or the arithmetic of a step changes.
 *
 * Pure functions on bytes; any thread, one owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_OBJECT_H
#define ENGINE_STATE_OBJECT_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/hash.h"
#include "engine/base/history.h"

#include <stddef.h>
#include <stdint.h>

enum { OBJECT_LAYOUT = 2, OBJECT_HEAD_BYTES = 256, OBJECT_TENANT_BYTES = 64 };

/* What a state's bits depend on, and the bounds of what is accepted. */
struct object_kind {
    uint64_t model_hash, tokenizer_hash;
    uint64_t slot_bytes, page_bytes;
    uint32_t weights;     /* bits of the element types that matrices are held as */
    uint32_t kv, math;    /* enum engine_kv; 0 exact, 1 blas */
    uint32_t rope_length; /* the length a rotary table was made for; 0: of no effect */
    int vocab_size;       /* ids are below it; not in the head */
    int max_tokens;       /* n_tokens is at most this; not in the head */
};

/* What an object's head says. */
struct object_head {
    char tenant[OBJECT_TENANT_BYTES]; /* ends with a NUL */
    int layout;                       /* as it was written */
    int depth, n_tokens, n_ends, n_pages;
    uint64_t bytes, body_at; /* of the whole object; where the body begins */
    uint64_t head_hash, body_hash;
};

/* A hash of the layout and of all that is in the head: objects of different kinds never
 * have the same. */
uint64_t object_kind_hash(const struct object_kind *k);

/* A head for a state of so many tokens and ends; the checksums are object_write's and the
 * body's. */
void object_head(struct object_head *h, const struct object_kind *k, const char *tenant,
                 int depth, int n_tokens, int n_ends);

/* Writes head, tokens and ends, h->body_at bytes; sets h->head_hash. h->body_hash is set
 * already. */
void object_write(void *to, struct object_head *h, const struct object_kind *k,
                  const struct history *said);

/* Parses the first OBJECT_HEAD_BYTES of an object and compares all but the checksums.
 * ERR_CONFLICT. */
int object_parse(struct object_head *h, const void *bytes, const struct object_kind *k,
                 const char *tenant, struct err *err);

/* Checks the checksum of all before the body, that the tokens are ids and that the ends
 * are theirs. memory holds the first h->body_at bytes, aligned to 8; it is the same
 * afterwards. ERR_CONFLICT. */
int object_check_tokens(const struct object_head *h, void *memory,
                        const struct object_kind *k, struct err *err);

/* Tokens and ends in such a memory, borrowed from it. */
struct history object_history(const struct object_head *h, void *memory);

/* "state object: <what>: expected <expected>, found <found>"; -ERR_CONFLICT. */
int object_differs(struct err *err, const char *what, uint64_t expected, uint64_t found);
int object_differs_hash(struct err *err, const char *what, uint64_t expected,
                        uint64_t found);

/* An object that comes in pieces. One owner; zeroed = not begun. */
struct object_check {
    const struct object_kind *kind; /* borrows, as tenant */
    const char *tenant;
    struct object_head head; /* head.bytes is 0 until the head has come */
    struct buf first;        /* owns: what is before the body as it comes */
    struct hash hash;        /* of the body */
    uint64_t n_seen;
};

/* ERR_MEMORY. */
int object_check_begin(struct object_check *c, const struct object_kind *k,
                       const char *tenant, struct err *err);
/* Takes the next bytes. ERR_CONFLICT as soon as something does not fit, ERR_MEMORY. */
int object_check_put(struct object_check *c, const void *data, size_t len,
                     struct err *err);
/* The end: ERR_CONFLICT unless the object is whole and its checksums hold. */
int object_check_end(struct object_check *c, struct err *err);
void object_check_free(struct object_check *c); /* accepts a zeroed struct */

#endif
