/*
 * The forms in which models write calls: one file each, and their table. To add one: its
 * file with a `struct tool_form`, its name here, its place in enum tool_format.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_TOOL_FORM_H
#define API_TOOLS_TOOL_FORM_H

#include "api/tools/tool_scan.h"

extern const struct tool_form tool_hermes, tool_qwen3_coder, tool_lfm2, tool_llama3_json,
    tool_json_list, tool_mistral;

/* NULL for TOOL_FORMAT_NONE. */
const struct tool_form *tool_form_of(enum tool_format f);

/* Whether this is exactly one of the form's marks: start, end or inner. */
bool tool_form_is_mark(const struct tool_form *form, const char *s, size_t len);

#endif
