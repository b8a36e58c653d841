/*
 * Answers of every form through their parser. What comes out does not depend on how the
 * answer is cut; arguments are objects that the JSON library reads; no byte is lost: the
 * reasoning is what a plain search for its marks finds, an answer without a call has all
 * its text as content, and around calls the content is pieces of that text in their order,
 * the first its begin and the last its end.
 *
 * The first byte chooses the form, the second the options, the third the cuts. Of the
 * others the control characters stand for words of the forms, and those that no UTF-8 has
 * for special tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/tools/answer_parser.h"
#include "engine/base/buf.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLAIN = 1, INSIDE = 2, ONE = 4, SPECS = 8, MAX_CALLS = 512 };

static void require(bool true_always, const char *what)
{
    if (true_always)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static const struct tool_param params[] = {
    {"s", 1, TOOL_STRING},  {"i", 1, TOOL_INTEGER}, {"n", 1, TOOL_NUMBER},
    {"b", 1, TOOL_BOOLEAN}, {"o", 1, TOOL_OBJECT},  {"a", 1, TOOL_ARRAY | TOOL_NULL},
};
static const struct tool_spec specs[] = {{"f", 1, params, 6}, {"g", 1, NULL, 0}};

/* ---- the answer ----------------------------------------------------------------------- */

/* Of the control characters 1..8, of the special tokens 0xF8..0xFF; NULL: of none. */
static const char *const words[TOOL_FORMAT_N][8] = {
    {"<think>", "</think>", "[THINK]", "[/THINK]", "<tool_call>", "<x>", "\n\n",
     "<think"},
    {"<tool_call>", "</tool_call>", "{\"name\": \"f\"", ", \"arguments\": {", "}}",
     "\"parameters\": ", "<think>", "</think>"},
    {"<tool_call>", "</tool_call>", "<function=f>", "</function>", "<parameter=", ">",
     "</parameter>", "<function="},
    {"<|tool_call_start|>", "<|tool_call_end|>", "[f(", "s=", ", g(", ")]", "'", "True"},
    {"<|python_tag|>", "; ", "{\"name\": \"f\"", ", \"parameters\": {", "}}", "<think>",
     "</think>", "{\"name\": \"g\"}"},
    {"<TOOLCALL>", "</TOOLCALL>", "<tool_calls>", "</tool_calls>", "<|tool_call|>",
     "{\"name\": \"f\"", ", \"arguments\": {", "{\"name\": \"g\"}"},
    {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "f", "{\"name\": \"f\"", ", \"arguments\": {",
     "[THINK]", "[/THINK]"},
};

struct piece {
    const char *s;
    size_t len;
    bool special;
};

/* Characters and special tokens, one by one. */
struct answer {
    struct piece *all;
    size_t n;
};

static void add(struct answer *a, const char *s, size_t len, bool special)
{
    a->all[a->n++] = (struct piece){s, len, special};
}

/* Each byte makes at most the longest word's characters. */
static void read_answer(struct answer *a, enum tool_format f, const uint8_t *data,
                        size_t size)
{
    a->all = malloc((size * 24 + 1) * sizeof *a->all);
    a->n = 0;
    for (size_t i = 0; i < size; i++) {
        const char *s = (const char *)data + i;
        uint32_t c;
        int len = utf8_decode(s, size - i, &c);
        if (data[i] >= 0xF8)
            add(a, words[f][data[i] - 0xF8], strlen(words[f][data[i] - 0xF8]), true);
        else if (data[i] >= 1 && data[i] <= 8)
            for (const char *w = words[f][data[i] - 1]; *w; w++)
                add(a, w, 1, false);
        else if (len > 0)
            add(a, s, (size_t)len, false);
        i += len > 1 && data[i] < 0xF8 ? (size_t)len - 1 : 0;
    }
}

/* ---- what comes out ------------------------------------------------------------------- */

struct outcome {
    struct buf reasoning, content, calls; /* own */
    size_t at[MAX_CALLS];                 /* the content's length before each call */
    size_t n_calls, failures;
    bool in_reasoning;
};

static void text(void *arg, enum answer_part part, const char *s, size_t len)
{
    struct outcome *o = arg;
    require(len > 0, "an empty text");
    require(utf8_valid(s, len), "text in halves of characters");
    require(part == ANSWER_CONTENT || o->content.len + o->n_calls == 0,
            "reasoning behind content");
    buf_put(part == ANSWER_REASONING ? &o->reasoning : &o->content, s, len);
}

/* Refused by the library alone: a name twice or with a NUL, numbers too large for it. */
static bool beyond_library(const struct err *err)
{
    return strstr(err->text, "duplicate object key") || strstr(err->text, "too big") ||
           strstr(err->text, "overflow") || strstr(err->text, "NUL byte in object key");
}

