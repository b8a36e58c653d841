/* Seeded input. Streams are integers and single roundings, so that every compiler and
 * processor makes the same floats.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kernels/input.h"

#include "tests/kernels/memory.h"

#include <math.h>
#include <string.h>

static struct region regions[INPUT_SLOTS];
static uint64_t streams[INPUT_SLOTS + 1]; /* the last one is the case's own */
static bool low;                          /* inputs lie after a page, not before one */

/* The finaliser of splitmix64: streams of neighbouring seeds have nothing in common. */
static uint64_t mixed(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void input_begin(const char *kernel, unsigned number)
{
    uint64_t seed = number;
    for (; *kernel; kernel++)
        seed = mixed(seed ^ (uint8_t)*kernel);
    for (uint64_t i = 0; i <= INPUT_SLOTS; i++)
        streams[i] = mixed(seed + i);
    low = number % 2 != 0;
}

static uint32_t next(uint64_t *stream)
{
    *stream += 0x9e3779b97f4a7c15u;
    return (uint32_t)(mixed(*stream) >> 32);
}

uint32_t input_below(uint32_t n)
{
    return next(&streams[INPUT_SLOTS]) % n;
}

static float plain(uint64_t *stream)
{
    return ((float)(next(stream) >> 8) / 8388608.0f - 1.0f) * 3.0f;
}

static float value(uint64_t *s, enum kind kind)
{
    static const float odd[] = {0.0f,   -0.0f,    1e-40f,    -1e-42f, 1e30f,
                                -3e38f, INFINITY, -INFINITY, NAN};
    uint32_t choice = next(s);
    switch (kind) {
    case TINY:
        return plain(s) * 1e-38f;
    case HUGE_VALUES:
        return plain(s) * (choice % 4 ? 1e18f : 1e38f);
    case ZEROS:
        return choice % 3 ? (choice & 256 ? 0.0f : -0.0f) : plain(s);
    case INFINITE:
        return choice % 16 ? plain(s) : odd[(choice >> 8) % 8];
    case NANS:
        return choice % 32 ? plain(s) : odd[(choice >> 8) % 9];
    default:
        return plain(s);
    }
}

float input_value(int slot, enum kind kind)
{
    return value(&streams[slot], kind);
}

float *input_floats(int slot, size_t n, enum kind kind)
{
    float *x = (float *)(void *)memory_place(&regions[slot], n * sizeof *x, low);
    for (size_t i = 0; i < n; i++)
        x[i] = value(&streams[slot], kind);
    return x;
}

/* The float's upper bits, which as f16 have any exponent but that of an infinity. */
static uint16_t half_of(float x, enum dtype type)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (type == DTYPE_BF16)
        return (uint16_t)(u >> 16);
    return (uint16_t)((u >> 16 & 0x8000) | (u >> 9 & 0x7fff) % 0x7c00);
}

uint16_t *input_halves(int slot, size_t n, enum dtype type, enum kind kind)
{
    uint16_t *x = (uint16_t *)(void *)memory_place(&regions[slot], n * sizeof *x, low);
    for (size_t i = 0; i < n; i++)
        x[i] = half_of(value(&streams[slot], kind), type);
    return x;
}

uint8_t *input_bytes(int slot, size_t n)
{
    uint8_t *x = (uint8_t *)memory_place(&regions[slot], n, low);
    for (size_t i = 0; i < n; i++)
        x[i] = (uint8_t)next(&streams[slot]);
    return x;
}

void input_lock(void)
{
    for (int i = 0; i < INPUT_SLOTS; i++)
        memory_lock(&regions[i]);
}
