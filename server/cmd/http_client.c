/* Sockets that do not block, waited for by interrupt_poll.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/http_client.h"

#include "engine/base/json.h"
#include "server/cmd/interrupt.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 5000 };

/* ---- addresses --------------------------------------------------------------- */

static int bad_url(const char *text, struct err *err)
{
    return err_param(err, ERR_ARGUMENT, "--url",
                     "--url: expected http://HOST[:PORT][/PATH], found \"%.100s\"", text);
}

/* Copies a part of the URL; false when it is empty or too long. */
static bool put_part(char *to, size_t cap, const char *from, size_t len)
{
    int n = snprintf(to, cap, "%.*s", (int)len, from);
    return n > 0 && (size_t)n < cap && strcspn(to, " \r\n") == (size_t)n;
}

int http_client_url(struct http_client_url *url, const char *text, struct err *err)
{
    if (strncmp(text, "http://", 7) != 0)
        return bad_url(text, err);
    const char *host = text + 7;
    const char *end = host + strcspn(host, "/?#");
    bool v6 = *host == '[';
    const char *stop = v6 ? memchr(host, ']', (size_t)(end - host)) : NULL;
    if (v6 && !stop)
        return bad_url(text, err);
    const char *colon = memchr(v6 ? stop : host, ':', (size_t)(end - (v6 ? stop : host)));
    const char *host_end = v6 ? stop : colon ? colon : end;
    host += v6;
    *url = (struct http_client_url){.port = "80"};
    bool good = put_part(url->host, sizeof url->host, host, (size_t)(host_end - host));
    if (good && colon)
        good =
            put_part(url->port, sizeof url->port, colon + 1, (size_t)(end - colon - 1));
    if (good && *end == '/' && end[1])
        good = put_part(url->path, sizeof url->path, end, strlen(end));
    return good ? 0 : bad_url(text, err);
}

/* ---- waiting ----------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void limit(struct http_client *c, int timeout_ms)
{
    c->timeout_ms = timeout_ms;
    c->end_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
}

/* Waits until the socket may be read or written. */
static int wait_for(const struct http_client *c, short events, struct err *err)
{
    int64_t left = c->end_ms < 0 ? -1 : c->end_ms - now_ms();
    bool late = c->end_ms >= 0 && left <= 0;
    int n = late ? 0 : interrupt_poll(c->fd, events, (int)left);
    if (n == 0)
        return err_set(err, ERR_TIMEOUT, "no answer within %g seconds",
                       c->timeout_ms / 1000.0);
    return n < 0 ? err_set(err, ERR_UNAVAILABLE, "interrupted") : 0;
}

/* ---- asking ------------------------------------------------------------------ */

static int system_error(struct err *err)
{
    return err_set(err, ERR_IO, "%s", strerror(errno));
}

static int finish_connect(const struct http_client *c, struct err *err)
{
    int why = 0, rc = wait_for(c, POLLOUT, err);
    socklen_t len = sizeof why;
    if (!rc)
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &len);
    return !rc && why ? err_set(err, ERR_IO, "%s", strerror(why)) : rc;
}

static int connect_to(struct http_client *c, const struct addrinfo *a, struct err *err)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return system_error(err);
    if (connect(c->fd, a->ai_addr, a->ai_addrlen) == 0)
        return 0;
    return errno == EINPROGRESS ? finish_connect(c, err) : system_error(err);
}

/* The first address that connects. */
static int open_socket(struct http_client *c, const struct http_client_url *url,
                       struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(url->host, url->port, &hints, &list);
    if (rc)
        return err_set(err, ERR_IO, "%s", gai_strerror(rc));
    rc = err_set(err, ERR_IO, "no address");
    for (const struct addrinfo *a = list; a && rc; a = a->ai_next)
        rc = connect_to(c, a, err);
    freeaddrinfo(list);
    return rc;
}

/* A daemon may answer, and stop reading, before it has the whole body: its answer counts,
 * not the write that fails. */
static int send_all(struct http_client *c, const char *data, size_t len, struct err *err)
{
    while (len > 0) {
        int rc = wait_for(c, POLLOUT, err);
        if (rc)
            return rc;
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return system_error(err);
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void put_request(struct buf *out, const struct http_client_request *r,
                        const struct http_client_url *url)
{
    bool v6 = strchr(url->host, ':') != NULL;
    buf_printf(out,
               "%s %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: ssmd/" SSMD_VERSION
               "\r\nConnection: close\r\n",
               r->method, r->path, v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
    if (r->key && r->key[0])
        buf_printf(out, "Authorization: Bearer %s\r\n", r->key);
    if (r->body)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                   r->body->len);
    buf_puts(out, "\r\n");
    if (r->body)
        buf_put(out, r->body->data, r->body->len);
}

static int send_request(struct http_client *c, const struct http_client_request *r,
                        const struct http_client_url *url, struct err *err)
{
    struct buf text = {0};
    put_request(&text, r, url);
    int rc = text.failed || (r->body && r->body->failed)
                 ? err_set(err, ERR_MEMORY, "out of memory for a request")
                 : send_all(c, text.data, text.len, err);
    buf_free(&text);
    return rc;
}

int http_client_ask(struct http_client *c, const struct http_client_request *request,
                    const struct http_client_url *url, struct err *err)
{
    bool head = strcmp(request->method, "HEAD") == 0;
    *c = (struct http_client){.fd = -1, .reader.no_body = head};
    limit(c, request->timeout_ms < 0 ? CONNECT_MS : request->timeout_ms);
    int rc = open_socket(c, url, err);
    if (rc)
        return rc;
    if (request->timeout_ms < 0)
        limit(c, -1);
    rc = send_request(c, request, url, err);
    while (!rc && c->reader.part == HTTP_READER_HEAD)
        rc = http_client_more(c, err);
    return rc;
}

/* ---- the answer -------------------------------------------------------------- */

int http_client_more(struct http_client *c, struct err *err)
{
    char piece[16384];
    int rc = wait_for(c, POLLIN, err);
    if (rc)
        return rc;
    ssize_t n = recv(c->fd, piece, sizeof piece, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : system_error(err);
    return n ? http_reader_put(&c->reader, piece, (size_t)n, err)
             : http_reader_end(&c->reader, err);
}

int http_client_rest(struct http_client *c, struct err *err)
{
    int rc = 0;
    while (!rc && c->reader.part != HTTP_READER_DONE)
        rc = http_client_more(c, err);
    return rc;
}

int http_client_refusal(struct http_client *c, struct err *err)
{
    int status = c->reader.status;
    if (status >= 200 && status < 300)
        return 0;
    struct json *root = NULL;
    const struct buf *body = &c->reader.body;
    if (http_client_rest(c, NULL) == 0 && body->len)
        json_parse(&root, body->data, body->len, NULL);
    const char *why = json_as_string(json_get(json_get(root, "error"), "message"), NULL);
    enum err_code code = status == 404   ? ERR_NOT_FOUND
                         : status == 409 ? ERR_CONFLICT
                                         : ERR_UNAVAILABLE;
    int rc = err_set(err, code, "%d%s%.300s", status, why ? ": " : "", why ? why : "");
    json_free(root);
    return rc;
}

void http_client_close(struct http_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    http_reader_free(&c->reader);
    c->fd = -1;
}
