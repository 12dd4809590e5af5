/* The arithmetic of one tile of pixels, compiled once for each instruction set (SLIM_ISA names it).
 *
 * Both kinds of layer run along the sorted weights of a primary filter and keep one running sum for all of them. What
 * an output needs is the difference of two running sums, or a few: those where its mask ends less those where it
 * begins. Nothing but the running sum is in registers, and no branch depends on where a mask ends.
 */
#include "kernels.h"
#include "lanes.h"

#ifndef SLIM_FAR
#define SLIM_FAR 2048
#endif

#define WIDE (LANES == 16 ? 8 : 4) /* units of a product at a time: 8 * 3 sums in registers */

#define KEEP(pointer) __asm__("" : "+r"(pointer)) /* else each operand has an index register: a load is two operations */

/* Whether a bit is set in what was gathered as v - v: 0, or NaN where v is not finite. */
INLINE int any(mask bad) {
#if SLIM_WIDTH == 16
    return _mm512_test_epi32_mask((__m512i)bad, (__m512i)bad) != 0;
#else
    int32_t all = 0;
    for (int l = 0; l < LANES; l++) all |= bad[l];
    return all != 0;
#endif
}

/* --- streams: a pair of units, each with weights and masks of its own --------------------------------------------- */

/* sum += the two weights of a step times their rows; slot = sum. Every step stores: the last step of a run leaves in
 * the slot what belongs there, and a branch at the end of runs of random length would be mispredicted half the time. */
INLINE void advance(vector *sum, const slim_step *step, const char *panel, char *slots, const int z) {
    uint64_t where;
    __builtin_memcpy(&where, step->row, sizeof where);
    const vector *a = (const vector *)(panel + (uint16_t)where), *b = (const vector *)(panel + (uint16_t)(where >> 16));
    vector *slot = (vector *)(slots + (uint16_t)(where >> 32));
    KEEP(a);
    KEEP(b);
    KEEP(slot);
    const vector u = step->value[0] - (vector){0}, v = step->value[1] - (vector){0};
    for (int i = 0; i < z; i++) sum[i] += u * a[i];
    for (int i = 0; i < z; i++) sum[i] += v * b[i];
    for (int i = 0; i < z; i++) slot[i] = sum[i];
}

#define AT(r) s[(r) * (SLIM_TILE / LANES)]

/* From the running sums after each run to the outputs. Runs come in the order of the Gray code 1, 3, 2, 6, 7, 5, 4, 12,
 * 13, 15, 14, 10, 11, 9, 8 of bits that say which secondaries have the weights: one output begins or ends at a time. */
INLINE void fold(const vector *s, vector *out, const int secondaries, const int z, const int first) {
    const int next = SLIM_TILE / LANES;
    for (int i = 0; i < z; i++, s++, out++) {
        vector sum[4];
        if (secondaries == 1) sum[0] = AT(0);
        else sum[0] = AT(1), sum[1] = AT(2) - AT(0);
        if (secondaries >= 3) sum[0] += AT(5) - AT(3), sum[1] = AT(4) - AT(0), sum[2] = AT(6) - AT(2);
        if (secondaries == 4) {
            sum[0] += (AT(9) - AT(7)) + (AT(13) - AT(11));
            sum[1] += AT(12) - AT(8);
            sum[2] = AT(10) - AT(2);
            sum[3] = AT(14) - AT(6);
        }
        for (int j = 0; j < secondaries; j++) out[j * next] = first ? sum[j] : out[j * next] + sum[j];
    }
}

INLINE void fold_any(const vector *s, vector *out, const int secondaries, const int z, const int first) {
    if (secondaries == 4) fold(s, out, 4, z, first);
    else if (secondaries == 3) fold(s, out, 3, z, first);
    else if (secondaries == 2) fold(s, out, 2, z, first);
    else fold(s, out, 1, z, first);
}

