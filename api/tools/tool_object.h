/*
 * A call as a JSON object: {"name": …, "arguments": {…}}, members in any order, others
 * ignored; `parameters` for `arguments`, which may be a string that holds the object, or
 * missing. A unit of the forms that write such objects.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_TOOL_OBJECT_H
#define API_TOOLS_TOOL_OBJECT_H

#include "api/tools/tool_scan.h"

/* tool_form.unit and .opens: a brace stands next. */
enum tool_step tool_object_unit(struct tool_scan *s);
bool tool_object_opens(char c);

/* Reads on in a literal, no further than to the next special token, which breaks it. */
enum tool_literal_status tool_object_run(struct tool_scan *s, struct tool_literal *l);

#endif
