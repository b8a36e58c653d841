/* Fork without exec: the configuration is read already, and the program that runs is the
 * one that serves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/child_server.h"

#include "engine/base/buf.h"
#include "engine/base/json.h"
#include "server/cmd/cmd.h"
#include "server/cmd/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 10, END_MS = 1000, STOP_MS = 10000, LOG_BYTES = 1 << 20 };

/* ---- the child --------------------------------------------------------------- */

static void redirect(int log_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
}

static _Noreturn void serve(const struct child_server *s, const struct config *cfg,
                            pid_t parent)
{
    struct config own = *cfg;
    interrupt_uninstall();
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(CMD_FAILED);
    redirect(s->log_fd);
    own.host = "127.0.0.1";
    own.port = 0;
    own.state_dir = child_server_dir(s, cfg);
    own.access_log = 0;
    own.log_level = LOG_INFO; /* the ready line has the port */
    own.drain_grace_s = 0;
    _exit(cmd_serve(&own));
}

/* ---- its log ----------------------------------------------------------------- */

/* All that it wrote until now, at most LOG_BYTES from the end. */
static void read_log(const struct child_server *s, struct buf *out)
{
    struct stat st = {0};
    fstat(s->log_fd, &st);
    off_t from = st.st_size > LOG_BYTES ? st.st_size - LOG_BYTES : 0;
    size_t len = (size_t)(st.st_size - from);
    buf_reset(out);
    if (!buf_reserve(out, len))
        return;
    ssize_t n = pread(s->log_fd, out->data, len, from);
    out->len = n > 0 ? (size_t)n : 0;
    out->data[out->len] = '\0';
}

/* The port of the line that says the daemon is ready, or 0. */
static int ready_port(const struct buf *log)
{
    const char *line = log->len ? strstr(log->data, "\"event\":\"ready\"") : NULL;
    const char *end = line ? strchr(line, '\n') : NULL;
    if (!end)
        return 0;
    while (line > log->data && line[-1] != '\n')
        line--;
    struct json *root = NULL;
    json_parse(&root, line, (size_t)(end - line), NULL);
    int port = (int)json_as_int(json_get(root, "port"));
    json_free(root);
    return port;
}

/* The last line that is no line of the log: an error's text, or what a crash leaves. */
static const char *last_words(struct buf *log)
{
    const char *found = "";
    for (char *line = log->len ? log->data : NULL; line && *line;) {
        char *end = strchrnul(line, '\n');
        char *next = *end ? end + 1 : NULL;
        *end = '\0';
        if (*line && *line != '{')
            found = line;
        line = next;
    }
    return strncmp(found, "ssmd: ", 6) == 0 ? found + 6 : found;
}

static int tell_end(const struct child_server *s, int status, struct err *err)
{
    struct buf log = {0};
    read_log(s, &log);
    const char *why = last_words(&log);
    bool killed = WIFSIGNALED(status);
    int rc =
        err_set(err, ERR_UNAVAILABLE, "the daemon ended with %s %d%s%.400s",
                killed ? "signal" : "status",
                killed ? WTERMSIG(status) : WEXITSTATUS(status), *why ? ": " : "", why);
    buf_free(&log);
    return rc;
}

/* ---- its life ---------------------------------------------------------------- */

/* True: it has ended and is no more. */
static bool reap(struct child_server *s, int *status)
{
    if (s->pid == 0 || waitpid(s->pid, status, WNOHANG) != s->pid)
        return false;
    s->pid = 0;
    return true;
}

static int wait_ready(struct child_server *s, struct err *err)
{
    struct buf log = {0};
    int status = 0, rc = 0;
    while (!rc && s->port == 0) {
        if (reap(s, &status))
            rc = tell_end(s, status, err);
        else if (interrupt_poll(-1, 0, LOOK_MS) < 0)
            rc = err_set(err, ERR_UNAVAILABLE, "interrupted");
        read_log(s, &log);
        s->port = ready_port(&log);
    }
    buf_free(&log);
    return rc;
}

static int make_dir(struct child_server *s, const struct config *cfg, struct err *err)
{
    const char *tmp = "/tmp";
    if (cfg->state_dir[0])
        return 0;
    snprintf(s->dir, sizeof s->dir, "%s/ssmd-chat-XXXXXX", tmp);
    if (mkdtemp(s->dir))
        return 0;
    s->dir[0] = '\0';
    return err_set(err, ERR_IO, "%s: no directory for states: %s", tmp, strerror(errno));
}

int child_server_start(struct child_server *s, const struct config *cfg, struct err *err)
{
    *s = (struct child_server){.log_fd = memfd_create("ssmd-log", MFD_CLOEXEC)};
    if (s->log_fd < 0)
        return err_set(err, ERR_IO, "no file for the daemon's log: %s", strerror(errno));
    int rc = make_dir(s, cfg, err);
    if (rc)
        return rc;
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return err_set(err, ERR_IO, "no process for the daemon: %s", strerror(errno));
    if (pid == 0)
        serve(s, cfg, parent);
    s->pid = pid;
    return wait_ready(s, err);
}

bool child_server_ended(struct child_server *s, struct err *err)
{
    int status = 0;
    for (int ms = 0; s->pid && ms < END_MS; ms += LOOK_MS) {
        if (reap(s, &status)) {
            tell_end(s, status, err);
            return true;
        }
        poll(NULL, 0, LOOK_MS);
    }
    return s->pid == 0;
}

const char *child_server_dir(const struct child_server *s, const struct config *cfg)
{
    return s->dir[0] ? s->dir : cfg->state_dir;
}

static int remove_entry(const char *path, const struct stat *st, int kind,
                        struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

void child_server_stop(struct child_server *s)
{
    int status;
    if (s->pid)
        kill(s->pid, SIGTERM);
    for (int ms = 0; s->pid && ms < STOP_MS && !reap(s, &status); ms += LOOK_MS)
        poll(NULL, 0, LOOK_MS);
    if (s->pid) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, &status, 0);
    }
    if (s->dir[0])
        nftw(s->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    if (s->log_fd >= 0)
        close(s->log_fd);
    *s = (struct child_server){.log_fd = -1};
}