INLINE int stream(const slim_stream *b, int64_t pair, float *sums, const int z, const int at) {
    const slim_step *step = b->steps + 2 * b->starts[pair], *end = b->steps + 2 * b->starts[pair + 1];
    const char *panel = (const char *)(b->panel + at);
    float *slots = b->snapshots + at, *others = slots + 16 * SLIM_TILE;
    vector one[4], two[4];
    for (int i = 0; i < z; i++) one[i] = two[i] = (vector){0};
    for (; step < end; step += 2) {
        __builtin_prefetch((const char *)step + SLIM_FAR, 0, 3);
        advance(one, step, panel, (char *)slots, z);
        advance(two, step + 1, panel, (char *)others, z);
    }
    const int64_t unit = 2 * pair;
    fold_any((const vector *)slots, (vector *)(sums + at), b->secondaries[unit], z, b->first);
    if (unit + 1 < b->units)
        fold_any((const vector *)others, (vector *)(sums + 4 * SLIM_TILE + at), b->secondaries[unit + 1], z, b->first);
    mask bad = {0}; /* a running sum that met what is not finite has stayed so */
    for (int i = 0; i < z; i++) bad |= (mask)(one[i] - one[i]) | (mask)(two[i] - two[i]);
    return any(bad);
}

/* One block of weights for both units of a pair: sums (2, 4, SLIM_TILE). */
int NAME(slim_stream, SLIM_ISA)(const slim_stream *b, int64_t pair, float *sums) {
    int at = 0, bad = 0;
    for (; at + 4 * LANES <= b->pixels; at += 4 * LANES) bad |= stream(b, pair, sums, 4, at);
    const int left = (b->pixels - at) / LANES;
    if (left == 3) bad |= stream(b, pair, sums, 3, at);
    else if (left == 2) bad |= stream(b, pair, sums, 2, at);
    else if (left == 1) bad |= stream(b, pair, sums, 1, at);
    return bad;
}

/* --- input and output --------------------------------------------------------------------------------------------- */

/* panel[row][run.at ..] = from[koff[row] + run.from ..], a column of vectors at a time: no branch within it. */
void NAME(slim_fill, SLIM_ISA)(float *panel, int64_t stride, const float *from, const int64_t *koff, int64_t rows,
                               const slim_run *run, int runs) {
    for (int r = 0; r < runs; r++)
        for (int64_t i = 0; i < run[r].length; i += LANES) {
            const int64_t left = run[r].length - i;
            const float *source = from + run[r].from + i;
            float *to = panel + run[r].at + i;
            if (left >= LANES) {
                for (int64_t k = 0; k < rows; k++, to += stride) *(loose *)to = *(const loose *)(source + koff[k]);
                continue;
            }
#if SLIM_WIDTH == 16
            const __mmask16 some = (__mmask16)((1u << left) - 1);
            for (int64_t k = 0; k < rows; k++, to += stride)
                _mm512_mask_storeu_ps(to, some, _mm512_maskz_loadu_ps(some, source + koff[k]));
#else
            for (int64_t k = 0; k < rows; k++, to += stride)
                for (int64_t l = 0; l < left; l++) to[l] = source[koff[k] + l];
#endif
        }
}

/* The second where one of both is NaN: NaN stays NaN. */
#if SLIM_WIDTH == 16
#define LARGEST(limit, v) (vector) _mm512_max_ps((__m512)(limit), (__m512)(v))
#define SMALLEST(limit, v) (vector) _mm512_min_ps((__m512)(limit), (__m512)(v))
#else
#define LARGEST(limit, v) (vector)(((mask)(v) & ~((v) < (limit))) | ((mask)(limit) & ((v) < (limit))))
#define SMALLEST(limit, v) (vector)(((mask)(v) & ~((v) > (limit))) | ((mask)(limit) & ((v) > (limit))))
#endif

INLINE vector finish(vector v, vector more, const int added, const float scale, const float bias, const int activation) {
    v = v * scale + bias;
    if (added) v += more;
    if (activation) v = LARGEST((vector){0}, v);
    if (activation == SLIM_RELU6) v = SMALLEST((vector){0} + 6, v);
    return v;
}

