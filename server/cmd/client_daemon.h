/*
 * The daemon that a command talks to: one that runs (--url), or a child. Adds the key, and
 * says where an error comes from: a daemon that refuses, cannot be reached, or has ended.
 * Main thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_CLIENT_DAEMON_H
#define SERVER_CMD_CLIENT_DAEMON_H

#include "engine/base/json.h"
#include "server/cmd/child_server.h"
#include "server/cmd/http_client.h"

struct client_daemon {
    struct http_client_url url;
    const char *key; /* borrows from the configuration; "" = none */
    bool own;        /* the child serves */
    bool over;       /* the child has ended by itself: nobody answers any more */
    struct child_server child;
};

/* One event of a stream. Non-zero ends the reading with that code. */
typedef int client_daemon_event_fn(void *arg, const struct json *event, struct err *err);

/* url NULL: starts a daemon of `cfg`. ERR_ARGUMENT for a bad URL. client_daemon_close is
 * due in any case. */
int client_daemon_open(struct client_daemon *d, const struct config *cfg, const char *url,
                       struct err *err);

/* Asks and reads the whole answer into *answer (NULL: not wanted), which json_free ends.
 * body NULL: none. Codes as http_client_refusal's. */
int client_daemon_ask(struct client_daemon *d, const char *method, const char *path,
                      const struct buf *body, struct json **answer, struct err *err);

/* Posts the body and calls fn for each event until [DONE]. An error event, or an end
 * without [DONE], is an error. */
int client_daemon_stream(struct client_daemon *d, const char *path,
                         const struct buf *body, client_daemon_event_fn *fn, void *arg,
                         struct err *err);

void client_daemon_close(struct client_daemon *d);

#endif
