/*
 * Completion of ssmd's commands and options for bash, made of the command table and the
 * option table. `make` writes it at build time with `ssmd --print-completion`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_BASH_COMPLETION_H
#define SERVER_CMD_BASH_COMPLETION_H

#include "engine/base/buf.h"

/* Appends the script; a failed growth shows in the buf. */
void bash_completion_print(struct buf *out);

#endif
