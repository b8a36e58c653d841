/*
 * Answers and what they must be split into, from cases/FORM.txt: whole and in pieces of
 * any size, with the marks as special tokens and as text.
 *
 * A line of such a file begins with a word: `case` and its name; `>` the answer; then, in
 * order, `r` reasoning, `c` content, `call` with a name and arguments, and `fail` with a
 * number. `options` is a word of set_option. In texts \n, \t and \\ are escapes; a mark in
 * guillemets is a special token in one run, and text without them in another; where it is
 * content, the first run has nothing in its place. Calls and broken calls are also tried
 * in pairs, but for those that are `alone`: what follows would belong to them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/tools/answer_parser.h"
#include "engine/base/buf.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OPEN  "\xC2\xAB"
#define CLOSE "\xC2\xBB"

static const struct tool_param params[] = {
    {"s", 1, TOOL_STRING},
    {"i", 1, TOOL_INTEGER},
    {"n", 1, TOOL_NUMBER},
    {"b", 1, TOOL_BOOLEAN},
    {"o", 1, TOOL_OBJECT},
    {"a", 1, TOOL_ARRAY},
    {"sn", 2, TOOL_STRING | TOOL_NULL},
    {"si", 2, TOOL_STRING | TOOL_INTEGER},
    {"any", 3, 0},
    {"in", 2, TOOL_INTEGER | TOOL_NULL},
};
static const struct tool_spec specs[] = {
    {"f", 1, params, sizeof params / sizeof *params},
    {"g", 1, NULL, 0},
    {"get_weather", 11, NULL, 0},
};

enum { MAX_CASES = 128 };

struct trial {
    struct buf name, answer, want; /* own */
    struct answer_options o;
    size_t failures, line;
    bool has_options, has_call, has_text;
};

/* Parts as text, adjacent pieces of one part joined. */
struct seen {
    struct buf parts;
    int part; /* of the last line; -1: a call or nothing */
};

static void put_text(struct seen *seen, int part, const char *s, size_t len)
{
    if (part != seen->part)
        buf_puts(&seen->parts, part == ANSWER_REASONING ? "\n\x01r "
                                                        : "\n\x01"
                                                          "c ");
    seen->part = part;
    buf_put(&seen->parts, s, len);
}

static void text(void *arg, enum answer_part part, const char *s, size_t len)
{
    assert_true(len > 0);
    put_text(arg, part, s, len);
}

static void call(void *arg, const struct answer_call *c)
{
    struct seen *seen = arg;
    struct json *j;
    struct err err;
    seen->part = -1;
    buf_puts(&seen->parts, "\n\x01"
                           "call ");
    buf_put(&seen->parts, c->name, c->name_len);
    buf_putc(&seen->parts, ' ');
    buf_put(&seen->parts, c->arguments, c->arguments_len);
    assert_int_equal(json_parse(&j, c->arguments, c->arguments_len, &err), 0);
    assert_int_equal(json_kind(j), JK_OBJECT);
    json_free(j);
}

/* ---- cases ---------------------------------------------------------------------------- */

static void unescape(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool escape = s[i] == '\\' && i + 1 < len;
        i += escape;
        buf_putc(out, !escape ? s[i] : s[i] == 'n' ? '\n' : s[i] == 't' ? '\t' : s[i]);
    }
}

static void set_option(struct trial *t, const char *word)
{
    t->has_options = true;
    if (strncmp(word, "inside\n", 7) == 0)
        t->o.inside = true;
    else if (strncmp(word, "plain\n", 6) == 0)
        t->o.reasoning = false;
    else if (strncmp(word, "one\n", 4) == 0)
        t->o.most_calls = 1;
    else
        assert_int_equal(strncmp(word, "alone\n", 6), 0);
}

