/*
 * marked TOKENIZER…: conversations through real chat templates to ids, by each tokenizer.
 *
 * Reads commands from stdin, each a word, a decimal byte count, a newline and the bytes,
 * and answers each with a line.
 *   template N   opens the bytes as a chat template; answers ok, or broken with the error
 *   plain N      a chat request without spellings of added tokens: its ids are those of
 *                the whole text without marks. Answers ok, refused, or what differs
 *   spelt N      a chat request with spellings: its special tokens are those of the same
 *                text with the marked bytes overwritten, each as often
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/api.h"
#include "api/chat_request.h"
#include "api/chat_template.h"
#include "engine/tokenizer/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENIZERS = 32, NOW_S = 1720148649 };

static const struct api_limits limits = {
    .context_tokens = 1 << 20, .max_choices = 1, .max_answer_tokens = 1 << 20};

struct checked {
    const struct vocab *vocabs[MOST_TOKENIZERS];
    char *const *names;
    int n;
};

static int encode(const struct vocab *v, const struct engine_text *text, struct ids *ids)
{
    struct err err = {0};
    int rc = bpe_encode(v, text, ENCODE_SPECIAL, ids, &err);
    if (rc)
        printf("failed: %s\n", err.text);
    return rc;
}

static bool is_special(const struct vocab *v, int32_t id)
{
    return v->tokens[id].special;
}

/* The next special id from *i on, which passes it; -1: there is none. */
static int32_t next_special(const struct vocab *v, const struct ids *ids, size_t *i)
{
    while (*i < ids->n && !is_special(v, ids->data[*i]))
        ++*i;
    return *i < ids->n ? ids->data[(*i)++] : -1;
}

static bool same_specials(const struct vocab *v, const struct ids *a, const struct ids *b)
{
    size_t i = 0, k = 0;
    int32_t x, y;
    do {
        x = next_special(v, a, &i);
        y = next_special(v, b, &k);
    } while (x == y && x >= 0);
    return x == y;
}

static bool same_ids(const struct vocab *v, const struct ids *a, const struct ids *b)
{
    (void)v;
    return a->n == b->n &&
           (a->n == 0 || memcmp(a->data, b->data, a->n * sizeof *a->data) == 0);
}

typedef bool same_fn(const struct vocab *v, const struct ids *a, const struct ids *b);

/* Whether every tokenizer gives both texts the same; says so if not. */
static bool compare(const struct checked *c, const struct engine_text *text,
                    const struct engine_text *other, same_fn *same)
{
    struct ids a = {0}, b = {0};
    bool good = true;
    for (int i = 0; i < c->n && good; i++) {
        a.n = b.n = 0;
        good =
            encode(c->vocabs[i], text, &a) == 0 && encode(c->vocabs[i], other, &b) == 0;
        if (good && !same(c->vocabs[i], &a, &b)) {
            printf("other ids by %s\n", c->names[i]);
            good = false;
        }
    }
    ids_free(&a);
    ids_free(&b);
    return good;
}

/* Overwrites marked bytes by letters, with blanks between them as the words had. */
static void overwrite(char *text, const struct chat_prompt *p)
{
    for (size_t i = 0; i < p->n_marks; i++)
        for (size_t k = p->marks[i].begin; k < p->marks[i].end; k++)
            if (text[k] != ' ' && text[k] != '\n')
                text[k] = 'x';
}

static void check(const struct checked *c, const struct chat_prompt *p, bool spelt)
{
    struct engine_text text = {p->text, p->len, p->marks, p->n_marks};
    char *copy = malloc(p->len + 1);
    if (!copy)
        return;
    memcpy(copy, p->text, p->len);
    if (spelt)
        overwrite(copy, p);
    struct engine_text other = {copy, p->len, NULL, 0};
    if (compare(c, &text, &other, spelt ? same_specials : same_ids))
        puts("ok");
    free(copy);
}

static void render(const struct checked *c, const struct chat_template *t,
                   const struct buf *body, bool spelt)
{
    struct chat_request r;
    struct chat_prompt p;
    struct err err = {0};
    if (chat_request_parse(&r, &limits, body->data, body->len, &err))
        printf("failed: %s\n", err.text);
    else if (chat_template_render(t, &r.chat, NOW_S, &r.arena, &p, &err))
        puts("refused");
    else
        check(c, &p, spelt);
    chat_request_free(&r);
}

static void open_template(struct chat_template **t, const struct buf *source)
{
    struct err err = {0};
    struct chat_template_options o = {.source = {source->data, source->len},
                                      .bos_token = {"<s>", 3},
                                      .eos_token = {"</s>", 4},
                                      .tool_format = TOOL_FORMAT_N};
    chat_template_free(*t);
    if (chat_template_open(t, &o, &err))
        printf("broken: %s\n", err.text);
    else
        puts("ok");
}

static bool next_command(char word[16], struct buf *bytes)
{
    size_t len;
    if (scanf("%15s %zu", word, &len) != 2 || getchar() != '\n')
        return false;
    buf_reset(bytes);
    if (!buf_reserve(bytes, len + 1) || fread(bytes->data, 1, len, stdin) != len)
        return false;
    bytes->len = len;
    return true;
}

int main(int argc, char **argv)
{
    char word[16];
    struct checked c = {.names = argv + 1};
    struct chat_template *t = NULL;
    struct buf bytes = {0};
    struct err err = {0};
    for (; c.n < argc - 1 && c.n < MOST_TOKENIZERS; c.n++) {
        struct vocab *v;
        if (vocab_load(&v, c.names[c.n], &err))
            return fprintf(stderr, "marked: %s\n", err.text), 1;
        c.vocabs[c.n] = v;
    }
    while (next_command(word, &bytes))
        if (strcmp(word, "template") == 0)
            open_template(&t, &bytes);
        else if (t)
            render(&c, t, &bytes, strcmp(word, "spelt") == 0);
        else
            puts("refused");
    buf_free(&bytes);
    chat_template_free(t);
    while (c.n > 0)
        vocab_free((struct vocab *)(void *)(uintptr_t)c.vocabs[--c.n]);
    return 0;
}
