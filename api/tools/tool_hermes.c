/* hermes: an object in <tool_call> … </tool_call>; several objects in one pair are taken.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_form.h"
#include "api/tools/tool_list.h"
#include "api/tools/tool_object.h"

const struct tool_form tool_hermes = {
    .name = "hermes",
    .marks = {{"<tool_call>", "</tool_call>"}},
    .begin = tool_list_begin,
    .behind = tool_list_behind,
    .unit = tool_object_unit,
    .opens = tool_object_opens,
};
