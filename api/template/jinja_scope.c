/*
 * Two walks over each scope. The first notes what it reads and writes, not looking into
 * scopes below; the second gives every name its slot, and begins the scopes below with
 * the same. Runs on the thread that compiles.
 *
 * The subtle point is how a name begins, each time its scope is entered: one that is
 * written here copies the outer variable of that name; one that is written first and only
 * later read, with no outer one, begins undefined even if a global has the name; one that
 * may be written (in a branch of `if`) begins as the global.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_scope.h"

#include <string.h>

struct variable {
    struct jinja_name name;
    uint16_t slot;
    bool loads; /* begins by `load`; else it is a parameter */
    bool used;  /* of a parameter of the language's: mentioned */
    struct jinja_load load;
    uint32_t stored; /* when it was first written, in order; 0: never */
};

struct scope {
    struct jinja_source *source;
    struct scope *parent;
    struct jinja_function *function;
    struct variable *variables; /* [n] */
    size_t n, cap;
    uint32_t clock;
};

static struct scope inner(struct scope *parent, struct jinja_function *function)
{
    return (struct scope){
        .source = parent->source, .parent = parent, .function = function};
}

static struct variable *own(const struct scope *s, struct jinja_name name)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->variables[i].name.len == name.len &&
            memcmp(s->variables[i].name.text, name.text, name.len) == 0)
            return &s->variables[i];
    return NULL;
}

/* The variable that `name` means in s, and how far out; NULL: none. */
static struct variable *find(const struct scope *s, struct jinja_name name,
                             struct jinja_ref *ref)
{
    uint16_t up = 0;
    for (; s; s = s->parent) {
        struct variable *v = own(s, name);
        if (v) {
            *ref = (struct jinja_ref){up, v->slot};
            return v;
        }
        up = (uint16_t)(up + (s->parent && s->parent->function != s->function));
    }
    return NULL;
}

static struct variable *define(struct scope *s, struct jinja_name name)
{
    struct variable *v = own(s, name);
    if (v)
        return v;
    s->variables = jinja_source_grow(s->source, s->variables, s->n, &s->cap, sizeof *v);
    if (!s->variables)
        return NULL;
    if (s->function->n_slots == UINT16_MAX) {
        jinja_source_fail(s->source, 1, "too many variables");
        return NULL;
    }
    v = &s->variables[s->n++];
    *v = (struct variable){.name = name, .slot = s->function->n_slots++};
    v->load = (struct jinja_load){.slot = v->slot, .name = name};
    return v;
}

static struct variable *parameter(struct scope *s, struct jinja_name name)
{
    struct variable *v = define(s, name);
    if (v) {
        v->loads = false;
        v->stored = v->stored ? v->stored : ++s->clock;
    }
    return v;
}

static void note_load(struct scope *s, struct jinja_name name)
{
    struct jinja_ref ref;
    if (find(s, name, &ref))
        return;
    struct variable *v = define(s, name);
    if (v)
        v->loads = true; /* from the globals */
}

static void begin_outer(struct scope *s, struct variable *v, enum jinja_load_from other)
{
    struct jinja_ref ref;
    bool found = s->parent && find(s->parent, v->name, &ref);
    v->loads = true;
    v->load.from = found ? JINJA_FROM_OUTER : other;
    if (!found)
        return;
    ref.up = (uint16_t)(ref.up + (s->parent->function != s->function));
    v->load.outer = ref;
}

static void note_store(struct scope *s, struct jinja_name name)
{
    bool is_new = !own(s, name);
    struct variable *v = define(s, name);
    if (!v)
        return;
    if (v->stored == 0)
        v->stored = ++s->clock;
    if (is_new)
        begin_outer(s, v, JINJA_FROM_NOTHING);
}

/* ---- expressions: what they hold ---- */

typedef void visit_fn(struct scope *s, struct jinja_node *node);

static void visit_list(struct scope *s, const struct jinja_nodes *list, visit_fn *visit)
{
    for (size_t i = 0; i < list->n; i++)
        visit(s, list->at[i]);
}

static void visit_call(struct scope *s, struct jinja_node *node, visit_fn *visit)
{
    visit(s, node->of);
    visit_list(s, &node->args.plain, visit);
    for (size_t i = 0; i < node->args.n_named; i++)
        visit(s, node->args.named[i].value);
    visit(s, node->args.rest);
    visit(s, node->args.rest_named);
}

