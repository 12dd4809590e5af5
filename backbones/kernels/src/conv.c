/* The convolution around the arithmetic: where each input of a filter lies, panels, threads, outputs.
 *
 * A strided input is split into its phases (every stride-th row and column, padding included), after which each
 * position (channel, ky, kx) of a filter reads the same picture moved by a constant: output q of a grid as wide as a
 * phase needs the value at q + koff. A panel of 64 outputs is then a plain copy for any kernel, stride and dilation.
 * The grid's columns beyond the output's width are computed and not stored. Where stride and padding do nothing the
 * input itself is the only phase.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

typedef struct {
    const slim_shape *s;
    const slim_weights *w;
    const slim_isa *isa;
    const float *x, *scale, *bias, *residual, *phases;
    float *y, *split;
    int64_t *koff;
    char *scratch;
    int64_t phase_rows, phase_columns, phase_height, phase_width; /* how many phases; the size of one */
    int64_t positions, blocks, grid, tiles, chunk, chunks;
    int kinds;
} plan;

extern const slim_isa *slim_isa_now(void);

#define PANEL ((SLIM_BLOCK + 1) * SLIM_TILE)
#define SCRATCH ((PANEL + SLIM_CHUNK * 4 * SLIM_TILE) * (int64_t)sizeof(float))

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* One channel of one image, split into phases. */
static void split_channel(void *context, int64_t channel, int me) {
    const plan *p = context;
    const slim_shape *s = p->s;
    const float *from = p->x + channel * s->height * s->width;
    float *to = p->split + channel * p->phase_rows * p->phase_columns * p->phase_height * p->phase_width;
    (void)me;
    for (int64_t a = 0; a < p->phase_rows; a++)
        for (int64_t b = 0; b < p->phase_columns; b++) {
            const int64_t shift = s->pad_left - b; /* column c comes from c * stride - shift */
            const int64_t before = least(p->phase_width, shift > 0 ? up(shift, s->stride_w) : 0);
            const int64_t last = s->width - 1 + shift;
            const int64_t end = most(before, last < 0 ? 0 : least(p->phase_width, last / s->stride_w + 1));
            for (int64_t r = 0; r < p->phase_height; r++, to += p->phase_width) {
                const int64_t row = r * s->stride_h + a - s->pad_top;
                if (row < 0 || row >= s->height) {
                    memset(to, 0, p->phase_width * sizeof(float));
                    continue;
                }
                const float *source = from + row * s->width;
                for (int64_t c = 0; c < before; c++) to[c] = 0;
                if (s->stride_w == 1) memcpy(to + before, source + before - shift, (end - before) * sizeof(float));
                else
                    for (int64_t c = before; c < end; c++) to[c] = source[c * s->stride_w - shift];
                for (int64_t c = end; c < p->phase_width; c++) to[c] = 0;
            }
        }
}

static void offsets_of_positions(const plan *p) {
    const slim_shape *s = p->s;
    const int64_t phase = p->phase_height * p->phase_width, taps = s->kernel_h * s->kernel_w;
    for (int64_t k = 0; k < p->positions; k++) {
        const int64_t channel = k / taps, tap = k % taps;
        const int64_t row = tap / s->kernel_w * s->dilation_h, column = tap % s->kernel_w * s->dilation_w;
        const int64_t a = row % s->stride_h, b = column % s->stride_w;
        p->koff[k] = ((channel * p->phase_rows + a) * p->phase_columns + b) * phase +
                     row / s->stride_h * p->phase_width + column / s->stride_w;
    }
}

/* Store one tile of the sums of one output, without the grid's columns that are no outputs. */
static void store(const plan *p, int64_t first, int64_t pixels, int64_t output, const float *sum) {
    const slim_shape *s = p->s;
    const int64_t size = s->out_height * s->out_width;
    float *y = p->y + output * size;
    const float *residual = p->residual ? p->residual + output * size : 0;
    const float scale = p->scale ? p->scale[output] : 1, bias = p->bias ? p->bias[output] : 0;
    const int activation = (int)s->activation;
    if (p->phase_width == s->out_width) {
        p->isa->store(y + first, sum, residual ? residual + first : 0, scale, bias, activation, pixels);
        return;
    }
    int64_t row = first / p->phase_width, column = first % p->phase_width;
    while (pixels > 0) {
        const int64_t here = least(pixels, p->phase_width - column), n = least(here, s->out_width - column);
        const int64_t at = row * s->out_width + column;
        if (n > 0) p->isa->store(y + at, sum, residual ? residual + at : 0, scale, bias, activation, n);
        sum += here;
        pixels -= here;
        column = 0;
        row++;
    }
}

