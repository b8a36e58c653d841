/*
 * What control groups leave this process: processors and memory, version 2 or 1. Reads
 * the files of the group and of those above it, since any of them may hold the limit; the
 * smallest counts. What cannot be read is no limit. Any thread; no state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_CGROUP_H
#define ENGINE_BASE_CGROUP_H

#include <stddef.h>

/* Where a process finds its groups; tests pass files and folders of their own. */
#define CGROUP_MEMBERSHIP "/proc/self/cgroup"
#define CGROUP_MOUNT      "/sys/fs/cgroup"

/* The quota in processors, rounded up; 0 without one. */
int cgroup_cpus(const char *membership, const char *mount);

/* The memory limit in bytes; SIZE_MAX without one. */
size_t cgroup_memory_limit(const char *membership, const char *mount);

/* Bytes below the memory limit, cached pages of files counted as free, and at least 1;
 * SIZE_MAX without a limit. */
size_t cgroup_memory(const char *membership, const char *mount);

#endif
