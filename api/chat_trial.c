/* Rendering of small conversations, and looking at what became of their words.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_trial.h"

#include <string.h>

#define TEXT(s)                                                                          \
    {                                                                                    \
        s, sizeof s - 1                                                                  \
    }

const struct chat_text chat_trial_words[WORD_N] = {TEXT("zqone"),   TEXT("zqtwo"),
                                                   TEXT("zqthree"), TEXT("zqfour"),
                                                   TEXT("zqfive"),  TEXT("zqsix")};

/* An id of nine letters and digits, as one family of templates demands. */
const struct chat_call chat_trial_calls[1] = {
    {.id = TEXT("zqid12345"),
     .name = TEXT(CHAT_TRIAL_CALL),
     .arguments = TEXT("{\"" CHAT_TRIAL_KEY "\": \"" CHAT_TRIAL_VALUE "\"}")}};

/* ---- rendering ---------------------------------------------------------------- */

/* Little is said, so that a template that never ends is found out soon. */
static const struct template_limits trial_limits = {
    .steps = 100000, .output_bytes = 1 << 20, .memory_bytes = 16 << 20, .depth = 100};

static bool set(struct arena *a, struct jinja_value dict, const char *name,
                struct jinja_value v)
{
    return dict.kind == JINJA_DICT && v.kind != JINJA_UNDEFINED &&
           jinja_dict_set(a, dict.dict, name, v);
}

static struct jinja_value text(struct arena *a, const char *s)
{
    return jinja_text(a, s, strlen(s), 0);
}

/* {"type": "object", "properties": {key: {"type": "string", "description": key}}}. */
static struct jinja_value make_schema(struct arena *a)
{
    struct jinja_value schema = jinja_dict(a), properties = jinja_dict(a),
                       property = jinja_dict(a), required = jinja_list(a);
    bool ok = set(a, property, "type", text(a, "string")) &&
              set(a, property, "description", text(a, CHAT_TRIAL_KEY)) &&
              set(a, properties, CHAT_TRIAL_KEY, property) &&
              set(a, schema, "type", text(a, "object")) &&
              set(a, schema, "properties", properties) &&
              set(a, schema, "required", required);
    return ok ? schema : (struct jinja_value){.kind = JINJA_UNDEFINED};
}

/* A list of one tool; UNDEFINED: out of memory. */
static struct jinja_value make_tools(struct arena *a)
{
    struct jinja_value list = jinja_list(a), tool = jinja_dict(a),
                       function = jinja_dict(a);
    bool ok = set(a, function, "name", text(a, CHAT_TRIAL_TOOL)) &&
              set(a, function, "description", text(a, CHAT_TRIAL_TOOL)) &&
              set(a, function, "parameters", make_schema(a)) &&
              set(a, tool, "type", text(a, "function")) &&
              set(a, tool, "function", function) && list.kind == JINJA_LIST &&
              jinja_list_add(a, list.list, tool);
    return ok ? list : (struct jinja_value){.kind = JINJA_UNDEFINED};
}

static int render_chat(struct chat_trial *p, const struct chat *chat,
                       const struct chat_traits *traits, struct template_text *out)
{
    struct jinja_value variables;
    int rc = chat_variables_make(&p->arena, chat, traits, p->tokens, &variables, NULL);
    if (rc == 0 && !set(&p->arena, variables, "add_generation_prompt", jinja_bool(false)))
        rc = -ERR_MEMORY;
    struct template_args args = {variables.dict, 0, &trial_limits};
    return rc ? rc : template_render(p->t, &args, &p->arena, out, NULL);
}

/* False: the template fails. */
static bool try_render(struct chat_trial *p, const struct chat_talk *talk,
                       bool with_tools, const struct chat_traits *traits,
                       struct template_text *out)
{
    struct chat chat = {.messages = talk->messages,
                        .n_messages = talk->n,
                        .tools = jinja_none(),
                        .kwargs = jinja_none()};
    arena_free(&p->arena);
    arena_init(&p->arena);
    if (with_tools)
        chat.tools = make_tools(&p->arena);
    p->no_memory = p->no_memory || chat.tools.kind == JINJA_UNDEFINED;
    int rc = p->no_memory ? -ERR_MEMORY : render_chat(p, &chat, traits, out);
    p->no_memory = p->no_memory || rc == -ERR_MEMORY;
    return rc == 0;
}

/* The text of a conversation by those traits; empty when the template fails. It stays
 * until the next render. Some templates fail without tools. */
struct template_text chat_trial_render(struct chat_trial *p, const struct chat_talk *talk,
                                       const struct chat_traits *traits)
{
    struct template_text out;
    if (try_render(p, talk, talk->with_tools, traits, &out) ||
        (!talk->with_tools && try_render(p, talk, true, traits, &out)))
        return out;
    return (struct template_text){.text = ""};
}

/* ---- looking ------------------------------------------------------------------ */

bool chat_trial_shows(const struct template_text *t, enum chat_word word)
{
    return strstr(t->text, chat_trial_words[word].text) != NULL;
}

/* The last place of a word; NULL: it is not there. */
const char *chat_trial_last(const struct template_text *t, const char *word)
{
    const char *found = NULL, *at = t->text;
    while ((at = strstr(at, word)))
        found = at++;
    return found;
}

/* The byte before a word; NUL: there is none. */
char chat_trial_before(const struct template_text *t, const char *word)
{
    const char *at = chat_trial_last(t, word);
    return at && at > t->text ? at[-1] : '\0';
}

/* A list that is printed instead of walked has its texts in quotes. */
bool chat_trial_shows_bare(const struct template_text *t, enum chat_word word)
{
    char c = chat_trial_before(t, chat_trial_words[word].text);
    return chat_trial_shows(t, word) && c != '\'' && c != '"';
}
