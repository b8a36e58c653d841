/* One line a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/access_log.h"

#include "engine/base/log.h"

#include <stdio.h>
#include <string.h>

enum { REASONS_BYTES = 80 };

static bool is_probe(const struct conn *c)
{
    return c->route.kind == ROUTE_API && c->route.open;
}

static bool failed(const struct conn *c)
{
    unsigned good = 1u << FINISH_STOP | 1u << FINISH_LENGTH;
    return c->status >= 400 || !c->sent || (c->usage.finished & ~good);
}

/* "length", "stop,abort" for choices that ended differently, or null without choices. */
static void put_reasons(const struct conn *c, char out[REASONS_BYTES])
{
    size_t n = 0;
    for (int i = 0; i < FINISH_N; i++)
        if (c->usage.finished & 1u << i)
            n += (size_t)snprintf(out + n, REASONS_BYTES - n, "%s%s", n ? "," : "\"",
                                  metrics_reason((enum finish_reason)i));
    snprintf(out + n, REASONS_BYTES - n, n ? "\"" : "null");
}

static double ms_between(uint64_t from, uint64_t to)
{
    return from && to > from ? (double)(to - from) / 1e6 : 0;
}

/* The texts of a line that need escapes. */
struct texts {
    struct buf id, tenant, cache_key; /* own; cache_key: a whole member, or nothing */
};

static bool put_texts(const struct conn *c, struct texts *t)
{
    buf_json_string(&t->id, c->request_id, strlen(c->request_id));
    buf_json_string(&t->tenant, c->tenant->name, strlen(c->tenant->name));
    buf_puts(&t->cache_key, c->cache_key ? ",\"prompt_cache_key\":" : "");
    if (c->cache_key)
        buf_json_string(&t->cache_key, c->cache_key, strlen(c->cache_key));
    return !t->id.failed && !t->tenant.failed && !t->cache_key.failed;
}

static void write_line(const struct conn *c, enum log_level level, const struct texts *t)
{
    char client[ADDRESS_TEXT], reasons[REASONS_BYTES];
    address_print(&c->client, client);
    put_reasons(c, reasons);
    log_line(level, "request",
             "\"id\":%s,\"route\":\"%s\",\"status\":%d,\"sent\":%s,\"stream\":%s,"
             "\"client\":\"%s\",\"tenant\":%s%s,\"bytes_in\":%llu,\"bytes_out\":%llu,"
             "\"prompt_tokens\":%llu,\"cached_tokens\":%llu,\"generated_tokens\":%llu,"
             "\"finish_reason\":%s,\"queue_ms\":%.3f,\"first_token_ms\":%.3f,"
             "\"total_ms\":%.3f",
             t->id.data, route_label(c->route.label), c->status,
             c->sent ? "true" : "false", c->stream.open ? "true" : "false", client,
             t->tenant.data, t->cache_key.data, (unsigned long long)c->body_bytes,
             (unsigned long long)(c->answer_bytes + c->stream.sent_bytes),
             (unsigned long long)c->usage.prompt_tokens,
             (unsigned long long)c->usage.cached_tokens,
             (unsigned long long)c->usage.generated_tokens, reasons,
             (double)c->queue_ns / 1e6, ms_between(c->began_ns, c->first_ns),
             ms_between(c->began_ns, server_now()));
}

void access_log_write(const struct conn *c)
{
    enum log_level level = is_probe(c) ? LOG_DEBUG : LOG_INFO;
    if (!log_enabled(level) || (!c->server->cfg->access_log && !failed(c)))
        return;
    struct texts t = {0};
    if (put_texts(c, &t))
        write_line(c, level, &t);
    buf_free(&t.id);
    buf_free(&t.tenant);
    buf_free(&t.cache_key);
}
