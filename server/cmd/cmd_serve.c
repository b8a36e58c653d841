/* `ssmd serve`: sets up the log, runs the loop and picks the exit code: what keeps it from
 * serving is configuration or model. Main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/cmd.h"
#include "server/routes/routes.h"
#include "server/serve/json_log.h"
#include "server/serve/loop.h"

int cmd_serve(const struct config *cfg)
{
    struct err err;
    log_set_sink(json_log_line);
    log_set_level(cfg->log_level);
    if (loop_run(cfg, routes_find, &err) == 0)
        return CMD_OK;
    return cmd_fail(err.code == ERR_INTERNAL ? CMD_FAILED : CMD_USAGE, &err);
}
