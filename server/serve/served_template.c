/* Reading the sources of a chat template.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/served_template.h"

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { TEMPLATE_BYTES = 4 << 20, TOKENIZER_CONFIG_BYTES = 64 << 20 };

/* The model's files while its template is opened; the options borrow from them. */
struct sources {
    struct buf jinja, config_text; /* own */
    struct json *config;           /* owns: tokenizer_config.json; NULL: there is none */
    const char *name;              /* of what holds the template, for errors */
    struct chat_template_options options;
};

static void sources_free(struct sources *s)
{
    json_free(s->config);
    buf_free(&s->config_text);
    buf_free(&s->jinja);
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static struct chat_text text_of(const struct json *j)
{
    size_t len;
    const char *s = json_as_string(j, &len);
    return s ? (struct chat_text){s, len} : (struct chat_text){0};
}

/* A token of tokenizer_config.json: a text, or an object with its content. */
static struct chat_text token_of(const struct json *config, const char *key)
{
    const struct json *j = json_get(config, key);
    return text_of(json_kind(j) == JK_OBJECT ? json_get(j, "content") : j);
}

static int read_config(struct sources *s, const struct config *cfg, struct err *err)
{
    char path[4100];
    snprintf(path, sizeof path, "%s/tokenizer_config.json", cfg->model);
    if (cfg->shape[0] || !exists(path))
        return 0;
    int rc = file_read(&s->config_text, path, TOKENIZER_CONFIG_BYTES, err);
    if (rc == 0) /* model_max_length may be beyond 64 bits */
        rc = json_parse_reals(&s->config, s->config_text.data, s->config_text.len, err);
    if (rc)
        return err_prefix(err, "tokenizer_config.json");
    s->options.bos_token = token_of(s->config, "bos_token");
    s->options.eos_token = token_of(s->config, "eos_token");
    return 0;
}

/* chat_template of tokenizer_config.json: a text, or a list of named ones. */
static void take_configured(struct sources *s)
{
    const struct json *t = json_get(s->config, "chat_template");
    s->name = "tokenizer_config.json: chat_template";
    s->options.source = text_of(t);
    for (size_t i = 0; json_kind(t) == JK_ARRAY && i < json_len(t); i++) {
        const char *name = json_as_string(json_get(json_at(t, i), "name"), NULL);
        struct chat_text text = text_of(json_get(json_at(t, i), "template"));
        if (name && strcmp(name, "default") == 0)
            s->options.source = text;
        else if (name && strcmp(name, "tool_use") == 0)
            s->options.tool_use = text;
    }
}

static int read_jinja(struct sources *s, const char *path, struct err *err)
{
    int rc = file_read(&s->jinja, path, TEMPLATE_BYTES, err);
    s->options.source =
        (struct chat_text){s->jinja.data ? s->jinja.data : "", s->jinja.len};
    return rc;
}

static int find_source(struct sources *s, const struct config *cfg, struct err *err)
{
    char path[4100];
    const char *given = cfg->chat_template;
    if (strcmp(given, "chatml") == 0) {
        s->name = given;
        s->options.source = chat_template_chatml;
        return 0;
    }
    if (given[0]) {
        s->name = given;
        return read_jinja(s, given, err);
    }
    snprintf(path, sizeof path, "%s/chat_template.jinja", cfg->model);
    if (!cfg->shape[0] && exists(path)) {
        s->name = "chat_template.jinja";
        return read_jinja(s, path, err);
    }
    take_configured(s);
    return 0;
}

static enum tool_format format_of(const char *name)
{
    for (int f = 0; f < TOOL_FORMAT_N; f++)
        if (strcmp(tool_format_name((enum tool_format)f), name) == 0)
            return (enum tool_format)f;
    return TOOL_FORMAT_N; /* "auto" */
}

static int compile(struct served_template *t, struct sources *s, const struct config *cfg,
                   struct err *err)
{
    int rc = read_config(s, cfg, err);
    if (rc == 0)
        rc = find_source(s, cfg, err);
    if (rc)
        return rc;
    t->source = s->name;
    if (!s->options.source.text)
        return err_set(err, ERR_NO_TEMPLATE,
                       "this model has no chat template: neither chat_template.jinja nor "
                       "tokenizer_config.json holds one; start the server with "
                       "--chat-template FILE, or chatml");
    s->options.tool_format = format_of(cfg->tool_format);
    rc = chat_template_open(&t->chat, &s->options, err);
    if (rc == -ERR_TEMPLATE) {
        err->code = ERR_TEMPLATE_FILE;
        return err_prefix(err, "%s", s->name);
    }
    return rc;
}

/* A date, or a date and a time of day in UTC. */
static int read_time(struct served_template *t, const char *text, struct err *err)
{
    struct tm day = {0}, second = {0};
    const char *a = strptime(text, "%Y-%m-%d", &day);
    const char *b = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &second);
    t->frozen = text[0] != '\0';
    if (t->frozen && !(a && !*a) && !(b && !*b))
        return err_param(err, ERR_ARGUMENT, "template_time",
                         "template_time: expected a time such as 2026-12-31 or "
                         "2026-12-31T23:59:59Z, found \"%s\"",
                         text);
    t->frozen_s = (int64_t)timegm(b && !*b ? &second : &day);
    return 0;
}

