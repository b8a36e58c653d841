/*
 * The small owner of fuzz_http: works, one for each call, and what each does as its
 * plan, a byte, says: when it answers, with what, or that it cuts, rests, breaks. Every
 * function of it checks that it is called in its order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_WORKS_H
#define TESTS_FUZZ_WORKS_H

#include "server/http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Ends the run by name when an invariant does not hold. */
#define must(holds)                                                                      \
    ((holds) ? (void)0                                                                   \
             : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds), abort()))

enum { MOST_WORKS = 64, WORKS_PLANS = 4 };

struct work {
    struct works *all; /* borrows */
    int number;
    struct http_call *call;
    uint64_t connection;
    unsigned plan, port;
    bool headed, faulted, ended, replied, streaming, over, sent, awaken, no_content;
    bool old, broken;
    uint64_t length, body; /* of the request: said, and come */
    size_t given, whole;   /* of the answer */
};

struct works {
    struct work work[MOST_WORKS];
    int n_begun, n, n_live;
    uint8_t plans[WORKS_PLANS]; /* in turn */
    bool closing;               /* nothing may begin */
    /* The client at that port gets no more; has sent nothing but whole requests. */
    void (*spoil)(unsigned port);
    bool (*clean)(unsigned port);
};

/* The owner's arg, a struct works. */
extern const struct http_owner works_owner;

unsigned works_port(int fd, int (*name)(int, struct sockaddr *, socklen_t *));

/* Byte i of a work's answer. */
char works_letter(const struct work *w, size_t i);

void works_answer(struct work *w);

/* Lets a work that rests go on. */
void works_wake(struct work *w);

#endif
