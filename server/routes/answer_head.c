/* Ids from the kernel's random numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/answer_head.h"

#include "engine/engine.h"

#include <stdio.h>
#include <sys/random.h>

int answer_head_id(const char *prefix, char out[ANSWER_HEAD_ID], struct err *err)
{
    unsigned char x[12];
    if (getrandom(x, sizeof x, 0) != (ssize_t)sizeof x)
        return err_set(err, ERR_INTERNAL, "no random numbers");
    int n = snprintf(out, ANSWER_HEAD_ID, "%.20s", prefix);
    for (size_t i = 0; i < sizeof x; i++, n += 2)
        snprintf(out + n, ANSWER_HEAD_ID - (size_t)n, "%02x", x[i]);
    return 0;
}

const char *answer_head_piece(void *engine, int32_t id, size_t *len)
{
    return engine_piece(engine, id, len);
}
