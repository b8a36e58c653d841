/* Literals: JSON as the JSON library reads it, Python's as written by hand, in pieces.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_literal.h"
#include "engine/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const json[] = {
    "{}",
    "[]",
    "\"\"",
    "0",
    "-0",
    "12",
    "-12.5",
    "1e5",
    "1E+5",
    "1.25e-5",
    "true",
    "false",
    "null",
    " { \"a\" : [ 1 , 2 ] , \"b\" : { } } ",
    "[[[[]]]]",
    "[1,\n\t2\r]",
    "{\"a\":{\"a\":{\"a\":[{}]}}}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0041\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u0000\"",
    "\"\xc3\xa9\xf0\x9f\x98\x80\"",
    "{\"\": 1}",
    "[\"a\", true, null, 1.5, {}]",
    /* and none */
    "",
    " ",
    "{",
    "}",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{'a':1}",
    "{1:2}",
    "{\"a\" 1}",
    "{\"a\":1 \"b\":2}",
    "01",
    "-",
    "+1",
    "1.",
    ".5",
    "1e",
    "1e+",
    "--1",
    "1.2.3",
    "0x10",
    "1_000",
    "tru",
    "True",
    "None",
    "nul",
    "nulll",
    "truefalse",
    "\"",
    "\"a",
    "'a'",
    "\"\\x41\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ud83dx\"",
    "\"a\nb\"",
    "\"a\tb\"",
    "\"\\",
    "[1]]",
    "[1}",
    "{]",
    "(1, 2)",
    "1 2",
    "NaN",
    "Infinity",
    "-Infinity",
    "[1] x",
    "\xc2\xa0"
    "1",
};

/* The kind, read in pieces of this size. */
static enum tool_kind read_pieces(const char *s, size_t piece, struct buf *out)
{
    size_t len = strlen(s), end = 0;
    struct tool_literal l;
    enum tool_literal_status status = TOOL_LITERAL_MORE;
    tool_literal_begin(&l, 0, out);
    while (status == TOOL_LITERAL_MORE && end < len) {
        end = end + piece < len ? end + piece : len;
        do
            status = tool_literal_run(&l, s, end);
        while (status == TOOL_LITERAL_MEMBER);
    }
    if (status == TOOL_LITERAL_MORE)
        status = tool_literal_end(&l);
    size_t blanks = strspn(s + l.at, " \n\t\r");
    return status == TOOL_LITERAL_DONE && l.at + blanks == len ? l.kind : TOOL_KIND_NONE;
}

static void json_is_what_the_library_takes(void **state)
{
    static const enum tool_kind kinds[] = {
        [JK_ABSENT] = TOOL_KIND_NONE,  [JK_NULL] = TOOL_KIND_NULL,
        [JK_BOOL] = TOOL_KIND_BOOLEAN, [JK_INT] = TOOL_KIND_INTEGER,
        [JK_REAL] = TOOL_KIND_REAL,    [JK_STRING] = TOOL_KIND_STRING,
        [JK_ARRAY] = TOOL_KIND_ARRAY,  [JK_OBJECT] = TOOL_KIND_OBJECT,
    };
    (void)state;
    for (size_t i = 0; i < sizeof json / sizeof *json; i++) {
        struct json *j = NULL;
        struct err err;
        json_parse(&j, json[i], strlen(json[i]), &err);
        enum tool_kind want = kinds[json_kind(j)];
        if (tool_literal_kind(json[i], strlen(json[i]), NULL) != want)
            fail_msg("%s", json[i]);
        for (size_t piece = 1; piece < 4; piece++)
            assert_int_equal(read_pieces(json[i], piece, NULL), want);
        json_free(j);
    }
}

static void strings_say_what_the_library_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof json / sizeof *json; i++) {
        struct json *j = NULL;
        struct err err;
        struct buf text = {0};
        size_t len;
        json_parse(&j, json[i], strlen(json[i]), &err);
        if (json_kind(j) == JK_STRING) {
            const char *want = json_as_string(j, &len);
            tool_literal_text(&text, json[i], strlen(json[i]));
            assert_int_equal(text.len, len);
            assert_memory_equal(text.data ? text.data : "", want, len);
        }
        buf_free(&text);
        json_free(j);
    }
}

