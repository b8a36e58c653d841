/*
 * The log line of each request, written when its conn ends. Loop thread. It holds no text
 * of a client's but the request id, and nothing of a prompt or an answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_ACCESS_LOG_H
#define SERVER_SERVE_ACCESS_LOG_H

#include "server/serve/conn.h"

/* Writes the line at level info, of a probe at debug. With access_log off only what failed
 * is written: a status of 400 and more, an answer that was not wholly sent, a choice that
 * ended by neither stop nor length. */
void access_log_write(const struct conn *c);

#endif
