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

static const char *tenant_of(const struct keys *k, const char *header,
                             const char *x_api_key)
{
    struct err err = {0};
    size_t len;
    const char *sent = keys_sent(header, x_api_key, &len);
    const char *t = keys_tenant(k, sent, len, &err);
    assert_true(t || err.code == ERR_AUTH);
    return t;
}

static const char *tenant(const struct keys *k, const char *header)
{
    return tenant_of(k, header, NULL);
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

/* Behind a proxy with a password of its own, Authorization is not ours. */
static void a_key_comes_in_either_header(void **state)
{
    (void)state;
    struct keys *k;
    assert_int_equal(keys_open(&k, "", "single", NULL), 0);
    assert_string_equal(tenant_of(k, NULL, "single"), "default");
    assert_string_equal(tenant_of(k, "Basic one", "single"), "default");
    assert_string_equal(tenant_of(k, "Bearer single", "other"), "default");
    assert_null(tenant_of(k, "Bearer other", "single"));
    static const char *const wrong[] = {"", "singl", "singles", "SINGLE",
                                        "Bearer single"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(tenant_of(k, NULL, wrong[i]));
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

static const struct keys_limits *limits_of(const struct keys *k, const char *tenant)
{
    const struct keys_tenant *t = keys_tenants(k);
    while (t && strcmp(t->name, tenant) != 0)
        t = t->next;
    return t ? &t->limits : NULL;
}

static struct keys *open_text(const char *text, struct err *err)
{
    struct keys *k = NULL;
    write_file(text, strlen(text));
    int rc = keys_open(&k, path, "", err);
    assert_int_equal(rc, k ? 0 : -ERR_FORMAT);
    return k;
}

static void words_are_the_tenants_limits(void **state)
{
    (void)state;
    struct keys *k = open_text("a:one rate=1000 running=8\tshare=2 priority=-5 "
                               "checkpoint_bytes=512MiB state_bytes=4GiB\r\n"
                               "b:two\n"
                               "a:three  state_bytes=4096MiB running=8 rate=1000 share=2 "
                               "priority=-5 checkpoint_bytes=536870912 \n",
                               NULL);
    const struct keys_limits *a = limits_of(k, "a"), *b = limits_of(k, "b");
    assert_int_equal(a->rate, 1000);
    assert_int_equal(a->running, 8);
    assert_int_equal(a->share, 2);
    assert_int_equal(a->priority, -5);
    assert_int_equal(a->checkpoint_bytes, 512u << 20);
    assert_int_equal(a->state_bytes, (size_t)4 << 30);
    assert_int_equal(b->rate | b->running | b->priority, 0);
    assert_int_equal(b->share, 1);
    assert_int_equal(b->checkpoint_bytes | b->state_bytes, 0);
    assert_string_equal(tenant(k, "Bearer three"), "a");
    keys_close(k);
    write_file("default:one rate=7\n", 19); /* the option's key has them, too */
    assert_int_equal(keys_open(&k, path, "two", NULL), 0);
    assert_string_equal(tenant(k, "Bearer two"), "default");
    assert_int_equal(limits_of(k, "default")->rate, 7);
    keys_close(k);
}

static void bad_words_name_line_and_word(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
    } bad[] = {
        {"t:k speed=3", "speed"},
        {"t:k rate", "name=value"},
        {"t:k rate=", "rate"},
        {"t:k rate=0", "rate"},
        {"t:k rate=-1", "rate"},
        {"t:k rate=1.5", "rate"},
        {"t:k rate=1e3", "rate"},
        {"t:k running=0", "running"},
        {"t:k share=0", "share"},
        {"t:k share=1001", "share"},
        {"t:k priority=x", "priority"},
        {"t:k priority=99999999999", "priority"},
        {"t:k rate=1 rate=1", "twice"},
        {"t:k checkpoint_bytes=1.5", "checkpoint_bytes"},
        {"t:k state_bytes=5XB", "state"},
        {"t:k state_bytes=0", "state"},
        {"t:k Rate=1", "Rate"},
        {"t:k =1", "unknown"},
    };
    char text[80];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err;
        snprintf(text, sizeof text, "a:s3cret\n%s\n", bad[i].line);
        assert_null(open_text(text, &err));
        assert_int_equal(err.code, ERR_FORMAT);
        if (!strstr(err.text, "line 2") || !strstr(err.text, bad[i].text) ||
            strstr(err.text, "s3cret"))
            fail_msg("%s: %s", bad[i].line, err.text);
    }
}

/* Which of two lines counts must not depend on their order. */
static void lines_that_contradict_name_both(void **state)
{
    (void)state;
    static const char *const bad[] = {"t:s3cret rate=5\n#\nt:other\n",
                                      "t:s3cret\n#\nt:other share=2\n",
                                      "t:s3cret\n#\nu:s3cret\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err;
        assert_null(open_text(bad[i], &err));
        assert_non_null(strstr(err.text, "line 3"));
        assert_non_null(strstr(err.text, "line 1"));
        assert_null(strstr(err.text, "s3cret"));
    }
    keys_close(open_text("t:s3cret share=1\nt:s3cret\n", NULL)); /* the same twice */
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
        cmocka_unit_test(a_key_comes_in_either_header),
        cmocka_unit_test(without_keys_nobody_is_asked),
        cmocka_unit_test(bad_files_name_the_line),
        cmocka_unit_test(words_are_the_tenants_limits),
        cmocka_unit_test(bad_words_name_line_and_word),
        cmocka_unit_test(lines_that_contradict_name_both),
    };
    return cmocka_run_group_tests(tests, open_path, remove_path);
}
