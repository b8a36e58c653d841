/*
 * Reads tokenizer.json into a vocab: tokens, added tokens, merges, pipeline, and the
 * tables derived from them. Runs on the thread that opens the model. Everything is
 * checked here, so that encoding can trust the tables: ids in range, merges of existing
 * tokens, patterns that compile. The JSON tree is freed before vocab_load returns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/vocab.h"

#include "engine/base/buf.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/added.h"
#include "engine/tokenizer/json_reader.h"
#include "engine/tokenizer/merge_list.h"
#include "engine/tokenizer/token_bytes.h"
#include "engine/tokenizer/tokenizer_config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 256 << 20, SHOWN = 40 };

struct reader {
    struct vocab *v;
    struct json_reader model;
    char *block;       /* next free byte for texts */
    size_t text_bytes; /* of all model tokens, with their NULs */
    struct err *err;
};

static int no_memory(struct reader *r)
{
    return err_set(r->err, ERR_MEMORY, "out of memory for the vocabulary");
}

/* ---- model.vocab ------------------------------------------------------------ */

static int measure(void *arg, const char *key, size_t key_len, const struct json *id)
{
    struct reader *r = arg;
    int shown = key_len < SHOWN ? (int)key_len : SHOWN;
    if (json_kind(id) != JK_INT || json_as_int(id) < 0 ||
        json_as_int(id) >= VOCAB_MAX_IDS)
        return err_set(r->err, ERR_FORMAT,
                       "model.vocab[\"%.*s\"]: expected an id of 0 to %d, found %s %lld",
                       shown, key, VOCAB_MAX_IDS - 1, json_kind_name(id),
                       (long long)json_as_int(id));
    if (key_len > VOCAB_MAX_TOKEN_BYTES)
        return err_set(r->err, ERR_FORMAT,
                       "model.vocab[\"%.*s...\"]: expected at most %d bytes, found %zu",
                       shown, key, VOCAB_MAX_TOKEN_BYTES, key_len);
    if (json_as_int(id) >= r->v->n_ids)
        r->v->n_ids = (int32_t)json_as_int(id) + 1;
    r->text_bytes += key_len + 1;
    return 0;
}

static int enter(void *arg, const char *key, size_t key_len, const struct json *value)
{
    struct reader *r = arg;
    struct vocab *v = r->v;
    int32_t id = (int32_t)json_as_int(value);
    struct vocab_token *t = &v->tokens[id];
    if (t->text)
        return err_set(r->err, ERR_FORMAT,
                       "model.vocab: id %d has two tokens, \"%.*s\" and "
                       "\"%.*s\"",
                       id, SHOWN, t->text, SHOWN, key);
    memcpy(r->block, key, key_len + 1);
    t->text = r->block;
    t->text_len = (uint32_t)key_len;
    r->block += key_len + 1;
    if (!strmap_put(&v->by_text, t->text, key_len, id))
        return no_memory(r);
    uint32_t c;
    int n = utf8_decode(key, key_len, &c);
    if (n > 0 && (size_t)n == key_len && c < VOCAB_DIRECT)
        v->direct[c] = id;
    return 0;
}

static int read_tokens(struct reader *r, const struct json *root)
{
    struct vocab *v = r->v;
    const struct json *vocab = json_get(r->model.j, "vocab");
    int32_t added_max = -1;
    if (json_kind(vocab) != JK_OBJECT)
        return json_reader_wrong(&r->model, "vocab", "an object", r->err);
    int rc = json_each(vocab, measure, r);
    if (rc == 0)
        rc = added_max_id(json_get(root, "added_tokens"), &added_max, r->err);
    if (rc != 0)
        return rc;
    if (v->n_ids == 0)
        return err_set(r->err, ERR_FORMAT, "model.vocab: expected tokens, found none");
    v->n_model_ids = v->n_ids;
    if (added_max >= v->n_ids)
        v->n_ids = added_max + 1;
    v->tokens = arena_zalloc(&v->arena, (size_t)v->n_ids, sizeof *v->tokens);
    r->block = arena_alloc(&v->arena, r->text_bytes);
    if (!v->tokens || !r->block || !strmap_init(&v->by_text, json_len(vocab)))
        return no_memory(r);
    rc = json_each(vocab, enter, r);
    return rc == 0 ? added_read(v, json_get(root, "added_tokens"), r->err) : rc;
}

