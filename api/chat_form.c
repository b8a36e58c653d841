/* A call of a unique name is rendered; each form has a test of what stands around it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_form.h"

#include <string.h>

static const struct chat_talk called = {
    {TALK_SAYS(CHAT_USER, WORD_ONE), TALK_CALLS, TALK_ANSWERS(WORD_TWO)}, 3, false};
static const struct chat_talk called_with_tools = {
    {TALK_SAYS(CHAT_USER, WORD_ONE), TALK_CALLS, TALK_ANSWERS(WORD_TWO)}, 3, true};
static const struct chat_talk user_with_tools = {
    {TALK_SAYS(CHAT_USER, WORD_ONE)}, 1, true};
static const struct chat_talk system_with_tools = {
    {TALK_SAYS(CHAT_SYSTEM, WORD_ONE), TALK_SAYS(CHAT_USER, WORD_TWO)}, 2, true};

/* Whether a mark stands in [from, to). */
static bool has_mark(const char *from, const char *to, const char *mark)
{
    return memmem(from, (size_t)(to - from), mark, strlen(mark)) != NULL;
}

/* ---- calls -------------------------------------------------------------------- */

static bool shows_call(const struct template_text *t)
{
    return strstr(t->text, CHAT_TRIAL_CALL) && strstr(t->text, CHAT_TRIAL_KEY) &&
           strstr(t->text, CHAT_TRIAL_VALUE);
}

/* Some show calls only to those who have tools. */
static struct template_text render_call(struct chat_trial *p,
                                        const struct chat_traits *traits, bool objects)
{
    struct chat_traits trial = *traits;
    trial.objects = objects;
    struct template_text t = chat_trial_render(p, &called, &trial);
    return shows_call(&t) ? t : chat_trial_render(p, &called_with_tools, &trial);
}

/* Objects, unless the template fails with them, or prints them in Python's spelling where
 * it would print the text as it is. */
void chat_form_arguments(struct chat_trial *p, struct chat_traits *traits)
{
    struct template_text t = render_call(p, traits, true);
    bool objects = shows_call(&t);
    bool printed = objects && chat_trial_before(&t, CHAT_TRIAL_KEY) == '\'';
    t = render_call(p, traits, false);
    bool text = shows_call(&t);
    bool json = text && chat_trial_before(&t, CHAT_TRIAL_KEY) == '"';
    traits->calls = objects || text;
    traits->objects = objects ? !(printed && json) : !text;
}

static void find_tools(struct chat_trial *p, struct chat_traits *traits,
                       const struct chat_talk *talk)
{
    if (traits->tools)
        return;
    struct template_text t = chat_trial_render(p, talk, traits);
    traits->tools = strstr(t.text, CHAT_TRIAL_TOOL) != NULL;
}

/* ---- the form of calls -------------------------------------------------------- */

/* A call as it stands in a text: what comes before its name, and behind. */
struct sight {
    const char *begin, *name, *end;
    bool json; /* the name is that of an object, {"name": "…" */
};

static bool is_coder(const struct sight *s)
{
    return has_mark(s->begin, s->name, "<tool_call>") &&
           has_mark(s->begin, s->name, "<function=") &&
           has_mark(s->name, s->end, "<parameter=");
}

static bool is_lfm2(const struct sight *s)
{
    return has_mark(s->begin, s->name, "<|tool_call_start|>") &&
           s->name[sizeof CHAT_TRIAL_CALL - 1] == '(';
}

static bool is_mistral(const struct sight *s)
{
    return has_mark(s->begin, s->name, "[TOOL_CALLS]");
}

/* Where the object of a call begins. */
static const char *object_of(const struct sight *s)
{
    return memrchr(s->begin, '{', (size_t)(s->name - s->begin));
}

/* The byte before the object that is not blank; NUL: there is none. */
static char byte_before_object(const struct sight *s)
{
    const char *at = object_of(s);
    while (at > s->begin && strchr(" \t\r\n", at[-1]))
        at--;
    return at > s->begin ? at[-1] : '\0';
}

