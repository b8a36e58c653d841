/* Saving by three requests: two renderings, and a completion of one token that is known.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/saved_chat.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_BYTES = 64 };

/* A state's name, as the daemon has it: it is a file's name here. */
static int check_name(const char *name, struct err *err)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= NAME_BYTES && name[0] != '.';
    for (size_t i = 0; i < len && good; i++)
        good = isalnum((unsigned char)name[i]) || strchr("._-", name[i]);
    return good ? 0
                : err_set(err, ERR_ARGUMENT,
                          "expected a name of up to 64 letters, digits, dots, lines and "
                          "hyphens, found \"%.80s\"",
                          name);
}

static int path_of(const struct saved_chat *s, const char *name, char path[PATH_MAX],
                   struct err *err)
{
    int n = snprintf(path, PATH_MAX, "%s/%s.chat.json", s->dir, name);
    return n < PATH_MAX ? 0 : err_set(err, ERR_ARGUMENT, "%s: too long a path", s->dir);
}

/* ---- saving ------------------------------------------------------------------ */

static int render(const struct saved_chat *s, const struct transcript *t,
                  const char *more, struct json **answer, struct err *err)
{
    struct buf body = {0};
    buf_puts(&body, "{\"messages\":");
    transcript_put(t, more, &body);
    buf_putc(&body, '}');
    int rc = client_daemon_ask(s->daemon, "POST", "/apply-template", &body, answer, err);
    buf_free(&body);
    return rc;
}

/* Appends the ids that both lists begin with but for the last, which is *last; how many
 * they share. */
static size_t put_shared(struct buf *out, const struct json *a, const struct json *b,
                         int64_t *last)
{
    size_t n = 0;
    while (n < json_len(a) && n < json_len(b) &&
           json_as_int(json_at(a, n)) == json_as_int(json_at(b, n))) {
        if (n)
            buf_printf(out, "%s%lld", n > 1 ? "," : "", (long long)*last);
        *last = json_as_int(json_at(a, n++));
    }
    return n;
}

/* The request whose answer is `last`, whatever the model would say: its state has all of
 * the shared tokens. */
static int put_save(const struct saved_chat *s, const struct transcript *t,
                    const char *name, struct buf *body, int64_t *last, struct err *err)
{
    struct json *one = NULL, *other = NULL;
    size_t n = 0;
    int rc = render(s, t, "A", &one, err);
    if (!rc)
        rc = render(s, t, "0", &other, err);
    buf_puts(body, "{\"prompt\":[");
    if (!rc)
        n = put_shared(body, json_get(one, "tokens"), json_get(other, "tokens"), last);
    buf_printf(body,
               "],\"max_tokens\":1,\"temperature\":0,\"ignore_eos\":true,"
               "\"return_token_ids\":true,\"logit_bias\":{\"%lld\":100},"
               "\"state\":{\"save\":\"%s\"}}",
               (long long)*last, name);
    json_free(one);
    json_free(other);
    if (!rc && n < 2)
        rc = err_set(err, ERR_ARGUMENT, "there is no conversation to be saved");
    return rc;
}

/* What the answer says of the state: of a wrong one where the bias did not decide. */
static int read_saved(const struct json *answer, int64_t last, int64_t *depth,
                      struct err *err)
{
    const struct json *state = json_get(answer, "state");
    const struct json *saved = json_get(state, "saved");
    const struct json *choice = json_at(json_get(answer, "choices"), 0);
    const char *why = json_as_string(json_get(json_get(state, "error"), "message"), NULL);
    if (!saved)
        return err_set(err, ERR_STORAGE, "%.300s", why ? why : "no state was saved");
    if (json_as_int(json_at(json_get(choice, "token_ids"), 0)) != last)
        return err_set(err, ERR_INTERNAL, "the state does not end with the conversation");
    *depth = json_as_int(json_get(saved, "depth"));
    return 0;
}

static int save_state(const struct saved_chat *s, const struct transcript *t,
                      const char *name, int64_t *depth, struct err *err)
{
    struct buf body = {0};
    struct json *answer = NULL;
    int64_t last = 0;
    int rc = put_save(s, t, name, &body, &last, err);
    if (!rc)
        rc = client_daemon_ask(s->daemon, "POST", "/v1/completions", &body, &answer, err);
    if (!rc)
        rc = read_saved(answer, last, depth, err);
    json_free(answer);
    buf_free(&body);
    return rc;
}

int saved_chat_save(const struct saved_chat *s, const struct transcript *t,
                    const char *name, int64_t *depth, struct err *err)
{
    char path[PATH_MAX];
    int rc = check_name(name, err);
    if (!rc)
        rc = path_of(s, name, path, err);
    if (!rc)
        rc = save_state(s, t, name, depth, err);
    return rc ? rc : transcript_write(t, path, err);
}

/* ---- loading ----------------------------------------------------------------- */

int saved_chat_load(const struct saved_chat *s, struct transcript *t, const char *name,
                    struct err *err)
{
    char path[PATH_MAX], route[NAME_BYTES + 32];
    int rc = check_name(name, err);
    if (!rc)
        rc = path_of(s, name, path, err);
    if (rc)
        return rc;
    snprintf(route, sizeof route, "/v1/states/%s", name);
    rc = client_daemon_ask(s->daemon, "HEAD", route, NULL, NULL, err);
    if (rc == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "the daemon has no state \"%s\"", name);
    return rc ? rc : transcript_read(t, path, err);
}