INLINE void store(const slim_store *o, const float *sum, const int added, const int activation) {
    for (int64_t j = 0, secondary = 0; j < o->count; j++) {
        const float scale = o->scale ? o->scale[j] : 1, bias = o->bias ? o->bias[j] : 0;
        for (int r = 0; r < o->runs; r++) {
            const int64_t at = j * o->size + o->run[r].from;
            const float *s = sum + secondary * o->next + o->run[r].at, *more = o->residual + at;
            float *y = o->y + at;
            int64_t left = o->run[r].length;
            for (; left >= LANES; left -= LANES, s += LANES, y += LANES, more += LANES) {
                const vector v = *(const loose *)s;
                *(loose *)y = finish(v, added ? *(const loose *)more : v, added, scale, bias, activation);
            }
            if (!left) continue;
            const vector v = take(s, left);
            put(y, finish(v, added ? take(more, left) : v, added, scale, bias, activation), left);
        }
        if (++secondary == o->secondaries) secondary = 0, sum += o->across;
    }
}

/* y = activation(sum * scale + bias + residual) of outputs side by side. */
void NAME(slim_store, SLIM_ISA)(const slim_store *o, const float *sum) {
    if (o->residual) {
        if (o->activation == SLIM_RELU) store(o, sum, 1, SLIM_RELU);
        else if (o->activation == SLIM_RELU6) store(o, sum, 1, SLIM_RELU6);
        else store(o, sum, 1, SLIM_NONE);
    } else if (o->activation == SLIM_RELU) store(o, sum, 0, SLIM_RELU);
    else if (o->activation == SLIM_RELU6) store(o, sum, 0, SLIM_RELU6);
    else store(o, sum, 0, SLIM_NONE);
}

/* --- products: units with the same masks -------------------------------------------------------------------------- */

INLINE void finish_product(const slim_store *o, vector (*sum)[3], const int unit, const int z, const int at,
                           const int added, const int activation) {
    for (int u = 0; u < WIDE; u++) {
        const float scale = o->scale ? o->scale[unit + u] : 1, bias = o->bias ? o->bias[unit + u] : 0;
        const int64_t to = (unit + u) * o->size + o->run->from + at;
        for (int i = 0; i < z; i++) {
            const vector more = added ? ((const loose *)(o->residual + to))[i] : sum[u][i];
            ((loose *)(o->y + to))[i] = finish(sum[u][i], more, added, scale, bias, activation);
        }
    }
}

INLINE int product(const slim_product *b, const int unit, const int z, const int at, const int dense) {
    const float *value = b->values + unit, *from = b->from + at;
    const int64_t *koff = b->koff;
    vector sum[WIDE][3];
    float *kept = b->sums + unit * SLIM_PRODUCT_TILE + at;
    if (dense && !b->first)
        for (int u = 0; u < WIDE; u++)
            for (int i = 0; i < z; i++) sum[u][i] = ((vector *)(kept + u * SLIM_PRODUCT_TILE))[i];
    else
        for (int u = 0; u < WIDE; u++)
            for (int i = 0; i < z; i++) sum[u][i] = (vector){0};
    for (int segment = 0; segment < b->segments; segment++) {
        for (int64_t left = b->rows[segment]; left; left--, value += SLIM_UNITS) {
            const float *row = from + *koff++;
            __builtin_prefetch(value + SLIM_FAR / 4, 0, 3);
            vector x[3];
            for (int i = 0; i < z; i++) x[i] = ((const loose *)row)[i];
            for (int u = 0; u < WIDE; u++) {
                const vector w = value[u] - (vector){0};
                for (int i = 0; i < z; i++) sum[u][i] += w * x[i];
            }
        }
        for (int64_t read = b->reads[segment]; !dense && read < b->reads[segment + 1]; read++) {
            const int64_t output = b->outputs[read];
            const vector sign = (output & 1 ? -1.f : 1.f) - (vector){0};
            float *to = b->sums + ((output >> 1) * SLIM_UNITS + unit) * SLIM_PRODUCT_TILE + at;
            for (int u = 0; u < WIDE; u++, to += SLIM_PRODUCT_TILE)
                for (int i = 0; i < z; i++) ((vector *)to)[i] += sum[u][i] * sign;
        }
    }
    mask bad = {0}; /* a running sum that met what is not finite has stayed so */
    for (int u = 0; b->check && u < WIDE; u++)
        for (int i = 0; i < z; i++) bad |= (mask)(sum[u][i] - sum[u][i]);
    if (dense && b->out) {
        const int activation = b->out->activation;
        if (b->out->residual && activation == SLIM_RELU) finish_product(b->out, sum, unit, z, at, 1, SLIM_RELU);
        else if (b->out->residual) finish_product(b->out, sum, unit, z, at, 1, activation);
        else if (activation == SLIM_RELU) finish_product(b->out, sum, unit, z, at, 0, SLIM_RELU);
        else finish_product(b->out, sum, unit, z, at, 0, activation);
    } else if (dense)
        for (int u = 0; u < WIDE; u++)
            for (int i = 0; i < z; i++) ((vector *)(kept + u * SLIM_PRODUCT_TILE))[i] = sum[u][i];
    return any(bad);
}