/* ---- model options ---------------------------------------------------------- */

static int read_affixes(struct reader *r)
{
    static const char *const keys[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        struct json_text t;
        int rc = json_reader_text(&r->model, keys[i], &t, r->err);
        if (rc == 0 && t.len > 0)
            rc = json_reader_wrong(&r->model, keys[i], "null or \"\"", r->err);
        if (rc != 0)
            return rc;
    }
    const struct json *dropout = json_get(r->model.j, "dropout");
    if (json_numeric(dropout) ? json_as_number(dropout) != 0
                              : json_kind(dropout) > JK_NULL)
        return json_reader_wrong(&r->model, "dropout", "null or 0", r->err);
    return 0;
}

static int read_unknown(struct reader *r)
{
    struct json_text unk;
    int rc = json_reader_text(&r->model, "unk_token", &unk, r->err);
    if (rc != 0 || !unk.s)
        return rc;
    r->v->unk_id = strmap_get(&r->v->by_text, unk.s, unk.len, -1);
    if (r->v->unk_id < 0)
        return json_reader_wrong(&r->model, "unk_token", "null or a token of model.vocab",
                                 r->err);
    return 0;
}

static int read_options(struct reader *r)
{
    struct vocab *v = r->v;
    int rc = read_affixes(r);
    if (rc == 0)
        rc = json_reader_bool(&r->model, "fuse_unk", false, &v->fuse_unk, r->err);
    if (rc == 0)
        rc = json_reader_bool(&r->model, "byte_fallback", false, &v->byte_fallback,
                              r->err);
    if (rc == 0)
        rc = json_reader_bool(&r->model, "ignore_merges", false, &v->ignore_merges,
                              r->err);
    return rc == 0 ? read_unknown(r) : rc;
}

static int open_model(struct reader *r, const struct json *root)
{
    static const char *const keys[] = {"type",
                                       "dropout",
                                       "unk_token",
                                       "continuing_subword_prefix",
                                       "fuse_unk",
                                       "byte_fallback",
                                       "ignore_merges",
                                       "end_of_word_suffix",
                                       "vocab",
                                       "merges",
                                       NULL};
    int rc = json_reader_open(&r->model, json_get(root, "model"), r->err, "model");
    if (rc == 0 && json_get(r->model.j, "type"))
        rc = json_reader_choice(&r->model, "type", (const char *const[]){"BPE", NULL},
                                r->err);
    return rc == 0 ? json_reader_only(&r->model, keys, r->err) : rc;
}

/* ---- the whole -------------------------------------------------------------- */

/* truncation and padding are what batches of a training run were cut and filled to: texts
 * to be continued are neither, as in the Python library. */
static int check_root(const struct json *root, struct err *err)
{
    static const char *const keys[] = {
        "version",       "truncation", "padding", "added_tokens",   "normalizer",
        "pre_tokenizer", "decoder",    "model",   "post_processor", NULL};
    struct json_reader f;
    int rc = json_reader_open(&f, root, err, "%s", "");
    if (rc == 0)
        rc = json_reader_only(&f, keys, err);
    return rc;
}

static int check_template(const struct vocab *v, const int32_t *ids, size_t n,
                          struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= v->n_ids || !v->tokens[ids[i]].text)
            return err_set(err, ERR_FORMAT,
                           "post_processor: expected ids of tokens, found %d", ids[i]);
    return 0;
}

static void fill_byte_ids(struct vocab *v)
{
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        v->byte_ids[b] = v->byte_fallback ? strmap_get(&v->by_text, text, 6, -1) : -1;
    }
}