static void read_line(struct trial *t, const char *s, size_t len)
{
    const char *space = memchr(s, ' ', len);
    size_t word = space ? (size_t)(space - s) : len, from = space ? word + 1 : len;
    if (s[0] == '>')
        unescape(&t->answer, s + from, len - from);
    else if (strncmp(s, "options ", 8) == 0)
        set_option(t, s + from);
    else if (strncmp(s, "fail ", 5) == 0)
        t->failures = (size_t)(s[5] - '0');
    else {
        buf_puts(&t->want, "\n\x01");
        buf_put(&t->want, s, from);
        unescape(&t->want, s + from, len - from);
        t->has_call = t->has_call || strncmp(s, "call ", 5) == 0;
        t->has_text = t->has_text || strncmp(s, "call ", 5) != 0;
    }
}

/* The text without guillemets; with `bare`, without what is in them. */
static void strip_marks(struct buf *out, const struct buf *in, bool bare)
{
    const char *s = in->data ? in->data : "", *end = s + in->len;
    while (s < end) {
        const char *open = strstr(s, OPEN);
        const char *close = open ? strstr(open, CLOSE) : NULL;
        buf_put(out, s, (size_t)((close ? open : end) - s));
        if (close && !bare)
            buf_put(out, open + 2, (size_t)(close - open - 2));
        s = close ? close + 2 : end;
    }
}

/* What is wanted, without texts that are empty now, adjacent ones joined. */
static void put_wanted(struct buf *out, const struct buf *want, bool bare)
{
    struct buf stripped = {0};
    struct seen seen = {.part = -1};
    strip_marks(&stripped, want, bare);
    for (char *s = stripped.data; s && *s;) {
        char *next = strstr(s + 2, "\n\x01");
        size_t len = next ? (size_t)(next - s) : strlen(s);
        if (s[3] == ' ' && len > 4)
            put_text(&seen, s[2] == 'r' ? ANSWER_REASONING : ANSWER_CONTENT, s + 4,
                     len - 4);
        else if (s[3] != ' ') {
            buf_put(&seen.parts, s, len);
            seen.part = -1;
        }
        s = next;
    }
    buf_puts(out, seen.parts.data ? seen.parts.data : "");
    buf_free(&seen.parts);
    buf_free(&stripped);
}

/* ---- runs ----------------------------------------------------------------------------- */

static void push(struct answer_parser *p, const char *s, size_t len, size_t piece)
{
    for (size_t at = 0; at < len;) {
        size_t n = piece && piece < len - at ? piece : len - at;
        while (at + n < len && ((unsigned char)s[at + n] & 0xC0) == 0x80)
            n++; /* whole characters */
        answer_parser_push(p, s + at, n, false);
        at += n;
    }
}

static void push_answer(struct answer_parser *p, const struct buf *answer, bool special,
                        size_t piece)
{
    const char *s = answer->data ? answer->data : "", *end = s + answer->len;
    struct buf plain = {0};
    if (!special) {
        strip_marks(&plain, answer, false);
        push(p, plain.data, plain.len, piece);
    }
    while (special && s < end) {
        const char *open = strstr(s, OPEN), *close = open ? strstr(open, CLOSE) : NULL;
        push(p, s, (size_t)((close ? open : end) - s), piece);
        if (close)
            answer_parser_push(p, open + 2, (size_t)(close - open - 2), true);
        s = close ? close + 2 : end;
    }
    buf_free(&plain);
}

static size_t n_wrong;

static void try(const struct trial *t, bool special, size_t piece)
{
    struct seen seen = {.part = -1};
    struct buf want = {0};
    struct answer_parser *p;
    struct answer_options o = t->o;
    struct err err;
    o.sink = (struct answer_sink){text, call, &seen};
    assert_int_equal(answer_parser_open(&p, &o, &err), 0);
    push_answer(p, &t->answer, special, piece);
    answer_parser_finish(p);
    put_wanted(&want, &t->want, special);
    const char *got = seen.parts.data ? seen.parts.data : "";
    if (strcmp(got, want.data ? want.data : "") != 0 ||
        answer_parser_failures(p) != t->failures) {
        print_error("line %zu, %s, marks as %s, pieces of %zu: wanted, %zu failures:%s\n"
                    "got, %zu failures:%s\n",
                    t->line, t->name.data, special ? "tokens" : "text", piece,
                    t->failures, want.data, answer_parser_failures(p), got);
        n_wrong++;
    }
    assert_false(answer_parser_no_memory(p));
    answer_parser_free(p);
    buf_free(&seen.parts);
    buf_free(&want);
}

