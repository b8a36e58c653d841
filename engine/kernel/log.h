/* ln(x) in f64 from additions, multiplications and one division: the same bits everywhere. */
#ifndef ENGINE_KERNEL_LOG_H
#define ENGINE_KERNEL_LOG_H

/* x > 0 and finite; relative error below 1e-15. */
double log_natural(double x);

#endif
