/* Making nodes of a template's tree, on the thread that compiles; refuses trees that are
 * deeper than an evaluation may recurse.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_node.h"

struct jinja_node *jinja_node_new(struct jinja_source *s, enum jinja_node_kind kind,
                                  uint32_t line, uint32_t from)
{
    struct jinja_node *node = jinja_source_alloc(s, sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    node->line = line;
    node->at = (struct jinja_span){from, from};
    return node;
}

void jinja_node_adopt(struct jinja_source *s, struct jinja_node *parent,
                      const struct jinja_node *child)
{
    if (!parent || !child)
        return;
    if (child->depth >= JINJA_NODE_DEPTH)
        jinja_source_fail(s, parent->line, "an expression is nested too deeply");
    if (child->depth >= parent->depth)
        parent->depth = (uint16_t)(child->depth + 1);
    if (child->at.to > parent->at.to)
        parent->at.to = child->at.to;
}

void jinja_node_add(struct jinja_source *s, struct jinja_nodes *list,
                    struct jinja_node *node)
{
    list->at = jinja_source_grow(s, list->at, list->n, &list->cap, sizeof *list->at);
    if (list->at && node)
        list->at[list->n++] = node;
}

struct jinja_value jinja_node_text(struct jinja_source *s, const char *text, size_t len)
{
    struct jinja_string *string = jinja_source_alloc(s, sizeof *string);
    if (!string)
        return (struct jinja_value){0};
    *string = (struct jinja_string){.text = text, .len = len};
    return (struct jinja_value){.kind = JINJA_STRING, .string = string};
}
