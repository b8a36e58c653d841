/* socket, bind, listen, and the options that accepted sockets inherit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* Dead peers are found by the kernel: accepted sockets inherit these. */
static void tune(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 15}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                   sizeof options[i].value);
}

static int bind_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    tune(fd);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int keep = errno;
    close(fd);
    errno = keep;
    return -1;
}

int listen_open(const char *host, int port, int *bound, struct err *err)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc)
        return err_param(err, ERR_ARGUMENT, "host", "cannot listen on %s: %s", host,
                         gai_strerror(rc));
    int fd = bind_one(list);
    int why = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return err_param(
            err, ERR_IO, "port", "cannot listen on %s port %d: %s", host, port,
            why == EADDRINUSE ? "the port is already in use" : strerror(why));
    struct sockaddr_in6 at = {0};
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len) == 0)
        *bound = ntohs(at.sin6_port); /* at the same place as sin_port */
    return fd;
}
