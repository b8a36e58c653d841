/* `ssmd serve`: sets up the log and runs the loop. Main thread. */
#include "server/cmd/cmd.h"
#include "server/serve/json_log.h"
#include "server/serve/loop.h"

int cmd_serve(const struct config *cfg)
{
    log_set_sink(json_log_line);
    log_set_level(cfg->log_level);
    return loop_run(cfg);
}
