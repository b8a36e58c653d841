/* A byte queue with a high and a low mark.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/stream.h"

#include <string.h>

void stream_free(struct stream *s)
{
    buf_free(&s->out);
    *s = (struct stream){0};
}

size_t stream_pending(const struct stream *s)
{
    return s->out.len - s->taken;
}

ssize_t stream_read(struct stream *s, char *to, size_t max)
{
    if (s->out.failed)
        return -2;
    size_t n = stream_pending(s);
    if (n == 0)
        return s->ended ? -1 : 0;
    if (n > max)
        n = max;
    memcpy(to, s->out.data + s->taken, n);
    s->taken += n;
    s->sent_bytes += n;
    if (s->taken == s->out.len) {
        buf_reset(&s->out);
        s->taken = 0;
    } else if (s->taken > s->out.len / 2) {
        buf_drop(&s->out, s->taken);
        s->taken = 0;
    }
    return (ssize_t)n;
}

bool stream_over(struct stream *s, size_t limit, uint64_t now_ns)
{
    size_t mark = s->stalled_ns ? limit / 2 : limit;
    if (stream_pending(s) <= mark)
        s->stalled_ns = 0;
    else if (!s->stalled_ns)
        s->stalled_ns = now_ns;
    return s->stalled_ns != 0;
}
