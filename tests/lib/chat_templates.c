/* The templates. None is that of a model: each has the habit that its name says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/chat_templates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LOOP "{% for m in messages %}"
#define END  "{% endfor %}"

/* A message of the ChatML kind, and its generation prompt. */
#define IM(content) "<|im_start|>{{ m.role }}\n" content "<|im_end|>\n"
#define GEN         "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

/* Calls in the usual notation; `by` joins an object. */
#define HERMES                                                                           \
    "{% for c in m.tool_calls %}<tool_call>\n{{ c.function | tojson }}\n</tool_call>"    \
    "{% endfor %}"
#define TOOL_LIST "{% if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}"

static const char plain[] = LOOP IM("{{ m.content }}") END GEN;

static const char hermes[] = TOOL_LIST LOOP IM("{{ m.content }}" HERMES) END GEN;

static const char thinks[] =
    TOOL_LIST LOOP IM("{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n"
                      "</think>\n{% endif %}{{ m.content }}" HERMES) END
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}";

static const char coder[] = TOOL_LIST LOOP IM(
    "{{ m.content }}{% for c in m.tool_calls %}<tool_call>\n<function={{ c.function.name "
    "}}>\n"
    "{% for k, v in c.function.arguments | items %}<parameter={{ k }}>\n{{ v }}\n"
    "</parameter>\n{% endfor %}</function>\n</tool_call>{% endfor %}") END GEN;

static const char lfm2[] =
    "{{ bos_token }}{% if tools %}<|tool_list_start|>{{ tools | tojson }}"
    "<|tool_list_end|>\n{% endif %}" LOOP IM("{{ m.content }}") END GEN;

static const char lfm2_calls[] = TOOL_LIST LOOP IM(
    "{{ m.content }}{% for c in m.tool_calls %}<|tool_call_start|>[{{ c.function.name }}("
    "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v | tojson }}{% endfor %}"
    ")]<|tool_call_end|>{% endfor %}") END GEN;

/* Calls come alone, with their arguments under another name; a late system message is
 * dropped. */
static const char llama3[] =
    "{{ bos_token }}{% set system = '' %}{% if messages[0].role == 'system' %}"
    "{% set system = messages[0].content %}{% set messages = messages[1:] %}{% endif %}"
    "<|start_header_id|>system<|end_header_id|>\n\n{{ system }}"
    "{% if tools %}{{ tools | tojson }}{% endif %}<|eot_id|>"
    "{% for m in messages if m.role != 'system' %}"
    "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{% if m.tool_calls %}{\"name\": \"{{ m.tool_calls[0].function.name }}\", "
    "\"parameters\": {{ m.tool_calls[0].function.arguments | tojson }}}"
    "{% else %}{{ m.content | trim }}{% endif %}<|eot_id|>" END
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n"
    "{% endif %}";

static const char json_list[] = TOOL_LIST LOOP IM(
    "{{ m.content }}{% if m.tool_calls %}<TOOLCALL>[{% for c in m.tool_calls %}"
    "{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | "
    "tojson }}}{% endfor %}]</TOOLCALL>{% endif %}") END GEN;

/* Drops calls, but tells how to write them to those who have no system message. */
static const char granite3[] =
    "{% if messages[0].role != 'system' and tools %}Answer with <|tool_call|> and a list."
    "\n{% endif %}{{ tools | tojson if tools }}" LOOP
    "<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}<|end_of_text|>\n" END
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}";

/* Insists on turns that alternate and on ids of nine letters. */
static const char mistral[] =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST]"
    "{% if tools and loop.last %}[AVAILABLE_TOOLS]{{ tools | tojson }}{% endif %}"
    "{{ m.content }}[/INST]"
    "{% elif m.role == 'system' and loop.first %}{{ m.content }}\n"
    "{% elif m.role == 'tool' %}[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]"
    "{% elif m.tool_calls %}[TOOL_CALLS]{% for c in m.tool_calls %}"
    "{% if c.id | length != 9 %}{{ raise_exception('Ids have nine letters') }}{% endif %}"
    "{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}"
    "{{ eos_token }}"
    "{% elif m.role == 'assistant' %}{{ m.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles here') }}{% endif %}" END;

/* Takes arguments as text only: joining an object to a text fails. */
static const char text_arguments[] = TOOL_LIST LOOP IM(
    "{{ m.content }}{% for c in m.tool_calls %}"
    "{{ '<tool_call>\n{\"name\": \"' + c.function.name + '\", \"arguments\": ' + "
    "c.function.arguments + '}\n</tool_call>' }}{% endfor %}") END GEN;

/* The same, but an object is printed as Python does. */
static const char printed_arguments[] = TOOL_LIST LOOP IM(
    "{{ m.content }}{% for c in m.tool_calls %}<tool_call>\n{\"name\": "
    "\"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments }}}\n"
    "</tool_call>{% endfor %}") END GEN;

static const char parts[] = LOOP IM("{% if m.content is string %}{{ m.content }}"
                                    "{% else %}{% for p in m.content %}{{ p.text }}"
                                    "{% endfor %}{% endif %}") END GEN;

static const char only_parts[] =
    LOOP IM("{% for p in m.content %}{{ p.text }}{% endfor %}") END GEN;

