/* A walk over two trees at once; the path to the first difference is what the test
 * prints.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/json_same.h"

#include "engine/base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct place {
    char text[400];
    const struct json *other;
};

static void same(const struct json *a, const struct json *b, const char *at);

static int same_member(void *arg, const char *key, size_t key_len, const struct json *v)
{
    const struct place *p = arg;
    struct place here;
    (void)key_len;
    snprintf(here.text, sizeof here.text, "%.300s.%.60s", p->text, key);
    same(v, json_get(p->other, key), here.text);
    return 0;
}

static void same(const struct json *a, const struct json *b, const char *at)
{
    bool numbers = json_numeric(a) && json_numeric(b);
    if (!numbers && json_kind(a) != json_kind(b))
        fail_msg("%s: expected %s, found %s", at, json_kind_name(a), json_kind_name(b));
    if (numbers && !(fabs(json_as_number(a) - json_as_number(b)) <= 1e-6))
        fail_msg("%s: expected %g, found %g", at, json_as_number(a), json_as_number(b));
    if (json_kind(a) == JK_BOOL && json_as_bool(a) != json_as_bool(b))
        fail_msg("%s: the booleans differ", at);
    size_t n = 0, m = 0;
    const char *s = json_as_string(a, &n), *t = json_as_string(b, &m);
    if (s && (n != m || memcmp(s, t, n) != 0))
        fail_msg("%s: expected \"%s\", found \"%s\"", at, s, t);
    if (json_len(a) != json_len(b))
        fail_msg("%s: expected %zu members, found %zu", at, json_len(a), json_len(b));
    struct place here = {.other = b};
    for (size_t i = 0; json_kind(a) == JK_ARRAY && i < json_len(a); i++) {
        snprintf(here.text, sizeof here.text, "%.300s[%zu]", at, i);
        same(json_at(a, i), json_at(b, i), here.text);
    }
    snprintf(here.text, sizeof here.text, "%.300s", at);
    if (json_kind(a) == JK_OBJECT)
        json_each(a, same_member, &here);
}

void json_same(const char *expected, const char *found, size_t len)
{
    struct json *a = NULL, *b = NULL;
    struct err err = {0};
    if (json_parse(&a, expected, strlen(expected), &err) != 0)
        fail_msg("the expected text is wrong: %s", err.text);
    if (json_parse(&b, found, len, &err) != 0)
        fail_msg("%s in: %.*s", err.text, (int)len, found);
    same(a, b, "$");
    json_free(a);
    json_free(b);
}