/* One tile of pixels for one chunk of a group's units. */
static void tile(void *context, int64_t item, int me) {
    const plan *p = context;
    const slim_shape *s = p->s;
    const slim_weights *w = p->w;
    const int64_t chunk = item % p->chunks, group = item / p->chunks % s->groups, t = item / p->chunks / s->groups;
    const int64_t first = t * SLIM_TILE, pixels = least(SLIM_TILE, p->grid - first);
    const int64_t of_group = p->positions / (s->kernel_h * s->kernel_w) * p->phase_rows * p->phase_columns *
                             p->phase_height * p->phase_width;
    const int64_t outputs = s->out_channels / s->groups;
    float *panel = (float *)(p->scratch + me * SCRATCH), *sums = panel + PANEL;
    slim_block b = {.values = w->values, .offsets = w->offsets, .secondaries = w->secondaries, .kinds = p->kinds,
                    .pixels = (int)pixels, .panel = panel, .sums = sums};
    b.from = chunk * p->chunk;
    b.to = least(b.from + p->chunk, s->units);
    memset(panel + SLIM_BLOCK * SLIM_TILE, 0, SLIM_TILE * sizeof(float));
    for (int64_t block = 0; block < p->blocks; block++) {
        const int64_t k = block * SLIM_BLOCK, unit = (group * p->blocks + block) * s->units;
        p->isa->fill(panel, p->phases + group * of_group + first, p->koff + k, least(SLIM_BLOCK, p->positions - k), pixels);
        b.counts = w->counts + unit * 16;
        b.starts = w->starts + unit;
        b.first = block == 0;
        p->isa->tile(&b);
    }
    for (int64_t u = b.from; u < b.to; u++)
        for (int64_t j = 0; j < w->secondaries[u]; j++)
            store(p, first, pixels, group * outputs + w->outputs[u] + j, sums + ((u - b.from) * 4 + j) * SLIM_TILE);
}

/* Memory between calls: fresh pages would cost as much as a small layer. Whoever finds none allocates. */
typedef struct {
    char *memory;
    int64_t size;
} workspace;

static _Atomic(workspace *) kept;

static workspace *borrow(int64_t size) {
    workspace *space = atomic_exchange(&kept, 0);
    if (!space && !(space = calloc(1, sizeof *space))) return 0;
    if (space->size < size) {
        free(space->memory);
        space->memory = aligned_alloc(64, up(size, 64) * 64);
        space->size = space->memory ? size : 0;
    }
    if (space->memory) return space;
    free(space);
    return 0;
}

static void give_back(workspace *space) {
    workspace *other = atomic_exchange(&kept, space);
    if (!other) return;
    free(other->memory);
    free(other);
}

int slim_conv(const slim_shape *s, const slim_weights *w, const float *x, const float *scale, const float *bias,
              const float *residual, float *y) {
    plan p = {.s = s, .w = w, .isa = slim_isa_now(), .scale = scale, .bias = bias};
    const int64_t span_h = (s->kernel_h - 1) * s->dilation_h, span_w = (s->kernel_w - 1) * s->dilation_w;
    const int plain = s->stride_h == 1 && s->stride_w == 1 && !s->pad_top && !s->pad_left &&
                      s->out_height + span_h <= s->height && s->out_width + span_w <= s->width;
    const int threads = (int)most(1, least(s->threads, SLIM_THREADS));
    p.phase_rows = least(s->stride_h, span_h + 1);
    p.phase_columns = least(s->stride_w, span_w + 1);
    p.phase_height = plain ? s->height : s->out_height + span_h / s->stride_h;
    p.phase_width = plain ? s->width : s->out_width + span_w / s->stride_w;
    p.positions = s->in_channels / s->groups * s->kernel_h * s->kernel_w;
    p.blocks = up(p.positions, SLIM_BLOCK);
    p.grid = (s->out_height - 1) * p.phase_width + s->out_width;
    p.tiles = up(p.grid, SLIM_TILE);
    p.chunk = least(SLIM_CHUNK, s->units);
    while (threads > 1 && p.chunk > 8 && p.tiles * s->groups * up(s->units, p.chunk) < 3 * threads)
        p.chunk = up(p.chunk, 2);
    p.chunks = up(s->units, p.chunk);
    for (int64_t u = 0; u < s->units; u++) p.kinds |= 1 << w->secondaries[u];
    const int64_t image = s->in_channels * s->height * s->width, result = s->out_channels * s->out_height * s->out_width;
    const int64_t split = plain ? 0
                                : s->in_channels * p.phase_rows * p.phase_columns * p.phase_height * p.phase_width *
                                      (int64_t)sizeof(float);
    const int64_t koff = p.positions * (int64_t)sizeof(int64_t), scratch = threads * SCRATCH;
    if (!s->batch || !result) return 0;
    workspace *space = borrow(scratch + up(koff, 64) * 64 + split);
    if (!space) return 1;
    p.scratch = space->memory;
    p.koff = (int64_t *)(p.scratch + scratch);
    p.split = (float *)(p.scratch + scratch + up(koff, 64) * 64);
    offsets_of_positions(&p);
    for (int64_t n = 0; n < s->batch; n++) {
        p.x = x + n * image;
        p.y = y + n * result;
        p.residual = residual ? residual + n * result : 0;
        p.phases = plain ? p.x : p.split;
        if (!plain) slim_parallel(threads, s->in_channels, split_channel, &p);
        slim_parallel(threads, p.tiles * s->groups * p.chunks, tile, &p);
    }
    give_back(space);
    return 0;
}
