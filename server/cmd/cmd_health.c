/*
 * `ssmd health`: asks a running daemon's /readyz and says the answer by its exit code, for
 * images without a shell or curl. Main thread. One connection, one request, TIMEOUT_MS in
 * all; no redirects, no TLS. It reads the configuration that the daemon reads, so where to
 * ask needs no second setting. The subtle point: a daemon that listens on all addresses is
 * asked on loopback.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/cmd.h"

#include "engine/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 2500, ANSWER_BYTES = 4096 };

struct target {
    char host[256], port[8], path[256];
};

struct probe {
    int fd;
    int64_t end_ms;
    char answer[ANSWER_BYTES];
    size_t len;
};

/* ---- whom to ask ------------------------------------------------------------ */

static int bad_url(const char *url, struct err *err)
{
    return err_param(err, ERR_ARGUMENT, "--url",
                     "--url: expected http://HOST[:PORT][/PATH], found \"%.100s\"", url);
}

/* Copies a part of the URL; false when it is empty or too long. */
static bool put_part(char *to, size_t cap, const char *from, size_t len)
{
    int n = snprintf(to, cap, "%.*s", (int)len, from);
    return n > 0 && (size_t)n < cap && strcspn(to, " \r\n") == (size_t)n;
}

static int from_url(struct target *t, const char *url, struct err *err)
{
    if (strncmp(url, "http://", 7) != 0)
        return bad_url(url, err);
    const char *host = url + 7;
    const char *end = host + strcspn(host, "/?#");
    bool v6 = *host == '[';
    const char *stop = v6 ? memchr(host, ']', (size_t)(end - host)) : NULL;
    if (v6 && !stop)
        return bad_url(url, err);
    const char *colon = memchr(v6 ? stop : host, ':', (size_t)(end - (v6 ? stop : host)));
    const char *host_end = v6 ? stop : colon ? colon : end;
    host += v6;
    *t = (struct target){.port = "80", .path = "/readyz"};
    bool good = put_part(t->host, sizeof t->host, host, (size_t)(host_end - host));
    if (good && colon)
        good = put_part(t->port, sizeof t->port, colon + 1, (size_t)(end - colon - 1));
    if (good && *end == '/' && end[1])
        good = put_part(t->path, sizeof t->path, end, strlen(end));
    return good ? 0 : bad_url(url, err);
}

static int from_config(struct target *t, const struct config *cfg, struct err *err)
{
    const char *host = cfg->host;
    if (cfg->port == 0)
        return err_param(err, ERR_ARGUMENT, "port",
                         "port: expected the daemon's port, found 0 (any free one)");
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    if (strcmp(host, "::") == 0)
        host = "::1";
    *t = (struct target){.path = "/readyz"};
    snprintf(t->host, sizeof t->host, "%s", host);
    snprintf(t->port, sizeof t->port, "%d", cfg->port);
    return 0;
}

/* ---- asking ----------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until the socket may be read or written: 0, or ERR_TIMEOUT. */
static int wait_for(const struct probe *p, short events, struct err *err)
{
    int64_t left = p->end_ms - now_ms();
    struct pollfd fd = {.fd = p->fd, .events = events};
    if (left <= 0 || poll(&fd, 1, (int)left) <= 0)
        return err_set(err, ERR_TIMEOUT, "no answer within %g seconds",
                       TIMEOUT_MS / 1000.0);
    return 0;
}

static int finish_connect(const struct probe *p, struct err *err)
{
    int why = 0, rc = wait_for(p, POLLOUT, err);
    socklen_t len = sizeof why;
    if (!rc)
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &why, &len);
    return !rc && why ? err_set(err, ERR_IO, "%s", strerror(why)) : rc;
}

/* The first address that connects; p->fd is the caller's to close. */
static int open_socket(struct probe *p, const struct target *t, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(t->host, t->port, &hints, &list);
    if (rc)
        return err_set(err, ERR_IO, "%s", gai_strerror(rc));
    rc = err_set(err, ERR_IO, "no address");
    for (const struct addrinfo *a = list; a && rc; a = a->ai_next) {
        if (p->fd >= 0)
            close(p->fd);
        p->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (p->fd < 0)
            rc = err_set(err, ERR_IO, "%s", strerror(errno));
        else if (connect(p->fd, a->ai_addr, a->ai_addrlen) == 0)
            rc = 0;
        else
            rc = errno == EINPROGRESS ? finish_connect(p, err)
                                      : err_set(err, ERR_IO, "%s", strerror(errno));
    }
    freeaddrinfo(list);
    return rc;
}

/* What does not fit the answer's buffer is of no interest. */
static int read_answer(struct probe *p, struct err *err)
{
    while (p->len < sizeof p->answer - 1) {
        int rc = wait_for(p, POLLIN, err);
        if (rc)
            return rc;
        ssize_t n = recv(p->fd, p->answer + p->len, sizeof p->answer - 1 - p->len, 0);
        if (n < 0 && errno != EAGAIN)
            return err_set(err, ERR_IO, "%s", strerror(errno));
        if (n == 0)
            break;
        p->len += n > 0 ? (size_t)n : 0;
    }
    p->answer[p->len] = '\0';
    return 0;
}

static int ask(struct probe *p, const struct target *t, struct err *err)
{
    char text[1024];
    bool v6 = strchr(t->host, ':') != NULL;
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: ssmd-health\r\n"
                     "Connection: close\r\n\r\n",
                     t->path, v6 ? "[" : "", t->host, v6 ? "]" : "", t->port);
    int rc = open_socket(p, t, err);
    if (rc)
        return rc;
    if (send(p->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        return err_set(err, ERR_IO, "%s", strerror(errno));
    return read_answer(p, err);
}

/* ---- the verdict ------------------------------------------------------------ */

/* The message of the answer's error object, if there is one, after the status. */
static int judge(const struct probe *p, struct err *err)
{
    int status = 0;
    if (sscanf(p->answer, "HTTP/1.%*1d %3d", &status) != 1)
        return err_set(err, ERR_FORMAT, "the answer is no HTTP");
    if (status == 200)
        return 0;
    const char *body = strstr(p->answer, "\r\n\r\n");
    struct json *root = NULL;
    if (body)
        json_parse(&root, body + 4, strlen(body + 4), NULL);
    const char *why = json_as_string(json_get(json_get(root, "error"), "message"), NULL);
    err_set(err, ERR_UNAVAILABLE, "%d%s%.300s", status, why ? ": " : "", why ? why : "");
    json_free(root);
    return -ERR_UNAVAILABLE;
}

int cmd_health(const struct config *cfg, const char *const *values)
{
    struct target t;
    struct err err = {0};
    const char *url = values[HEALTH_URL];
    if (url ? from_url(&t, url, &err) : from_config(&t, cfg, &err))
        return cmd_fail(CMD_USAGE, &err);
    struct probe p = {.fd = -1, .end_ms = now_ms() + TIMEOUT_MS};
    int rc = ask(&p, &t, &err);
    if (!rc)
        rc = judge(&p, &err);
    if (p.fd >= 0)
        close(p.fd);
    if (!rc)
        return CMD_OK;
    err_prefix(&err, "%s port %s %s", t.host, t.port, t.path);
    return cmd_fail(CMD_FAILED, &err);
}
