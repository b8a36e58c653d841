/* Which kernel set to run: what the processor has (CPUID and the operating system's saved
 * state), masked by --cpu. Called once at open, any thread. */
#ifndef ENGINE_KERNEL_CPU_H
#define ENGINE_KERNEL_CPU_H

#include "engine/base/err.h"
#include "engine/kernel/kernel.h"

/* name: "c", "avx2", "avx512", or NULL for the best. ERR_ARGUMENT for an unknown name (param
 * "cpu"), ERR_UNSUPPORTED when the processor lacks it. */
int cpu_kernels(const struct kernels **out, const char *name, struct err *err);

/* Processors this process may use: affinity, then the cgroup's quota rounded up; >= 1. */
int cpu_count(void);

#endif
