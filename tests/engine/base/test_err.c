/* Error texts: cut at the struct's size on whole characters, never without their code.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/err.h"
#include "engine/base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static void code_param_and_text_are_set(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(err_param(&err, ERR_BUDGET, "n", "n: %d", 3), -ERR_BUDGET);
    assert_string_equal(err.param, "n");
    assert_string_equal(err.text, "n: 3");
    assert_int_equal(err_prefix(&err, "file %s", "x"), -ERR_BUDGET);
    assert_string_equal(err.text, "file x: n: 3");
    assert_int_equal(err_set(&err, ERR_IO, "gone"), -ERR_IO);
    assert_string_equal(err.param, "");
    assert_int_equal(err_set(NULL, ERR_IO, "gone"), -ERR_IO);
    assert_int_equal(err_param(NULL, ERR_BUSY, "p", "gone"), -ERR_BUSY);
    assert_true(err_prefix(NULL, "x") < 0);
}

static void long_texts_end_on_a_whole_character(void **state)
{
    char text[1200];
    struct err err;
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xF0\x9F\x98\x80", 5);
        err_set(&err, ERR_FORMAT, "%s", text);
        assert_true(strlen(err.text) > sizeof err.text - 6);
        assert_true(utf8_valid(err.text, strlen(err.text)));
        err_prefix(&err, "prefix");
        assert_true(utf8_valid(err.text, strlen(err.text)));
        assert_memory_equal(err.text, "prefix: ", 8);
        err_prefix(&err, "%s", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
        assert_int_equal(err.code, ERR_FORMAT);
    }
}

static void a_disk_that_takes_nothing_has_a_code(void **state)
{
    (void)state;
    static const int full[] = {ENOSPC, EDQUOT, EROFS, EFBIG}, other[] = {EIO, EACCES, 0};
    for (size_t i = 0; i < sizeof full / sizeof *full; i++)
        assert_int_equal(err_of_errno(full[i]), ERR_STORAGE);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_int_equal(err_of_errno(other[i]), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_param_and_text_are_set),
        cmocka_unit_test(long_texts_end_on_a_whole_character),
        cmocka_unit_test(a_disk_that_takes_nothing_has_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
