/*
 * Elementary functions in f64 for tables made at open and for sampling, from additions,
 * multiplications, divisions and fma only: the same bits on every machine, while results
 * of libm differ between versions and processors. Relative error below 1e-15 (sin, cos:
 * absolute).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_MATH64_H
#define ENGINE_KERNEL_MATH64_H

double math64_log(double x);           /* natural; -infinity at 0, NaN below */
double math64_exp(double x);           /* 0 below -745, infinity above 709.78 */
double math64_pow(double x, double y); /* x > 0 */

/* Radians, accurate up to 2^30; NaN from 2^52 on, where doubles have no fraction. */
double math64_sin(double x);
double math64_cos(double x);

#endif
