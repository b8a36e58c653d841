/* Requests of a command to its daemon.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/client_daemon.h"

#include "server/cmd/interrupt.h"

#include <stdio.h>
#include <string.h>

/* http://host:port, with a slash or the /v1 of OpenAI's clients behind it. */
static int read_url(struct client_daemon *d, const char *text, struct err *err)
{
    int rc = http_client_url(&d->url, text, err);
    if (rc)
        return rc;
    if (strcmp(d->url.path, "") == 0 || strcmp(d->url.path, "/v1") == 0 ||
        strcmp(d->url.path, "/v1/") == 0)
        return 0;
    return err_param(err, ERR_ARGUMENT, "--url",
                     "--url: expected http://HOST[:PORT], found the path \"%.100s\"",
                     d->url.path);
}

int client_daemon_open(struct client_daemon *d, const struct config *cfg, const char *url,
                       struct err *err)
{
    *d = (struct client_daemon){.key = cfg->api_key, .child.log_fd = -1};
    if (url)
        return read_url(d, url, err);
    d->own = true;
    int rc = child_server_start(&d->child, cfg, err);
    snprintf(d->url.host, sizeof d->url.host, "127.0.0.1");
    snprintf(d->url.port, sizeof d->url.port, "%d", d->child.port);
    return rc;
}

/* A connection that failed may be a child that died; a refusal is what it is. */
static int explain(struct client_daemon *d, const struct http_client *c, int rc,
                   struct err *err)
{
    bool refused = c->reader.status && (rc == -ERR_NOT_FOUND || rc == -ERR_CONFLICT ||
                                        rc == -ERR_UNAVAILABLE);
    if (rc == 0 || refused || interrupt_seen())
        return rc;
    d->over = d->own && child_server_ended(&d->child, err);
    if (d->over)
        return -ERR_UNAVAILABLE;
    return err_prefix(err, "%s port %s", d->url.host, d->url.port);
}

static int ask(struct client_daemon *d, struct http_client *c, const char *method,
               const char *path, const struct buf *body, struct err *err)
{
    struct http_client_request request = {method, path, d->key, body, -1};
    int rc = http_client_ask(c, &request, &d->url, err);
    return rc ? rc : http_client_refusal(c, err);
}

int client_daemon_ask(struct client_daemon *d, const char *method, const char *path,
                      const struct buf *body, struct json **answer, struct err *err)
{
    struct http_client c;
    int rc = ask(d, &c, method, path, body, err);
    if (!rc)
        rc = http_client_rest(&c, err);
    if (!rc && answer)
        rc = json_parse(answer, c.reader.body.data ? c.reader.body.data : "",
                        c.reader.body.len, err);
    rc = explain(d, &c, rc, err);
    http_client_close(&c);
    return rc;
}

/* ---- events ------------------------------------------------------------------ */

static int take_event(const char *text, size_t len, client_daemon_event_fn *fn, void *arg,
                      struct err *err)
{
    struct json *event = NULL;
    int rc = json_parse(&event, text, len, err);
    if (rc)
        return err_prefix(err, "an event of the answer");
    const struct json *fault = json_get(event, "error");
    const char *why = json_as_string(json_get(fault, "message"), NULL);
    if (fault)
        rc = err_set(err, ERR_UNAVAILABLE, "%.400s", why ? why : "the answer failed");
    else
        rc = fn(arg, event, err);
    json_free(event);
    return rc;
}

/* Lines that are no data (comments, blanks) keep a connection alive, and no more. */
static int take_lines(struct http_client *c, bool *done, client_daemon_event_fn *fn,
                      void *arg, struct err *err)
{
    const char *line;
    size_t len;
    int rc = 0;
    while (!rc && !*done && http_reader_line(&c->reader, &line, &len)) {
        if (len < 6 || memcmp(line, "data: ", 6) != 0)
            continue;
        *done = len == 12 && memcmp(line, "data: [DONE]", 12) == 0;
        if (!*done)
            rc = take_event(line + 6, len - 6, fn, arg, err);
    }
    return rc;
}

/* Reads events until [DONE]; *local: the error is no fault of the connection. */
static int read_events(struct http_client *c, bool *local, client_daemon_event_fn *fn,
                       void *arg, struct err *err)
{
    bool done = false;
    int rc = 0;
    while (!rc) {
        rc = take_lines(c, &done, fn, arg, err);
        *local = rc != 0;
        if (rc || done)
            return rc;
        rc = c->reader.part == HTTP_READER_DONE
                 ? err_set(err, ERR_IO, "the answer ended in the middle")
                 : http_client_more(c, err);
    }
    return rc;
}

int client_daemon_stream(struct client_daemon *d, const char *path,
                         const struct buf *body, client_daemon_event_fn *fn, void *arg,
                         struct err *err)
{
    struct http_client c;
    bool local = false;
    int rc = ask(d, &c, "POST", path, body, err);
    if (!rc)
        rc = read_events(&c, &local, fn, arg, err);
    if (!local)
        rc = explain(d, &c, rc, err);
    http_client_close(&c);
    return rc;
}

void client_daemon_close(struct client_daemon *d)
{
    if (d->own)
        child_server_stop(&d->child);
}
