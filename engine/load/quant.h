/*
 * Weight formats: what a matrix may be held as, whatever its file says.
 */
#ifndef ENGINE_LOAD_QUANT_H
#define ENGINE_LOAD_QUANT_H

#include "engine/kernel/kernel.h"

/* What --weights asks for. Own: each tensor's type in the file, quantised files
 * included. */
enum quant_weights { QUANT_OWN, QUANT_F32, QUANT_BF16, QUANT_Q8, QUANT_Q4 };

#endif
