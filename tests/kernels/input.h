/*
 * Seeded input of a case. The same case number gets the same numbers on every machine, in
 * whatever order its slots are filled. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_KERNELS_INPUT_H
#define TESTS_KERNELS_INPUT_H

#include "engine/kernel/kernel.h"

enum kind { PLAIN, TINY, HUGE_VALUES, ZEROS, INFINITE, NANS, N_KINDS };

enum { INPUT_SLOTS = 10 };

/* A new case of a kernel: input of the one before it is no longer valid. */
void input_begin(const char *kernel, unsigned number);

/* A number below n, from the case's own stream. Not twice in one expression. */
uint32_t input_below(uint32_t n);

/* n values in slot 0 … INPUT_SLOTS - 1, beside an untouchable page, valid and writable
 * until input_lock. A multiple of 64 bytes is 64-byte aligned. */
float *input_floats(int slot, size_t n, enum kind kind);
uint16_t *input_halves(int slot, size_t n, enum dtype type, enum kind kind);
uint8_t *input_bytes(int slot, size_t n);

/* One value of the slot's stream. */
float input_value(int slot, enum kind kind);

/* All slots can only be read until the next input_begin. */
void input_lock(void);

#endif
