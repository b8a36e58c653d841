/* Each probe is a conversation, the traits to try it with, and what to look for. The words
 * are none that a template would contain.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_probe.h"

#include <string.h>

#define TEXT(s)                                                                          \
    {                                                                                    \
        s, sizeof s - 1                                                                  \
    }

/* A run of probes over one template. */
struct probe {
    const struct template *t;
    const struct chat_tokens *tokens;
    struct chat_traits *traits; /* as found so far */
    struct arena arena;         /* of the last render */
    bool no_memory;
};

/* ---- conversations ------------------------------------------------------------ */

enum { ONE, TWO, THREE, FOUR, FIVE, SIX, N_WORDS };

static const struct chat_text words[N_WORDS] = {TEXT("zqone"),   TEXT("zqtwo"),
                                                TEXT("zqthree"), TEXT("zqfour"),
                                                TEXT("zqfive"),  TEXT("zqsix")};

#define SAYS(r, word)                                                                    \
    {                                                                                    \
        .role = (r), .parts = &words[word], .n_parts = 1                                 \
    }

static const char call_name[] = "zqcall", call_key[] = "zqkey", call_value[] = "zqvalue",
                  tool_name[] = "zqtool";

/* Nine letters and digits, as one family of templates demands. */
static const struct chat_call calls[] = {{.id = TEXT("zqid12345"),
                                          .name = TEXT("zqcall"),
                                          .arguments = TEXT("{\"zqkey\": \"zqvalue\"}")}};

#define CALLS                                                                            \
    {                                                                                    \
        .role = CHAT_ASSISTANT, .calls = calls, .n_calls = 1                             \
    }
#define ANSWERS(word)                                                                    \
    {                                                                                    \
        .role = CHAT_TOOL, .parts = &words[word], .n_parts = 1,                          \
        .tool_call_id = TEXT("zqid12345")                                                \
    }

struct talk {
    struct chat_message messages[5];
    size_t n;
    bool with_tools;
};

static const struct talk user = {{SAYS(CHAT_USER, ONE)}, 1, false};
static const struct talk system_user = {
    {SAYS(CHAT_SYSTEM, ONE), SAYS(CHAT_USER, TWO)}, 2, false};
static const struct talk turns = {
    {SAYS(CHAT_USER, ONE), SAYS(CHAT_ASSISTANT, TWO), SAYS(CHAT_USER, THREE)}, 3, false};
static const struct talk answered = {
    {SAYS(CHAT_USER, ONE), SAYS(CHAT_ASSISTANT, TWO)}, 2, false};
static const struct talk late = {{SAYS(CHAT_USER, ONE), SAYS(CHAT_ASSISTANT, TWO),
                                  SAYS(CHAT_SYSTEM, THREE), SAYS(CHAT_USER, FOUR)},
                                 4,
                                 false};
static const struct talk late_again = {{SAYS(CHAT_SYSTEM, ONE), SAYS(CHAT_USER, TWO),
                                        SAYS(CHAT_ASSISTANT, TWO),
                                        SAYS(CHAT_SYSTEM, THREE), SAYS(CHAT_USER, FOUR)},
                                       5,
                                       false};
static const struct talk called = {{SAYS(CHAT_USER, ONE), CALLS, ANSWERS(TWO)}, 3, false};
static const struct talk called_with_tools = {
    {SAYS(CHAT_USER, ONE), CALLS, ANSWERS(TWO)}, 3, true};
static const struct talk user_with_tools = {{SAYS(CHAT_USER, ONE)}, 1, true};
static const struct talk system_with_tools = {
    {SAYS(CHAT_SYSTEM, ONE), SAYS(CHAT_USER, TWO)}, 2, true};

/* ---- rendering ---------------------------------------------------------------- */

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
              set(a, property, "description", text(a, call_key)) &&
              set(a, properties, call_key, property) &&
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
    bool ok = set(a, function, "name", text(a, tool_name)) &&
              set(a, function, "description", text(a, tool_name)) &&
              set(a, function, "parameters", make_schema(a)) &&
              set(a, tool, "type", text(a, "function")) &&
              set(a, tool, "function", function) && list.kind == JINJA_LIST &&
              jinja_list_add(a, list.list, tool);
    return ok ? list : (struct jinja_value){.kind = JINJA_UNDEFINED};
}

static int render_chat(struct probe *p, const struct chat *chat,
                       const struct chat_traits *traits, struct template_text *out)
{
    struct jinja_value variables;
    int rc = chat_variables_make(&p->arena, chat, traits, p->tokens, &variables, NULL);
    if (rc == 0 && !set(&p->arena, variables, "add_generation_prompt", jinja_bool(false)))
        rc = -ERR_MEMORY;
    struct template_args args = {variables.dict, 0, &template_limits_default};
    return rc ? rc : template_render(p->t, &args, &p->arena, out, NULL);
}

/* The text of a conversation by those traits; empty when the template fails. It stays
 * until the next render. */
