/* The table of endpoints and the search in it. Any thread; nothing is allocated.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <string.h>

static const struct api_endpoint endpoints[] = {
    {"POST", "/v1/completions", API_COMPLETIONS, false, true},
    {"POST", "/v1/chat/completions", API_CHAT, false, true},
    {"POST", "/v1/responses", API_RESPONSES, false, true},
    {"POST", "/v1/messages", API_MESSAGES, false, false},
    {"POST", "/v1/messages/count_tokens", API_MESSAGES_COUNT, false, false},
    {"GET", "/v1/models", API_MODELS, false, true},
    {"GET", "/v1/models/{id}", API_MODEL, false, true},
    {"POST", "/apply-template", API_TEMPLATE, false, false},
    {"POST", "/tokenize", API_TOKENIZE, false, false},
    {"POST", "/detokenize", API_DETOKENIZE, false, false},
    {"GET", "/v1/states", API_STATES, false, false},
    {"GET", "/v1/states/{id}", API_STATE_GET, false, false},
    {"PUT", "/v1/states/{id}", API_STATE_PUT, false, false},
    {"DELETE", "/v1/states/{id}", API_STATE_DELETE, false, false},
    {"GET", "/livez", API_LIVEZ, true, false},
    {"GET", "/readyz", API_READYZ, true, false},
    {"GET", "/health", API_READYZ, true, false},
    {"GET", "/metrics", API_METRICS, true, false},
};

enum { N_ENDPOINTS = sizeof endpoints / sizeof endpoints[0] };

const struct api_endpoint *api_endpoint_at(size_t i)
{
    return i < N_ENDPOINTS ? &endpoints[i] : NULL;
}

/* Compares a path with a template; on a match with {id}, tells what it stands for. */
static bool fits(struct api_route *out, const struct api_endpoint *e,
                 const char *template, const char *path, size_t len)
{
    const char *brace = strchr(template, '{');
    size_t fixed = brace ? (size_t)(brace - template) : strlen(template);
    if (brace ? len <= fixed : len != fixed)
        return false;
    if (memcmp(path, template, fixed) != 0)
        return false;
    *out = (struct api_route){.endpoint = e};
    if (brace) {
        out->arg = path + fixed;
        out->arg_len = len - fixed;
    }
    return true;
}

/* Base URLs come with and without the version. */
static bool matches(struct api_route *out, const struct api_endpoint *e, const char *path,
                    size_t len)
{
    return fits(out, e, e->path, path, len) ||
           (e->bare && fits(out, e, e->path + sizeof "/v1" - 1, path, len));
}

static bool answers(const struct api_endpoint *e, const char *method)
{
    if (strcmp(e->method, method) == 0)
        return true;
    return strcmp(e->method, "GET") == 0 && strcmp(method, "HEAD") == 0;
}

int api_find(struct api_route *out, const char *method, const char *path, size_t len,
             struct err *err)
{
    *out = (struct api_route){0};
    for (size_t i = 0; i < N_ENDPOINTS; i++)
        if (matches(out, &endpoints[i], path, len) && answers(&endpoints[i], method))
            return 0;
    if (out->endpoint)
        return err_set(err, ERR_METHOD, "%s is not allowed here; %s is", method,
                       out->endpoint->method);
    return err_set(err, ERR_NOT_FOUND, "no such path: %s %.*s", method,
                   (int)(len < 200 ? len : 200), path);
}

void api_allow(const char *path, size_t len, struct buf *out)
{
    struct api_route r;
    bool any = false;
    for (size_t i = 0; i < N_ENDPOINTS; i++) {
        if (!matches(&r, &endpoints[i], path, len))
            continue;
        any = true;
        buf_puts(out, endpoints[i].method);
        buf_puts(out, strcmp(endpoints[i].method, "GET") == 0 ? ", HEAD, " : ", ");
    }
    if (any)
        buf_puts(out, "OPTIONS");
}
