/*
 * Runs while a model is opened. A post-processor may put tokens before and after a text;
 * its `pair` form has no use here and is not read. A decoder's Strip is supported as
 * leading spaces of a whole text. vocab.c checks that the ids of a template exist.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/postproc.h"

#include "engine/tokenizer/vocab.h"

#include <string.h>

static const char *const byte_level_keys[] = {"add_prefix_space", "trim_offsets",
                                              "use_regex", NULL};
static const char *const no_keys[] = {NULL};

/* ---- post-processor --------------------------------------------------------- */

static int no_effect(struct component_reader *r, const struct json_reader *f)
{
    bool unused;
    int rc = 0;
    for (const char *const *k = byte_level_keys; *k && rc == 0; k++)
        rc = json_reader_bool(f, *k, true, &unused, r->err);
    return rc;
}

struct template
{
    struct component_reader *r;
    const struct json *tokens; /* special_tokens */
    const char *path;
    bool seen; /* the place of the text */
};

static int put_id(struct template *t, int64_t id)
{
    struct pipeline *p = t->r->p;
    int32_t *list = t->seen ? p->suffix : p->prefix;
    size_t *n = t->seen ? &p->n_suffix : &p->n_prefix;
    if (id < 0 || id >= VOCAB_MAX_IDS)
        return err_set(t->r->err, ERR_FORMAT,
                       "%s.special_tokens: expected an id, found %lld", t->path,
                       (long long)id);
    if (*n == PIPELINE_MAX_TEMPLATE)
        return err_set(t->r->err, ERR_FORMAT, "%s.single: expected at most %d tokens",
                       t->path, PIPELINE_MAX_TEMPLATE);
    list[(*n)++] = (int32_t)id;
    return 0;
}

static int put_special(struct template *t, const struct json_reader *item)
{
    struct json_text name;
    struct json_reader special;
    int rc = json_reader_need_text(item, "id", &name, t->r->err);
    if (rc != 0)
        return rc;
    rc = json_reader_open(&special, json_get(t->tokens, name.s), t->r->err,
                          "%.50s.special_tokens.%.60s", t->path, name.s);
    if (rc != 0)
        return rc;
    const struct json *ids = json_get(special.j, "ids");
    if (json_kind(ids) != JK_ARRAY || json_len(ids) == 0)
        return json_reader_wrong(&special, "ids", "an array of ids", t->r->err);
    for (size_t i = 0; rc == 0 && i < json_len(ids); i++) {
        if (json_kind(json_at(ids, i)) != JK_INT)
            return json_reader_wrong(&special, "ids", "an array of integers", t->r->err);
        rc = put_id(t, json_as_int(json_at(ids, i)));
    }
    return rc;
}

static int put_text(struct template *t, const struct json_reader *item)
{
    struct json_text name;
    int rc = json_reader_need_text(item, "id", &name, t->r->err);
    if (rc == 0 && (!json_reader_text_is(&name, "A") || t->seen))
        rc = json_reader_wrong(item, "id", "the text A, once", t->r->err);
    t->seen = true;
    return rc;
}

static int put_item(struct template *t, const struct json *j, size_t i)
{
    struct json_reader f, item;
    int rc = json_reader_open(&f, j, t->r->err, "%.80s.single[%zu]", t->path, i);
    if (rc == 0)
        rc = json_reader_only(&f, (const char *const[]){"SpecialToken", "Sequence", NULL},
                              t->r->err);
    if (rc != 0)
        return rc;
    const char *key = json_get(j, "Sequence") ? "Sequence" : "SpecialToken";
    rc = json_reader_open(&item, json_get(j, key), t->r->err, "%.100s.%s", f.path, key);
    if (rc != 0)
        return rc;
    return key[1] == 'e' ? put_text(t, &item) : put_special(t, &item);
}

static int read_template(struct component_reader *r, const struct json_reader *f)
{
    struct template t = {r, json_get(f->j, "special_tokens"), f->path, false};
    const struct json *single = json_get(f->j, "single");
    if (json_kind(single) != JK_ARRAY)
        return json_reader_wrong(f, "single", "an array", r->err);
    if (r->p->n_prefix || r->p->n_suffix)
        return err_set(r->err, ERR_FORMAT, "%s: a second template is not honoured",
                       f->path);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_len(single); i++)
        rc = put_item(&t, json_at(single, i), i);
    if (rc == 0 && !t.seen)
        rc = err_set(r->err, ERR_FORMAT, "%s.single: expected a Sequence A, found none",
                     f->path);
    return rc;
}

static const struct component_kind post_kinds[] = {
    {"ByteLevel", no_effect, byte_level_keys},
    {"TemplateProcessing", read_template,
     (const char *const[]){"single", "pair", "special_tokens", NULL}},
    {0},
};

