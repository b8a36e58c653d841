/*
 * A client of a daemon's HTTP: one connection, one request, one answer. Main thread; waits
 * end with ERR_UNAVAILABLE when the command is interrupted (interrupt.h). No TLS, no
 * redirects, no proxies, no connection that serves twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_HTTP_CLIENT_H
#define SERVER_CMD_HTTP_CLIENT_H

#include "server/cmd/http_reader.h"

struct http_client_url {
    char host[256], port[8];
    char path[256]; /* "" or begins with a slash */
};

struct http_client_request {
    const char *method, *path;
    const char *key;        /* sent as a bearer token; NULL or "": none */
    const struct buf *body; /* JSON; NULL: none */
    int timeout_ms;         /* for all of it; -1: no limit, but on connecting */
};

struct http_client {
    int fd; /* -1: none */
    int timeout_ms;
    int64_t end_ms; /* -1: no limit */
    struct http_reader reader;
};

/* Reads http://HOST[:PORT][/PATH]; ERR_ARGUMENT names the flag --url. */
int http_client_url(struct http_client_url *url, const char *text, struct err *err);

/* Connects and sends the request; then reads until the answer's head is whole. The client
 * is to be closed in any case. ERR_IO, ERR_TIMEOUT, ERR_FORMAT, ERR_UNAVAILABLE. */
int http_client_ask(struct http_client *c, const struct http_client_request *request,
                    const struct http_client_url *url, struct err *err);

/* Waits for more of the answer and reads it; reader.part says when it is whole. */
int http_client_more(struct http_client *c, struct err *err);

/* Reads the rest: reader.body then holds the body. */
int http_client_rest(struct http_client *c, struct err *err);

/* 0 for a status of 2xx; else reads the rest and says "status: message of the error
 * object": ERR_NOT_FOUND for 404, ERR_CONFLICT for 409, ERR_UNAVAILABLE for others. */
int http_client_refusal(struct http_client *c, struct err *err);

void http_client_close(struct http_client *c);

#endif
