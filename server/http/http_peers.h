/*
 * How many connections each address has. Private to server/http; loop thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HTTP_PEERS_H
#define SERVER_HTTP_HTTP_PEERS_H

#include "engine/base/list.h"
#include "server/http/address.h"

enum { HTTP_PEERS_BUCKETS = 4096 };

struct http_peer {
    struct list at; /* in its bucket */
    struct address address;
    int n;
};

struct http_peers {
    struct list buckets[HTTP_PEERS_BUCKETS]; /* owns struct http_peer */
};

void http_peers_init(struct http_peers *peers);

/* Counts one more connection of the address; NULL: out of memory. */
struct http_peer *http_peers_add(struct http_peers *peers, const struct address *address);

/* One less; frees the entry with its last one. */
void http_peers_drop(struct http_peer *peer);

#endif
