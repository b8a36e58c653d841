/*
 * The commands. Each is one file, cmd_<name>.c, and returns the process's exit code:
 * 0 done, 1 failed while running, 2 bad usage, configuration or model. command.c holds the
 * table, main.c reads the configuration; a command gets it whole and owns nothing of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_CMD_H
#define SERVER_CMD_CMD_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "server/cmd/sampling_flags.h"
#include "server/config/config.h"

enum cmd_exit { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

/* Loads the model and serves until a signal. Main thread; returns when drained. */
int cmd_serve(const struct config *cfg);

enum cmd_check_value { CHECK_SIZES, CHECK_N };

/* Opens the model, prints what it is and what it will use; with CHECK_SIZES what it is. */
int cmd_check(const struct config *cfg, const char *const *values);

enum cmd_health_value { HEALTH_URL, HEALTH_N };

/* Asks the daemon of this configuration whether it is ready: CMD_OK for 200, CMD_FAILED with
 * the reason for everything else. */
int cmd_health(const struct config *cfg, const char *const *values);

enum cmd_chat_value { CHAT_FLAG_URL = SAMPLING_FLAGS_N, CHAT_FLAG_SYSTEM, CHAT_FLAGS_N };

/* Talks with a model, lines of stdin for answers on stdout, until its end. 128 + the
 * signal that ended it. */
int cmd_chat(const struct config *cfg, const char *const *values);

enum cmd_complete_value { COMPLETE_URL = SAMPLING_FLAGS_N, COMPLETE_N };

/* Streams the completion of operands[0] to stdout, from a running daemon or a child. */
int cmd_complete(const struct config *cfg, const char *const *values,
                 const char *const *operands);

enum cmd_logits_value { LOGITS_IDS, LOGITS_SPLIT, LOGITS_GREEDY, LOGITS_OUT, LOGITS_N };

/* Writes the logits of --ids to --out, or prints the --greedy ids that follow them.
 * values[LOGITS_N]: the command's own flags as given, NULL = absent. */
int cmd_logits(const struct config *cfg, const char *const *values);

enum cmd_perplexity_value { PERPLEXITY_JSON, PERPLEXITY_N };

/* Scores the text file operands[0] and prints how well the model predicts it. */
int cmd_perplexity(const struct config *cfg, const char *const *values,
                   const char *const *operands);

enum cmd_bench_value {
    BENCH_PREFILL,
    BENCH_DECODE,
    BENCH_DEPTH,
    BENCH_FORMAT,
    BENCH_RUNS,
    BENCH_JSON,
    BENCH_PEER,
    BENCH_N
};

/* Measures prefill and decoding beside the machine's own limits. */
int cmd_bench(const struct config *cfg, const char *const *values);

enum cmd_quantize_value { QUANTIZE_WEIGHTS, QUANTIZE_N };

/* Writes the model folder operands[0] with weights of --weights as the new folder
 * operands[1]. */
int cmd_quantize(const struct config *cfg, const char *const *values,
                 const char *const *operands);

/* Writes out to standard output and frees it: CMD_OK, or CMD_FAILED when it cannot. */
int cmd_print(struct buf *out);

/* Writes "ssmd: <text>" to stderr, returns `code`. */
int cmd_fail(enum cmd_exit code, const struct err *err);

/* CMD_USAGE for an error in what the caller gave, CMD_FAILED for one of the machine or
 * ours. */
enum cmd_exit cmd_blame(const struct err *err);

#endif
