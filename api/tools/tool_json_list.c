/* json_list: a list of objects, in one of two pairs of marks or behind a third mark.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_form.h"
#include "api/tools/tool_list.h"
#include "api/tools/tool_object.h"

const struct tool_form tool_json_list = {
    .name = "json_list",
    .marks = {{"<TOOLCALL>", "</TOOLCALL>"},
              {"<tool_calls>", "</tool_calls>"},
              {"<|tool_call|>", NULL}},
    .brackets = true,
    .separator = ',',
    .begin = tool_list_begin,
    .behind = tool_list_behind,
    .unit = tool_object_unit,
    .resume = tool_list_resume,
    .opens = tool_object_opens,
};