/* No system messages; text after each answer differs at the end. */
static const char gemma[] =
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('No system role here') }}{% endif %}" LOOP
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n" END
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}";

static const char developer[] = LOOP
    "{% if m.role in ['developer', 'system'] %}<|im_start|>developer\n{{ m.content }}"
    "<|im_end|>\n{% else %}" IM("{{ m.content }}") "{% endif %}" END GEN;

/* Looks at the first message alone, and writes the last answer otherwise. */
static const char first_developer[] =
    "{% set first = messages[0].role in ['developer', 'system'] %}"
    "{% if first %}<|start|>developer<|message|>{{ messages[0].content }}<|end|>{% endif %}"
    "{% for m in (messages[1:] if first else messages) if m.role in ['user', 'assistant'] %}"
    "<|start|>{{ m.role }}<|message|>{% if m.thinking and loop.last %}{{ m.thinking }}"
    "<|message|>{% endif %}{{ m.content }}"
    "{{ '<|return|>' if loop.last and m.role == 'assistant' else '<|end|>' }}" END
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}";

/* Of several system messages the last one stands first. */
static const char last_system[] =
    "{% set ns = namespace(text='') %}{% for m in messages if m.role == 'system' %}"
    "{% set ns.text = m.content %}{% endfor %}{{ ns.text }}"
    "{% for m in messages if m.role != 'system' %}" IM("{{ m.content }}") END GEN;

/* Fails without tools. */
static const char needs_tools[] =
    "{% for t in tools %}{{ t | tojson }}\n{% endfor %}" LOOP IM("{{ m.content }}" HERMES)
        END GEN;

/* Marks nothing. */
static const char continues[] = LOOP "{{ m.content }}\n\n" END;

/* Puts eos_token behind a text that is complete. */
static const char eos_last[] = LOOP
    "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n" END
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}";

#define CASE(name, ...)                                                                  \
    {                                                                                    \
#name, name, __VA_ARGS__                                                         \
    }
#define IM_END "<|im_end|>\n"
#define RC     "reasoning_content"

const struct chat_template_case chat_template_cases[] = {
    CASE(plain, TOOL_FORMAT_NONE, IM_END, RC, "so"),
    CASE(hermes, TOOL_FORMAT_HERMES, IM_END, RC, "soct"),
    CASE(thinks, TOOL_FORMAT_HERMES, IM_END, RC, "soct"),
    CASE(coder, TOOL_FORMAT_QWEN3_CODER, IM_END, RC, "soct"),
    CASE(lfm2, TOOL_FORMAT_LFM2, IM_END, RC, "sot"),
    CASE(lfm2_calls, TOOL_FORMAT_LFM2, IM_END, RC, "soct"),
    CASE(llama3, TOOL_FORMAT_LLAMA3_JSON, "<|eot_id|>", RC, "oct"),
    CASE(json_list, TOOL_FORMAT_JSON_LIST, IM_END, RC, "soct"),
    CASE(granite3, TOOL_FORMAT_JSON_LIST, "<|end_of_text|>\n", RC, "sot"),
    CASE(mistral, TOOL_FORMAT_MISTRAL, "</s>", RC, "oct"),
    CASE(text_arguments, TOOL_FORMAT_HERMES, IM_END, RC, "sct"),
    CASE(printed_arguments, TOOL_FORMAT_HERMES, IM_END, RC, "sct"),
    CASE(parts, TOOL_FORMAT_NONE, IM_END, RC, "paso"),
    CASE(only_parts, TOOL_FORMAT_NONE, IM_END, RC, "pa1so"),
    CASE(gemma, TOOL_FORMAT_NONE, "<end_of_turn>\n", RC, "o"),
    CASE(developer, TOOL_FORMAT_NONE, IM_END, RC, "dDso"),
    CASE(first_developer, TOOL_FORMAT_NONE, "", "thinking", "do"),
    CASE(last_system, TOOL_FORMAT_NONE, IM_END, RC, "o"),
    CASE(needs_tools, TOOL_FORMAT_HERMES, IM_END, RC, "soct"),
    CASE(continues, TOOL_FORMAT_NONE, "", RC, "so"),
    CASE(eos_last, TOOL_FORMAT_NONE, "<|end|>\n", RC, "so"),
};
const size_t n_chat_template_cases =
    sizeof chat_template_cases / sizeof *chat_template_cases;

struct chat_template *chat_templates_open(const struct chat_template_case *c)
{
    struct chat_template *t;
    struct err err = {0};
    struct chat_template_options o = {.source = {c->source, strlen(c->source)},
                                      .bos_token = {"<s>", 3},
                                      .eos_token = {"</s>", 4},
                                      .tool_format = TOOL_FORMAT_N};
    if (chat_template_open(&t, &o, &err) != 0)
        fail_msg("%s: %s", c->name, err.text);
    return t;
}

const struct chat_template_case *chat_templates_find(const char *name)
{
    for (size_t i = 0; i < n_chat_template_cases; i++)
        if (strcmp(chat_template_cases[i].name, name) == 0)
            return &chat_template_cases[i];
    fail_msg("no template %s", name);
    return NULL;
}
