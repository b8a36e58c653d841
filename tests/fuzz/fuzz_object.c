/*
 * State objects that come in pieces: any bytes, and whole objects with one byte changed.
 * Nothing may crash, the verdict does not depend on the cuts, what was made here is
 * taken, and what was changed by a byte never is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/state/object.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TOKENS = 40, MOST_BYTES = 4096 };

static const struct object_kind kind = {.model_hash = 0x1122334455667788,
                                        .tokenizer_hash = 0x99aabbccddeeff00,
                                        .slot_bytes = 192,
                                        .page_bytes = 128,
                                        .weights = 1,
                                        .vocab_size = 256,
                                        .max_tokens = MOST_TOKENS};

static int verdict(const char *bytes, size_t n, size_t piece)
{
    struct object_check c;
    struct err err = {0};
    if (object_check_begin(&c, &kind, "tenant", &err))
        abort();
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < n; at += piece)
        rc = object_check_put(&c, bytes + at, n - at < piece ? n - at : piece, &err);
    if (rc == 0)
        rc = object_check_end(&c, &err);
    if (rc && !err.text[0])
        abort();
    object_check_free(&c);
    return rc;
}

static int whole(const char *bytes, size_t n, size_t piece)
{
    int rc = verdict(bytes, n, piece);
    if (rc != verdict(bytes, n, n + 1))
        abort();
    return rc;
}

static size_t make(char *to, const uint8_t *data, size_t size)
{
    int32_t tokens[MOST_TOKENS];
    struct answer_end ends[MOST_TOKENS];
    struct object_head h;
    int n = data[0] % MOST_TOKENS + 1, depth = n - (data[1] % 2 && n > 1);
    struct history said = {tokens, ends, (size_t)n, 0};
    for (int i = 0; i < n; i++) {
        tokens[i] = data[(size_t)i % size];
        if (tokens[i] % 4 == 0)
            ends[said.n_ends++] = (struct answer_end){i + 1, i, tokens[i] % 3, 1};
    }
    object_head(&h, &kind, "tenant", depth, n, (int)said.n_ends);
    for (size_t i = h.body_at; i < h.bytes; i++)
        to[i] = (char)data[i % size];
    h.body_hash = hash_bytes(to + h.body_at, h.bytes - h.body_at);
    object_write(to, &h, &kind, &said);
    return h.bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[MOST_BYTES];
    if (size < 8)
        return 0;
    size_t piece = data[2] + 1u, n = make(bytes, data, size);
    if (whole(bytes, n, piece))
        abort();
    size_t at = (data[3] | (size_t)data[4] << 8) % n;
    bytes[at] = (char)(bytes[at] ^ (data[5] ? data[5] : 1));
    if (!whole(bytes, n, piece) || !whole(bytes, at, piece))
        abort();
    whole((const char *)data, size, piece);
    return 0;
}
