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
#include "server/cmd/http_client.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 2500 };

static int from_config(struct http_client_url *t, const struct config *cfg,
                       struct err *err)
{
    const char *host = cfg->host;
    if (cfg->port == 0)
        return err_param(err, ERR_ARGUMENT, "port",
                         "port: expected the daemon's port, found 0 (any free one)");
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    if (strcmp(host, "::") == 0)
        host = "::1";
    *t = (struct http_client_url){0};
    snprintf(t->host, sizeof t->host, "%s", host);
    snprintf(t->port, sizeof t->port, "%d", cfg->port);
    return 0;
}

/* 200 alone is a yes, no other status of success. */
static int judge(struct http_client *c, struct err *err)
{
    int rc = http_client_refusal(c, err);
    if (!rc && c->reader.status != 200)
        rc = err_set(err, ERR_UNAVAILABLE, "%d", c->reader.status);
    return rc;
}

int cmd_health(const struct config *cfg, const char *const *values)
{
    struct http_client_url t;
    struct err err = {0};
    const char *url = values[HEALTH_URL];
    if (url ? http_client_url(&t, url, &err) : from_config(&t, cfg, &err))
        return cmd_fail(CMD_USAGE, &err);
    struct http_client_request request = {.method = "GET",
                                          .path = t.path[0] ? t.path : "/readyz",
                                          .timeout_ms = TIMEOUT_MS};
    struct http_client c;
    int rc = http_client_ask(&c, &request, &t, &err);
    if (!rc)
        rc = judge(&c, &err);
    http_client_close(&c);
    if (!rc)
        return CMD_OK;
    err_prefix(&err, "%s port %s %s", t.host, t.port, request.path);
    return cmd_fail(CMD_FAILED, &err);
}