static struct template_text render(struct probe *p, const struct talk *talk,
                                   const struct chat_traits *traits)
{
    struct chat chat = {.messages = talk->messages,
                        .n_messages = talk->n,
                        .tools = jinja_none(),
                        .kwargs = jinja_none()};
    struct template_text out = {.text = ""};
    arena_free(&p->arena);
    arena_init(&p->arena);
    if (talk->with_tools)
        chat.tools = make_tools(&p->arena);
    if (chat.tools.kind == JINJA_UNDEFINED)
        p->no_memory = true;
    int rc = p->no_memory ? -ERR_MEMORY : render_chat(p, &chat, traits, &out);
    p->no_memory = p->no_memory || rc == -ERR_MEMORY;
    return rc ? (struct template_text){.text = ""} : out;
}

/* ---- looking ------------------------------------------------------------------ */

static bool shows(const struct template_text *t, int word)
{
    return strstr(t->text, words[word].text) != NULL;
}

/* The last place of a word; NULL: it is not there. */
static const char *last_of(const struct template_text *t, const char *word)
{
    const char *found = NULL, *at = t->text;
    while ((at = strstr(at, word)))
        found = at++;
    return found;
}

/* The byte before a word; NUL: there is none. */
static char byte_before(const struct template_text *t, const char *word)
{
    const char *at = last_of(t, word);
    return at && at > t->text ? at[-1] : '\0';
}

/* A list that is printed instead of walked has its texts in quotes. */
static bool shows_bare(const struct template_text *t, int word)
{
    char c = byte_before(t, words[word].text);
    return shows(t, word) && c != '\'' && c != '"';
}

/* Whether a mark stands in [from, to). */
static bool has_mark(const char *from, const char *to, const char *mark)
{
    return memmem(from, (size_t)(to - from), mark, strlen(mark)) != NULL;
}

/* ---- content ------------------------------------------------------------------ */

/* What a message of some role may hold: its text, two parts, or a list of one. */
static void probe_content(struct probe *p, enum chat_role role, const struct talk *talk,
                          size_t at)
{
    struct chat_traits trial = *p->traits;
    int word = (int)(talk->messages[at].parts - words);
    struct template_text t = render(p, talk, &trial);
    bool text = shows(&t, word);
    struct talk many = *talk;
    many.messages[at].parts = &words[FIVE];
    many.messages[at].n_parts = 2;
    many.messages[at].is_list = true;
    trial.parts[role] = true;
    t = render(p, &many, &trial);
    p->traits->parts[role] = shows_bare(&t, FIVE) && shows_bare(&t, SIX);
    trial.one_part[role] = true;
    t = render(p, talk, &trial);
    p->traits->one_part[role] = !text && shows_bare(&t, word);
}

static void probe_late_system(struct probe *p)
{
    struct chat_traits trial = *p->traits;
    trial.late_system = true;
    struct template_text t = render(p, &late, &trial);
    bool shown = shows(&t, THREE);
    t = render(p, &late_again, &trial);
    p->traits->late_system = shown && shows(&t, ONE) && shows(&t, THREE);
}

/* ---- calls -------------------------------------------------------------------- */

static bool shows_call(const struct template_text *t)
{
    return strstr(t->text, call_name) && strstr(t->text, call_key) &&
           strstr(t->text, call_value);
}

/* Some show calls only to those who have tools. */
static struct template_text render_call(struct probe *p, bool objects)
{
    struct chat_traits trial = *p->traits;
    trial.objects = objects;
    struct template_text t = render(p, &called, &trial);
    return shows_call(&t) ? t : render(p, &called_with_tools, &trial);
}

/* Objects unless the template fails with them or prints them as Python does, who knows
 * how to print the text of one as it is. */
static void probe_arguments(struct probe *p)
{
    struct template_text t = render_call(p, true);
    bool objects = shows_call(&t);
    bool printed = objects && byte_before(&t, call_key) == '\'';
    t = render_call(p, false);
    bool text = shows_call(&t);
    bool json = text && byte_before(&t, call_key) == '"';
    p->traits->calls = objects || text;
    p->traits->objects = objects ? !(printed && json) : !text;
}

static void probe_tools(struct probe *p, const struct talk *talk)
{
    if (p->traits->tools)
        return;
    struct template_text t = render(p, talk, p->traits);
    p->traits->tools = strstr(t.text, tool_name) != NULL;
}

/* ---- the form of calls -------------------------------------------------------- */

/* A call as it stands in a text: what comes before its name, and behind. */
struct sight {
    const char *begin, *name, *end;
    bool quoted; /* the name is JSON's */
};

static bool is_coder(const struct sight *s)
{
    return has_mark(s->begin, s->name, "<function=") &&
           has_mark(s->name, s->end, "<parameter=");
}

static bool is_lfm2(const struct sight *s)
{
    return has_mark(s->begin, s->name, "<|tool_call_start|>") &&
           s->name[sizeof call_name - 1] == '(';
}

static bool is_mistral(const struct sight *s)
{
    return has_mark(s->begin, s->name, "[TOOL_CALLS]");
}