static void python_becomes_json(void **state)
{
    static const struct {
        const char *python, *json; /* NULL: it is none */
    } rows[] = {
        {"{'a': 'b'}", "{\"a\": \"b\"}"},
        {"{\"a\": 'b', 'c': \"d\"}", "{\"a\": \"b\", \"c\": \"d\"}"},
        {"[True,False,None]", "[true, false, null]"},
        {"[true,false,null]", "[true, false, null]"},
        {"[1,]", "[1]"},
        {"{'a':1,}", "{\"a\": 1}"},
        {"()", "[]"},
        {"(1,)", "[1]"},
        {"(1, (2, 3),)", "[1, [2, 3]]"},
        {"[(1, 2), [3]]", "[[1, 2], [3]]"},
        {"+1", "1"},
        {".5", "0.5"},
        {"-.5e2", "-0.5e2"},
        {"5.", "5.0"},
        {"[5.,.5]", "[5.0, 0.5]"},
        {"5.e1", "5.0e1"},
        {"'it\\'s'", "\"it's\""},
        {"'say \"hi\"'", "\"say \\\"hi\\\"\""},
        {"\"it's\"", "\"it's\""},
        {"'\\x41\\u00e9\\U0001f600'", "\"A\xc3\xa9\xf0\x9f\x98\x80\""},
        {"'\\ud83d\\ude00'", "\"\xf0\x9f\x98\x80\""},
        {"'\\d\\.\\\\'", "\"\\\\d\\\\.\\\\\""},
        {"'a\nb'", "\"a\\nb\""},
        {"'a\\\nb'", "\"ab\""},
        {"'\\a\\0'", "\"\\u0007\\\\0\""},
        {"''", "\"\""},
        {"{}", "{}"},
        {"(1)", NULL},
        {"(", NULL},
        {"[)", NULL},
        {"(1, 2]", NULL},
        {"(,)", NULL},
        {"[,]", NULL},
        {"{,}", NULL},
        {"{1: 2}", NULL},
        {"{'a'}", NULL},
        {"'a' 'b'", NULL},
        {"'a", NULL},
        {"'\\ud83d'", NULL},
        {"'\\U00110000'", NULL},
        {"'\\xg0'", NULL},
        {"TRUE", NULL},
        {"Nonesuch", NULL},
        {"a", NULL},
        {".", NULL},
        {"+", NULL},
        {"+-1", NULL},
        {"1 + 1", NULL},
        {"f()", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 40; piece += 6) {
            struct buf out = {0};
            bool is_none = read_pieces(rows[i].python, piece, &out) == TOOL_KIND_NONE;
            if (is_none != (rows[i].json == NULL))
                fail_msg("%s", rows[i].python);
            if (rows[i].json)
                assert_string_equal(out.data, rows[i].json);
            buf_free(&out);
        }
}

static void what_was_written_in_vain_is_taken_back(void **state)
{
    struct buf out = {0};
    (void)state;
    buf_puts(&out, "x");
    assert_int_equal(tool_literal_kind("[True, x]", 9, &out), TOOL_KIND_NONE);
    assert_int_equal(out.len, 1);
    assert_int_equal(tool_literal_kind(" [True] ", 8, &out), TOOL_KIND_ARRAY);
    assert_memory_equal(out.data, "x[true]", 7);
    buf_free(&out);
}

static void members_are_told_by_their_places(void **state)
{
    static const char s[] = "{\"a\": {\"x\": 1}, \"bc\" :12 ,\"d\":\"e\", \"f\": null}";
    static const struct {
        const char *key, *value;
        enum tool_kind kind;
    } want[] = {{"\"a\"", "{\"x\": 1}", TOOL_KIND_OBJECT},
                {"\"bc\"", "12", TOOL_KIND_INTEGER},
                {"\"d\"", "\"e\"", TOOL_KIND_STRING},
                {"\"f\"", "null", TOOL_KIND_NULL}};
    struct tool_literal l;
    (void)state;
    tool_literal_begin(&l, 0, NULL);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(tool_literal_run(&l, s, sizeof s - 1), TOOL_LITERAL_MEMBER);
        assert_int_equal(l.key.end - l.key.at, strlen(want[i].key));
        assert_memory_equal(s + l.key.at, want[i].key, strlen(want[i].key));
        assert_int_equal(l.value.end - l.value.at, strlen(want[i].value));
        assert_memory_equal(s + l.value.at, want[i].value, strlen(want[i].value));
        assert_int_equal(l.value_kind, want[i].kind);
    }
    assert_int_equal(tool_literal_run(&l, s, sizeof s - 1), TOOL_LITERAL_DONE);
    assert_int_equal(l.at, sizeof s - 1);
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    for (size_t depth = TOOL_LITERAL_DEPTH; depth <= TOOL_LITERAL_DEPTH + 1; depth++) {
        struct buf s = {0};
        for (size_t i = 0; i < depth; i++)
            buf_putc(&s, '[');
        for (size_t i = 0; i < depth; i++)
            buf_putc(&s, ']');
        assert_int_equal(tool_literal_kind(s.data, s.len, NULL),
                         depth > TOOL_LITERAL_DEPTH ? TOOL_KIND_NONE : TOOL_KIND_ARRAY);
        buf_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_what_the_library_takes),
        cmocka_unit_test(strings_say_what_the_library_says),
        cmocka_unit_test(python_becomes_json),
        cmocka_unit_test(what_was_written_in_vain_is_taken_back),
        cmocka_unit_test(members_are_told_by_their_places),
        cmocka_unit_test(depth_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
