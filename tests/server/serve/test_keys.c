/* The key file's lines, good and bad, and what a compare accepts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/ssmd-keys-XXXXXX";

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
}

static const char *tenant(const struct keys *k, const char *header)
{
    struct err err = {0};
    const char *t = keys_tenant(k, header, header ? strlen(header) : 0, &err);
    assert_true(t || err.code == ERR_AUTH);
    return t;
}

static void tenants_are_found(void **state)
{
    (void)state;
    static const char text[] =
        "# comment\n\nalice:one\r\nbob:two:with:colons\ncarol:three";
    struct keys *k;
    write_file(text, sizeof text - 1);
    assert_int_equal(keys_open(&k, path, "single", NULL), 0);
    assert_true(keys_asked(k));
    assert_string_equal(tenant(k, "Bearer one"), "alice");
    assert_string_equal(tenant(k, "bearer two:with:colons"), "bob");
    assert_string_equal(tenant(k, "Bearer three"), "carol");
    assert_string_equal(tenant(k, "Bearer single"), "default");
    static const char *const wrong[] = {
        "Bearer ONE",    "Bearer on", "Bearer onee",  "Bearer ",
        "Bearer  one",   "Basic one", "one",          "",
        "Bearer oneone", "Bearer",    "Bearer one\n", NULL};
    for (int i = 0; wrong[i]; i++)
        assert_null(tenant(k, wrong[i]));
    assert_null(tenant(k, NULL));
    keys_close(k);
}

static void without_keys_nobody_is_asked(void **state)
{
    (void)state;
    struct keys *k;
    assert_int_equal(keys_open(&k, "", "", NULL), 0);
    assert_false(keys_asked(k));
    keys_close(k);
    keys_close(NULL);
}

static void bad_files_name_the_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"a:b\ns3cret\n", "a:b\n:s3cret\n", "a:b\ntenant:\n",
                                      "a:b\nt:s3cret y\n", "a:b\nt:s3cret\xc3\xa9\n"};
    struct keys *k;
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(bad[i], strlen(bad[i]));
        assert_int_equal(keys_open(&k, path, "", &err), -ERR_FORMAT);
        assert_non_null(strstr(err.text, "line 2"));
        assert_null(strstr(err.text, "s3cret"));
    }
    char tenant[80]; /* longer names than a conn holds would meet in their beginnings */
    for (size_t len = 62; len < 66; len++) {
        memset(tenant, 't', len);
        strcpy(tenant + len, ":s3cret\n");
        write_file(tenant, len + 8);
        int rc = keys_open(&k, path, "", &err);
        assert_int_equal(rc, len <= 63 ? 0 : -ERR_FORMAT);
        if (rc == 0)
            keys_close(k);
    }
    char *line = malloc(5000);
    memset(line, 'x', 5000);
    line[1] = ':';
    write_file(line, 5000);
    assert_int_equal(keys_open(&k, path, "", &err), -ERR_FORMAT);
    free(line);
    write_file("# nothing\n", 10);
    assert_int_equal(keys_open(&k, path, "", &err), -ERR_FORMAT);
    assert_int_equal(keys_open(&k, "/nonexistent/keys", "", &err), -ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/keys"));
}

static int open_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenants_are_found),
        cmocka_unit_test(without_keys_nobody_is_asked),
        cmocka_unit_test(bad_files_name_the_line),
    };
    return cmocka_run_group_tests(tests, open_path, remove_path);
}
