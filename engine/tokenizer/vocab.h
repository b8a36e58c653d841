/*
 * A tokenizer as data: tokens, merges, added tokens and the pipeline around them.
 *
 * Read once from tokenizer.json (and tokenizer_config.json for add_bos_token and
 * add_eos_token), then const: any number of threads may encode and decode with one
 * vocab. Only byte-pair encoding is supported. An unsupported component or option is a
 * load error that names its JSON path, what was expected and what was found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TOKENIZER_VOCAB_H
#define ENGINE_TOKENIZER_VOCAB_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/base/map.h"
#include "engine/tokenizer/pipeline.h"
#include "engine/tokenizer/trie.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VOCAB_MAX_IDS = 1 << 20,         /* ids are 0 .. n_ids - 1, n_ids <= this */
    VOCAB_MAX_TOKEN_BYTES = 1 << 14, /* longest token */
    VOCAB_DIRECT = 0x180             /* code points with a row in vocab.direct */
};

struct vocab_token {
    const char *text;  /* borrows arena; as written in the file; NULL = no such id */
    const char *bytes; /* borrows arena; what the token decodes to, not always UTF-8 */
    uint32_t text_len, bytes_len;
    bool added, special, normalized, lstrip, rstrip, single_word;
    bool blank; /* white space alone, and not special */
};

struct vocab {
    struct arena arena;         /* owns all strings and arrays below but the maps */
    struct vocab_token *tokens; /* [n_ids] */
    int32_t n_ids;              /* largest id + 1; may have holes */
    int32_t n_model_ids;        /* the same of model.vocab, without added tokens */
    uint32_t longest_bytes;     /* largest bytes_len */

    struct strmap by_text;        /* text of model tokens -> id; owns */
    struct strmap added;          /* text of added tokens -> id; owns */
    int32_t direct[VOCAB_DIRECT]; /* id of the one-character token, or -1 */
    int32_t byte_ids[256];        /* <0xXX> tokens for byte_fallback, or -1 */
    struct map64 merges;          /* left id << 32 | right id -> rank; owns */
    int32_t *merged;              /* [n_merges] rank -> id of the joined token */
    size_t n_merges;
    bool ignore_merges, byte_fallback, fuse_unk;
    int32_t unk_id; /* -1: none; a character without a token is then dropped */

    struct trie raw;        /* added tokens matched before normalisation; owns */
    struct trie normalized; /* added tokens matched after it, normalised; owns */
    struct pipeline pipe;   /* owns */
    uint64_t hash;          /* of the bytes of tokenizer.json */
};

/* Reads dir/tokenizer.json and, if present, dir/tokenizer_config.json. On failure *out is
 * untouched: ERR_IO, ERR_FORMAT or ERR_MEMORY. */
int vocab_load(struct vocab **out, const char *dir, struct err *err);

/* The same from memory; config may be NULL. Errors begin with "tokenizer.json: ". */
int vocab_parse(struct vocab **out, const char *text, size_t len, const char *config,
                size_t config_len, struct err *err);

void vocab_free(struct vocab *v); /* accepts NULL */

/* The bytes that one token decodes to, owned by v and not always whole UTF-8; NULL for an
 * id without a token. */
const char *vocab_token_bytes(const struct vocab *v, int32_t id, size_t *len);

/* True for added tokens marked special, which clients are not shown. */
bool vocab_special(const struct vocab *v, int32_t id);

/* The id of a token by its text in the file (added tokens first), or -1. */
int32_t vocab_find(const struct vocab *v, const char *text, size_t len);

#endif
