/*
 * Network addresses: of a connected socket, from text, as text, and the prefixes that
 * `trusted_peers` lists. Pure functions apart from address_of_peer; any thread. An IPv4
 * address is held as ::ffff:a.b.c.d, so that one family is left to compare. Refuses names:
 * nothing here asks a resolver. The subtle point: X-Forwarded-For is read from its right
 * end, where the nearest proxy wrote, and only as far as each writer is trusted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_ADDRESS_H
#define SERVER_HTTP_ADDRESS_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { ADDRESS_BYTES = 16, ADDRESS_TEXT = 46 };

struct address {
    unsigned char bytes[ADDRESS_BYTES]; /* IPv6, network order; all 0: not known */
};

struct address_range {
    struct address first;
    unsigned bits; /* leading bits that an address in the range shares with `first` */
};

struct address_list {
    struct address_range *ranges; /* owns, [n] */
    size_t n;
};

/* The other end of a connected socket; false, and all bytes 0, when it has none that is
 * IPv4 or IPv6. */
bool address_of_peer(struct address *out, int fd);

/* Reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80; a zone
 * (%eth0) is dropped. False, with *out as it was, for anything else. */
bool address_parse(struct address *out, const char *text, size_t len);

/* IPv4 in dots, else the canonical IPv6 form. */
void address_print(const struct address *a, char out[ADDRESS_TEXT]);

bool address_same(const struct address *a, const struct address *b);

/* Reads 10.0.0.0/8, fd00::/8 or one address; bits beyond the prefix are ignored.
 * ERR_ARGUMENT that quotes the text. */
int address_range_parse(struct address_range *out, const char *text, struct err *err);

/* Reads n texts as ranges. ERR_ARGUMENT, ERR_MEMORY; address_list_free ends it also after
 * a failure. */
int address_list_parse(struct address_list *out, const char *const *texts, size_t n,
                       struct err *err);
void address_list_free(struct address_list *list); /* accepts a zeroed struct */

bool address_list_holds(const struct address_list *list, const struct address *a);

/* Follows one X-Forwarded-For value from its right end while *client is trusted: *client
 * becomes the address that the trusted one has written down. False: the value has ended
 * and *client is trusted still, so the field line before it counts. True: *client is
 * final; what is no address ends the walk, for nobody vouches for what stands left of it. */
bool address_forwarded(struct address *client, const struct address_list *trusted,
                       const char *value, size_t len);

#endif
