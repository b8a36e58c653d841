/*
 * The routes that need no engine step: health, models, metrics, the page. Loop thread;
 * each is answered at once from what the loop knows.
 */
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "server/conn.h"

/* The step table of a GET route. */
extern conn_step_fn *const answer_steps[];

#endif