static void call(void *arg, const struct answer_call *c)
{
    struct outcome *o = arg;
    struct json *j = NULL;
    struct err err;
    require(c->name_len > 0, "a call without a name");
    if (json_parse(&j, c->arguments, c->arguments_len, &err) == 0)
        require(json_kind(j) == JK_OBJECT, "arguments that are no object");
    else
        require(beyond_library(&err), err.text);
    json_free(j);
    buf_json_string(&o->calls, c->name, c->name_len);
    buf_put(&o->calls, c->arguments, c->arguments_len);
    buf_printf(&o->calls, " behind %zu\n", o->content.len);
    if (o->n_calls < MAX_CALLS)
        o->at[o->n_calls] = o->content.len;
    o->n_calls++;
}

static void free_outcome(struct outcome *o)
{
    buf_free(&o->reasoning);
    buf_free(&o->content);
    buf_free(&o->calls);
}

/* How many plain pieces go together; 0 cuts: as many as there are. */
static size_t together(const struct answer *a, size_t i, uint32_t *cuts)
{
    size_t n = 1, wanted = SIZE_MAX;
    if (*cuts) {
        *cuts = *cuts * 1664525u + 1013904223u;
        wanted = (*cuts >> 24) % 7 + 1;
        *cuts |= 1;
    }
    while (!a->all[i].special && n < wanted && i + n < a->n && !a->all[i + n].special)
        n++;
    return n;
}

static void run(struct outcome *out, struct answer_options o, const struct answer *a,
                uint32_t cuts)
{
    struct answer_parser *p;
    struct buf joined = {0};
    struct err err;
    *out = (struct outcome){0};
    o.sink = (struct answer_sink){text, call, out};
    require(answer_parser_open(&p, &o, &err) == 0, "not opened");
    for (size_t i = 0; i < a->n;) {
        size_t n = together(a, i, &cuts);
        buf_reset(&joined);
        for (size_t k = 0; k < n; k++)
            buf_put(&joined, a->all[i + k].s, a->all[i + k].len);
        answer_parser_push(p, joined.data, joined.len, a->all[i].special);
        i += n;
    }
    out->in_reasoning = answer_parser_reasoning(p);
    answer_parser_finish(p);
    out->failures = answer_parser_failures(p);
    require(!answer_parser_no_memory(p), "out of memory");
    answer_parser_free(p);
    buf_free(&joined);
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* ---- what must come out --------------------------------------------------------------- */

static const char *const marks[] = {"<think>", "[THINK]", "</think>", "[/THINK]"};

static int thought(const char *s, size_t len)
{
    for (int i = 0; i < 4; i++)
        if (strlen(marks[i]) == len && memcmp(marks[i], s, len) == 0)
            return i;
    return -1;
}

/* Text with its special marks: 'p' plain, 's' a reasoning mark, 't' one of a call. */
struct flat {
    struct buf all, plain; /* own */
};

static bool is_mark(enum tool_format f, const char *s)
{
    static const char *const others[TOOL_FORMAT_N] = {
        [TOOL_FORMAT_HERMES] = "</tool_call>",
        [TOOL_FORMAT_QWEN3_CODER] = "</tool_call>",
        [TOOL_FORMAT_LFM2] = "<|tool_call_end|>",
        [TOOL_FORMAT_JSON_LIST] = "</TOOLCALL></tool_calls>",
        [TOOL_FORMAT_MISTRAL] = "[ARGS][CALL_ID]",
    };
    for (size_t i = 0; tool_format_mark(f, i); i++)
        if (strcmp(tool_format_mark(f, i), s) == 0)
            return true;
    return others[f] && strlen(s) > 3 && strstr(others[f], s);
}

static void flatten(struct flat *out, const struct answer *a, enum tool_format f,
                    bool apart)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct piece *p = &a->all[i];
        char kind = 'p';
        if (p->special && thought(p->s, p->len) >= 0)
            kind = apart ? 's' : 'p';
        else if (p->special && !is_mark(f, p->s))
            continue;
        else if (p->special)
            kind = 't';
        buf_put(&out->all, p->s, p->len);
        for (size_t k = 0; k < p->len; k++)
            buf_putc(&out->plain, kind);
    }
}

/* Without the marks of calls, which mean nothing in reasoning. */
static void leave_out_calls(struct flat *out, const struct flat *f)
{
    for (size_t i = 0; i < f->all.len; i++) {
        if (f->plain.data[i] == 't')
            continue;
        buf_putc(&out->all, f->all.data[i]);
        buf_putc(&out->plain, f->plain.data[i]);
    }
}

static void free_flat(struct flat *f)
{
    buf_free(&f->all);
    buf_free(&f->plain);
}

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool at(const struct buf *b, size_t i, const char *mark)
{
    size_t len = strlen(mark);
    return b->len >= len && i <= b->len - len && memcmp(b->data + i, mark, len) == 0;
}

