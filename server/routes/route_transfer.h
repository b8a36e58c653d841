/*
 * State objects over HTTP: GET reads an object from its file, PUT writes one. Loop thread;
 * tasks touch the disk.
 *
 * A transfer has two buffers of a fixed size: while the loop fills or empties one, a
 * worker writes or reads the other, so that objects of any size pass with the same memory.
 * When the loop's buffer is full (or empty) and the task is active, the socket sleeps.
 * Buffers are allocated with the first byte only; transfers that have them are limited, of
 * a tenant and in all. The subtle point: an upload that does not end well leaves a
 * temporary file, which a task removes; the conn lives until that is done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_ROUTE_TRANSFER_H
#define SERVER_ROUTES_ROUTE_TRANSFER_H

#include "server/serve/conn.h"

enum {
    ROUTE_TRANSFER_BUFFER_BYTES = 128 * 1024,
    ROUTE_TRANSFER_MAX = 256,          /* that have buffers: 64 MiB */
    ROUTE_TRANSFER_MAX_OF_TENANT = 64, /* of these, of one tenant */
};

extern const struct route_ops route_transfer_get, route_transfer_put;

#endif
