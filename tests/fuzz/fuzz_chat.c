/*
 * Bodies of chat through a template. The first byte chooses it: the built-in one, one
 * that takes lists of parts, one that prints everything it is given. Nothing may crash;
 * a prompt's marks and turns are in order and within its text, and what is marked as no
 * content is the template's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/chat_request.h"
#include "api/chat_template.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 256,
                                         .has_tokenizer = true,
                                         .has_states = true,
                                         .max_prompts = 8,
                                         .max_choices = 32,
                                         .max_answer_tokens = 4096};

static const char parts[] = "{% for m in messages %}{% for p in m.content %}{{ p.text }}"
                            "{% endfor %}<|end|>{% endfor %}",
                  prints[] = "{{ messages }}{{ tools | tojson(indent=2) }}{{ a ~ b }}";

enum { N_TEMPLATES = 3 };

static struct chat_template *opened(size_t i)
{
    const struct chat_text sources[N_TEMPLATES] = {
        chat_template_chatml, {parts, sizeof parts - 1}, {prints, sizeof prints - 1}};
    static struct chat_template *templates[N_TEMPLATES];
    struct chat_template_options o = {.source = sources[i], .tool_format = TOOL_FORMAT_N};
    struct err err;
    if (!templates[i] && chat_template_open(&templates[i], &o, &err) != 0)
        abort();
    return templates[i];
}

static void check_order(const struct chat_prompt *p)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n_marks; i++) {
        const struct text_mark *m = &p->marks[i];
        bool touches = i && m->begin == at;
        if (m->begin < at || m->begin >= m->end || m->end > p->len ||
            (touches && m->added == p->marks[i - 1].added))
            abort();
        at = m->end;
    }
    for (size_t i = 0; i < p->n_turns; i++)
        if (p->turns[i] > p->len || p->turns[i] <= (i ? p->turns[i - 1] : 0))
            abort();
}

static bool is_marked(const struct chat_prompt *p, size_t i)
{
    for (size_t k = 0; k < p->n_marks && p->marks[k].begin <= i; k++)
        if (i < p->marks[k].end)
            return true;
    return false;
}

/* All three templates are ASCII, so that other bytes are clients'. */
static void check_marks(const struct chat_prompt *p)
{
    for (size_t i = 0; i < p->len && i < 4096; i++)
        if ((unsigned char)p->text[i] >= 0x80 && !is_marked(p, i))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chat_request r;
    struct chat_prompt prompt;
    struct err err;
    if (size == 0 ||
        chat_request_parse(&r, &limits, (const char *)data + 1, size - 1, &err))
        return 0;
    const struct chat_template *t = opened(data[0] % N_TEMPLATES);
    if (chat_template_render(t, &r.chat, 0, &r.arena, &prompt, &err) == 0) {
        check_order(&prompt);
        check_marks(&prompt);
    }
    chat_request_free(&r);
    return 0;
}
