/* llama3_json: objects behind <|python_tag|>, or as the first of the content.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_form.h"
#include "api/tools/tool_list.h"
#include "api/tools/tool_object.h"

const struct tool_form tool_llama3_json = {
    .name = "llama3_json",
    .marks = {{"<|python_tag|>", NULL}},
    .brace = true,
    .separator = ';',
    .begin = tool_list_begin,
    .behind = tool_list_behind,
    .unit = tool_object_unit,
    .resume = tool_list_resume,
    .opens = tool_object_opens,
};