/* A mark, blanks, a bracket. */
static bool is_json_list(const struct sight *s)
{
    static const char *const marks[] = {"<TOOLCALL>", "<tool_calls>", "<|tool_call|>"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at =
            memmem(s->begin, (size_t)(s->name - s->begin), marks[i], strlen(marks[i]));
        if (at && s->quoted &&
            at[strlen(marks[i]) + strspn(at + strlen(marks[i]), " \n")] == '[')
            return true;
    }
    return false;
}

static bool is_hermes(const struct sight *s)
{
    return s->quoted && has_mark(s->begin, s->name, "<tool_call>");
}

static bool is_llama3(const struct sight *s)
{
    return s->quoted && has_mark(s->name, s->end, "\"parameters\"");
}

static const struct {
    enum tool_format format;
    bool (*is)(const struct sight *);
} forms[] = {{TOOL_FORMAT_QWEN3_CODER, is_coder}, {TOOL_FORMAT_LFM2, is_lfm2},
             {TOOL_FORMAT_MISTRAL, is_mistral},   {TOOL_FORMAT_JSON_LIST, is_json_list},
             {TOOL_FORMAT_HERMES, is_hermes},     {TOOL_FORMAT_LLAMA3_JSON, is_llama3}};

/* Of a template that shows calls. */
static enum tool_format form_of_call(struct probe *p)
{
    struct template_text t = render_call(p, p->traits->objects);
    const char *name = last_of(&t, call_name), *user_text = last_of(&t, words[ONE].text);
    if (!name)
        return TOOL_FORMAT_NONE;
    struct sight s = {.begin = user_text && user_text < name ? user_text : t.text,
                      .name = name,
                      .end = t.text + t.len,
                      .quoted = byte_before(&t, call_name) == '"'};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].is(&s))
            return forms[i].format;
    return TOOL_FORMAT_NONE;
}

/* What tells the model how to call; of a template that drops the calls of messages. */
static enum tool_format form_of_words(struct probe *p)
{
    static const struct {
        enum tool_format format;
        const char *mark;
    } marks[] = {{TOOL_FORMAT_QWEN3_CODER, "<parameter="},
                 {TOOL_FORMAT_LFM2, "<|tool_call_start|>"},
                 {TOOL_FORMAT_LFM2, "<|tool_list_start|>"},
                 {TOOL_FORMAT_MISTRAL, "[TOOL_CALLS]"},
                 {TOOL_FORMAT_MISTRAL, "[AVAILABLE_TOOLS]"},
                 {TOOL_FORMAT_JSON_LIST, "<TOOLCALL>"},
                 {TOOL_FORMAT_JSON_LIST, "<tool_calls>"},
                 {TOOL_FORMAT_JSON_LIST, "<|tool_call|>"},
                 {TOOL_FORMAT_HERMES, "<tool_call>"}};
    struct template_text t = render(p, &user_with_tools, p->traits);
    if (!strstr(t.text, tool_name))
        t = render(p, &system_with_tools, p->traits);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strstr(t.text, marks[i].mark))
            return marks[i].format;
    return TOOL_FORMAT_NONE;
}

/* ---- the rest ----------------------------------------------------------------- */

/* What stands behind an answer, whether it is the last message or not. */
static void probe_end(struct probe *p)
{
    char last[CHAT_END_BYTES + 1];
    struct chat_traits *traits = p->traits;
    struct template_text t = render(p, &answered, traits);
    const char *at = last_of(&t, words[TWO].text);
    if (!at || strlen(at + words[TWO].len) >= sizeof last)
        return;
    strcpy(last, at + words[TWO].len);
    t = render(p, &turns, traits);
    at = last_of(&t, words[TWO].text);
    size_t n = 0;
    while (at && last[n] && n < CHAT_END_BYTES && last[n] == at[words[TWO].len + n])
        n++;
    last[n] = '\0';
    if (strspn(last, " \t\r\n") == n)
        return;
    memcpy(traits->end, last, n);
    traits->end_len = n;
}

static const char *reasoning_member(const struct template *t)
{
    static const char *const names[] = {"reasoning_content", "reasoning", "thinking"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (template_mentions(t, names[i]))
            return names[i];
    return names[0];
}

static void run(struct probe *p)
{
    struct chat_traits *traits = p->traits;
    traits->developer = template_mentions(p->t, "developer");
    traits->reasoning = reasoning_member(p->t);
    probe_content(p, CHAT_USER, &user, 0);
    probe_content(p, CHAT_SYSTEM, &system_user, 0);
    probe_content(p, CHAT_ASSISTANT, &turns, 1);
    probe_arguments(p);
    probe_content(p, CHAT_TOOL, &called, 2);
    probe_late_system(p);
    probe_tools(p, &user_with_tools);
    probe_tools(p, &system_with_tools);
    traits->format = traits->calls ? form_of_call(p) : form_of_words(p);
    probe_end(p);
}

int chat_probe_run(struct chat_traits *out, const struct template *t,
                   const struct chat_tokens *tokens, struct err *err)
{
    struct probe p = {.t = t, .tokens = tokens, .traits = out};
    *out = (struct chat_traits){.objects = true};
    arena_init(&p.arena);
    run(&p);
    arena_free(&p.arena);
    return p.no_memory ? err_set(err, ERR_MEMORY, "out of memory for a chat template")
                       : 0;
}
