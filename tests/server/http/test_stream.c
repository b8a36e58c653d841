/* The byte queue of a stream: order, marks, end, and running out of memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/stream.h"

#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void bytes_come_out_in_order(void **state)
{
    (void)state;
    struct stream s = {0};
    char to[7];
    unsigned in = 0, out = 0;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 5; i++)
            buf_putc(&s.out, (char)(in++ % 251));
        ssize_t n = stream_read(&s, to, (size_t)(round % 7) + 1);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal((unsigned char)to[i], out++ % 251);
        assert_int_equal(stream_pending(&s), in - out);
    }
    s.ended = true;
    ssize_t n;
    while ((n = stream_read(&s, to, sizeof to)) > 0)
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal((unsigned char)to[i], out++ % 251);
    assert_int_equal(n, -1);
    assert_int_equal(in, out);
    assert_int_equal(s.sent_bytes, in);
    stream_free(&s);
}

static void empty_waits_and_failure_breaks(void **state)
{
    (void)state;
    struct stream s = {0};
    char to[4];
    assert_int_equal(stream_read(&s, to, sizeof to), 0);
    mem_fail_after(1);
    buf_puts(&s.out, "x");
    mem_fail_after(0);
    assert_int_equal(stream_read(&s, to, sizeof to), -2);
    stream_free(&s);
}

static void pauses_above_and_resumes_at_half(void **state)
{
    (void)state;
    struct stream s = {0};
    char to[60];
    for (int i = 0; i < 100; i++)
        buf_putc(&s.out, 'x');
    assert_false(stream_over(&s, 100, 5));
    buf_putc(&s.out, 'x');
    assert_true(stream_over(&s, 100, 6));
    assert_int_equal(s.stalled_ns, 6);
    assert_int_equal(stream_read(&s, to, 40), 40);
    assert_true(stream_over(&s, 100, 7));
    assert_int_equal(s.stalled_ns, 6);
    assert_int_equal(stream_read(&s, to, 11), 11);
    assert_false(stream_over(&s, 100, 8));
    assert_int_equal(s.stalled_ns, 0);
    stream_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_order),
        cmocka_unit_test(empty_waits_and_failure_breaks),
        cmocka_unit_test(pauses_above_and_resumes_at_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
