/*
 * The manual page ssmd(1) in man(7) macros, made of the command table and the option table.
 * `make` writes it at build time with `ssmd --print-man`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_MAN_PAGE_H
#define SERVER_CMD_MAN_PAGE_H

#include "engine/base/buf.h"

/* Appends the page; a failed growth shows in the buf. */
void man_page_print(struct buf *out);

#endif
