/* Routes. Labels are the endpoints' distinct templates, then "/", then "other".
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/route.h"

#include "server/http/head.h"

#include <string.h>
#include <strings.h>

enum { MAX_LABELS = 32 };

static const char OWN_PAGE[] = "/", OWN_ALLOW[] = "GET, HEAD, OPTIONS";

/* ---- labels: a short table walked at each use; there are a dozen endpoints -- */

static unsigned collect(const char *labels[MAX_LABELS])
{
    unsigned n = 0;
    const struct api_endpoint *e;
    for (size_t i = 0; (e = api_endpoint_at(i)) && n < MAX_LABELS - 2; i++) {
        unsigned k = 0;
        while (k < n && strcmp(labels[k], e->path) != 0)
            k++;
        if (k == n)
            labels[n++] = e->path;
    }
    labels[n++] = OWN_PAGE;
    labels[n++] = "other";
    return n;
}

unsigned route_labels(void)
{
    const char *labels[MAX_LABELS];
    return collect(labels);
}

const char *route_label(unsigned i)
{
    const char *labels[MAX_LABELS];
    unsigned n = collect(labels);
    return i < n ? labels[i] : "other";
}

static unsigned label_of(const char *path)
{
    const char *labels[MAX_LABELS];
    unsigned n = collect(labels);
    for (unsigned i = 0; path && i < n; i++)
        if (strcmp(labels[i], path) == 0)
            return i;
    return n - 1;
}

/* ---- paths ------------------------------------------------------------------ */

/* Skips the scheme and authority of an absolute URI and ends at the query. */
static void find_path(const char **s, size_t *len)
{
    const char *end = *s + *len;
    if (*len > 7 && strncasecmp(*s, "http://", 7) == 0) {
        const char *p = memchr(*s + 7, '/', *len - 7);
        *s = p ? p : OWN_PAGE;
        end = p ? end : OWN_PAGE + 1;
    }
    *len = (size_t)(end - *s);
    const char *query = memchr(*s, '?', *len);
    if (query)
        *len = (size_t)(query - *s);
}

/* Where, in decoded bytes, the first %2f is; SIZE_MAX: nowhere. */
static size_t encoded_slash(const char *s, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++, at++) {
        if (s[i] != '%')
            continue;
        if (i + 2 < len && s[i + 1] == '2' && (s[i + 2] | 32) == 'f')
            return at;
        i += 2;
    }
    return SIZE_MAX;
}

/* An encoded slash is data: it may stand in what {id} takes, nowhere before. */
static bool slash_misplaced(const struct api_route *found, const char *path, size_t slash)
{
    return slash != SIZE_MAX && (!found->arg || slash < (size_t)(found->arg - path));
}

static int find_api(struct route *out, const char *method, size_t slash, struct err *err)
{
    struct api_route found;
    bool options = strcmp(method, "OPTIONS") == 0;
    int rc = api_find(&found, method, out->path, out->path_len, err);
    if (found.endpoint && slash_misplaced(&found, out->path, slash))
        return err_set(err, ERR_NOT_FOUND, "there is no such route");
    if (found.endpoint)
        out->label = label_of(found.endpoint->path);
    if (options && rc == -ERR_METHOD) {
        out->kind = ROUTE_OPTIONS;
        out->open = true;
        return 0;
    }
    if (rc)
        return rc;
    out->kind = ROUTE_API;
    out->api = found.endpoint->kind;
    out->open = found.endpoint->open;
    out->arg = found.arg;
    out->arg_len = found.arg_len;
    return 0;
}

static int find_page(struct route *out, const char *method, struct err *err)
{
    out->label = label_of(OWN_PAGE);
    out->open = true;
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (!get && strcmp(method, "OPTIONS") != 0)
        return err_set(err, ERR_METHOD, "this route does not take %.16s", method);
    out->kind = get ? ROUTE_PAGE : ROUTE_OPTIONS;
    return 0;
}

int route_find(struct route *out, const char *method, const char *target, size_t len,
               char *path, struct err *err)
{
    *out = (struct route){.label = label_of(NULL), .path = path};
    if (len == 1 && *target == '*' && strcmp(method, "OPTIONS") == 0) {
        path[0] = '*';
        out->path_len = 1;
        out->kind = ROUTE_OPTIONS;
        out->open = true;
        return 0;
    }
    find_path(&target, &len);
    ssize_t n = head_unescape(target, len, path);
    if (n < 0)
        return err_set(err, ERR_ARGUMENT,
                       "the path has a broken escape or a control character");
    path[n] = '\0';
    out->path_len = (size_t)n;
    if (n == 1 && *path == '/')
        return find_page(out, method, err);
    return find_api(out, method, encoded_slash(target, len), err);
}

void route_allow(const struct route *r, struct buf *out)
{
    if (r->path_len == 1)
        buf_puts(out, OWN_ALLOW);
    else
        api_allow(r->path, r->path_len, out);
}