static void visit_children(struct scope *s, struct jinja_node *node, visit_fn *visit)
{
    switch (node->kind) {
    case JINJA_CONSTANT:
    case JINJA_NAME:
    case JINJA_MEMBER:
        return;
    case JINJA_LIST_OF:
    case JINJA_TUPLE_OF:
    case JINJA_DICT_OF:
    case JINJA_CONCAT:
    case JINJA_COMPARE:
    case JINJA_OUTPUT:
        visit_list(s, &node->list, visit);
        return;
    case JINJA_ATTRIBUTE:
    case JINJA_CALL:
    case JINJA_FILTER:
    case JINJA_TEST:
        visit_call(s, node, visit);
        return;
    default:
        visit(s, node->a);
        visit(s, node->b);
        visit(s, node->c);
    }
}

/* ---- the first walk ---- */

static void note_expression(struct scope *s, struct jinja_node *node)
{
    if (!node)
        return;
    if (node->kind == JINJA_NAME || node->kind == JINJA_MEMBER)
        note_load(s, node->name);
    visit_children(s, node, note_expression);
}

static void note_target(struct scope *s, struct jinja_node *node)
{
    if (node->kind == JINJA_NAME)
        note_store(s, node->name);
    else if (node->kind == JINJA_MEMBER)
        note_load(s, node->name);
    else
        visit_list(s, &node->list, note_target);
}

static void note_statement(struct scope *s, struct jinja_node *node);

/* What was first written within the branches may not have been: it begins outside. */
static void note_if(struct scope *s, struct jinja_node *node)
{
    uint32_t begin = s->clock;
    note_expression(s, node->branch.test);
    visit_list(s, &node->branch.then, note_statement);
    visit_list(s, &node->branch.elifs, note_statement);
    visit_list(s, &node->branch.otherwise, note_statement);
    for (size_t i = 0; i < s->n; i++)
        if (s->variables[i].stored > begin)
            begin_outer(s, &s->variables[i], JINJA_FROM_GLOBALS);
}

static void note_statement(struct scope *s, struct jinja_node *node)
{
    switch (node->kind) {
    case JINJA_OUTPUT:
        note_expression(s, node);
        return;
    case JINJA_IF:
        note_if(s, node);
        return;
    case JINJA_FOR:
        note_expression(s, node->loop->iter);
        return;
    case JINJA_SET:
    case JINJA_CALL_BLOCK:
    case JINJA_FILTER_BLOCK:
        note_expression(s, node->block.value);
        if (node->kind == JINJA_SET)
            note_target(s, node->block.target);
        return;
    case JINJA_SET_BLOCK:
    case JINJA_MACRO:
        note_target(s, node->block.target);
        return;
    case JINJA_WITH:
        visit_list(s, &node->block.values, note_expression);
        return;
    default:
        return;
    }
}

/* ---- the second walk ---- */

/* In every scope around: a macro takes a caller if one within it mentions its own. */
static void note_use(struct scope *s, struct jinja_name name)
{
    for (; s; s = s->parent) {
        struct variable *v = own(s, name);
        if (v)
            v->used = true;
    }
}

static void bind_expression(struct scope *s, struct jinja_node *node)
{
    if (!node || s->source->failed)
        return;
    if (node->kind == JINJA_NAME || node->kind == JINJA_MEMBER) {
        find(s, node->name, &node->ref);
        note_use(s, node->name);
    }
    visit_children(s, node, bind_expression);
}

static struct jinja_loads loads_of(struct scope *s)
{
    struct jinja_loads loads = {0};
    loads.at = s->n ? jinja_source_alloc(s->source, s->n * sizeof *loads.at) : NULL;
    for (size_t i = 0; loads.at && i < s->n; i++)
        if (s->variables[i].loads)
            loads.at[loads.n++] = s->variables[i].load;
    return loads;
}

static void bind_statement(struct scope *s, struct jinja_node *node);

/* A body with a scope of its own, which may hold parameters already. */
static struct jinja_loads bind_scope(struct scope *s, const struct jinja_nodes *body)
{
    visit_list(s, body, note_statement);
    visit_list(s, body, bind_statement);
    return loads_of(s);
}

static struct jinja_name named(const char *text)
{
    return (struct jinja_name){text, strlen(text)};
}

static int slot_if_used(const struct variable *v)
{
    return v && v->used ? v->slot : -1;
}

static void note_parameter(struct scope *s, struct jinja_node *node)
{
    if (node->kind == JINJA_NAME)
        parameter(s, node->name);
    else
        visit_list(s, &node->list, note_parameter);
}

