/* SlimConv's reconstruction (Eq. 2) for all paths in one pass, and its gradients; once for each instruction set.
 *
 * Both orders of memory are the same loop over strips. In (C, H, W) a strip is a channel: its vectors are neighbouring
 * pixels, and a weight is the same for all of them. In (H, W, C) a strip is LANES channels of a few pixels: its vectors
 * lie a pixel apart, and the weights are a vector. Sums are float32, whatever is read and written.
 */
#include <string.h>

#include "kernels.h"
#include "lanes.h"

typedef uint16_t halves __attribute__((vector_size(LANES * 2)));
typedef uint16_t loose_halves __attribute__((vector_size(LANES * 2), aligned(2)));
typedef uint32_t words __attribute__((vector_size(LANES * 4)));

#define BYTES(half) ((half) ? 2 : 4)
#define EACH_OF_TWO(chunk)                 \
    for (int64_t p = 0; p < f->paths; p++) \
        for (int64_t c = 0; c < 2 && (chunk) + c < f->chunks; c++)

/* Up to LANES numbers, float32 or the upper halves of such (bfloat16). */
INLINE vector load(const char *from, const int64_t n, const int half) {
    if (!half) return n == LANES ? *(const loose *)from : take((const float *)from, n);
    halves bits = {0};
    if (n == LANES) bits = *(const loose_halves *)from;
    else {
#if SLIM_WIDTH == 16
        bits = (halves)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), from);
#else
        for (int64_t l = 0; l < n; l++) bits[l] = ((const uint16_t *)from)[l];
#endif
    }
    return (vector)(__builtin_convertvector(bits, words) << 16);
}

INLINE vector up_to(const float *from, const int64_t n) { return n < LANES ? take(from, n) : *(const loose *)from; }

/* To the nearest, ties to even; NaN stays NaN. */
INLINE halves rounded(const vector v) {
    const words bits = (words)v, nan = (words)(v != v);
    const words upper = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return __builtin_convertvector((upper & ~nan) | (nan & 0x7fc0), halves);
}

INLINE void save(char *to, const vector v, const int64_t n, const int half) {
    if (!half && n == LANES) *(loose *)to = v;
    else if (!half) put((float *)to, v, n);
    else if (n == LANES) *(loose_halves *)to = rounded(v);
    else {
        const halves bits = rounded(v);
#if SLIM_WIDTH == 16
        _mm256_mask_storeu_epi16(to, (__mmask16)((1u << n) - 1), (__m256i)bits);
#else
        for (int64_t l = 0; l < n; l++) ((uint16_t *)to)[l] = bits[l];
#endif
    }
}

/* Vectors of n numbers: `times` of them of each chunk of x, and of each map. Distances are in numbers. */
typedef struct {
    int64_t times, x_step, y_step, apart, n; /* from one to the next in x, in a map; from one chunk to the next */
} strip;

INLINE void fold_strip(const strip s, const char *x, const vector *w, char *const *y, const int paths, const int chunks,
                       const int half) {
    for (int64_t t = 0; t < s.times; t++)
        for (int p = 0; p < paths; p++) {
            vector sum = {0};
            for (int c = 0; c < chunks; c++) {
                const vector v = w[p * chunks + c] * load(x + (c * s.apart + t * s.x_step) * BYTES(half), s.n, half);
                sum = c ? sum + v : v;
            }
            save(y[p] + t * s.y_step * BYTES(half), sum, s.n, half);
        }
}

/* `at` and `below`: where the strip begins in the piece's part of x, of a map. */
INLINE void fold_strips(const slim_folding *f, const slim_piece *of, const strip s, const int64_t at,
                        const int64_t below, const vector *w, const int half) {
    const char *x = of->x + at * BYTES(half);
    char *y[SLIM_PATHS];
    for (int64_t p = 0; p < f->paths; p++) y[p] = of->y[p] + below * BYTES(half);
    if (f->paths == 2 && f->chunks == 2) fold_strip(s, x, w, y, 2, 2, half);
    else if (f->paths == 2 && f->chunks == 4) fold_strip(s, x, w, y, 2, 4, half);
    else fold_strip(s, x, w, y, (int)f->paths, (int)f->chunks, half);
}

/* The gradient of x to dx, if wanted; that of the weights is added to dw, lane by lane. */
INLINE void unfold_strip(const strip s, const char *x, const vector *w, const char *const *g, char *dx, vector *dw,
                         const int paths, const int chunks, const int half) {
    for (int64_t t = 0; t < s.times; t++) {
        vector of_path[SLIM_PATHS];
        for (int p = 0; p < paths; p++) of_path[p] = load(g[p] + t * s.y_step * BYTES(half), s.n, half);
        for (int c = 0; c < chunks; c++) {
            const int64_t at = (c * s.apart + t * s.x_step) * BYTES(half);
            const vector v = load(x + at, s.n, half);
            vector sum = w[c] * of_path[0];
            for (int p = 1; p < paths; p++) sum += w[p * 2 + c] * of_path[p];
            if (dx) save(dx + at, sum, s.n, half);
            for (int p = 0; p < paths; p++) dw[p * 2 + c] += of_path[p] * v;
        }
    }
}

/* Of chunks c and c + 1, if there is one: two at a time and their sums are in registers. */
INLINE void unfold_strips(const slim_folding *f, const slim_piece *of, const strip s, const int64_t c, const int64_t at,
                          const int64_t below, const vector *w, vector *dw, const int half) {
    const int64_t from = (c * s.apart + at) * BYTES(half);
    const char *x = of->x + from, *g[SLIM_PATHS];
    char *dx = of->dx ? of->dx + from : 0;
    for (int64_t p = 0; p < f->paths; p++) g[p] = of->y[p] + below * BYTES(half);
    if (f->paths == 2 && c + 1 < f->chunks) unfold_strip(s, x, w, g, dx, dw, 2, 2, half);
    else unfold_strip(s, x, w, g, dx, dw, (int)f->paths, c + 1 < f->chunks ? 2 : 1, half);
}

