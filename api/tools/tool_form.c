/* The table, and what is asked of a form by its name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_form.h"

#include <string.h>

static const struct tool_form *const forms[TOOL_FORMAT_N] = {
    [TOOL_FORMAT_HERMES] = &tool_hermes,
    [TOOL_FORMAT_QWEN3_CODER] = &tool_qwen3_coder,
    [TOOL_FORMAT_LFM2] = &tool_lfm2,
    [TOOL_FORMAT_LLAMA3_JSON] = &tool_llama3_json,
    [TOOL_FORMAT_JSON_LIST] = &tool_json_list,
    [TOOL_FORMAT_MISTRAL] = &tool_mistral,
};

const struct tool_form *tool_form_of(enum tool_format f)
{
    return (unsigned)f < TOOL_FORMAT_N ? forms[f] : NULL;
}

static bool is(const char *mark, const char *s, size_t len)
{
    return mark && strlen(mark) == len && memcmp(mark, s, len) == 0;
}

bool tool_form_is_mark(const struct tool_form *form, const char *s, size_t len)
{
    bool found = false;
    for (int i = 0; form && i < TOOL_FORM_MARKS && form->marks[i].open; i++)
        found =
            found || is(form->marks[i].open, s, len) || is(form->marks[i].close, s, len);
    for (int i = 0; form && i < TOOL_FORM_INNER; i++)
        found = found || is(form->inner[i], s, len);
    return found;
}

const char *tool_format_name(enum tool_format f)
{
    const struct tool_form *form = tool_form_of(f);
    return form ? form->name : "none";
}

bool tool_format_find(enum tool_format *out, const char *name)
{
    for (int f = 0; f < TOOL_FORMAT_N; f++) {
        *out = (enum tool_format)f;
        if (strcmp(tool_format_name(*out), name) == 0)
            return true;
    }
    return false;
}

const char *tool_format_mark(enum tool_format f, size_t i)
{
    const struct tool_form *form = tool_form_of(f);
    return form && i < TOOL_FORM_MARKS ? form->marks[i].open : NULL;
}
