/*
 * Request target -> route: percent-decoding, the api's table of endpoints, and the routes
 * that are the process's own (the page at /, OPTIONS). Pure functions; any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_ROUTE_H
#define SERVER_SERVE_ROUTE_H

#include "api/api.h"

enum route_kind { ROUTE_NONE, ROUTE_API, ROUTE_PAGE, ROUTE_OPTIONS };

struct route {
    enum route_kind kind;
    enum api_kind api; /* of ROUTE_API */
    unsigned label;    /* < route_labels(): the bounded name for metrics and logs */
    bool open;         /* needs no key */
    const char *path;  /* decoded, without the query; borrows from the caller's buffer */
    size_t path_len;
    const char *arg; /* what {id} stands for, inside path; NULL without */
    size_t arg_len;
};

/* target is the request target as sent: a path, an absolute URI or "*". `path` has room
 * for len + 1 bytes and lives as long as *out. ERR_NOT_FOUND, ERR_METHOD, or ERR_ARGUMENT
 * for a target that cannot be decoded; out->label is always set. */
int route_find(struct route *out, const char *method, const char *target, size_t len,
               char *path, struct err *err);

/* The value of `Allow` for a decoded path; appends nothing when it is unknown. */
void route_allow(const struct route *r, struct buf *out);

unsigned route_labels(void);
const char *route_label(unsigned i);

#endif
