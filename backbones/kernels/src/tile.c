/* The arithmetic of one tile of pixels, compiled once for each instruction set (SLIM_ISA names it).
 *
 * A unit is a primary filter and up to four of its secondaries. Each of its weights has a pattern: bit j is set where
 * secondary j uses it. The weights of a block come sorted by pattern; a run is the weights of one pattern. What a run
 * sums up goes to every output whose bit is set: once to an accumulator of the low two bits, once to one of the high
 * two, and from those to the outputs (18 + 8 additions instead of 32).
 */
#include "kernels.h"

#if SLIM_WIDTH == 16
#define LANES 16
#define DEPTH 4
#elif SLIM_WIDTH == 8
#define LANES 8
#define DEPTH 2
#else
#define LANES 4
#define DEPTH 2
#endif

typedef float vector __attribute__((vector_size(LANES * 4)));
typedef int32_t mask __attribute__((vector_size(LANES * 4)));
typedef float loose __attribute__((vector_size(LANES * 4), aligned(4)));

#define JOIN(a, b) a##_##b
#define NAME(a, b) JOIN(a, b)
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    const float *value;
    const uint16_t *offset;
    const uint8_t *pairs;
} stream;

/* acc += the weights of the next run times their rows. The number of weights is even: an odd run ends with a zero
 * weight for the panel's row of zeros, which costs less than a mispredicted branch. The runs of one or two secondaries
 * are long: two chains hide the latency of the additions, which the next run hides where they are short. */
INLINE void run(stream *s, const char *panel, vector *acc, const int z, const int chains) {
    int left = *s->pairs++;
    vector other[DEPTH];
    for (int i = 0; i < z; i++) other[i] = (vector){0};
    const float *value = s->value;
    const uint16_t *offset = s->offset;
    s->value += 2 * left;
    s->offset += 2 * left;
    for (; left; left--, value += 2, offset += 2) {
        const vector *a = (const vector *)(panel + offset[0]);
        const vector *b = (const vector *)(panel + offset[1]);
        __asm__("" : "+r"(a), "+r"(b)); /* else each operand has an index register, and the load is an operation more */
        const vector u = value[0] - (vector){0}, v = value[1] - (vector){0};
        for (int i = 0; i < z; i++) acc[i] += u * a[i];
        if (chains == 2) {
            for (int i = 0; i < z; i++) other[i] += v * b[i];
        } else {
            for (int i = 0; i < z; i++) acc[i] += v * b[i];
        }
    }
    if (chains == 2)
        for (int i = 0; i < z; i++) acc[i] += other[i];
}

/* A run whose sum goes to two accumulators. */
INLINE void run2(stream *s, const char *panel, vector *low, vector *high, const int z) {
    vector sum[DEPTH];
    for (int i = 0; i < z; i++) sum[i] = (vector){0};
    run(s, panel, sum, z, 1);
    for (int i = 0; i < z; i++) {
        low[i] += sum[i];
        high[i] += sum[i];
    }
}

INLINE void put(float *out, const vector *sum, const int z, int first) {
    for (int i = 0; i < z; i++) {
        vector *to = (vector *)out + i;
        *to = first ? sum[i] : *to + sum[i];
    }
}

/* One block of one unit: out[j * SLIM_TILE] (+)= what secondary j gets. Patterns come in the order of SLIM_ORDER. */
INLINE void unit(stream *s, const char *panel, float *out, const int secondaries, const int z, int first) {
    vector low1[DEPTH], low2[DEPTH], low3[DEPTH], high[DEPTH], out2[DEPTH], out3[DEPTH];
    for (int i = 0; i < z; i++) low1[i] = low2[i] = low3[i] = high[i] = (vector){0};
    if (secondaries == 4) {
        run(s, panel, high, z, 1);
        run2(s, panel, low1, high, z);
        run2(s, panel, low2, high, z);
        run2(s, panel, low3, high, z);
    }
    if (secondaries >= 3) {
        for (int i = 0; i < z; i++) out2[i] = out3[i] = high[i];
        run(s, panel, out2, z, 1);
        run2(s, panel, low1, out2, z);
        run2(s, panel, low2, out2, z);
        run2(s, panel, low3, out2, z);
        put(out + 2 * SLIM_TILE, out2, z, first);
    }
    if (secondaries == 4) {
        run(s, panel, out3, z, 1);
        run2(s, panel, low1, out3, z);
        run2(s, panel, low2, out3, z);
        run2(s, panel, low3, out3, z);
        put(out + 3 * SLIM_TILE, out3, z, first);
    }
    run(s, panel, low1, z, secondaries > 2 ? 1 : 2);
    if (secondaries >= 2) {
        run(s, panel, low2, z, secondaries > 2 ? 1 : 2);
        run(s, panel, low3, z, secondaries > 2 ? 1 : 2);
        for (int i = 0; i < z; i++) {
            low1[i] += low3[i];
            low2[i] += low3[i];
        }
        put(out + SLIM_TILE, low2, z, first);
    }
    put(out, low1, z, first);
}

