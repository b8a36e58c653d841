/* What the commands share: how output is written, how a refusal reads and which exit code
 * it has. Main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/cmd.h"

#include <stdio.h>

int cmd_print(struct buf *out)
{
    bool good = !out->failed && fwrite(out->data, 1, out->len, stdout) == out->len &&
                fflush(stdout) == 0;
    buf_free(out);
    return good ? CMD_OK : CMD_FAILED;
}

int cmd_fail(enum cmd_exit code, const struct err *err)
{
    fprintf(stderr, "ssmd: %s\n", err->text);
    return (int)code;
}

enum cmd_exit cmd_blame(const struct err *err)
{
    switch (err->code) {
    case ERR_ARGUMENT:
    case ERR_CONTEXT:
    case ERR_BUDGET:
    case ERR_UNSUPPORTED:
    case ERR_FORMAT:
        return CMD_USAGE;
    default:
        return CMD_FAILED;
    }
}
