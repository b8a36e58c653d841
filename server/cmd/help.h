/*
 * The help pages of the program and of a command, appended to a buf. Any thread; a failed
 * growth shows in the buf.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_HELP_H
#define SERVER_CMD_HELP_H

#include "engine/base/buf.h"
#include "server/cmd/command.h"

void help_program(struct buf *out);
void help_command(const struct command *cmd, struct buf *out);

#endif
