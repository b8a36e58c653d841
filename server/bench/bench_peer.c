/* The peer as a process: where its script is, its start, one question at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/bench_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char refused[] = "refused: ";

/* In a checkout: beside the program or its folder, or below where we stand. */
static int find(char out[PATH_MAX], struct err *err)
{
    static const char *const places[] = {"/../tests/bench/peer",
                                         "/../../tests/bench/peer"};
    char exe[PATH_MAX], probe[PATH_MAX + 128];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 64);
    exe[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    for (int i = 0; i < 3; i++) {
        snprintf(out, PATH_MAX, "%s%s", i < 2 ? exe : "tests/bench/peer",
                 i < 2 ? places[i] : "");
        snprintf(probe, sizeof probe, "%s/node_modules/node-llama-cpp/package.json", out);
        if (access(probe, R_OK) == 0)
            return 0;
    }
    return err_param(err, ERR_UNSUPPORTED, "--peer",
                     "--peer: it is not installed (npm ci in tests/bench/peer of a "
                     "checkout installs it)");
}

static int spawn(struct bench_peer *p, char *const *argv, struct err *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    posix_spawn_file_actions_t actions;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return err_set(err, ERR_IO, "--peer: pipe: %s", strerror(errno));
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    int rc = posix_spawnp(&p->pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    p->to = fdopen(in[1], "w");
    p->from = fdopen(out[0], "r");
    if (rc == 0)
        return 0;
    p->pid = 0;
    bench_peer_close(p);
    return err_set(err, ERR_IO, "--peer: %s: %s", argv[0], strerror(rc));
}

/* Its next line without the newline. */
static int hear(struct bench_peer *p, char *line, int size, struct err *err)
{
    if (!fgets(line, size, p->from))
        return err_set(err, ERR_IO, "--peer: it ended without an answer");
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "error: ", 7) == 0)
        return err_set(err, ERR_IO, "--peer: %.400s", line + 7);
    return 0;
}

int bench_peer_open(struct bench_peer *p, const struct bench_peer_options *o,
                    struct err *err)
{
    char folder[PATH_MAX], script[PATH_MAX + 16], threads[16], context[16], line[512];
    enum engine_weights format =
        o->format == ENGINE_WEIGHTS_OWN ? ENGINE_WEIGHTS_F32 : o->format;
    *p = (struct bench_peer){0};
    int rc = find(folder, err);
    if (rc)
        return rc;
    snprintf(script, sizeof script, "%s/peer.mjs", folder);
    snprintf(threads, sizeof threads, "%d", o->threads);
    snprintf(context, sizeof context, "%d", o->context);
    char *argv[] = {
        (char[]){"node"}, script,  (char *)o->shape, (char *)bench_plan_format(format),
        (char *)o->kv,    threads, context,          NULL};
    rc = spawn(p, argv, err);
    if (rc == 0)
        rc = hear(p, line, sizeof line, err);
    if (rc == 0 && strncmp(line, refused, strlen(refused)) == 0)
        snprintf(p->refusal, sizeof p->refusal, "%.310s", line + strlen(refused));
    if (rc || p->refusal[0])
        bench_peer_close(p);
    return rc;
}

void bench_peer_close(struct bench_peer *p)
{
    if (p->to)
        fclose(p->to); /* the end of its input is the end of its work */
    if (p->from)
        fclose(p->from);
    if (p->pid)
        waitpid(p->pid, NULL, 0);
    p->pid = 0;
    p->to = p->from = NULL;
}

int bench_peer_run(struct bench_peer *p, const struct bench_case *c, double *seconds,
                   struct err *err)
{
    char line[512], *end;
    *seconds = 0;
    if (c->n_seqs != 1)
        return 0;
    if (fprintf(p->to, "%s %d %d\n", c->kind == CASE_PREFILL ? "prefill" : "decode",
                c->n_tokens, c->depth) < 0 ||
        fflush(p->to) != 0)
        return err_set(err, ERR_IO, "--peer: it has ended");
    int rc = hear(p, line, sizeof line, err);
    if (rc)
        return rc;
    *seconds = strtod(line, &end);
    return end != line && *seconds > 0
               ? 0
               : err_set(err, ERR_IO, "--peer: expected seconds, found \"%.100s\"", line);
}
