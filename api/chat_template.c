/* Up to two compiled templates with what the probes found of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_template.h"

#include "api/chat_probe.h"
#include "engine/base/mem.h"

#include <stdio.h>
#include <string.h>

struct variant {
    struct template *compiled; /* owns; NULL: there is none */
    struct chat_traits traits;
};

struct chat_template {
    struct variant plain, tool_use;
    struct arena arena; /* owns the tokens' texts */
    struct chat_tokens tokens;
    enum tool_format format; /* as forced; TOOL_FORMAT_N: the probe's */
};

static const char chatml[] =
    "{%- set start = 0 %}"
    "{%- set system = '' %}"
    "{%- if messages[0].role == 'system' %}"
    "{%- set start = 1 %}{%- set system = messages[0].content %}"
    "{%- endif %}"
    "{%- if system or tools %}"
    "{{- '<|im_start|>system\\n' + system }}"
    "{%- if tools %}"
    "{{- '\\n\\n' if system else '' }}"
    "{{- 'These functions can be called; each line within <tools></tools> is one:\\n' }}"
    "{{- '<tools>' }}"
    "{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}"
    "{{- '\\n</tools>\\n' }}"
    "{{- 'To call one, write its name and arguments as a JSON object:\\n<tool_call>\\n' }}"
    "{{- '{\"name\": \"a name\", \"arguments\": {}}\\n</tool_call>' }}"
    "{%- endif %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages[start:] %}"
    "{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'tool' %}"
    "{{- '<tool_response>\\n' + message.content + '\\n</tool_response>' }}"
    "{%- else %}"
    "{{- message.content }}"
    "{%- for call in message.tool_calls or [] %}"
    "{{- '\\n' if message.content or not loop.first else '' }}"
    "{{- '<tool_call>\\n{\"name\": ' + call.function.name | tojson }}"
    "{{- ', \"arguments\": ' }}"
    "{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}"
    "{%- endfor %}"
    "{%- endif %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";

const struct chat_text chat_template_chatml = {chatml, sizeof chatml - 1};

/* ---- open and free ------------------------------------------------------------ */

static int open_variant(struct variant *v, const struct chat_text *source,
                        const struct chat_tokens *tokens, struct err *err)
{
    if (!source->text)
        return 0;
    int rc = template_compile(&v->compiled, source->text, source->len, err);
    return rc ? rc : chat_probe_run(&v->traits, v->compiled, tokens, err);
}

static int copy_text(struct arena *arena, const struct chat_text *from,
                     struct chat_text *to, struct err *err)
{
    if (!from->text)
        return 0;
    *to = (struct chat_text){arena_strdup(arena, from->text, from->len), from->len};
    return to->text ? 0 : err_set(err, ERR_MEMORY, "out of memory for a chat template");
}

static int fill(struct chat_template *t, const struct chat_template_options *o,
                struct err *err)
{
    if (!o->source.text)
        return err_set(err, ERR_TEMPLATE, "there is no template");
    int rc = copy_text(&t->arena, &o->bos_token, &t->tokens.bos, err);
    if (!rc)
        rc = copy_text(&t->arena, &o->eos_token, &t->tokens.eos, err);
    if (!rc)
        rc = open_variant(&t->plain, &o->source, &t->tokens, err);
    return rc ? rc : open_variant(&t->tool_use, &o->tool_use, &t->tokens, err);
}

int chat_template_open(struct chat_template **out, const struct chat_template_options *o,
                       struct err *err)
{
    struct chat_template *t = mem_zalloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_MEMORY, "out of memory for a chat template");
    arena_init(&t->arena);
    t->format = o->tool_format;
    int rc = fill(t, o, err);
    if (rc) {
        chat_template_free(t);
        t = NULL;
    }
    *out = t;
    return rc;
}

void chat_template_free(struct chat_template *t)
{
    if (!t)
        return;
    template_free(t->plain.compiled);
    template_free(t->tool_use.compiled);
    arena_free(&t->arena);
    mem_free(t);
}

/* ---- what it is --------------------------------------------------------------- */

static const struct variant *variant_for(const struct chat_template *t, bool tools)
{
    return tools && t->tool_use.compiled ? &t->tool_use : &t->plain;
}

const struct chat_traits *chat_template_traits(const struct chat_template *t, bool tools)
{
    return &variant_for(t, tools)->traits;
}

enum tool_format chat_template_tools(const struct chat_template *t)
{
    return t->format == TOOL_FORMAT_N ? chat_template_traits(t, true)->format : t->format;
}

struct chat_text chat_template_end(const struct chat_template *t)
{
    return (struct chat_text){t->plain.traits.end, t->plain.traits.end_len};
}

/* ---- render ------------------------------------------------------------------- */

static size_t common_bytes(const struct template_text *a, const struct template_text *b)
{
    size_t i = 0;
    while (i < a->len && i < b->len && a->text[i] == b->text[i])
        i++;
    return i;
}

static int say(int rc, struct err *err)
{
    if (rc == -ERR_ARGUMENT && err)
        snprintf(err->param, sizeof err->param, "messages");
    return rc == -ERR_TEMPLATE ? err_prefix(err, "the chat template") : rc;
}

/* One render of a conversation. */
struct pass {
    const struct variant *v;
    const struct chat *chat;
    int64_t now_s;
    struct arena scratch; /* owns the variables and what renders make */
    struct jinja_value variables;
};

static int render_once(struct pass *p, bool generation_prompt, struct template_text *out,
                       struct err *err)
{
    struct template_args args = {p->variables.dict, p->now_s, &template_limits_default};
    if (!jinja_dict_set(&p->scratch, p->variables.dict, "add_generation_prompt",
                        jinja_bool(generation_prompt)))
        return err_set(err, ERR_MEMORY, "out of memory for a conversation");
    return say(template_render(p->v->compiled, &args, &p->scratch, out, err), err);
}

/* As asked; `common` is what does not depend on the generation prompt. */
static int render_both(struct pass *p, struct template_text *out, size_t *common,
                       struct err *err)
{
    struct template_text bare;
    bool asked = p->chat->add_generation_prompt;
    int rc = render_once(p, false, &bare, err);
    if (rc == 0)
        rc = asked ? render_once(p, true, out, err) : 0;
    if (rc)
        return rc;
    if (!asked)
        *out = bare;
    *common = common_bytes(out, &bare);
    return 0;
}

int chat_template_render(const struct chat_template *t, const struct chat *chat,
                         int64_t now_s, struct arena *arena, struct chat_prompt *out,
                         struct err *err)
{
    struct pass p = {.v = variant_for(t, chat->tools.kind == JINJA_LIST),
                     .chat = chat,
                     .now_s = now_s};
    struct template_text text;
    size_t common;
    arena_init(&p.scratch);
    int rc = chat_variables_make(&p.scratch, chat, &p.v->traits, &t->tokens, &p.variables,
                                 err);
    if (!rc)
        rc = render_both(&p, &text, &common, err);
    if (!rc)
        rc = chat_prompt_make(arena, chat, &text, common, out, err);
    arena_free(&p.scratch);
    return rc;
}
