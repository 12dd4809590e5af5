/* A register's floats, whatever the instruction set that a file is compiled for (SLIM_ISA names it). */
#ifndef SLIM_LANES_H
#define SLIM_LANES_H

#include <stdint.h>

#define JOIN(a, b) a##_##b
#define NAME(a, b) JOIN(a, b)
#define INLINE static inline __attribute__((always_inline))

#if SLIM_WIDTH == 16
#include <immintrin.h>
#endif
#define LANES SLIM_WIDTH

typedef float vector __attribute__((vector_size(LANES * 4)));
typedef int32_t mask __attribute__((vector_size(LANES * 4)));
typedef float loose __attribute__((vector_size(LANES * 4), aligned(4)));

/* Up to LANES floats. */
INLINE vector take(const float *from, int64_t n) {
#if SLIM_WIDTH == 16
    return (vector)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), from);
#else
    vector v = {0};
    for (int64_t l = 0; l < n; l++) v[l] = from[l];
    return v;
#endif
}

INLINE void put(float *to, vector v, int64_t n) {
#if SLIM_WIDTH == 16
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << n) - 1), (__m512)v);
#else
    for (int64_t l = 0; l < n; l++) to[l] = v[l];
#endif
}

#endif