/* caller, kwargs and varargs are parameters of whatever mentions them. */
static void bind_function(struct scope *parent, struct jinja_function *f)
{
    static const char *const words[] = {"caller", "kwargs", "varargs"};
    int *const slots[] = {&f->caller, &f->kwargs, &f->varargs};
    bool given[3];
    struct scope s = inner(parent, f);
    visit_list(&s, &f->params, note_parameter);
    for (int i = 0; i < 3; i++) {
        given[i] = own(&s, named(words[i])) != NULL;
        parameter(&s, named(words[i]));
    }
    visit_list(&s, &f->defaults, note_expression);
    visit_list(&s, &f->body, note_statement);
    visit_list(&s, &f->params, bind_expression);
    for (size_t i = 0; i < s.n; i++)
        s.variables[i].used = false;
    visit_list(&s, &f->defaults, bind_expression);
    visit_list(&s, &f->body, bind_statement);
    f->loads = loads_of(&s);
    for (int i = 0; i < 3 && !s.source->failed; i++)
        *slots[i] = given[i] ? -1 : slot_if_used(own(&s, named(words[i])));
}

/* The test of a loop reads its own copy of the target: looking ahead changes nothing. */
static struct jinja_node *copy_target(struct jinja_source *s, const struct jinja_node *of)
{
    struct jinja_node *copy = jinja_source_alloc(s, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *of;
    if (of->kind != JINJA_TUPLE_OF)
        return copy;
    copy->list = (struct jinja_nodes){0};
    for (size_t i = 0; i < of->list.n; i++)
        jinja_node_add(s, &copy->list, copy_target(s, of->list.at[i]));
    return copy;
}

static void bind_test(struct scope *parent, struct jinja_for *loop,
                      struct jinja_function *f)
{
    struct scope s = inner(parent, f);
    loop->test_target = copy_target(s.source, loop->target);
    if (!loop->test_target)
        return;
    note_parameter(&s, loop->test_target);
    note_expression(&s, loop->test);
    bind_expression(&s, loop->test_target);
    bind_expression(&s, loop->test);
    loop->test_loads = loads_of(&s);
}

static void bind_for(struct scope *parent, struct jinja_for *loop)
{
    bind_expression(parent, loop->iter);
    struct jinja_function *f = loop->recursive ? loop->recursive : parent->function;
    struct scope body = inner(parent, f), otherwise = inner(parent, f);
    parameter(&body, named("loop"));
    note_parameter(&body, loop->target);
    bind_expression(&body, loop->target);
    if (loop->test)
        bind_test(parent, loop, f);
    loop->body_loads = bind_scope(&body, &loop->body);
    loop->loop = slot_if_used(own(&body, named("loop")));
    loop->otherwise_loads = bind_scope(&otherwise, &loop->otherwise);
}

static void bind_if(struct scope *s, struct jinja_node *node)
{
    bind_expression(s, node->branch.test);
    visit_list(s, &node->branch.then, bind_statement);
    visit_list(s, &node->branch.elifs, bind_statement);
    visit_list(s, &node->branch.otherwise, bind_statement);
}

static void bind_block(struct scope *parent, struct jinja_node *node)
{
    struct scope s = inner(parent, parent->function);
    bool is_with = node->kind == JINJA_WITH;
    if (node->kind != JINJA_FILTER_BLOCK && node->block.target) {
        if (is_with)
            note_parameter(&s, node->block.target);
        bind_expression(is_with ? &s : parent, node->block.target);
    }
    if (node->kind == JINJA_SET_BLOCK)
        note_expression(&s, node->block.value);
    bind_expression(node->kind == JINJA_SET_BLOCK ? &s : parent, node->block.value);
    visit_list(parent, &node->block.values, bind_expression);
    node->block.loads = bind_scope(&s, &node->block.body);
}

static void bind_statement(struct scope *s, struct jinja_node *node)
{
    if (s->source->failed)
        return;
    switch (node->kind) {
    case JINJA_OUTPUT:
        bind_expression(s, node);
        return;
    case JINJA_IF:
        bind_if(s, node);
        return;
    case JINJA_FOR:
        bind_for(s, node->loop);
        return;
    case JINJA_SET:
        bind_expression(s, node->block.value);
        bind_expression(s, node->block.target);
        return;
    case JINJA_MACRO:
        bind_expression(s, node->block.target);
        bind_function(s, node->block.function);
        return;
    case JINJA_CALL_BLOCK:
    case JINJA_GENERATION:
        bind_expression(s, node->block.value);
        bind_function(s, node->block.function);
        return;
    case JINJA_SET_BLOCK:
    case JINJA_FILTER_BLOCK:
    case JINJA_WITH:
        bind_block(s, node);
        return;
    default:
        return;
    }
}

void jinja_scope(struct jinja_source *source, struct jinja_function *root)
{
    struct scope s = {.source = source, .function = root};
    root->loads = bind_scope(&s, &root->body);
}