static void try_all_ways(const struct trial *t)
{
    size_t before = n_wrong;
    for (size_t piece = 0; piece <= 7 && n_wrong == before; piece++) {
        try(t, true, piece);
        try(t, false, piece);
    }
}

static void free_trial(struct trial *t)
{
    buf_free(&t->name);
    buf_free(&t->answer);
    buf_free(&t->want);
}

static void begin_trial(struct trial *t, enum tool_format format, size_t line)
{
    *t = (struct trial){.line = line};
    t->o = (struct answer_options){.format = format,
                                   .specs = specs,
                                   .n_specs = sizeof specs / sizeof *specs,
                                   .reasoning = true};
}

/* Answers t[n], which begin_trial and read_line fill; free_trial each. */
static size_t read_cases(struct trial t[MAX_CASES], enum tool_format format)
{
    char path[80];
    struct buf file = {0};
    struct err err;
    size_t n = 0, line = 0;
    snprintf(path, sizeof path, "tests/api/tools/cases/%s.txt", tool_format_name(format));
    assert_int_equal(file_read(&file, path, 1 << 20, &err), 0);
    for (char *s = file.data, *end; (end = strchr(s, '\n')); s = end + 1) {
        line++;
        if (strncmp(s, "case ", 5) == 0) {
            assert_true(n < MAX_CASES);
            begin_trial(&t[n], format, line);
            buf_put(&t[n++].name, s + 5, (size_t)(end - s) - 5);
        } else if (end > s && s[0] != '#')
            read_line(&t[n - 1], s, (size_t)(end - s));
    }
    buf_free(&file);
    return n;
}

static bool blank(char c)
{
    return c == ' ' || c == '\n';
}

/* Calls and nothing else, or a broken call: what may stand beside others. */
static bool may_pair(const struct trial *t)
{
    size_t len = t->answer.len;
    return !t->has_options && t->has_call + t->has_text == 1 &&
           t->failures == t->has_text && len && !blank(t->answer.data[0]) &&
           !blank(t->answer.data[len - 1]);
}

/* Blanks between two calls are dropped, other text between them is content. */
static void join(struct trial *out, const struct trial *a, const struct trial *b,
                 const char *between)
{
    begin_trial(out, a->o.format, b->line);
    buf_printf(&out->name, "%s + %s", a->name.data, b->name.data);
    buf_printf(&out->answer, "%s%s%s", a->answer.data, between, b->answer.data);
    buf_puts(&out->want, a->want.data);
    if (!blank(between[1]) || a->has_text || b->has_text)
        buf_printf(&out->want,
                   "\n\x01"
                   "c %s",
                   between);
    buf_puts(&out->want, b->want.data);
    out->failures = a->failures + b->failures;
}

static size_t try_pairs(const struct trial *t, size_t n)
{
    size_t tried = 0;
    for (size_t i = 0; i < n * n; i++) {
        const struct trial *a = &t[i / n], *b = &t[i % n];
        struct trial both;
        bool brace = b->o.format == TOOL_FORMAT_LLAMA3_JSON && b->answer.data[0] == '{';
        if (!may_pair(a) || !may_pair(b) || brace || (a->has_text && b->has_text))
            continue;
        join(&both, a, b, i & 1 ? " then " : "\n \n");
        try(&both, i & 2, i % 8);
        free_trial(&both);
        tried++;
    }
    return tried;
}

static void every_form_has_its_cases(void **state)
{
    static struct trial t[MAX_CASES];
    (void)state;
    for (int f = 0; f < TOOL_FORMAT_N; f++) {
        size_t n = read_cases(t, (enum tool_format)f);
        for (size_t i = 0; i < n; i++)
            try_all_ways(&t[i]);
        size_t pairs = f ? try_pairs(t, n) : 0;
        print_message("%s: %zu answers, %zu pairs\n",
                      tool_format_name((enum tool_format)f), n, pairs);
        assert_true(n >= 40 && (!f || n + pairs >= 150));
        for (size_t i = 0; i < n; i++)
            free_trial(&t[i]);
    }
    assert_int_equal(n_wrong, 0);
}

