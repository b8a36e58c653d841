/*
 * docs/CONFIG.md, made of the option table. `make docs` writes it with
 * `ssmd --print-config-page`; a test compares the two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_CONFIG_PAGE_H
#define SERVER_CMD_CONFIG_PAGE_H

#include "engine/base/buf.h"

/* Appends the page in Markdown; a failed growth shows in the buf. */
void config_page_print(struct buf *out);

#endif
