/*
 * State objects over HTTP: an object out of its file, an object into one. Loop thread;
 * whatever touches the disk is done by uv workers.
 *
 * A transfer has two buffers of a fixed size: while the loop fills or empties one, a worker
 * writes or reads the other, so that objects of any size pass with the same memory. When
 * the loop's buffer is full (or empty) and the worker is not done, the socket sleeps. Buffers
 * are taken with the first byte only, and so many transfers have them, of a tenant and in
 * all; one more is refused. The subtle point: an upload that ends anyhow but well leaves
 * a temporary, and removing it is a worker's too; the conn lives until that is done.
 */
#ifndef SERVER_ROUTES_ROUTE_TRANSFER_H
#define SERVER_ROUTES_ROUTE_TRANSFER_H

#include "server/serve/conn.h"

enum {
    ROUTE_TRANSFER_BUFFER_BYTES = 128 * 1024,
    ROUTE_TRANSFER_MAX = 256,          /* that have buffers: 64 MiB */
    ROUTE_TRANSFER_MAX_OF_TENANT = 64, /* of these, of one tenant */
};

/* NULL-terminated step tables for conn.step. */
extern conn_step_fn *const route_transfer_get[];
extern conn_step_fn *const route_transfer_put[];

/* The head of a PUT is good: from now on its body is the transfer's. ERR_MEMORY,
 * ERR_BUSY when too many are under way. */
int route_transfer_accept(struct conn *c, struct err *err);

/* As http_owner.body and http_owner.read. */
ssize_t route_transfer_body(struct conn *c, const char *data, size_t len);
ssize_t route_transfer_read(struct conn *c, char *to, size_t max);

/* What is held on the disk is given up: true while a worker is at it; conn_release
 * follows. A no-op without any. */
bool route_transfer_ending(struct conn *c);
void route_transfer_free(struct conn *c); /* nothing is held any more */

#endif