int served_template_open(struct served_template *t, const struct config *cfg,
                         struct err *err)
{
    struct sources s = {0};
    *t = (struct served_template){.end_id = -1};
    int rc = read_time(t, cfg->template_time, err);
    if (rc == 0)
        rc = compile(t, &s, cfg, &t->fault);
    sources_free(&s);
    if (t->fault.code && (cfg->chat_template[0] || t->fault.code == ERR_MEMORY)) {
        *err = t->fault;
        return rc;
    }
    if (t->fault.code && t->fault.code != ERR_NO_TEMPLATE)
        log_text(LOG_WARN, "chat_template", t->fault.text);
    return t->fault.code ? 0 : rc;
}

void served_template_close(struct served_template *t)
{
    chat_template_free(t->chat);
    *t = (struct served_template){0};
}

/* Special tokens have no text. */
static bool special(const struct engine *e, int32_t id)
{
    struct buf text = {0};
    struct err err;
    bool silent = engine_decode(e, &id, 1, true, &text, &err) == 0 && text.len == 0;
    buf_free(&text);
    return silent;
}

void served_template_loaded(struct served_template *t, const struct engine *e)
{
    struct chat_text end = t->chat ? chat_template_end(t->chat) : (struct chat_text){0};
    struct engine_text text = {.text = end.text, .len = end.len};
    struct ids ids = {0};
    struct err err;
    if (end.len == 0 || !engine_info(e)->has_tokenizer)
        return;
    int rc = engine_encode(e, &text, ENCODE_SPECIAL | ENCODE_MORE, &ids, &err);
    if (rc == 0 && ids.n && special(e, ids.data[0]))
        t->end_id = ids.data[0];
    ids_free(&ids);
}

int served_template_check(const struct served_template *t, struct err *err)
{
    if (t->chat)
        return 0;
    *err = t->fault;
    return -(int)err->code;
}

void served_template_describe(const struct served_template *t, const struct engine *e,
                              struct buf *out)
{
    size_t len;
    if (!t->chat) {
        buf_puts(out, t->fault.text);
        return;
    }
    buf_printf(out, "%s, tool calls: %s", t->source,
               tool_format_name(chat_template_tools(t->chat)));
    const char *end = t->end_id >= 0 ? engine_piece(e, t->end_id, &len) : NULL;
    if (end)
        buf_printf(out, ", an answer ends at %.*s", (int)len, end);
}

int64_t served_template_now(const struct served_template *t)
{
    return t->frozen ? t->frozen_s : (int64_t)time(NULL);
}
