/* `ssmd serve`: sets up the log and runs the loop. Main thread. */
#include "server/cmd.h"
#include "server/journal.h"
#include "server/loop.h"

int cmd_serve(const struct config *cfg)
{
    log_set_sink(journal_line);
    log_set_level(cfg->log_level);
    return loop_run(cfg);
}