static bool is_json_list(const struct sight *s)
{
    static const char *const marks[] = {"<TOOLCALL>", "<tool_calls>", "<|tool_call|>"};
    for (size_t i = 0; s->json && i < sizeof marks / sizeof *marks; i++)
        if (has_mark(s->begin, s->name, marks[i]))
            return byte_before_object(s) == '[';
    return false;
}

static bool is_hermes(const struct sight *s)
{
    return s->json && has_mark(s->begin, s->name, "<tool_call>") &&
           byte_before_object(s) == '>';
}

static bool is_llama3(const struct sight *s)
{
    char c = s->json ? byte_before_object(s) : '[';
    return c != '[' && c != ',' && has_mark(s->name, s->end, "\"parameters\"");
}

static const struct {
    enum tool_format format;
    bool (*is)(const struct sight *);
} forms[] = {{TOOL_FORMAT_QWEN3_CODER, is_coder}, {TOOL_FORMAT_LFM2, is_lfm2},
             {TOOL_FORMAT_MISTRAL, is_mistral},   {TOOL_FORMAT_JSON_LIST, is_json_list},
             {TOOL_FORMAT_HERMES, is_hermes},     {TOOL_FORMAT_LLAMA3_JSON, is_llama3}};

/* Whether {"name": " stands before the name. */
static bool begins_object(const char *begin, const char *name)
{
    static const char *const begins[] = {"{\"name\": \"", "{\"name\":\""};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        size_t n = strlen(begins[i]);
        if ((size_t)(name - begin) >= n && memcmp(name - n, begins[i], n) == 0)
            return true;
    }
    return false;
}

/* Of a template that shows calls. */
static enum tool_format form_of_call(struct chat_trial *p,
                                     const struct chat_traits *traits)
{
    struct template_text t = render_call(p, traits, traits->objects);
    const char *name = chat_trial_last(&t, CHAT_TRIAL_CALL),
               *user_text = chat_trial_last(&t, chat_trial_words[WORD_ONE].text);
    if (!name)
        return TOOL_FORMAT_NONE;
    struct sight s = {.begin = user_text && user_text < name ? user_text : t.text,
                      .name = name,
                      .end = t.text + t.len};
    s.json = begins_object(s.begin, name);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].is(&s))
            return forms[i].format;
    return TOOL_FORMAT_NONE;
}

/* What tells the model how to call; of a template that drops the calls of messages. */
static enum tool_format form_of_words(struct chat_trial *p,
                                      const struct chat_traits *traits)
{
    static const struct {
        enum tool_format format;
        const char *mark;
    } marks[] = {{TOOL_FORMAT_QWEN3_CODER, "<parameter="},
                 {TOOL_FORMAT_LFM2, "<|tool_call_start|>"},
                 {TOOL_FORMAT_LFM2, "<|tool_list_start|>"},
                 {TOOL_FORMAT_LFM2, "List of tools: ["},
                 {TOOL_FORMAT_MISTRAL, "[TOOL_CALLS]"},
                 {TOOL_FORMAT_MISTRAL, "[AVAILABLE_TOOLS]"},
                 {TOOL_FORMAT_JSON_LIST, "<TOOLCALL>"},
                 {TOOL_FORMAT_JSON_LIST, "<tool_calls>"},
                 {TOOL_FORMAT_JSON_LIST, "<|tool_call|>"},
                 {TOOL_FORMAT_HERMES, "<tool_call>"}};
    struct template_text t = chat_trial_render(p, &user_with_tools, traits);
    if (!strstr(t.text, CHAT_TRIAL_TOOL))
        t = chat_trial_render(p, &system_with_tools, traits);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strstr(t.text, marks[i].mark))
            return marks[i].format;
    return TOOL_FORMAT_NONE;
}

void chat_form_find(struct chat_trial *p, struct chat_traits *traits)
{
    find_tools(p, traits, &user_with_tools);
    find_tools(p, traits, &system_with_tools);
    traits->format = traits->calls ? form_of_call(p, traits) : form_of_words(p, traits);
}
