/*
 * Reads normalizer and pre_tokenizer of tokenizer.json as steps; postproc.c reads
 * post_processor and decoder. Runs while a model is opened. Digits, Punctuation and
 * WhitespaceSplit become Splits at a class of characters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/pipeline.h"

#include "engine/tokenizer/component.h"
#include "engine/tokenizer/postproc.h"

#include <string.h>

#define SPACE_MARK "\xE2\x96\x81" /* U+2581, written for a space */

static const char *const no_keys[] = {NULL};

static int full(struct component_reader *r, const struct json_reader *f)
{
    return err_set(r->err, ERR_FORMAT, "%s: expected at most %d steps", f->path,
                   PIPELINE_MAX_STEPS);
}

/* ---- normalizer ------------------------------------------------------------- */

static struct normal_step *add_normal(struct component_reader *r,
                                      const struct json_reader *f, enum normal_kind kind)
{
    if (r->p->n_normal == PIPELINE_MAX_STEPS) {
        full(r, f);
        return NULL;
    }
    struct normal_step *st = &r->p->normal[r->p->n_normal++];
    *st = (struct normal_step){.kind = kind};
    return st;
}

static int read_form(struct component_reader *r, const struct json_reader *f)
{
    static const char *const names[] = {"NFC", "NFD", "NFKC", "NFKD", NULL};
    int form = json_reader_choice(f, "type", names, r->err);
    if (form < 0)
        return form;
    return add_normal(r, f, NORMAL_NFC + (enum normal_kind)form) ? 0 : -ERR_FORMAT;
}

static int read_lower(struct component_reader *r, const struct json_reader *f)
{
    return add_normal(r, f, NORMAL_LOWER) ? 0 : -ERR_FORMAT;
}

static int read_strip(struct component_reader *r, const struct json_reader *f)
{
    struct normal_step *st = add_normal(r, f, NORMAL_STRIP);
    if (!st)
        return -ERR_FORMAT;
    int rc = json_reader_bool(f, "strip_left", true, &st->left, r->err);
    return rc == 0 ? json_reader_bool(f, "strip_right", true, &st->right, r->err) : rc;
}

static int read_step_text(struct component_reader *r, const struct json_reader *f,
                          const char *key, struct normal_step *st)
{
    struct json_text t;
    int rc = json_reader_need_text(f, key, &t, r->err);
    if (rc != 0)
        return rc;
    st->text_len = t.len;
    st->text = component_keep(r, &t);
    return st->text ? 0 : -ERR_MEMORY;
}

static int read_prepend(struct component_reader *r, const struct json_reader *f)
{
    struct normal_step *st = add_normal(r, f, NORMAL_PREPEND);
    return st ? read_step_text(r, f, "prepend", st) : -ERR_FORMAT;
}

static int read_replace(struct component_reader *r, const struct json_reader *f)
{
    struct normal_step *st = add_normal(r, f, NORMAL_REPLACE);
    int rc = st ? read_step_text(r, f, "content", st) : -ERR_FORMAT;
    return rc == 0 ? component_pattern(r, f, "pattern", &st->pattern) : rc;
}

static const struct component_kind normal_kinds[] = {
    {"NFC", read_form, no_keys},
    {"NFD", read_form, no_keys},
    {"NFKC", read_form, no_keys},
    {"NFKD", read_form, no_keys},
    {"Lowercase", read_lower, no_keys},
    {"Strip", read_strip, (const char *const[]){"strip_left", "strip_right", NULL}},
    {"Prepend", read_prepend, (const char *const[]){"prepend", NULL}},
    {"Replace", read_replace, (const char *const[]){"pattern", "content", NULL}},
    {0},
};

/* ---- pre-tokenizer ---------------------------------------------------------- */

static const char *const behaviors[] = {
    "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous", NULL};

static struct pretok_step *add_pretok(struct component_reader *r,
                                      const struct json_reader *f, enum pretok_kind kind)
{
    if (r->p->n_pretok == PIPELINE_MAX_STEPS) {
        full(r, f);
        return NULL;
    }
    struct pretok_step *st = &r->p->pretok[r->p->n_pretok++];
    *st = (struct pretok_step){.kind = kind, .behavior = SPLIT_ISOLATED};
    return st;
}

static int compile(struct component_reader *r, const struct json_reader *f,
                   const char *pattern, struct pretok_step *st)
{
    int rc = regex_compile(&st->pattern, pattern, strlen(pattern), r->err);
    return rc == 0 ? 0 : err_prefix(r->err, "%s", f->path);
}

static int read_split(struct component_reader *r, const struct json_reader *f)
{
    struct pretok_step *st = add_pretok(r, f, PRETOK_SPLIT);
    int behavior =
        st ? json_reader_choice(f, "behavior", behaviors, r->err) : -ERR_FORMAT;
    if (behavior < 0)
        return behavior;
    st->behavior = (enum split_behavior)behavior;
    int rc = json_reader_bool(f, "invert", false, &st->invert, r->err);
    return rc == 0 ? component_pattern(r, f, "pattern", &st->pattern) : rc;
}

