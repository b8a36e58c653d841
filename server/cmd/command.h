/*
 * The table of commands: what each takes, what its help says, the function that runs it.
 * Dispatch, help, manual page and completion read it. Constant; any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_COMMAND_H
#define SERVER_CMD_COMMAND_H

#include "server/config/config.h"

#include <stddef.h>

enum { COMMAND_MAX_FLAGS = 8, COMMAND_MAX_OPERANDS = 2 };

struct command {
    const char *name;
    const char *usage;               /* what follows the name */
    const char *summary;             /* one line */
    const char *text;                /* the rest of the help page */
    unsigned groups;                 /* configuration keys taken as flags */
    const struct config_flag *flags; /* its own, at most COMMAND_MAX_FLAGS */
    size_t n_flags;
    int n_operands; /* at most COMMAND_MAX_OPERANDS */
    int (*run)(const struct config *cfg, const char *const *values,
               const char *const *operands);
};

/* All commands; the first is the default one. */
const struct command *command_table(size_t *n);

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

#endif
