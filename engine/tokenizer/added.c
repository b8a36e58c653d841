/* Runs while a model is opened. An added token may repeat a token of the model under the
 * same id. Two ids for one text, or two texts for one id, are an error: the file is then
 * ambiguous.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/added.h"

#include "engine/base/utf8.h"
#include "engine/tokenizer/json_reader.h"
#include "engine/tokenizer/normal.h"

static int open_entry(struct json_reader *f, const struct json *list, size_t i,
                      struct err *err)
{
    static const char *const keys[] = {"id",     "content",    "single_word", "lstrip",
                                       "rstrip", "normalized", "special",     NULL};
    int rc = json_reader_open(f, json_at(list, i), err, "added_tokens[%zu]", i);
    return rc == 0 ? json_reader_only(f, keys, err) : rc;
}

int added_max_id(const struct json *list, int32_t *max, struct err *err)
{
    *max = -1;
    if (list && json_kind(list) != JK_ARRAY)
        return err_set(err, ERR_FORMAT, "added_tokens: expected an array, found %s",
                       json_kind_name(list));
    for (size_t i = 0; i < json_len(list); i++) {
        struct json_reader f;
        int32_t id = 0;
        int rc = open_entry(&f, list, i, err);
        if (rc == 0)
            rc = json_reader_count(&f, "id", VOCAB_MAX_IDS - 1, &id, err);
        if (rc != 0)
            return rc;
        *max = id > *max ? id : *max;
    }
    return 0;
}

static int read_flags(const struct json_reader *f, struct vocab_token *t, struct err *err)
{
    int rc = json_reader_bool(f, "special", false, &t->special, err);
    if (rc == 0)
        rc = json_reader_bool(f, "lstrip", false, &t->lstrip, err);
    if (rc == 0)
        rc = json_reader_bool(f, "rstrip", false, &t->rstrip, err);
    if (rc == 0)
        rc = json_reader_bool(f, "single_word", false, &t->single_word, err);
    return rc == 0 ? json_reader_bool(f, "normalized", !t->special, &t->normalized, err)
                   : rc;
}

static int check_clash(const struct vocab *v, const struct json_reader *f, int32_t id,
                       const struct json_text *content, struct err *err)
{
    const struct vocab_token *t = &v->tokens[id];
    int32_t other = vocab_find(v, content->s, content->len);
    if (other >= 0 && other != id)
        return err_set(err, ERR_FORMAT,
                       "%s.id: expected %d, the id of the same text, found %d", f->path,
                       other, id);
    if (t->text && (other != id || t->added))
        return err_set(err, ERR_FORMAT, "%s.id: %d is already another token's", f->path,
                       id);
    return 0;
}

static bool is_blank(const struct vocab_token *t)
{
    uint32_t c = 0x20;
    for (size_t at = 0; at < t->text_len && normal_is_space(c);)
        at += (size_t)utf8_decode(t->text + at, t->text_len - at, &c);
    return !t->special && normal_is_space(c);
}

static int read_one(struct vocab *v, const struct json_reader *f, struct err *err)
{
    struct json_text content;
    int32_t id = 0;
    int rc = json_reader_count(f, "id", VOCAB_MAX_IDS - 1, &id, err);
    if (rc == 0)
        rc = json_reader_need_text(f, "content", &content, err);
    if (rc == 0 && (content.len == 0 || content.len > VOCAB_MAX_TOKEN_BYTES))
        rc = json_reader_wrong(f, "content", "a text of 1 to 16384 bytes", err);
    if (rc == 0)
        rc = check_clash(v, f, id, &content, err);
    if (rc != 0)
        return rc;
    struct vocab_token *t = &v->tokens[id];
    t->text = arena_strdup(&v->arena, content.s, content.len);
    t->text_len = (uint32_t)content.len;
    t->added = true;
    if (!t->text || !strmap_put(&v->added, t->text, t->text_len, id))
        return err_set(err, ERR_MEMORY, "out of memory for added tokens");
    rc = read_flags(f, t, err);
    t->blank = is_blank(t);
    return rc;
}

int added_read(struct vocab *v, const struct json *list, struct err *err)
{
    if (!strmap_init(&v->added, json_len(list)))
        return err_set(err, ERR_MEMORY, "out of memory for added tokens");
    for (size_t i = 0; i < json_len(list); i++) {
        struct json_reader f;
        int rc = open_entry(&f, list, i, err);
        if (rc == 0)
            rc = read_one(v, &f, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int index_one(struct vocab *v, int32_t id, struct normal_text *text,
                     struct err *err)
{
    const struct vocab_token *t = &v->tokens[id];
    int rc = normal_set(text, t->text, t->text_len, NULL, err);
    if (rc == 0 && t->normalized)
        rc = normal_run(&v->pipe, text, err);
    if (rc != 0)
        return rc;
    if (!trie_put(t->normalized ? &v->normalized : &v->raw, text->text.data,
                  text->text.len, id))
        return err_set(err, ERR_MEMORY, "out of memory for added tokens");
    return 0;
}

int added_index(struct vocab *v, struct err *err)
{
    struct normal_text text = {0};
    int rc = 0;
    for (int32_t id = 0; rc == 0 && id < v->n_ids; id++)
        if (v->tokens[id].added)
            rc = index_one(v, id, &text, err);
    normal_free(&text);
    return rc;
}
