/*
 * The bytes of one streamed answer between the engine's events and the client's reading.
 * Loop thread; one owner. Writers append to `out`; the HTTP side takes from its front.
 * Past its limit the owner pauses the jobs that feed it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_STREAM_H
#define SERVER_HTTP_STREAM_H

#include "engine/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream {
    struct buf out; /* owns; the first `taken` bytes are gone already */
    size_t taken;
    uint64_t sent_bytes;
    uint64_t last_ns;    /* when something was last put */
    uint64_t stalled_ns; /* since when it has been over its limit; 0 = it is not */
    bool open;           /* the answer's head was sent */
    bool ended;          /* nothing more will be put */
};

void stream_free(struct stream *s); /* accepts a zeroed struct */
size_t stream_pending(const struct stream *s);

/* As http_owner.read: bytes copied, 0 none now, -1 the end, -2 broken (out of memory). */
ssize_t stream_read(struct stream *s, char *to, size_t max);

/* Tells whether the feeding jobs must be paused (true) or may run. A paused stream runs
 * again when half of the limit is read. */
bool stream_over(struct stream *s, size_t limit, uint64_t now_ns);

#endif