/* The few pixels beyond whole lanes: here the units lie side by side in a register. */
INLINE int thin(const slim_product *b, const int pixels, const int chains) {
    typedef float eight __attribute__((vector_size(SLIM_UNITS * 4), aligned(4)));
    const float *from = b->from + b->pixels;
    const eight *value = (const eight *)b->values;
    const int64_t *koff = b->koff;
    eight sum[4][SLIM_THIN]; /* chains of additions side by side hide their latency */
    for (int c = 0; c < chains; c++)
        for (int q = 0; q < pixels; q++) sum[c][q] = (eight){0};
    for (int segment = 0; segment < b->segments; segment++) {
        int64_t left = b->rows[segment];
        for (; left >= chains; left -= chains, value += chains, koff += chains)
            for (int c = 0; c < chains; c++)
                for (int q = 0; q < pixels; q++) sum[c][q] += value[c] * from[koff[c] + q];
        for (; left; left--, value++, koff++)
            for (int q = 0; q < pixels; q++) sum[0][q] += *value * from[*koff + q];
        for (int64_t read = b->reads[segment]; read < b->reads[segment + 1]; read++) {
            const int64_t output = b->outputs[read];
            eight *to = (eight *)(b->thin_sums + (output >> 1) * SLIM_THIN * SLIM_UNITS);
            for (int q = 0; q < pixels; q++) {
                eight all = sum[0][q];
                for (int c = 1; c < chains; c++) all += sum[c][q];
                to[q] += output & 1 ? -all : all;
            }
        }
    }
    int bad = 0;
    for (int q = 0; b->check && q < pixels; q++) {
        eight all = sum[0][q];
        for (int c = 1; c < chains; c++) all += sum[c][q];
        for (int u = 0; u < SLIM_UNITS; u++) bad |= all[u] - all[u] != 0;
    }
    return bad;
}

/* One block for SLIM_UNITS units; the pixels in even parts of at most three registers. */
int NAME(slim_product, SLIM_ISA)(const slim_product *b) {
    int bad = 0;
    for (int unit = 0; unit < SLIM_UNITS; unit += WIDE)
        for (int at = 0, left = b->pixels / LANES; left;) {
            const int parts = (left + 2) / 3, z = (left + parts - 1) / parts;
            if (b->dense) {
                if (z == 3) bad |= product(b, unit, 3, at, 1);
                else if (z == 2) bad |= product(b, unit, 2, at, 1);
                else bad |= product(b, unit, 1, at, 1);
            } else if (z == 3) bad |= product(b, unit, 3, at, 0);
            else if (z == 2) bad |= product(b, unit, 2, at, 0);
            else bad |= product(b, unit, 1, at, 0);
            at += z * LANES;
            left -= z;
        }
    if (b->thin == 1) bad |= thin(b, 1, 4);
    else if (b->thin == 2) bad |= thin(b, 2, 4);
    else if (b->thin == 3) bad |= thin(b, 3, 2);
    else if (b->thin == 4) bad |= thin(b, 4, 2);
    return bad;
}

