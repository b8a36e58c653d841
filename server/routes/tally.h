/*
 * What a completion's events count: tokens and times, in the process's metrics and in the
 * conn. Loop thread.
 */
#ifndef SERVER_ROUTES_TALLY_H
#define SERVER_ROUTES_TALLY_H

#include "server/serve/conn.h"

void tally_found(struct conn *c, const struct event *ev); /* START: what was stored */
void tally_token(struct conn *c, const struct event *ev);
void tally_finish(struct conn *c, const struct event *ev); /* of one choice */
void tally_prompt(struct conn *c, const struct event *ev); /* its prompt's last FINISH */

#endif
