/* The embedded web page at `/`: one document, nothing fetched from elsewhere. Loop
 * thread. */
#ifndef SERVER_ROUTES_PAGE_H
#define SERVER_ROUTES_PAGE_H

#include "server/serve/conn.h"

/* Answers with the page; CONN_DONE. */
int page_answer(struct conn *c);

#endif
