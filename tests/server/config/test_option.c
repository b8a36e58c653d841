/* Option tables: dotted names, and words beside numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/config/option.h"
#include "server/config/option_print.h"

#include "engine/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct thing {
    int a, dir_depth, dir_width, z;
};

#define ROW(name, field)                                                                 \
    {                                                                                    \
        name, OPTION_INT, offsetof(struct thing, field), 0, 99, NULL, false, "7", 1,     \
            "S", "N", "h"                                                                \
    }

static const struct option_row rows[] = {
    ROW("a", a),
    ROW("dir.depth", dir_depth),
    ROW("dir.width", dir_width),
    ROW("other.z", z),
};

static void open_things(struct options *o, struct thing *t, struct arena *a)
{
    arena_init(a);
    *o = (struct options){rows, sizeof rows / sizeof *rows, t, a};
    assert_int_equal(option_defaults(o, NULL), 0);
}

static int read_json(const struct options *o, const char *text, struct err *err)
{
    struct json *root = NULL;
    assert_int_equal(json_parse(&root, text, strlen(text), err), 0);
    int rc = option_set_json(o, root, "here", err);
    json_free(root);
    return rc;
}

static void dotted_names_are_nested_objects(void **state)
{
    (void)state;
    struct options o;
    struct thing t = {0};
    struct arena a;
    struct err err = {0};
    open_things(&o, &t, &a);
    assert_int_equal(t.dir_width, 7);
    assert_int_equal(read_json(&o, "{\"dir\":{\"width\":3},\"other\":{\"z\":4}}", &err),
                     0);
    assert_int_equal(t.dir_depth, 7);
    assert_int_equal(t.dir_width, 3);
    assert_int_equal(t.z, 4);
    static const char *const bad[][2] = {
        {"{\"dir\":{\"depht\":3}}", "dir.depht"}, {"{\"dir\":3}", "an object"},
        {"{\"dir.depth\":3}", "dir.depth"},       {"{\"di\":{\"depth\":3}}", "\"di\""},
        {"{\"dir\":{\"depth\":100}}", "0 to 99"}, {"{\"\":1}", "unknown"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(read_json(&o, bad[i][0], &err) < 0);
        if (!strstr(err.text, bad[i][1]))
            fail_msg("no %s in: %s", bad[i][1], err.text);
    }
    arena_free(&a);
}

static void a_key_of_two_slashes_is_a_comment(void **state)
{
    (void)state;
    struct options o;
    struct thing t = {0};
    struct arena a;
    struct err err = {0};
    open_things(&o, &t, &a);
    assert_int_equal(
        read_json(&o, "{\"//\":[\"z\",1],\"a\":4,\"dir\":{\"//\":\"x\"}}", &err), 0);
    assert_int_equal(t.a, 4);
    assert_true(read_json(&o, "{\"///\":1}", &err) < 0);
    assert_true(read_json(&o, "{\"/\":1}", &err) < 0);
    arena_free(&a);
}

static void dotted_names_in_flags_and_environment(void **state)
{
    (void)state;
    char name[OPTION_NAME_CAP];
    struct options o = {rows, sizeof rows / sizeof *rows, NULL, NULL};
    option_env_name(&rows[1], name);
    assert_string_equal(name, "SSMD_DIR_DEPTH");
    option_flag_name(&rows[1], name);
    assert_string_equal(name, "--dir-depth");
    assert_ptr_equal(option_by_flag(&o, "--dir-width=9", 11), &rows[2]);
    assert_ptr_equal(option_by_env(&o, "SSMD_OTHER_Z", 12), &rows[3]);
    assert_null(option_by_flag(&o, "--dir", 5));
}

static void dotted_names_print_as_objects(void **state)
{
    (void)state;
    struct options o;
    struct thing t = {0};
    struct arena a;
    struct buf out = {0};
    open_things(&o, &t, &a);
    option_print_json(&o, &out);
    assert_string_equal(out.data,
                        "{\n    \"a\": 7,\n    \"dir\": {\n        \"depth\": 7,\n"
                        "        \"width\": 7\n    },\n    \"other\": {\n"
                        "        \"z\": 7\n    }\n}\n");
    assert_int_equal(read_json(&o, out.data, NULL), 0);
    buf_free(&out);
    arena_free(&a);
}

static void words_stand_beside_numbers(void **state)
{
    (void)state;
    static const char *const words[] = {"auto", "never", NULL};
    static const struct option_row row = {"pace", OPTION_INT, 0, 0,   99,  words,
                                          false,  "auto",     1, "S", "N", "h"};
    struct arena a;
    int pace = 5;
    struct options o = {&row, 1, &pace, &a};
    struct err err = {0};
    struct buf out = {0};
    arena_init(&a);
    assert_int_equal(option_defaults(&o, NULL), 0);
    assert_int_equal(pace, -1);
    assert_int_equal(option_set(&o, &row, "never", "here", NULL), 0);
    assert_int_equal(pace, -2);
    option_print_json(&o, &out);
    assert_string_equal(out.data, "{\n    \"pace\": \"never\"\n}\n");
    assert_int_equal(read_json(&o, "{\"pace\":42}", NULL), 0);
    assert_int_equal(pace, 42);
    assert_int_equal(read_json(&o, "{\"pace\":\"auto\"}", NULL), 0);
    assert_int_equal(pace, -1);
    assert_true(read_json(&o, "{\"pace\":\"42\"}", &err) < 0);
    assert_string_equal(err.text,
                        "pace (set by here): expected an integer from 0 to 99, or "
                        "\"auto\", \"never\", found \"42\"");
    assert_true(option_set(&o, &row, "-1", "here", &err) < 0);
    assert_true(option_set(&o, &row, "", "here", &err) < 0);
    assert_int_equal(pace, -1);
    buf_free(&out);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dotted_names_are_nested_objects),
        cmocka_unit_test(a_key_of_two_slashes_is_a_comment),
        cmocka_unit_test(dotted_names_in_flags_and_environment),
        cmocka_unit_test(dotted_names_print_as_objects),
        cmocka_unit_test(words_stand_beside_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