/* --- phases ------------------------------------------------------------------------------------------------------- */

#if SLIM_WIDTH == 16
/* Those of 16 floats from `at` on that are not before 0, and before `end`. */
INLINE __mmask16 inside(int64_t at, int64_t end) {
    const int64_t before = at < -16 ? 16 : at < 0 ? -at : 0, left = end - at > 16 ? 16 : end - at < 0 ? 0 : end - at;
    return (__mmask16)((1u << left) - 1 & ~((1u << before) - 1));
}
#endif

/* to[c] = row[c * stride - shift], or 0 beyond the row. With two phases the next one, too: it reads one column on. */
INLINE void split_row(const slim_splitting *g, const float *row, float *to, const int64_t shift, float *next) {
#if SLIM_WIDTH == 16
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    for (int64_t c = 0; g->stride_w == 1 && c < g->phase_width; c += 16) {
        const int64_t at = c - shift;
        _mm512_mask_storeu_ps(to + c, inside(c, g->phase_width), _mm512_maskz_loadu_ps(inside(at, g->width), row + at));
    }
    for (int64_t c = 0; g->stride_w == 2 && c < g->phase_width; c += 16) {
        const int64_t at = 2 * c - shift;
        const __mmask16 out = inside(c, g->phase_width);
        const __m512 low = _mm512_maskz_loadu_ps(inside(at, g->width), row + at);
        const __m512 high = _mm512_maskz_loadu_ps(inside(at + 16, g->width), row + at + 16);
        _mm512_mask_storeu_ps(to + c, out, _mm512_permutex2var_ps(low, even, high));
        if (next) _mm512_mask_storeu_ps(next + c, out, _mm512_permutex2var_ps(low, odd, high));
    }
    if (g->stride_w <= 2) return;
#endif
    for (int second = 0; second < 1 + (next != 0); second++, to = next) {
        const int64_t stride = g->stride_w, moved = shift - second, last = g->width - 1 + moved;
        int64_t c = 0, end = last < 0 ? 0 : last / stride + 1;
        if (end > g->phase_width) end = g->phase_width;
        for (; c < g->phase_width && c * stride < moved; c++) to[c] = 0;
        if (stride == 1)
            for (; c < end; c++) to[c] = row[c - moved];
        else if (stride == 2)
            for (; c < end; c++) to[c] = row[c * 2 - moved];
        else
            for (; c < end; c++) to[c] = row[c * stride - moved];
        for (; c < g->phase_width; c++) to[c] = 0;
    }
}

/* One channel of one image. */
void NAME(slim_split, SLIM_ISA)(const slim_splitting *g, const float *from, float *to) {
    const int64_t size = g->phase_height * g->phase_width;
    const int pairs = g->stride_w == 2 && g->columns == 2;
    for (int64_t a = 0; a < g->rows; a++)
        for (int64_t b = 0; b < g->columns; b += 1 + pairs, to += pairs ? size : 0)
            for (int64_t r = 0; r < g->phase_height; r++, to += g->phase_width) {
                const int64_t row = r * g->stride_h + a - g->pad_top;
                if (row >= 0 && row < g->height)
                    split_row(g, from + row * g->width, to, g->pad_left - b, pairs ? to + size : 0);
                else {
                    __builtin_memset(to, 0, g->phase_width * sizeof(float));
                    if (pairs) __builtin_memset(to + size, 0, g->phase_width * sizeof(float));
                }
            }
}

/* --- depthwise ---------------------------------------------------------------------------------------------------- */

