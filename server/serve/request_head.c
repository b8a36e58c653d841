/* The checks of a head, one function each. Loop thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/request_head.h"

#include "engine/base/mem.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Beyond max_connections, or what one address may have. */
static int check_rank(struct conn *c, struct err *err)
{
    bool excess = c->call->rank == HTTP_EXCESS;
    if (c->route.open && !excess)
        return 0;
    if (c->call->rank == HTTP_ORDINARY)
        return conn_charge(c, 0, err); /* nothing new once the budget is used up */
    c->server->metrics.rejected[REJECTED_CONNECTIONS]++;
    return excess ? err_set(err, ERR_BUSY, "too many connections from this address")
                  : err_set(err, ERR_UNAVAILABLE, "too many connections");
}

static int check_route(struct conn *c, struct err *err)
{
    const struct head *head = &c->call->head;
    c->path = mem_alloc(head->target_len + 1);
    if (!c->path)
        return err_set(err, ERR_MEMORY, "out of memory");
    int rc =
        route_find(&c->route, head->method, head->target, head->target_len, c->path, err);
    if (rc == 0)
        c->ops = c->server->routes(&c->route);
    return rc;
}

static const char *header_value(const struct conn *c, const char *name)
{
    const struct http_header *h = http_header(c->call, name);
    return h ? h->value : NULL;
}

static int check_key(struct conn *c, struct err *err)
{
    if (c->route.open || !keys_asked(c->server->keys))
        return 0;
    size_t len;
    const char *sent =
        keys_sent(header_value(c, "authorization"), header_value(c, "x-api-key"), &len);
    const char *name = keys_tenant(c->server->keys, sent, len, err);
    if (!name)
        return -ERR_AUTH;
    c->tenant = tenant_find(&c->server->tenants, name);
    return 0;
}

static bool is_json(const struct http_header *type)
{
    static const char json[] = "application/json";
    size_t n = sizeof json - 1;
    return type && type->value_len >= n && strncasecmp(type->value, json, n) == 0 &&
           (type->value_len == n || type->value[n] == ';' || type->value[n] == ' ');
}

/* Of an object any media type is accepted. */
static int check_media(struct conn *c, struct err *err)
{
    if (c->ops->body == BODY_NONE)
        return 0;
    const struct head *head = &c->call->head;
    int types = 0;
    for (size_t i = 0; i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];
        types += strcasecmp(h->name, "content-type") == 0;
        if (strcasecmp(h->name, "content-encoding") == 0 &&
            strcasecmp(h->value, "identity") != 0)
            return err_set(err, ERR_MEDIA, "Content-Encoding is not supported");
    }
    if (types > 1)
        return err_set(err, ERR_MEDIA, "more than one Content-Type");
    const struct http_header *type = head_header(head, "content-type");
    if (c->ops->body == BODY_JSON && !is_json(type))
        return err_set(err, ERR_MEDIA,
                       "Content-Type must be application/json, not %.100s",
                       type ? type->value : "absent");
    return 0;
}

size_t request_head_body_limit(const struct conn *c)
{
    const struct config *cfg = c->server->cfg;
    if (c->ops->body != BODY_OBJECT)
        return cfg->max_body_bytes;
    return cfg->state_max_object_bytes ? cfg->state_max_object_bytes : SIZE_MAX;
}

int request_head_too_large(const struct conn *c, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "the body is larger than the limit of %zu bytes",
                   request_head_body_limit(c));
}

static int check_own(struct conn *c, struct err *err)
{
    return c->ops->check ? c->ops->check(c, err) : 0;
}

static int check_length(struct conn *c, struct err *err)
{
    return c->call->head.content_length > request_head_body_limit(c)
               ? request_head_too_large(c, err)
               : 0;
}

void request_head_client(struct conn *c)
{
    static const char name[] = "x-forwarded-for";
    const struct address_list *trusted = &c->server->trusted;
    for (size_t i = c->call->head.n_headers; i > 0; i--) {
        const struct http_header *h = &c->call->head.headers[i - 1];
        if (strcasecmp(h->name, name) == 0 &&
            address_forwarded(&c->client, trusted, h->value, h->value_len))
            return;
    }
}

/* Open routes answer in every phase. */
static int check_phase(struct conn *c, struct err *err)
{
    if (c->route.open)
        return 0;
    enum server_phase phase = c->server->phase;
    int rc = server_accepts(c->server, err);
    if (rc)
        c->server->metrics.rejected[phase == SERVER_LOADING   ? REJECTED_LOADING
                                    : phase == SERVER_SERVING ? REJECTED_ENGINE
                                                              : REJECTED_DRAINING]++;
    return rc;
}

int request_head_check(struct conn *c, struct err *err)
{
    static int (*const checks[])(struct conn *, struct err *) = {
        check_route,  check_rank,  check_key,  check_own,
        check_length, check_media, check_phase};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        int rc = checks[i](c, err);
        if (rc)
            return rc;
    }
    return 0;
}