static int read_all(struct reader *r, const struct json *root)
{
    struct vocab *v = r->v;
    int rc = check_root(root, r->err);
    if (rc == 0)
        rc = open_model(r, root);
    if (rc == 0)
        rc = read_tokens(r, root);
    if (rc == 0)
        rc = merge_list_read(v, &r->model, r->err);
    if (rc == 0)
        rc = read_options(r);
    if (rc == 0)
        rc = pipeline_read(&v->pipe, root, &v->arena, r->err);
    if (rc == 0)
        rc = check_template(v, v->pipe.prefix, v->pipe.n_prefix, r->err);
    if (rc == 0)
        rc = check_template(v, v->pipe.suffix, v->pipe.n_suffix, r->err);
    if (rc == 0)
        rc = added_index(v, r->err);
    if (rc != 0)
        return rc;
    fill_byte_ids(v);
    return token_bytes_fill(v, r->err);
}

static int build(struct vocab **out, const struct json *root, struct err *err)
{
    struct vocab *v = mem_zalloc(1, sizeof *v);
    if (!v)
        return err_set(err, ERR_MEMORY, "out of memory for the vocabulary");
    arena_init(&v->arena);
    memset(v->direct, 0xFF, sizeof v->direct);
    v->unk_id = -1;
    struct reader r = {.v = v, .err = err};
    int rc = read_all(&r, root);
    if (rc != 0)
        vocab_free(v);
    else
        *out = v;
    return rc;
}

/* ---- opening ---------------------------------------------------------------- */

static int parse(struct vocab **out, const char *text, size_t len, struct err *err)
{
    struct json *root = NULL;
    int rc = json_parse(&root, text, len, err);
    if (rc == 0)
        rc = build(out, root, err);
    if (rc == 0)
        (*out)->hash = hash_bytes(text, len);
    json_free(root);
    return rc;
}

int vocab_parse(struct vocab **out, const char *text, size_t len, const char *config,
                size_t config_len, struct err *err)
{
    struct vocab *v = NULL;
    if (parse(&v, text, len, err) != 0)
        return err_prefix(err, "tokenizer.json");
    if (config && tokenizer_config_apply(v, config, config_len, err) != 0) {
        vocab_free(v);
        return err_prefix(err, "tokenizer_config.json");
    }
    *out = v;
    return 0;
}

static int load_tokenizer(struct vocab **out, const char *path, struct err *err)
{
    struct buf text = {0};
    int rc = file_read(&text, path, MAX_FILE_BYTES, err);
    if (rc == 0 && (rc = parse(out, text.data ? text.data : "", text.len, err)) != 0)
        err_prefix(err, "%.300s", path);
    buf_free(&text);
    return rc;
}

static int load_config(struct vocab *v, const char *path, struct err *err)
{
    struct buf text = {0};
    if (access(path, F_OK) != 0)
        return 0;
    int rc = file_read(&text, path, MAX_FILE_BYTES, err);
    if (rc == 0 &&
        (rc = tokenizer_config_apply(v, text.data ? text.data : "", text.len, err)) != 0)
        err_prefix(err, "%.300s", path);
    buf_free(&text);
    return rc;
}

int vocab_load(struct vocab **out, const char *dir, struct err *err)
{
    char path[PATH_MAX];
    struct vocab *v = NULL;
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    int rc = load_tokenizer(&v, path, err);
    if (rc != 0)
        return rc;
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    rc = load_config(v, path, err);
    if (rc != 0)
        vocab_free(v);
    else
        *out = v;
    return rc;
}

void vocab_free(struct vocab *v)
{
    if (!v)
        return;
    strmap_free(&v->by_text);
    strmap_free(&v->added);
    map64_free(&v->merges);
    trie_free(&v->raw);
    trie_free(&v->normalized);
    pipeline_free(&v->pipe);
    arena_free(&v->arena);
    mem_free(v);
}

const char *vocab_token_bytes(const struct vocab *v, int32_t id, size_t *len)
{
    if (id < 0 || id >= v->n_ids || !v->tokens[id].text)
        return NULL;
    *len = v->tokens[id].bytes_len;
    return v->tokens[id].bytes;
}

bool vocab_special(const struct vocab *v, int32_t id)
{
    return id >= 0 && id < v->n_ids && v->tokens[id].special;
}

int32_t vocab_find(const struct vocab *v, const char *text, size_t len)
{
    int32_t id = strmap_get(&v->added, text, len, -1);
    return id >= 0 ? id : strmap_get(&v->by_text, text, len, -1);
}