/* z registers of pixels from `from` on, n in the last of them. Nine taps have their weights in registers. */
INLINE void depthwise_part(const slim_depthwise *d, const vector *w, const float *from, float *y, const float *residual,
                           const int64_t n, const int z, const int nine) {
    vector sum[4];
    for (int i = 0; i < z; i++) sum[i] = (vector){0};
    for (int64_t t = 0; t < (nine ? 9 : d->taps); t++) {
        const vector weight = nine ? w[t] : d->weights[t] - (vector){0};
        const float *x = from + d->koff[t];
        for (int i = 0; i < z; i++)
            sum[i] += weight * (i == z - 1 && n < LANES ? take(x + i * LANES, n) : *((const loose *)x + i));
    }
    for (int i = 0; i < z; i++) {
        const int64_t here = i == z - 1 ? n : LANES;
        const vector more = residual ? take(residual + i * LANES, here) : sum[i];
        put(y + i * LANES, finish(sum[i], more, residual != 0, d->scale, d->bias, d->activation), here);
    }
}

/* Row by row. */
INLINE void depthwise_rows(const slim_depthwise *d, const vector *w, const int nine) {
    for (int64_t row = 0; row < d->height; row++) {
        const float *from = d->from + row * d->line;
        int64_t at = row * d->width, left = d->width;
        for (; left > 4 * LANES; left -= 4 * LANES, at += 4 * LANES, from += 4 * LANES)
            depthwise_part(d, w, from, d->y + at, d->residual ? d->residual + at : 0, LANES, 4, nine);
        const float *residual = d->residual ? d->residual + at : 0;
        if (left > 3 * LANES) depthwise_part(d, w, from, d->y + at, residual, left - 3 * LANES, 4, nine);
        else if (left > 2 * LANES) depthwise_part(d, w, from, d->y + at, residual, left - 2 * LANES, 3, nine);
        else if (left > LANES) depthwise_part(d, w, from, d->y + at, residual, left - LANES, 2, nine);
        else depthwise_part(d, w, from, d->y + at, residual, left, 1, nine);
    }
}

#if SLIM_WIDTH == 16
/* What 16 outputs side by side read of one row, tap by tap; `at`: the first column of the first tap. */
INLINE void strip_row(const slim_splitting *g, const float *from, const int64_t i, const int64_t at, const __mmask16 *in,
                      vector *x, const int stride) {
    const __mmask16 there = i >= 0 && i < g->height ? 0xffff : 0;
    const float *row = from + i * g->width + at;
    if (stride == 1) {
        for (int k = 0; k < 3; k++) x[k] = (vector)_mm512_maskz_loadu_ps(in[k] & there, row + k);
        return;
    }
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const __m512 low = _mm512_maskz_loadu_ps(in[0] & there, row), high = _mm512_maskz_loadu_ps(in[1] & there, row + 16);
    const __m512 a = _mm512_maskz_loadu_ps(in[2] & there, row + 2), b = _mm512_maskz_loadu_ps(in[3] & there, row + 18);
    x[0] = (vector)_mm512_permutex2var_ps(low, even, high);
    x[1] = (vector)_mm512_permutex2var_ps(low, odd, high);
    x[2] = (vector)_mm512_permutex2var_ps(a, even, b);
}

/* 3x3 without phases: strips of 16 columns from the top down. A row of the input is read once and adds to all rows of
 * the output that it reaches; loads that cross a line of the cache would cost more than the products. */
