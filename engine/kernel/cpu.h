/* Which kernel set to run: what the processor has (CPUID and the operating system's saved
 * state), masked by --cpu; and how many processors there are to run on. Called at open,
 * any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_KERNEL_CPU_H
#define ENGINE_KERNEL_CPU_H

#include "engine/base/err.h"
#include "engine/kernel/kernel.h"

/* Names of the levels, best last, built here or not; NULL past the end. */
const char *cpu_level(int i);

/* name: one of the levels', or NULL for the best. ERR_ARGUMENT for an unknown name (param
 * "cpu"; the text lists the names), ERR_UNSUPPORTED when the processor lacks it. *out is
 * constant and never freed. */
int cpu_kernels(const struct kernels **out, const char *name, struct err *err);

/* Processors this process may use: affinity, then the cgroup's quota rounded up; >= 1. */
int cpu_count(void);

#endif
