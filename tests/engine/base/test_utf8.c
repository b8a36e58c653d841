/* UTF-8 by RFC 3629: every scalar value there and back, everything else refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static void every_scalar_value_goes_there_and_back(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char s[4];
        uint32_t back = ~0u;
        if (c == 0xD800)
            c = 0xE000;
        int n = utf8_encode(c, s), want = c < 0x80      ? 1
                                          : c < 0x800   ? 2
                                          : c < 0x10000 ? 3
                                                        : 4;
        if (n != want || utf8_decode(s, (size_t)n, &back) != n || back != c)
            fail_msg("U+%04X: %d bytes, back U+%04X", (unsigned)c, n, (unsigned)back);
        for (int cut = 0; cut < n; cut++) /* a proper beginning waits for more */
            assert_int_equal(utf8_decode(s, (size_t)cut, &back), 0);
    }
}

/* The definition, bit by bit: how many of three bytes begin a valid sequence. */
static int define(const unsigned char *u)
{
    uint32_t c;
    if (u[0] < 0x80)
        return 1;
    if (u[0] >> 5 == 6 && u[1] >> 6 == 2)
        return ((u[0] & 31u) << 6 | (u[1] & 63u)) >= 0x80 ? 2 : -1;
    if (u[0] >> 4 != 14 || u[1] >> 6 != 2 || u[2] >> 6 != 2)
        return -1;
    c = (u[0] & 15u) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u);
    return c >= 0x800 && (c < 0xD800 || c > 0xDFFF) ? 3 : -1;
}

static void every_three_bytes_are_judged_by_the_definition(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 0xF0; a++) /* longer ones below */
        for (unsigned b = 0; b < 256; b++)
            for (unsigned c = 0; c < 256; c += a < 0xE0 ? 85 : 1) {
                unsigned char u[3] = {(unsigned char)a, (unsigned char)b,
                                      (unsigned char)c};
                uint32_t out;
                if (utf8_decode((const char *)u, 3, &out) != define(u))
                    fail_msg("%02X %02X %02X", a, b, c);
            }
}

static void what_can_never_be_valid_is_refused_at_once(void **state)
{
    static const char *const bad[] = {
        "\x80",     "\xBF",         "\xC0",     "\xC1",         "\xF5",
        "\xFF",     "\xE0\x9F",     "\xED\xA0", "\xF0\x8F",     "\xF4\x90",
        "\xC3\x28", "\xF0\x90\x28", "\xE2\x28", "\xF0\x9F\x98("};
    uint32_t c;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(utf8_decode(bad[i], strlen(bad[i]), &c), -1);
}

static void whole_texts_are_judged_and_counted(void **state)
{
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    (void)state;
    assert_true(utf8_valid(text, 10));
    assert_int_equal(utf8_count(text, 10), 4);
    for (size_t n = 0; n <= 10; n++)
        assert_int_equal(utf8_valid(text, n),
                         n == 0 || n == 1 || n == 3 || n == 6 || n == 10);
    assert_int_equal(utf8_count(text, 9), 6); /* three bytes of a broken one */
    assert_int_equal(utf8_count("\xFF\x80z", 3), 3);
    assert_true(utf8_valid("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_value_goes_there_and_back),
        cmocka_unit_test(every_three_bytes_are_judged_by_the_definition),
        cmocka_unit_test(what_can_never_be_valid_is_refused_at_once),
        cmocka_unit_test(whole_texts_are_judged_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