INLINE void depthwise_strips(const slim_depthwise *d, const vector *w, const int stride) {
    const slim_splitting *g = d->strips;
    for (int64_t c = 0; c < d->width; c += 16) {
        const int64_t at = c * stride - g->pad_left, n = d->width - c < 16 ? d->width - c : 16;
        const int64_t first[] = {at, stride == 1 ? at + 1 : at + 16, at + 2, at + 18};
        __mmask16 in[4];
        for (int k = 0; k < 4; k++) in[k] = inside(first[k], g->width);
        int64_t i = -g->pad_top;
        vector x[3], one, two = {0}; /* of the next output row, and of the one after it */
#define ADD(taps) ((taps)[0] * x[0] + (taps)[1] * x[1] + (taps)[2] * x[2])
        strip_row(g, d->from, i++, at, in, x, stride);
        one = ADD(w);
        if (stride == 1) {
            strip_row(g, d->from, i++, at, in, x, stride);
            one += ADD(w + 3);
            two = ADD(w);
        }
        for (int64_t r = 0; r < d->height; r++) {
            if (stride == 2) {
                strip_row(g, d->from, i++, at, in, x, stride);
                one += ADD(w + 3);
            }
            strip_row(g, d->from, i++, at, in, x, stride);
            const vector sum = one + ADD(w + 6);
            one = stride == 1 ? two + ADD(w + 3) : ADD(w);
            if (stride == 1) two = ADD(w);
            const vector more = d->residual ? take(d->residual + r * d->width + c, n) : sum;
            put(d->y + r * d->width + c, finish(sum, more, d->residual != 0, d->scale, d->bias, d->activation), n);
        }
#undef ADD
    }
}
#endif

void NAME(slim_depthwise, SLIM_ISA)(const slim_depthwise *d) {
    vector w[9];
    for (int64_t t = 0; t < 9; t++) w[t] = d->weights[t < d->taps ? t : 0] - (vector){0};
#if SLIM_WIDTH == 16
    if (d->strips && d->strips->stride_w == 1) {
        depthwise_strips(d, w, 1);
        return;
    }
    if (d->strips) {
        depthwise_strips(d, w, 2);
        return;
    }
#endif
    if (d->taps == 9) depthwise_rows(d, w, 1);
    else depthwise_rows(d, w, 0);
}

/* --- the mean of a channel ---------------------------------------------------------------------------------------- */

float NAME(slim_mean, SLIM_ISA)(const float *x, int64_t n) {
    vector sum[4] = {{0}};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int v = 0; v < 4; v++) sum[v] += *((const loose *)(x + i) + v);
    float all = 0;
    for (; i < n; i++) all += x[i];
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (int l = 0; l < LANES; l++) all += sum[0][l];
    return all / n;
}

/* --- max pooling -------------------------------------------------------------------------------------------------- */

#define LARGER(a, b) ((a) > (b) || (a) != (a) ? (a) : (b)) /* NaN stays NaN, as in PyTorch */

/* One channel of one image. `line` has room for width + 2 * pad_w + stride_w floats, twice. */
void NAME(slim_pool, SLIM_ISA)(const slim_pooling *p, const float *x, float *y, float *line) {
    const int64_t wide = p->width + 2 * p->pad_w, part = (wide + p->stride_w - 1) / p->stride_w;
    float *phases = line + wide + p->stride_w;
    for (int64_t row = 0; row < p->out_height; row++, y += p->out_width) {
        int64_t from = row * p->stride_h - p->pad_h, to = from + p->kernel_h;
        if (from < 0) from = 0;
        if (to > p->height) to = p->height;
        for (int64_t c = 0; c < wide + p->stride_w; c++) line[c] = -__builtin_inff();
        float *inside = line + p->pad_w;
        for (int64_t r = from; r < to; r++) {
            const float *source = x + r * p->width;
            for (int64_t c = 0; c < p->width; c++) inside[c] = LARGER(source[c], inside[c]);
        }
        const float *of = line;
        if (p->stride_w == 2) {
            for (int64_t c = 0; c < part; c++) phases[c] = line[2 * c], phases[part + c] = line[2 * c + 1];
            of = phases;
        } else if (p->stride_w > 2) {
            for (int64_t a = 0; a < p->stride_w; a++)
                for (int64_t c = 0; c < part; c++) phases[a * part + c] = line[c * p->stride_w + a];
            of = phases;
        }
        for (int64_t c = 0; c < p->out_width; c++) y[c] = of[c];
        for (int64_t k = 1; k < p->kernel_w; k++) {
            const float *moved = of + k % p->stride_w * part + k / p->stride_w;
            if (p->stride_w == 1) moved = of + k;
            for (int64_t c = 0; c < p->out_width; c++) y[c] = LARGER(moved[c], y[c]);
        }
    }
}