INLINE void units(const slim_block *b, const int secondaries, const int z, const int at) {
    for (int64_t u = b->from; u < b->to; u++) {
        if (b->secondaries[u] != secondaries) continue;
        const int64_t start = b->starts[u];
        stream s = {b->values + start, b->offsets + start, b->counts + u * 16};
        unit(&s, (const char *)(b->panel + at), b->sums + (u - b->from) * 4 * SLIM_TILE + at, secondaries, z, b->first);
    }
}

INLINE void deep(const slim_block *b, const int z, const int at) {
    for (int secondaries = 1; secondaries <= 4; secondaries++) {
        if (!(b->kinds >> secondaries & 1)) continue;
        if (secondaries == 4) units(b, 4, z, at);
        else if (secondaries == 3) units(b, 3, z, at);
        else if (secondaries == 2) units(b, 2, z, at);
        else units(b, 1, z, at);
    }
}

/* All units of one block over `pixels` of the panel's columns. */
void NAME(slim_tile, SLIM_ISA)(const slim_block *b) {
    int at = 0;
    for (; at + DEPTH * LANES <= b->pixels; at += DEPTH * LANES) deep(b, DEPTH, at);
    const int left = (b->pixels - at + LANES - 1) / LANES;
#if DEPTH == 4
    if (left == 4) deep(b, 4, at);
    else if (left == 3) deep(b, 3, at);
#endif
    if (left == 2) deep(b, 2, at);
    else if (left == 1) deep(b, 1, at);
}

/* panel[row] = the `pixels` values that start at from + koff[row]; zeros up to whole vectors. */
void NAME(slim_fill, SLIM_ISA)(float *panel, const float *from, const int64_t *koff, int64_t rows, int64_t pixels) {
    if (pixels == SLIM_TILE) {
        for (int64_t k = 0; k < rows; k++, panel += SLIM_TILE) {
            const loose *source = (const loose *)(from + koff[k]);
            for (int i = 0; i < SLIM_TILE / LANES; i++) ((vector *)panel)[i] = source[i];
        }
        return;
    }
    const int64_t whole = pixels / LANES * LANES, end = (pixels + LANES - 1) / LANES * LANES;
    for (int64_t k = 0; k < rows; k++, panel += SLIM_TILE) {
        const float *source = from + koff[k];
        int64_t i = 0;
        for (; i < whole; i += LANES) *(vector *)(panel + i) = *(const loose *)(source + i);
        for (; i < pixels; i++) panel[i] = source[i];
        for (; i < end; i++) panel[i] = 0;
    }
}

/* y = activation(sum * scale + bias + residual) over one run of pixels. NaN stays NaN. */
void NAME(slim_store, SLIM_ISA)(float *y, const float *sum, const float *residual, float scale, float bias,
                                int activation, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vector v = *(const loose *)(sum + i) * scale + bias;
        if (residual) v += *(const loose *)(residual + i);
        if (activation) v = (vector)((mask)v & ~(v < 0));
        if (activation == SLIM_RELU6) {
            const mask above = v > 6;
            v = (vector)(((mask)v & ~above) | ((mask)((vector){0} + 6) & above));
        }
        *(loose *)(y + i) = v;
    }
    for (; i < n; i++) {
        float v = sum[i] * scale + bias;
        if (residual) v += residual[i];
        if (activation && v < 0) v = 0;
        if (activation == SLIM_RELU6 && v > 6) v = 6;
        y[i] = v;
    }
}
