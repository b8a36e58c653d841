/* Tools as sent: what templates get, the types of parameters, refusals by their place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/body.h"
#include "api/chat_tools.h"
#include "api/chat_value.h"
#include "engine/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool all(const void *arg, const struct value *name)
{
    (void)arg;
    (void)name;
    return true;
}

static int read_list(const char *list, struct arena *arena, struct chat *out,
                     struct err *err)
{
    struct buf text = {0};
    struct body b;
    buf_printf(&text, "{\"tools\":%s}", list);
    if (body_parse(&b, text.data, text.len, all, NULL, err) != 0)
        fail_msg("%s", err->text);
    struct body_path at = body_path_member(NULL, "tools");
    *err = (struct err){0};
    *out = (struct chat){0};
    arena_init(arena);
    int rc = chat_tools_read(arena, &at, value_get(b.values, "tools"), out, err);
    body_free(&b);
    memset(text.data, 'x', text.len);
    buf_free(&text);
    return rc;
}

static struct chat good(const char *list, struct arena *arena)
{
    struct chat chat;
    struct err err;
    if (read_list(list, arena, &chat, &err) != 0)
        fail_msg("%s: %s", list, err.text);
    return chat;
}

static struct jinja_value get(struct jinja_value dict, const char *name)
{
    assert_int_equal(dict.kind, JINJA_DICT);
    return jinja_dict_get(dict.dict, name, strlen(name));
}

static void assert_string(struct jinja_value v, const char *text, uint16_t mark)
{
    assert_int_equal(v.kind, JINJA_STRING);
    assert_int_equal(v.string->len, strlen(text));
    assert_memory_equal(v.string->text, text, strlen(text));
    assert_int_equal(v.string->mark, mark);
}

static void templates_get_them_as_sent(void **state)
{
    (void)state;
    struct arena arena;
    struct chat c = good("[{\"function\":{\"z\":1,\"name\":\"f\",\"a\":[null,2.5,false]},"
                         "\"type\":\"function\",\"own\":{}}]",
                         &arena);
    assert_int_equal(c.tools.kind, JINJA_LIST);
    assert_int_equal(jinja_list_len(c.tools.list), 1);
    struct jinja_value tool = jinja_list_at(c.tools.list, 0);
    assert_int_equal(jinja_dict_len(tool.dict), 3);
    assert_string(jinja_dict_at(tool.dict, 0)->key, "function", CHAT_MARK_OTHER);
    assert_string(jinja_dict_at(tool.dict, 2)->key, "own", CHAT_MARK_OTHER);
    struct jinja_value function = get(tool, "function");
    assert_string(get(function, "name"), "f", CHAT_MARK_OTHER);
    assert_int_equal(get(function, "z").integer, 1);
    struct jinja_value list = get(function, "a");
    assert_int_equal(jinja_list_at(list.list, 0).kind, JINJA_NONE);
    assert_true(jinja_list_at(list.list, 1).real == 2.5);
    assert_int_equal(jinja_list_at(list.list, 2).kind, JINJA_BOOL);
    assert_int_equal(c.n_specs, 1);
    assert_string_equal(c.specs[0].name, "f");
    arena_free(&arena);
}

static void an_empty_list_is_none(void **state)
{
    (void)state;
    struct arena arena;
    struct chat c = good("[]", &arena);
    assert_int_equal(c.tools.kind, JINJA_NONE);
    assert_int_equal(c.n_specs, 0);
    arena_free(&arena);
}

static unsigned types_of(const char *schema)
{
    char list[600];
    struct arena arena;
    snprintf(list, sizeof list,
             "[{\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
             "\"properties\":{\"p\":%s}}}}]",
             schema);
    struct chat c = good(list, &arena);
    assert_int_equal(c.specs[0].n_params, 1);
    assert_string_equal(c.specs[0].params[0].name, "p");
    unsigned types = c.specs[0].params[0].types;
    arena_free(&arena);
    return types;
}

static void types_come_from_the_schema(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        unsigned types;
    } cases[] = {
        {"{\"type\":\"string\"}", TOOL_STRING},
        {"{\"type\":\"integer\"}", TOOL_INTEGER},
        {"{\"type\":\"number\"}", TOOL_NUMBER},
        {"{\"type\":\"boolean\"}", TOOL_BOOLEAN},
        {"{\"type\":\"object\",\"properties\":{}}", TOOL_OBJECT},
        {"{\"type\":\"array\"}", TOOL_ARRAY},
        {"{\"type\":\"null\"}", TOOL_NULL},
        {"{\"type\":[\"string\",\"null\"]}", TOOL_STRING | TOOL_NULL},
        {"{\"type\":[\"string\",\"other\"]}", 0},
        {"{\"enum\":[\"a\",1,null]}", TOOL_STRING | TOOL_INTEGER | TOOL_NULL},
        {"{\"enum\":[1.5,{},[]]}", TOOL_NUMBER | TOOL_OBJECT | TOOL_ARRAY},
        {"{\"const\":true}", TOOL_BOOLEAN},
        {"{\"anyOf\":[{\"type\":\"integer\"},{\"anyOf\":[{\"type\":\"null\"}]}]}",
         TOOL_INTEGER | TOOL_NULL},
        {"{\"oneOf\":[{\"const\":1},{\"enum\":[\"a\"]}]}", TOOL_INTEGER | TOOL_STRING},
        {"{\"anyOf\":[{\"type\":\"integer\"},{\"$ref\":\"#/$defs/x\"}]}", 0},
        {"{\"$ref\":\"#/$defs/x\"}", 0},
        {"{\"type\":\"string\",\"nullable\":true}", TOOL_STRING | TOOL_NULL},
        {"{}", 0},
        {"true", 0},
        {"{\"type\":7}", 0},
        {"{\"anyOf\":{}}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (types_of(cases[i].schema) != cases[i].types)
            fail_msg("%s: %u, not %u", cases[i].schema, types_of(cases[i].schema),
                     cases[i].types);
}

#define F(members) "[{\"type\":\"function\",\"function\":{" members "}}]"

static void bad_tools_are_named_by_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *list, *param;
        enum err_code code;
    } cases[] = {
        {"{}", "tools", ERR_ARGUMENT},
        {"[1]", "tools[0]", ERR_ARGUMENT},
        {"[{}]", "tools[0].function", ERR_ARGUMENT},
        {"[{\"type\":\"web_search\"}]", "tools[0].type", ERR_UNSUPPORTED},
        {"[{\"type\":\"function\",\"function\":[]}]", "tools[0].function", ERR_ARGUMENT},
        {F(""), "tools[0].function.name", ERR_ARGUMENT},
        {F("\"name\":1"), "tools[0].function.name", ERR_ARGUMENT},
        {F("\"name\":\"\""), "tools[0].function.name", ERR_ARGUMENT},
        {F("\"name\":\"a b\""), "tools[0].function.name", ERR_ARGUMENT},
        {F("\"name\":\"a\\u0000b\""), "tools[0].function.name", ERR_ARGUMENT},
        {F("\"name\":\"f\",\"description\":1"), "tools[0].function.description",
         ERR_ARGUMENT},
        {F("\"name\":\"f\",\"parameters\":[]"), "tools[0].function.parameters",
         ERR_ARGUMENT},
        {F("\"name\":\"f\",\"strict\":1"), "tools[0].function.strict", ERR_ARGUMENT},
        {F("\"name\":\"f\",\"parameters\":{\"a\":1e400}"),
         "tools[0].function.parameters.a", ERR_ARGUMENT},
        {"[{\"function\":{\"name\":\"f\"}},{\"function\":{\"name\":\"f\"}}]",
         "tools[1].function.name", ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena;
        struct chat chat;
        struct err err;
        if (read_list(cases[i].list, &arena, &chat, &err) == 0)
            fail_msg("%s was accepted", cases[i].list);
        if (err.code != cases[i].code || strcmp(err.param, cases[i].param) != 0)
            fail_msg("%s: code %d param \"%s\": %s", cases[i].list, err.code, err.param,
                     err.text);
        arena_free(&arena);
    }
}

static void their_number_is_bounded(void **state)
{
    (void)state;
    struct buf b = {0};
    struct arena arena;
    struct chat chat;
    struct err err;
    for (int i = 0; i <= CHAT_TOOLS_MOST; i++)
        buf_printf(&b, "%s{\"function\":{\"name\":\"f%d\"}}", i ? "," : "[", i);
    buf_puts(&b, "]");
    assert_int_equal(read_list(b.data, &arena, &chat, &err), -ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "1025"));
    arena_free(&arena);
    buf_free(&b);
}

static void deep_schemas_are_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    struct arena arena;
    struct chat chat;
    struct err err;
    buf_puts(&b, "[{\"function\":{\"name\":\"f\",\"parameters\":{\"p\":");
    for (int i = 0; i < 2000; i++)
        buf_puts(&b, "[");
    for (int i = 0; i < 2000; i++)
        buf_puts(&b, "]");
    buf_puts(&b, "}}}]");
    assert_int_equal(read_list(b.data, &arena, &chat, &err), -ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "nested more than 100"));
    assert_non_null(strstr(err.param, "tools[0].function.parameters.p[0]"));
    arena_free(&arena);
    buf_free(&b);
}

/* As the endpoints do whose tools are flat. */
static void tools_of_other_shapes_become_the_same(void **state)
{
    (void)state;
    static const char body[] =
        "{\"name\":\"f\",\"description\":null,\"input_schema\":"
        "{\"properties\":{\"p\":{\"type\":\"string\"}}},\"own\":1}";
    struct body b;
    struct err err;
    struct arena arena;
    struct chat chat = {0};
    struct chat_tools tools;
    struct body_path at = body_path_member(NULL, "tools");
    arena_init(&arena);
    assert_int_equal(body_parse(&b, body, sizeof body - 1, all, NULL, &err), 0);
    struct chat_tool tool = {b.values, &at, "input_schema"};
    assert_int_equal(chat_tools_open(&tools, &arena, &at, 2, &err), 0);
    assert_int_equal(chat_tools_put(&tools, &tool, &err), 0);
    assert_int_equal(chat_tools_put(&tools, &tool, &err), -ERR_ARGUMENT);
    chat_tools_close(&tools, &chat);
    body_free(&b);
    assert_int_equal(chat.n_specs, 1);
    assert_int_equal(chat.specs[0].params[0].types, TOOL_STRING);
    struct jinja_value whole = jinja_list_at(chat.tools.list, 0);
    assert_string(get(whole, "type"), "function", 0);
    struct jinja_value function = get(whole, "function");
    assert_int_equal(jinja_dict_len(function.dict), 2);
    assert_string(get(function, "name"), "f", CHAT_MARK_OTHER);
    assert_int_equal(get(function, "parameters").kind, JINJA_DICT);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_get_them_as_sent),
        cmocka_unit_test(an_empty_list_is_none),
        cmocka_unit_test(types_come_from_the_schema),
        cmocka_unit_test(bad_tools_are_named_by_their_place),
        cmocka_unit_test(their_number_is_bounded),
        cmocka_unit_test(deep_schemas_are_refused),
        cmocka_unit_test(tools_of_other_shapes_become_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
