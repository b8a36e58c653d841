/*
 * A tool as the parsers of answers know it: its name and the types of its parameters.
 * Plain data; whoever reads the request owns it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_TOOL_SPEC_H
#define API_TOOLS_TOOL_SPEC_H

#include <stddef.h>

/* JSON schema's types, as bits; 0: the schema does not say. */
enum tool_type {
    TOOL_STRING = 1,
    TOOL_INTEGER = 2,
    TOOL_NUMBER = 4,
    TOOL_BOOLEAN = 8,
    TOOL_OBJECT = 16,
    TOOL_ARRAY = 32,
    TOOL_NULL = 64
};

struct tool_param {
    const char *name;
    size_t name_len;
    unsigned types; /* of enum tool_type */
};

struct tool_spec {
    const char *name;
    size_t name_len;
    const struct tool_param *params; /* [n_params] */
    size_t n_params;
};

#endif