static int read_byte_level(struct component_reader *r, const struct json_reader *f)
{
    /* GPT-2's pattern, which use_regex stands for. */
    static const char *const gpt2 = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+|"
                                    " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool space, use_regex, unused;
    struct pretok_step *st = add_pretok(r, f, PRETOK_BYTE_LEVEL);
    int rc =
        st ? json_reader_bool(f, "add_prefix_space", true, &space, r->err) : -ERR_FORMAT;
    if (rc == 0)
        rc = json_reader_bool(f, "use_regex", true, &use_regex, r->err);
    if (rc == 0)
        rc = json_reader_bool(f, "trim_offsets", true, &unused, r->err);
    if (rc != 0)
        return rc;
    st->prepend = space ? PREPEND_ALWAYS : PREPEND_NEVER;
    return use_regex ? compile(r, f, gpt2, st) : 0;
}

static int read_digits(struct component_reader *r, const struct json_reader *f)
{
    bool individual;
    struct pretok_step *st = add_pretok(r, f, PRETOK_SPLIT);
    int rc = st ? json_reader_bool(f, "individual_digits", false, &individual, r->err)
                : -ERR_FORMAT;
    if (rc != 0)
        return rc;
    st->behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
    return compile(r, f, "\\p{N}", st);
}

static int read_punctuation(struct component_reader *r, const struct json_reader *f)
{
    struct pretok_step *st = add_pretok(r, f, PRETOK_SPLIT);
    if (!st)
        return -ERR_FORMAT;
    if (json_get(f->j, "behavior")) {
        int behavior = json_reader_choice(f, "behavior", behaviors, r->err);
        if (behavior < 0)
            return behavior;
        st->behavior = (enum split_behavior)behavior;
    }
    return compile(r, f, "[\\p{P}!-/:-@\\[-`\\{-~]", st);
}

static int read_white_space(struct component_reader *r, const struct json_reader *f)
{
    struct pretok_step *st = add_pretok(r, f, PRETOK_SPLIT);
    if (!st)
        return -ERR_FORMAT;
    st->behavior = SPLIT_REMOVED;
    return compile(r, f, "\\s", st);
}

/* prepend_scheme overrides the older add_prefix_space. */
static int read_scheme(struct component_reader *r, const struct json_reader *f,
                       struct pretok_step *st)
{
    static const char *const schemes[] = {"never", "first", "always", NULL};
    bool space;
    int rc = json_reader_bool(f, "add_prefix_space", true, &space, r->err);
    if (rc != 0)
        return rc;
    int scheme = space ? PREPEND_ALWAYS : PREPEND_NEVER;
    if (json_get(f->j, "prepend_scheme"))
        scheme = json_reader_choice(f, "prepend_scheme", schemes, r->err);
    if (scheme < 0)
        return scheme;
    st->prepend = (enum prepend_scheme)scheme;
    return 0;
}

static int read_metaspace(struct component_reader *r, const struct json_reader *f)
{
    struct json_text mark = {SPACE_MARK, 3}, rep = {0};
    struct pretok_step *st = add_pretok(r, f, PRETOK_METASPACE);
    int rc = st ? read_scheme(r, f, st) : -ERR_FORMAT;
    if (rc == 0)
        rc = json_reader_bool(f, "split", true, &st->split, r->err);
    if (rc == 0)
        rc = json_reader_text(f, "replacement", &mark, r->err);
    if (rc == 0)
        rc = json_reader_text(f, "str_rep", &rep, r->err);
    if (rc == 0 && (!mark.s || mark.len == 0))
        rc = json_reader_wrong(f, "replacement", "a character", r->err);
    if (rc != 0)
        return rc;
    st->text_len = mark.len;
    st->text = component_keep(r, &mark);
    if (!st->text)
        return -ERR_MEMORY;
    return regex_literal(&st->pattern, mark.s, mark.len, r->err);
}

static const struct component_kind pretok_kinds[] = {
    {"ByteLevel", read_byte_level,
     (const char *const[]){"add_prefix_space", "trim_offsets", "use_regex", NULL}},
    {"Split", read_split, (const char *const[]){"pattern", "behavior", "invert", NULL}},
    {"Digits", read_digits, (const char *const[]){"individual_digits", NULL}},
    {"Punctuation", read_punctuation, (const char *const[]){"behavior", NULL}},
    {"WhitespaceSplit", read_white_space, no_keys},
    {"Metaspace", read_metaspace,
     (const char *const[]){"replacement", "str_rep", "add_prefix_space", "prepend_scheme",
                           "split", NULL}},
    {0},
};

int pipeline_read(struct pipeline *p, const struct json *root, struct arena *arena,
                  struct err *err)
{
    struct component_reader r = {p, arena, err};
    int rc = component_walk(
        &r, &(struct component){"normalizer", "normalizers", normal_kinds}, root);
    if (rc == 0)
        rc = component_walk(
            &r, &(struct component){"pre_tokenizer", "pretokenizers", pretok_kinds},
            root);
    return rc == 0 ? postproc_read(&r, root) : rc;
}

void pipeline_free(struct pipeline *p)
{
    for (size_t i = 0; i < p->n_normal; i++)
        regex_free(p->normal[i].pattern);
    for (size_t i = 0; i < p->n_pretok; i++)
        regex_free(p->pretok[i].pattern);
    *p = (struct pipeline){0};
}
