/* Reading of tools, and of the types that a schema gives its parameters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_tools.h"

#include "api/chat_value.h"

#include <string.h>

/* ---- types of a schema -------------------------------------------------------- */

static unsigned named_type(const struct value *name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {{"string", TOOL_STRING}, {"integer", TOOL_INTEGER},
                 {"number", TOOL_NUMBER}, {"boolean", TOOL_BOOLEAN},
                 {"object", TOOL_OBJECT}, {"array", TOOL_ARRAY},
                 {"null", TOOL_NULL}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (value_is(name, types[i].name))
            return types[i].bit;
    return 0;
}

static unsigned type_of(const struct value *v)
{
    static const unsigned types[] = {
        [VALUE_ABSENT] = 0,           [VALUE_NULL] = TOOL_NULL,
        [VALUE_BOOL] = TOOL_BOOLEAN,  [VALUE_INT] = TOOL_INTEGER,
        [VALUE_REAL] = TOOL_NUMBER,   [VALUE_BEYOND] = TOOL_NUMBER,
        [VALUE_STRING] = TOOL_STRING, [VALUE_ARRAY] = TOOL_ARRAY,
        [VALUE_OBJECT] = TOOL_OBJECT};
    return types[value_kind(v)];
}

static unsigned schema_types(const struct value *schema);

/* The union over a list; 0 when one of them does not say. */
static unsigned union_of(const struct value *list, unsigned (*of)(const struct value *))
{
    unsigned all = 0;
    const struct value *x = value_first(list);
    for (size_t i = 0; value_kind(list) == VALUE_ARRAY && i < value_len(list);
         i++, x = value_next(x)) {
        unsigned one = of(x);
        if (!one)
            return 0;
        all |= one;
    }
    return all;
}

/* The first keyword that says something decides; `nullable` is OpenAPI's. */
static unsigned schema_types(const struct value *schema)
{
    const struct value *type = value_get(schema, "type");
    unsigned types =
        value_kind(type) == VALUE_STRING ? named_type(type) : union_of(type, named_type);
    if (!types)
        types = type_of(value_get(schema, "const"));
    if (!types)
        types = union_of(value_get(schema, "enum"), type_of);
    if (!types)
        types = union_of(value_get(schema, "anyOf"), schema_types);
    if (!types)
        types = union_of(value_get(schema, "oneOf"), schema_types);
    if (types && value_bool(value_get(schema, "nullable")))
        types |= TOOL_NULL;
    return types;
}

static int read_params(struct chat_tools *t, const struct value *schema,
                       struct tool_spec *out, struct err *err)
{
    const struct value *properties = value_get(schema, "properties");
    if (value_kind(properties) != VALUE_OBJECT)
        return 0;
    size_t n = value_len(properties);
    struct tool_param *params = arena_zalloc(t->arena, n + 1, sizeof *params);
    if (!params)
        return err_no_memory(err);
    const struct value *name = value_first(properties);
    for (size_t i = 0; i < n; i++, name = value_next(name)) {
        char *text = value_text(name, t->arena);
        if (!text)
            return err_no_memory(err);
        params[i] =
            (struct tool_param){text, value_text_len(name), schema_types(value_of(name))};
    }
    out->params = params;
    out->n_params = n;
    return 0;
}

/* ---- one function ------------------------------------------------------------- */

static bool is_name(const struct chat_text *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789_.:/-";
    return name->len > 0 && name->len <= CHAT_TOOLS_NAME_BYTES &&
           strspn(name->text, allowed) == name->len;
}

static bool has_name(const struct tool_spec *specs, size_t n, const char *name,
                     size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (specs[i].name_len == len && memcmp(specs[i].name, name, len) == 0)
            return true;
    return false;
}

int chat_tools_force(const struct chat *chat, const char *field, const char *name,
                     struct err *err)
{
    if (name && !has_name(chat->specs, chat->n_specs, name, strlen(name)))
        return err_param(err, ERR_ARGUMENT, field, "`%s` is the name of no tool", field);
    return err_param(err, ERR_UNSUPPORTED, field,
                     "`%s` cannot demand a call: that needs structured output, which is "
                     "not supported yet; send \"auto\"",
                     field);
}

static int read_name(struct chat_tools *t, const struct chat_tool *tool,
                     struct tool_spec *out, struct err *err)
{
    struct chat_text name;
    struct body_path at = body_path_member(tool->at, "name");
    int rc = chat_value_text(t->arena, &at, value_get(tool->object, "name"), &name, err);
    if (rc)
        return rc;
    if (!is_name(&name))
        return body_path_error(err, ERR_ARGUMENT, &at,
                               "must be 1 to %d letters, digits and _ . : / -",
                               CHAT_TOOLS_NAME_BYTES);
    if (has_name(t->specs, t->n, name.text, name.len))
        return body_path_error(err, ERR_ARGUMENT, &at,
                               "is the name of an earlier tool, too");
    out->name = name.text;
    out->name_len = name.len;
    return 0;
}

static int check_kind(const struct chat_tool *tool, const char *name,
                      enum value_kind kind, const char *expected, struct err *err)
{
    const struct value *v = value_get(tool->object, name);
    struct body_path at = body_path_member(tool->at, name);
    if (value_kind(v) == VALUE_ABSENT || value_kind(v) == VALUE_NULL ||
        value_kind(v) == kind)
        return 0;
    return body_path_wrong(err, &at, expected, v);
}

static int read_spec(struct chat_tools *t, const struct chat_tool *tool, struct err *err)
{
    struct tool_spec *spec = &t->specs[t->n];
    const struct body_path *at = tool->at;
    if (value_kind(tool->object) != VALUE_OBJECT)
        return body_path_wrong(err, at, "an object with a `name`", tool->object);
    int rc = read_name(t, tool, spec, err);
    if (!rc)
        rc = check_kind(tool, "description", VALUE_STRING, "a string", err);
    if (!rc)
        rc =
            check_kind(tool, tool->schema, VALUE_OBJECT, "a JSON schema: an object", err);
    if (!rc)
        rc = check_kind(tool, "strict", VALUE_BOOL, "true or false", err);
    if (!rc)
        rc = read_params(t, value_get(tool->object, tool->schema), spec, err);
    return rc;
}

static int add(struct chat_tools *t, struct jinja_value tool, struct err *err)
{
    if (!jinja_list_add(t->arena, t->list.list, tool))
        return err_no_memory(err);
    t->n++;
    return 0;
}

/* ---- lists -------------------------------------------------------------------- */

int chat_tools_open(struct chat_tools *t, struct arena *arena, const struct body_path *at,
                    size_t most, struct err *err)
{
    if (most > CHAT_TOOLS_MOST)
        return body_path_error(err, ERR_ARGUMENT, at,
                               "holds %zu tools, at most %d may be", most,
                               CHAT_TOOLS_MOST);
    *t = (struct chat_tools){.arena = arena, .most = most, .list = jinja_list(arena)};
    t->specs = arena_zalloc(arena, most + 1, sizeof *t->specs);
    return t->specs && t->list.kind == JINJA_LIST ? 0 : err_no_memory(err);
}

void chat_tools_close(const struct chat_tools *t, struct chat *out)
{
    out->tools = t->n ? t->list : jinja_none();
    out->specs = t->specs;
    out->n_specs = t->n;
}

/* One member of a function under the name that templates know, if it is there. */
static int put_member(struct chat_tools *t, const struct chat_tool *tool,
                      const char *name, const char *as, struct jinja_value *function,
                      struct err *err)
{
    const struct value *v = value_get(tool->object, name);
    struct body_path at = body_path_member(tool->at, name);
    struct jinja_value copy;
    if (value_kind(v) == VALUE_ABSENT || value_kind(v) == VALUE_NULL)
        return 0;
    int rc = chat_value_read(t->arena, &at, v, CHAT_MARK_OTHER, &copy, err);
    if (!rc && !jinja_dict_set(t->arena, function->dict, as, copy))
        rc = err_no_memory(err);
    return rc;
}

int chat_tools_put(struct chat_tools *t, const struct chat_tool *tool, struct err *err)
{
    int rc = read_spec(t, tool, err);
    if (rc)
        return rc;
    struct jinja_value function = jinja_dict(t->arena), whole = jinja_dict(t->arena);
    struct jinja_value type = jinja_text(t->arena, "function", 8, 0);
    if (function.kind != JINJA_DICT || whole.kind != JINJA_DICT ||
        !jinja_dict_set(t->arena, whole.dict, "type", type) ||
        !jinja_dict_set(t->arena, whole.dict, "function", function))
        return err_no_memory(err);
    rc = put_member(t, tool, "name", "name", &function, err);
    if (!rc)
        rc = put_member(t, tool, "description", "description", &function, err);
    if (!rc)
        rc = put_member(t, tool, tool->schema, "parameters", &function, err);
    return rc ? rc : add(t, whole, err);
}

/* A tool as sent. */
static int read_tool(struct chat_tools *t, const struct body_path *at,
                     const struct value *v, struct err *err)
{
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, at, "an object with `type` and `function`", v);
    const struct value *type = value_get(v, "type");
    struct body_path here = body_path_member(at, "type");
    if (type && !value_is(type, "function"))
        return body_path_word(err, ERR_UNSUPPORTED, &here, type, "\"function\"", NULL);
    here = body_path_member(at, "function");
    struct chat_tool tool = {value_get(v, "function"), &here, "parameters"};
    struct jinja_value copy;
    int rc = read_spec(t, &tool, err);
    if (!rc)
        rc = chat_value_read(t->arena, at, v, CHAT_MARK_OTHER, &copy, err);
    return rc ? rc : add(t, copy, err);
}

int chat_tools_read(struct arena *arena, const struct body_path *at,
                    const struct value *list, struct chat *out, struct err *err)
{
    struct chat_tools t;
    if (value_kind(list) != VALUE_ARRAY)
        return body_path_wrong(err, at, "a list of tools", list);
    int rc = chat_tools_open(&t, arena, at, value_len(list), err);
    const struct value *x = value_first(list);
    for (size_t i = 0; i < value_len(list) && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        rc = read_tool(&t, &here, x, err);
    }
    if (!rc)
        chat_tools_close(&t, out);
    return rc;
}