/* ---- decoder ---------------------------------------------------------------- */

static int add_decode(struct component_reader *r, const struct json_reader *f,
                      const struct decode_step *st)
{
    if (r->p->n_decode == PIPELINE_MAX_STEPS)
        return err_set(r->err, ERR_FORMAT, "%s: expected at most %d steps", f->path,
                       PIPELINE_MAX_STEPS);
    r->p->decode[r->p->n_decode++] = *st;
    return 0;
}

static int read_byte_level(struct component_reader *r, const struct json_reader *f)
{
    int rc = no_effect(r, f);
    return rc == 0 ? add_decode(r, f, &(struct decode_step){.kind = DECODE_BYTE_LEVEL})
                   : rc;
}

static int read_byte_fallback(struct component_reader *r, const struct json_reader *f)
{
    return add_decode(r, f, &(struct decode_step){.kind = DECODE_BYTE_FALLBACK});
}

static int read_fuse(struct component_reader *r, const struct json_reader *f)
{
    (void)r, (void)f;
    return 0;
}

static int read_replace(struct component_reader *r, const struct json_reader *f)
{
    struct json_reader pattern;
    struct json_text from, to;
    int rc = json_reader_open(&pattern, json_get(f->j, "pattern"), r->err,
                              "%.100s.pattern", f->path);
    if (rc == 0)
        rc = json_reader_only(&pattern, (const char *const[]){"String", NULL}, r->err);
    if (rc == 0)
        rc = json_reader_need_text(&pattern, "String", &from, r->err);
    if (rc == 0)
        rc = json_reader_need_text(f, "content", &to, r->err);
    if (rc == 0 && (from.len == 0 || to.len > from.len))
        rc = json_reader_wrong(f, "content", "a text no longer than the pattern's",
                               r->err);
    if (rc != 0)
        return rc;
    struct decode_step st = {
        .kind = DECODE_REPLACE, .from_len = from.len, .to_len = to.len};
    st.from = component_keep(r, &from);
    st.to = component_keep(r, &to);
    return st.from && st.to ? add_decode(r, f, &st) : -ERR_MEMORY;
}

static int read_strip(struct component_reader *r, const struct json_reader *f)
{
    struct json_text content;
    int32_t start, stop;
    int rc = json_reader_need_text(f, "content", &content, r->err);
    if (rc == 0 && !json_reader_text_is(&content, " "))
        rc = json_reader_wrong(f, "content", "a space", r->err);
    if (rc == 0)
        rc = json_reader_count(f, "start", 16, &start, r->err);
    if (rc == 0)
        rc = json_reader_count(f, "stop", 0, &stop, r->err);
    if (rc == 0)
        r->p->strip_spaces += (size_t)start;
    return rc;
}

static int read_metaspace(struct component_reader *r, const struct json_reader *f)
{
    struct json_text mark, scheme, rep;
    bool space, unused;
    int rc = json_reader_need_text(f, "replacement", &mark, r->err);
    if (rc == 0)
        rc = json_reader_text(f, "prepend_scheme", &scheme, r->err);
    if (rc == 0)
        rc = json_reader_text(f, "str_rep", &rep, r->err);
    if (rc == 0)
        rc = json_reader_bool(f, "add_prefix_space", true, &space, r->err);
    if (rc == 0)
        rc = json_reader_bool(f, "split", true, &unused, r->err);
    if (rc == 0 && mark.len == 0)
        rc = json_reader_wrong(f, "replacement", "a character", r->err);
    if (rc != 0)
        return rc;
    r->p->strip_spaces = scheme.s ? !json_reader_text_is(&scheme, "never") : space;
    struct decode_step st = {.kind = DECODE_REPLACE, .from_len = mark.len, .to_len = 1};
    st.from = component_keep(r, &mark);
    st.to = " ";
    return st.from ? add_decode(r, f, &st) : -ERR_MEMORY;
}

static const struct component_kind decode_kinds[] = {
    {"ByteLevel", read_byte_level, byte_level_keys},
    {"ByteFallback", read_byte_fallback, no_keys},
    {"Fuse", read_fuse, no_keys},
    {"Replace", read_replace, (const char *const[]){"pattern", "content", NULL}},
    {"Strip", read_strip, (const char *const[]){"content", "start", "stop", NULL}},
    {"Metaspace", read_metaspace,
     (const char *const[]){"replacement", "str_rep", "add_prefix_space", "prepend_scheme",
                           "split", NULL}},
    {0},
};

int postproc_read(struct component_reader *r, const struct json *root)
{
    int rc = component_walk(
        r, &(struct component){"post_processor", "processors", post_kinds}, root);
    if (rc != 0)
        return rc;
    return component_walk(r, &(struct component){"decoder", "decoders", decode_kinds},
                          root);
}
