/* Lists in buckets, chosen by a hash of the address.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/http_peers.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"

void http_peers_init(struct http_peers *peers)
{
    for (int i = 0; i < HTTP_PEERS_BUCKETS; i++)
        list_init(&peers->buckets[i]);
}

struct http_peer *http_peers_add(struct http_peers *peers, const struct address *address)
{
    struct list *bucket =
        &peers->buckets[hash_bytes(address->bytes, ADDRESS_BYTES) % HTTP_PEERS_BUCKETS];
    for (struct list *n = bucket->next; n != bucket; n = n->next) {
        struct http_peer *p = LIST_OF(n, struct http_peer, at);
        if (address_same(&p->address, address)) {
            p->n++;
            return p;
        }
    }
    struct http_peer *p = mem_alloc(sizeof *p);
    if (!p)
        return NULL;
    *p = (struct http_peer){.address = *address, .n = 1};
    list_push(bucket, &p->at);
    return p;
}

void http_peers_drop(struct http_peer *peer)
{
    if (--peer->n > 0)
        return;
    list_remove(&peer->at);
    mem_free(peer);
}
