/* The quantised formats' numbers and reference kernels. Any thread; no state. */
#include "engine/kernel/kernel_c.h"

/* The sixteen values of a q4 code. */
const int8_t quant_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};
