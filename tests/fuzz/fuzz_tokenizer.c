/*
 * tokenizer.json: whatever the bytes say, loading ends in a vocab or an error with a
 * text, and a loaded vocab encodes and decodes any text. The bytes behind the last
 * newline are the text, those before it the file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/utf8.h"
#include "engine/tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_always)
{
    if (!true_always)
        abort();
}

static void encode(const struct vocab *v, const char *text, size_t len, unsigned flags)
{
    struct ids ids = {0};
    struct buf out = {0};
    struct err err = {0};
    int rc = bpe_encode(v, &(struct engine_text){text, len, NULL, 0}, flags, &ids, &err);
    require(rc == 0 || (err.text[0] && ids.n == 0));
    for (size_t i = 0; i < ids.n; i++)
        require(vocab_token_bytes(v, ids.data[i], &(size_t){0}) != NULL);
    require(bpe_decode(v, ids.data, ids.n, flags & ENCODE_SPECIAL, &out, &err) == 0);
    buf_free(&out);
    ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data;
    size_t len = size;
    struct vocab *v = NULL;
    struct err err = {0};
    while (len > 0 && json[len - 1] != '\n')
        len--;
    int rc = vocab_parse(&v, json, len, NULL, 0, &err);
    require(rc == 0 ? v != NULL : err.text[0] != '\0' && !v);
    size_t n = size - len < MAX_TEXT ? size - len : MAX_TEXT;
    for (unsigned flags = 0; v && flags < 4; flags++)
        encode(v, json + len, n, flags);
    vocab_free(v);
    return 0;
}
