/* Quantised products of the sets that have a dot product of bytes, for the tables of the
 * sets they build upon. Contracts are in kernel.h.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_KERNEL_X86_DOT_H
#define ENGINE_KERNEL_X86_DOT_H

#include "engine/kernel/kernel.h"

/* vnni.c */
void vnni_linear_q8(const struct linear_args *a);
void vnni_linear_q4(const struct linear_args *a);

/* avxvnni.c */
void avxvnni_linear_q8(const struct linear_args *a);
void avxvnni_linear_q4(const struct linear_args *a);

#endif