/* One channel of (C, H, W). */
INLINE void fold_plane(const slim_folding *f, const slim_piece *of, const int half) {
    const int64_t apart = f->width * f->size, rest = f->size % LANES, whole = f->size - rest;
    vector w[SLIM_PATHS * SLIM_CHUNKS];
    for (int64_t i = 0; i < f->paths * f->chunks; i++) w[i] = of->weights[i * f->width] - (vector){0};
    fold_strips(f, of, (strip){whole / LANES, LANES, LANES, apart, LANES}, 0, 0, w, half);
    if (rest) fold_strips(f, of, (strip){1, LANES, LANES, apart, rest}, whole, whole, w, half);
}

INLINE void unfold_plane(const slim_folding *f, const slim_piece *of, const int half) {
    const int64_t apart = f->width * f->size;
    for (int64_t i = 0; i < f->paths * f->chunks; i++) of->dweights[i * f->width] = 0;
    for (int64_t first = 0; first < f->size; first += SLIM_FOLD_TILE) {
        const int64_t here = f->size - first < SLIM_FOLD_TILE ? f->size - first : SLIM_FOLD_TILE;
        const int64_t rest = here % LANES, whole = here - rest, tail = first + whole;
        for (int64_t i = 0; i < f->chunks; i += 2) {
            vector w[SLIM_PATHS * 2], dw[SLIM_PATHS * 2] = {{0}};
            EACH_OF_TWO(i) w[p * 2 + c] = of->weights[(p * f->chunks + i + c) * f->width] - (vector){0};
            unfold_strips(f, of, (strip){whole / LANES, LANES, LANES, apart, LANES}, i, first, first, w, dw, half);
            if (rest) unfold_strips(f, of, (strip){1, LANES, LANES, apart, rest}, i, tail, tail, w, dw, half);
            EACH_OF_TWO(i) {
                float sum = 0;
                for (int l = 0; l < LANES; l++) sum += dw[p * 2 + c][l];
                of->dweights[(p * f->chunks + i + c) * f->width] += sum;
            }
        }
    }
}

/* Pixels of (H, W, C), a few at a time: they stay in the first cache while one goes along their channels. */
INLINE int64_t few(const slim_folding *f) {
    const int64_t pixels = SLIM_FOLD_TILE / f->channels;
    return pixels < 4 ? 4 : pixels;
}

INLINE void fold_pixels(const slim_folding *f, const slim_piece *of, const int half) {
    for (int64_t first = 0, times; first < of->pixels; first += times) {
        times = of->pixels - first < few(f) ? of->pixels - first : few(f);
        for (int64_t j = 0; j < f->width; j += LANES) {
            const int64_t n = f->width - j, at = first * f->channels + j, below = first * f->width + j;
            vector w[SLIM_PATHS * SLIM_CHUNKS];
            for (int64_t i = 0; i < f->paths * f->chunks; i++) w[i] = up_to(of->weights + i * f->width + j, n);
            const strip s = {times, f->channels, f->width, f->width, LANES};
            if (n >= LANES) fold_strips(f, of, s, at, below, w, half);
            else fold_strips(f, of, (strip){times, f->channels, f->width, f->width, n}, at, below, w, half);
        }
    }
}

INLINE void unfold_pixels(const slim_folding *f, const slim_piece *of, const int half) {
    const int64_t left_over = f->channels - f->chunks * f->width;
    memset(of->dweights, 0, f->paths * f->chunks * f->width * sizeof(float));
    for (int64_t i = 1; of->dx && left_over && i <= of->pixels; i++)
        memset(of->dx + (i * f->channels - left_over) * BYTES(half), 0, left_over * BYTES(half));
    for (int64_t first = 0, times; first < of->pixels; first += times) {
        times = of->pixels - first < few(f) ? of->pixels - first : few(f);
        for (int64_t i = 0; i < f->chunks; i += 2)
            for (int64_t j = 0; j < f->width; j += LANES) {
                const int64_t n = f->width - j, at = first * f->channels + j, below = first * f->width + j;
                const strip s = {times, f->channels, f->width, f->width, LANES};
                vector w[SLIM_PATHS * 2], dw[SLIM_PATHS * 2] = {{0}};
                EACH_OF_TWO(i) w[p * 2 + c] = up_to(of->weights + (p * f->chunks + i + c) * f->width + j, n);
                if (n >= LANES) unfold_strips(f, of, s, i, at, below, w, dw, half);
                else unfold_strips(f, of, (strip){times, f->channels, f->width, f->width, n}, i, at, below, w, dw, half);
                EACH_OF_TWO(i) {
                    float *sum = of->dweights + (p * f->chunks + i + c) * f->width + j;
                    if (n < LANES) put(sum, take(sum, n) + dw[p * 2 + c], n);
                    else *(loose *)sum += dw[p * 2 + c];
                }
            }
    }
}

void NAME(slim_fold, SLIM_ISA)(const slim_folding *f, const slim_piece *of) {
    if (f->last && f->half) fold_pixels(f, of, 1);
    else if (f->last) fold_pixels(f, of, 0);
    else if (f->half) fold_plane(f, of, 1);
    else fold_plane(f, of, 0);
}

void NAME(slim_unfold, SLIM_ISA)(const slim_folding *f, const slim_piece *of) {
    if (f->last && f->half) unfold_pixels(f, of, 1);
    else if (f->last) unfold_pixels(f, of, 0);
    else if (f->half) unfold_plane(f, of, 1);
    else unfold_plane(f, of, 0);
}