/* Puts what is plain of [from, to). */
static void take(struct buf *out, const struct flat *f, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (f->plain.data[i] == 'p')
            buf_putc(out, f->all.data[i]);
}

/* The opening mark behind blanks; -1: none. */
static int opening(const struct flat *f, size_t *at_byte)
{
    size_t i = 0;
    while (i < f->all.len && blank(f->all.data[i]))
        i++;
    *at_byte = i;
    return at(&f->all, i, marks[0]) ? 0 : at(&f->all, i, marks[1]) ? 1 : -1;
}

/* Fills the reasoning of a text that begins with it; where its closing mark ends, or all
 * of the text. */
static size_t find_reasoning(struct buf *reasoning, const struct flat *f)
{
    size_t from, to, i;
    int open = opening(f, &i);
    from = open >= 0 ? i + strlen(marks[open]) : 0;
    while (from < f->all.len && f->all.data[from] == '\n')
        from++;
    for (i = from; i < f->all.len; i++)
        for (int m = 2; m < 4; m++) {
            if (!at(&f->all, i, marks[m]) || (open >= 0 && open != m - 2))
                continue;
            for (to = i; to > from && f->all.data[to - 1] == '\n';)
                to--;
            take(reasoning, f, from, to);
            return i + strlen(marks[m]);
        }
    take(reasoning, f, from, f->all.len);
    return f->all.len;
}

/* Where the content begins. */
static size_t skip_reasoning(struct buf *reasoning, const struct flat *f, bool inside)
{
    struct flat bare = {0};
    size_t at_byte = 0, i = 0;
    if (!inside && opening(f, &at_byte) < 0)
        return 0;
    leave_out_calls(&bare, f);
    size_t left = find_reasoning(reasoning, &bare);
    for (; left && i < f->all.len; i++)
        left -= f->plain.data[i] != 't';
    while (i < f->all.len && (f->all.data[i] == '\n'))
        i++;
    free_flat(&bare);
    return i;
}

static const char *find(const struct buf *b, size_t from, const char *s, size_t len)
{
    return len ? memmem(b->data + from, b->len - from, s, len) : b->data + from;
}

/* The content around calls is pieces of the text, in their order. */
static void require_pieces(const struct outcome *o, const struct buf *content)
{
    size_t from = 0, begin = 0, n = o->n_calls;
    require(o->content.len <= content->len, "content that was not there");
    if (n > MAX_CALLS || o->content.len == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        size_t len = o->at[i] - begin;
        const char *s = o->content.data + begin;
        const char *found = find(content, from, s, len);
        require(found != NULL, "content that was not there in this order");
        require(i || len == 0 || found == content->data, "content lost at the begin");
        from = (size_t)(found - content->data) + len;
        begin = o->at[i];
    }
    size_t len = o->content.len - begin;
    require(len == 0 || memcmp(content->data + content->len - len,
                               o->content.data + begin, len) == 0,
            "content lost at the end");
}

static void check(const struct outcome *o, const struct answer *a,
                  const struct answer_options *options)
{
    struct buf reasoning = {0}, content = {0};
    struct flat f = {0};
    size_t from = 0;
    flatten(&f, a, options->format, options->reasoning);
    if (options->reasoning)
        from = skip_reasoning(&reasoning, &f, options->inside);
    take(&content, &f, from, f.all.len);
    require(same(&o->reasoning, &reasoning), "other reasoning");
    if (o->n_calls == 0)
        require(same(&o->content, &content), "other content");
    else
        require_pieces(o, &content);
    free_flat(&f);
    buf_free(&reasoning);
    buf_free(&content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer a;
    struct outcome whole, cut;
    if (size < 3)
        return 0;
    enum tool_format f = (enum tool_format)(data[0] % TOOL_FORMAT_N);
    struct answer_options o = {.format = f,
                               .specs = specs,
                               .n_specs = data[1] & SPECS ? 2 : 0,
                               .most_calls = data[1] & ONE ? 1 : 0,
                               .reasoning = !(data[1] & PLAIN),
                               .inside = data[1] & INSIDE};
    read_answer(&a, f, data + 3, size - 3);
    run(&whole, o, &a, 0);
    run(&cut, o, &a, data[2] + 1u);
    require(same(&whole.reasoning, &cut.reasoning), "cuts change the reasoning");
    require(same(&whole.content, &cut.content), "cuts change the content");
    require(same(&whole.calls, &cut.calls), "cuts change the calls");
    require(whole.failures == cut.failures, "cuts change the failures");
    require(whole.in_reasoning == cut.in_reasoning, "cuts change where reasoning ends");
    if (!o.most_calls)
        check(&whole, &a, &o);
    free_outcome(&whole);
    free_outcome(&cut);
    free(a.all);
    return 0;
}