static void check_now(enum tool_format format, const char *answer, const char *want)
{
    struct trial t;
    struct seen seen = {.part = -1};
    struct answer_parser *p;
    struct err err;
    begin_trial(&t, format, 0);
    t.o.sink = (struct answer_sink){text, call, &seen};
    buf_puts(&t.answer, answer);
    assert_int_equal(answer_parser_open(&p, &t.o, &err), 0);
    push_answer(p, &t.answer, true, 0);
    assert_string_equal(seen.parts.data ? seen.parts.data : "", want);
    answer_parser_free(p);
    buf_free(&seen.parts);
    free_trial(&t);
}

/* What is passed on of an answer that has not ended. */
static void nothing_is_held_longer_than_needed(void **state)
{
    static const struct {
        enum tool_format format;
        const char *answer, *want;
    } rows[] = {
        {TOOL_FORMAT_NONE, "Hi ",
         "\n\x01"
         "c Hi "},
        {TOOL_FORMAT_NONE, "<think>a b\n</th", "\n\x01r a b"},
        {TOOL_FORMAT_HERMES, "Hi <tool_",
         "\n\x01"
         "c Hi "},
        {TOOL_FORMAT_HERMES, " \n", ""},
        {TOOL_FORMAT_HERMES, "<tool_call>{\"name\": \"f\"}",
         "\n\x01"
         "call f {}"},
        {TOOL_FORMAT_HERMES, "<tool_call>x",
         "\n\x01"
         "c <tool_call>x"},
        {TOOL_FORMAT_HERMES,
         OPEN "<tool_call>" CLOSE "{\"a\": \"" OPEN "<tool_call>" CLOSE,
         "\n\x01"
         "c {\"a\": \""},
        {TOOL_FORMAT_QWEN3_CODER, "<function=f></function>",
         "\n\x01"
         "call f {}"},
        {TOOL_FORMAT_QWEN3_CODER, "a<function=f><parameter=s>" OPEN "<tool_call>" CLOSE,
         "\n\x01"
         "c a<function=f><parameter=s>"},
        {TOOL_FORMAT_LFM2, "<|tool_call_start|>[f(), g(",
         "\n\x01"
         "call f {}"},
        {TOOL_FORMAT_LLAMA3_JSON, "{\"answer\"",
         "\n\x01"
         "c {\"answer\""},
        {TOOL_FORMAT_LLAMA3_JSON, "{\"name\": \"f\"};",
         "\n\x01"
         "call f {}"},
        {TOOL_FORMAT_JSON_LIST, "<TOOLCALL>[{\"name\": \"f\"}, {",
         "\n\x01"
         "call f {}"},
        {TOOL_FORMAT_MISTRAL, "[TOOL_CALLS]f[ARGS]{}",
         "\n\x01"
         "call f {}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_now(rows[i].format, rows[i].answer, rows[i].want);
}

/* As if they were not there: newlines at the marks are dropped nevertheless. */
static void tokens_of_calls_mean_nothing_in_reasoning(void **state)
{
    (void)state;
    check_now(TOOL_FORMAT_HERMES,
              "<think>" OPEN "<tool_call>" CLOSE "\na\n" OPEN "</tool_call>" CLOSE
              "\n</think>\nb",
              "\n\x01r a\n\x01"
              "c b");
}

static void names_have_their_forms(void **state)
{
    (void)state;
    enum tool_format found;
    for (int f = 0; f < TOOL_FORMAT_N; f++) {
        assert_true(tool_format_find(&found, tool_format_name((enum tool_format)f)));
        assert_int_equal(found, f);
        assert_int_equal(tool_format_mark((enum tool_format)f, 0) != NULL, f != 0);
        assert_null(tool_format_mark((enum tool_format)f, 3));
    }
    assert_false(tool_format_find(&found, "herme"));
    assert_string_equal(tool_format_mark(TOOL_FORMAT_HERMES, 0), "<tool_call>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_has_its_cases),
        cmocka_unit_test(nothing_is_held_longer_than_needed),
        cmocka_unit_test(tokens_of_calls_mean_nothing_in_reasoning),
        cmocka_unit_test(names_have_their_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
