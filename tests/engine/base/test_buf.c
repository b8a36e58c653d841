/* Byte buffers and the JSON they write.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/buf.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void a_buffer_grows_and_always_ends_with_nul(void **state)
{
    struct buf b = {0};
    (void)state;
    for (int i = 0; i < 10000; i++) {
        buf_putc(&b, (char)('a' + i % 26));
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    buf_drop(&b, 9990);
    assert_string_equal(b.data, "ghijklmnop");
    buf_drop(&b, 3);
    assert_string_equal(b.data, "jklmnop");
    buf_drop(&b, 100);
    assert_string_equal(b.data, "");
    buf_puts(&b, "x");
    buf_put(&b, NULL, 0);
    buf_printf(&b, "%d-%s", 42, "y");
    assert_string_equal(b.data, "x42-y");
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buf_free(&b);
    assert_null(b.data);
    buf_free(&b);
}

static void a_failed_growth_is_remembered(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_puts(&b, "kept");
    mem_fail_after(1);
    for (int i = 0; i < 200; i++)
        buf_putc(&b, '.');
    assert_true(b.failed);
    size_t len = b.len;
    buf_puts(&b, "more");
    buf_printf(&b, "%d", 1);
    assert_int_equal(b.len, len);
    assert_memory_equal(b.data, "kept", 4);
    buf_reset(&b);
    assert_false(b.failed);
    buf_puts(&b, "again");
    assert_string_equal(b.data, "again");
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    mem_fail_after(0);
    buf_free(&b);
}

static void expect_json(const char *in, size_t len, const char *want)
{
    struct buf b = {0};
    buf_json_string(&b, in, len);
    assert_string_equal(b.data, want);
    buf_free(&b);
}

static void strings_are_escaped_and_made_utf8(void **state)
{
    (void)state;
    expect_json("", 0, "\"\"");
    expect_json("plain", 5, "\"plain\"");
    expect_json("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
    expect_json("\b\t\n\v\f\r", 6, "\"\\b\\t\\n\\u000b\\f\\r\"");
    expect_json("a\0b", 3, "\"a\\u0000b\"");
    expect_json("\x1f\x7f", 2, "\"\\u001f\\u007f\"");
    expect_json("\xE2\x82\xAC", 3, "\"\xE2\x82\xAC\"");
    expect_json("\xE2\x80\xA8", 3, "\"\\u2028\"");
    expect_json("\xFF", 1, "\"\xEF\xBF\xBD\"");
    expect_json("a\xC3", 2, "\"a\xEF\xBF\xBD\"");
    expect_json("\xC3(", 2, "\"\xEF\xBF\xBD(\"");
    expect_json("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

/* Whatever the bytes, what is written parses, and text that was whole comes back. */
static void any_bytes_give_valid_json(void **state)
{
    uint64_t s = 1;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        char in[16];
        size_t n = (size_t)i % 16;
        for (size_t k = 0; k < n; k++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            in[k] = (char)(s >> 56);
        }
        struct buf b = {0};
        struct json *j = NULL;
        struct err err = {0};
        buf_json_string(&b, in, n);
        if (json_parse(&j, b.data, b.len, &err))
            fail_msg("%s", err.text);
        json_free(j);
        buf_free(&b);
    }
}

static void numbers_read_back_the_same_and_are_short(void **state)
{
    static const struct {
        double x;
        const char *want;
    } known[] = {{0, "0"},
                 {1, "1"},
                 {-1.5, "-1.5"},
                 {0.1, "0.1"},
                 {1e300, "1e+300"},
                 {NAN, "null"},
                 {INFINITY, "null"},
                 {-INFINITY, "null"},
                 {1.0 / 3, "0.3333333333333333"}};
    uint64_t s = 7;
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct buf b = {0};
        buf_json_number(&b, known[i].x);
        assert_string_equal(b.data, known[i].want);
        buf_free(&b);
    }
    for (int i = 0; i < 5000; i++) {
        double x;
        struct buf b = {0};
        s = s * 6364136223846793005u + 1442695040888963407u;
        memcpy(&x, &s, sizeof x);
        buf_json_number(&b, x);
        if (isfinite(x))
            assert_true(strtod(b.data, NULL) == x);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_grows_and_always_ends_with_nul),
        cmocka_unit_test(a_failed_growth_is_remembered),
        cmocka_unit_test(strings_are_escaped_and_made_utf8),
        cmocka_unit_test(any_bytes_give_valid_json),
        cmocka_unit_test(numbers_read_back_the_same_and_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
