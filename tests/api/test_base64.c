/* Base64: RFC 4648's vectors both ways, every byte, and what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void vectors(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"\xfb\xff", "+/8="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct buf out = {0};
        base64_put(&out, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(out.data ? out.data : "", pairs[i][1]);
        buf_reset(&out);
        assert_true(base64_read(&out, pairs[i][1], strlen(pairs[i][1])));
        assert_int_equal(out.len, strlen(pairs[i][0]));
        assert_memory_equal(out.data ? out.data : "", pairs[i][0], out.len);
        buf_free(&out);
    }
}

static void all_bytes_come_back(void **state)
{
    (void)state;
    char bytes[256];
    struct buf digits = {0}, back = {0};
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    base64_put(&digits, bytes, sizeof bytes);
    assert_int_equal(digits.len, 344);
    buf_puts(&back, "before");
    assert_true(base64_read(&back, digits.data, digits.len));
    assert_int_equal(back.len, 6 + sizeof bytes);
    assert_memory_equal(back.data + 6, bytes, sizeof bytes);
    buf_free(&digits);
    buf_free(&back);
}

static void what_is_not_ours_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",  "Zg==Zg==", "Zh==",   "Zm9=", "Zm_v",
        "Zm-v", "====", "=m9v", "Z===",     "Zm9v\n", "Zm 9", "Zg=v"};
    struct buf out = {0};
    buf_puts(&out, "kept");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(base64_read(&out, bad[i], strlen(bad[i])));
        assert_string_equal(out.data, "kept");
    }
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(all_bytes_come_back),
        cmocka_unit_test(what_is_not_ours_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
