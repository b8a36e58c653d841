/*
 * What a generation's events count: tokens and times, in the process's metrics and in the
 * conn. Loop thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_GENERATION_METRICS_H
#define SERVER_ROUTES_GENERATION_METRICS_H

#include "server/routes/generation.h"

void generation_metrics_hit(struct conn *c,
                            const struct event *ev); /* START: what was cached */
void generation_metrics_token(struct conn *c, const struct event *ev);
void generation_metrics_finish(struct conn *c,
                               const struct event *ev); /* of one choice */
void generation_metrics_prompt(struct conn *c,
                               const struct event *ev); /* its prompt's last FINISH */

#endif
