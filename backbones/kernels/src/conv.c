/* The convolution around the arithmetic: where each input of a filter lies, panels, threads, outputs.
 *
 * A strided or padded input is split into its phases (every stride-th row and column, padding included), after which
 * each position (channel, ky, kx) of a filter reads the same picture moved by a constant. Where stride and padding do
 * nothing the input itself is the only phase. The pixels of the output, those of several small images together, are cut
 * into tiles; a panel holds for one tile and one block of positions what each position reads, row by row.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"

#define RUNS ((SLIM_TILE > SLIM_PRODUCT_TILE ? SLIM_TILE : SLIM_PRODUCT_TILE) + 2)        /* of one tile: a row of pixels or an image begins at most at each pixel */
#define CHUNK 128                   /* units whose sums are kept while all blocks pass: 64 pairs, or 16 times SLIM_UNITS */

/* The columns of slim_products. */
typedef struct {
    const float *values;
    const int64_t *kept;     /* (blocks + 1,): first kept row of a block */
    const int64_t *order;    /* (kept rows,): channel * taps + tap */
    const int64_t *segments; /* (blocks + 1,): a block's first segment */
    const int64_t *rows, *reads, *outputs;
    int64_t secondaries;
    int check;  /* a sum that is not finite may have reached an output that has no part in it */
    int masked; /* weights of -0 are none of an output's */
} columns;

typedef struct {
    const slim_shape *s;
    const slim_streams *streams;
    const columns *products;
    const slim_isa *isa;
    const float *x, *scale, *bias, *residual, *phases, *weights;
    float *y, *split;
    int64_t *koff, *of_panel;
    char *scratch;
    int64_t of_thread; /* bytes of scratch */
    slim_splitting splitting;
    int64_t phase_columns, phase_height, phase_width;
    int64_t channel, image; /* floats of `phases` between one channel, one image, and the next */
    int64_t images, pixels, tiles, blocks, chunk, chunks, rows; /* images at a time; most rows of a block */
    int strips;
    int plain, direct; /* direct: the pixels are those of a phase's rows, and nothing is copied to panels */
} plan;

typedef struct {
    slim_run in[RUNS], out[RUNS];
    int ins, outs;
    int64_t begin, length, padded, thin; /* first pixel; pixels; those in whole lanes; those beyond, or zeros fill the lane */
} tile;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t whole(int64_t bytes) { return up(bytes, 64) * 64; }

/* How large the phases are. */
static void measure(plan *p) {
    const slim_shape *s = p->s;
    const int64_t span_h = (s->kernel_h - 1) * s->dilation_h, span_w = (s->kernel_w - 1) * s->dilation_w;
    p->isa = slim_isa_now();
    p->plain = s->stride_h == 1 && s->stride_w == 1 && !s->pad_top && !s->pad_left &&
               s->out_height + span_h <= s->height && s->out_width + span_w <= s->width;
    p->phase_columns = least(s->stride_w, span_w + 1);
    p->phase_height = p->plain ? s->height : s->out_height + span_h / s->stride_h;
    p->phase_width = p->plain ? s->width : s->out_width + span_w / s->stride_w;
    const slim_splitting g = {s->height, s->width, s->stride_h, s->stride_w, s->pad_top, s->pad_left,
                              least(s->stride_h, span_h + 1), p->phase_columns, p->phase_height, p->phase_width};
    p->splitting = g;
    p->channel = g.rows * g.columns * g.phase_height * g.phase_width;
}

static void split_channel(void *context, int64_t item, int me) {
    const plan *p = context;
    const slim_shape *s = p->s;
    const int64_t image = item / s->in_channels, channel = item % s->in_channels;
    (void)me;
    p->isa->split(&p->splitting, p->x + (image * s->x_channels + channel) * s->height * s->width,
                  p->split + image * p->image + channel * p->channel);
}

static void offsets_of_positions(const plan *p, const int64_t *order, int64_t count) {
    const slim_shape *s = p->s;
    const int64_t phase = p->phase_height * p->phase_width, taps = s->kernel_h * s->kernel_w;
    int64_t *koff = p->koff, *of_tap = p->koff + count;
    for (int64_t ky = 0, tap = 0; ky < s->kernel_h; ky++)
        for (int64_t kx = 0; kx < s->kernel_w; kx++, tap++) {
            const int64_t row = ky * s->dilation_h, column = kx * s->dilation_w;
            of_tap[tap] = (row % s->stride_h * p->phase_columns + column % s->stride_w) * phase +
                          row / s->stride_h * p->phase_width + column / s->stride_w;
        }
    if (order)
        for (int64_t i = 0; i < count; i++) {
            const uint32_t k = (uint32_t)order[i], channel = k / (uint32_t)taps;
            koff[i] = channel * p->channel + of_tap[k - channel * (uint32_t)taps];
        }
    else
        for (int64_t i = 0, channel = 0; i < count; channel += p->channel)
            for (int64_t tap = 0; tap < taps; tap++) koff[i++] = channel + of_tap[tap];
}

/* Lanes of so many pixels; a few beyond whole lanes get none in a product, and pixels as few as these none at all. */
static int64_t lanes_of(const plan *p, int64_t pixels) {
    const int64_t full = pixels / SLIM_LANES, beyond = pixels % SLIM_LANES;
    return full + (beyond && (p->streams || beyond > SLIM_THIN));
}

/* The runs of pixels of tile t: in the input they end with a row (unless rows follow each other there), in the output
 * with an image. Read directly, the rows are those of a phase, and what lies beyond an output's row is not stored. */
static void lay_out(const plan *p, int64_t t, tile *l) {
    const slim_shape *s = p->s;
    const int64_t size = s->out_height * s->out_width, lanes = lanes_of(p, p->pixels);
    const int64_t begin = t * lanes / p->tiles * SLIM_LANES;
    const int64_t end = t == p->tiles - 1 ? p->pixels : (t + 1) * lanes / p->tiles * SLIM_LANES;
    const int64_t line = p->phase_width == s->out_width ? size : s->out_width;
    l->begin = begin;
    l->length = end - begin;
    l->thin = lanes == up(p->pixels, SLIM_LANES) ? 0 : (end - begin) % SLIM_LANES;
    l->padded = l->thin ? end - begin - l->thin : up(end - begin, SLIM_LANES) * SLIM_LANES;
    l->ins = l->outs = 0;
    if (p->direct && line != size) {
        for (int64_t q = begin; q < end;) {
            const int64_t row = q / p->phase_width, column = q % p->phase_width;
            const int64_t n = least(end - q, p->phase_width - column), used = least(n, s->out_width - column);
            if (used > 0) l->out[l->outs++] = (slim_run){q - begin, used, row * s->out_width + column};
            q += n;
        }
        return;
    }
    for (int64_t q = begin; q < end;) {
        const int64_t n = least(end - q, size - q % size);
        l->out[l->outs++] = (slim_run){q - begin, n, q / size * s->y_channels * size + q % size};
        q += n;
    }
    for (int64_t q = begin; q < end;) {
        const int64_t pixel = q % size, n = least(end - q, line - pixel % line);
        const int64_t from = pixel / s->out_width * p->phase_width + pixel % s->out_width;
        l->in[l->ins++] = (slim_run){q - begin, n, q / size * p->image + from};
        q += n;
    }
}

/* Copy what positions read to a panel. Zeros fill the last lane: a NaN that was left there would look like one of x. */
static void fill(const plan *p, const tile *l, float *panel, int64_t stride, const float *phases, const int64_t *koff,
                 int64_t rows) {
    p->isa->fill(panel, stride, phases, koff, rows, l->in, l->ins);
    for (int64_t k = 0; l->length < l->padded && k < rows; k++)
        for (int64_t q = l->length; q < l->padded; q++) panel[k * stride + q] = 0;
}

static slim_store outputs_of(const plan *p, const tile *l, int64_t output, int64_t count) {
    const int64_t size = p->s->out_height * p->s->out_width;
    return (slim_store){
        .scale = p->scale ? p->scale + output : 0,
        .bias = p->bias ? p->bias + output : 0,
        .residual = p->residual ? p->residual + output * size : 0,
        .y = p->y + output * size,
        .size = size,
        .count = count,
        .run = l->out,
        .runs = l->outs,
        .activation = (int)p->s->activation,
    };
}

/* Store outputs of a group that follow each other. */
static void store(const plan *p, const tile *l, int64_t output, int64_t count, const float *sums, int64_t secondaries,
                  int64_t next, int64_t across) {
    slim_store o = outputs_of(p, l, output, count);
    o.secondaries = secondaries;
    o.next = next;
    o.across = across;
    p->isa->store(&o, sums);
}

/* What the store will touch: bring it near while the sums are computed. */
static inline void expect(const plan *p, const tile *l, int64_t output, int64_t count) {
    const int64_t size = p->s->out_height * p->s->out_width;
    for (int64_t j = 0; l->outs && j < count; j++, output++) {
        const int64_t at = output * size + l->out[0].from;
        for (int64_t i = 0; i < l->out[0].length; i += 16) {
            __builtin_prefetch(p->y + at + i, 1);
            if (p->residual) __builtin_prefetch(p->residual + at + i, 0);
        }
    }
}

/* What comes after this block of this tile: bring a share of its input near. Phases are near already. */
typedef struct {
    const float *from;
    const int64_t *koff;
    int64_t rows, pixels, share, at;
} future;

static future soon(const plan *p, const tile *l, const float *phases, int64_t k, int64_t rows, int last, int64_t next_rows,
                   int64_t parts) {
    const int64_t begin = last ? l->begin + l->padded : l->begin;
    future f = {.from = phases + begin, .koff = last ? p->koff : p->koff + k + rows, .rows = next_rows};
    f.pixels = least(l->padded, p->pixels - begin);
    if (!p->plain || f.pixels <= 0 || p->images > 1) f.rows = 0;
    f.share = up(f.rows, parts);
    return f;
}

static inline void approach(future *f) {
    for (int64_t end = least(f->at + f->share, f->rows); f->at < end; f->at++)
        for (int64_t i = 0; i < f->pixels; i += 16) __builtin_prefetch(f->from + f->koff[f->at] + i, 0, 2);
}

static inline int bit_of(int run) { return (run + 1) ^ ((run + 1) >> 1); }

/* --- streams ------------------------------------------------------------------------------------------------------ */

/* The same with a sum of its own for each run: a running sum that met an infinity would carry NaN to all outputs. */
static void exact_stream(const slim_stream *b, int64_t pair, float *sums) {
    for (int h = 0; h < 2 && 2 * pair + h < b->units; h++, sums += 4 * SLIM_TILE) {
        const int secondaries = b->secondaries[2 * pair + h];
        if (b->first) memset(sums, 0, 4 * SLIM_TILE * sizeof(float));
        for (int64_t i = b->starts[pair]; i < b->starts[pair + 1];) {
            const int slot = b->steps[2 * i + h].slot;
            float sum[SLIM_TILE] = {0};
            for (; i < b->starts[pair + 1] && b->steps[2 * i + h].slot == slot; i++)
                for (int v = 0; v < 2; v++) {
                    const slim_step *step = &b->steps[2 * i + h];
                    const float *row = b->panel + step->row[v] / sizeof(float);
                    for (int q = 0; q < b->pixels; q++) sum[q] += step->value[v] * row[q];
                }
            for (int j = 0; j < secondaries; j++)
                if (bit_of(slot / (SLIM_TILE * (int)sizeof(float))) >> j & 1)
                    for (int q = 0; q < b->pixels; q++) sums[j * SLIM_TILE + q] += sum[q];
        }
    }
}

/* What one tile needs of pairs of units. A pair with a running sum that is not finite is computed again, exactly, before
 * it is stored: the residual may lie where its outputs go. */
static void stream_tile(const plan *p, const tile *l, int64_t group, int64_t from, int64_t to, char *scratch, int exact) {
    const slim_shape *s = p->s;
    const slim_streams *w = p->streams;
    const int64_t pairs = up(s->units, 2), rows = p->rows, outputs = s->out_channels / s->groups;
    const int64_t positions = s->in_channels / s->groups * s->kernel_h * s->kernel_w;
    const float *phases = p->phases + group * (s->in_channels / s->groups) * p->channel;
    float *panel = (float *)scratch, *sums = panel + (SLIM_BLOCK + 2 + 32) * SLIM_TILE;
    slim_stream b = {.steps = w->steps, .secondaries = w->secondaries, .units = s->units, .pixels = (int)l->padded,
                     .panel = panel, .snapshots = panel + (SLIM_BLOCK + 2) * SLIM_TILE};
    uint64_t bad = 0; /* a bit for each pair */
    for (int64_t block = 0; block < p->blocks; block++) {
        const int64_t k = block * rows, last = block == p->blocks - 1;
        fill(p, l, panel, SLIM_TILE, phases, p->koff + k, least(rows, positions - k));
        memset(panel + SLIM_BLOCK * SLIM_TILE, 0, SLIM_TILE * sizeof(float));
        b.starts = w->starts + (group * p->blocks + block) * (pairs + 1);
        b.first = block == 0;
        future f = soon(p, l, phases, k, rows, (int)last, last ? rows : least(rows, positions - k - rows), to - from);
        for (int64_t pair = from; pair < to; pair++) {
            float *mine = sums + (p->blocks > 1 ? (pair - from) * 8 * SLIM_TILE : 0);
            approach(&f);
            const int64_t units = least(2, s->units - 2 * pair);
            if (last)
                for (int64_t u = 0; u < units; u++)
                    expect(p, l, group * outputs + w->outputs[2 * pair + u], w->secondaries[2 * pair + u]);
            if (exact) exact_stream(&b, pair, mine);
            else bad |= (uint64_t)p->isa->stream(&b, pair, mine) << (pair - from);
            if (!last) continue;
            if (bad >> (pair - from) & 1) stream_tile(p, l, group, pair, pair + 1, scratch, 1);
            else
                for (int64_t u = 0; u < units; u++)
                    store(p, l, group * outputs + w->outputs[2 * pair + u], w->secondaries[2 * pair + u],
                          mine + u * 4 * SLIM_TILE, 4, SLIM_TILE, 0);
        }
    }
}

/* --- products ----------------------------------------------------------------------------------------------------- */

/* As exact_stream: each segment sums for itself and adds to the outputs that have begun and not ended. */
static void exact_product(const slim_product *b, int masked) {
    for (int u = 0; u < SLIM_UNITS; u++)
        for (int j = 0; j < b->secondaries; j++) {
            float *out = b->sums + (j * SLIM_UNITS + u) * SLIM_PRODUCT_TILE;
            int begun = 0; /* an output whose first reading adds was there from the start */
            for (int64_t read = b->reads[0]; read < b->reads[b->segments]; read++)
                if (b->outputs[read] >> 1 == j) {
                    begun = !(b->outputs[read] & 1);
                    break;
                }
            int64_t row = 0;
            for (int segment = 0; segment < b->segments; segment++) {
                for (int64_t i = 0; i < b->rows[segment]; i++, row++) {
                    const float value = b->values[row * SLIM_UNITS + u];
                    if (!begun || (masked && value == 0 && signbit(value))) continue;
                    for (int q = 0; q < b->pixels + b->thin; q++) out[q] += value * b->from[b->koff[row] + q];
                }
                for (int64_t read = b->reads[segment]; read < b->reads[segment + 1]; read++)
                    if (b->outputs[read] >> 1 == j) begun = b->outputs[read] & 1;
            }
        }
}

/* The same of SLIM_UNITS units at a time. */
static void product_tile(const plan *p, const tile *l, int64_t group, int64_t from, int64_t to, char *scratch, int exact) {
    const slim_shape *s = p->s;
    const columns *w = p->products;
    const int64_t outputs = s->out_channels / s->groups, groups = up(s->units, SLIM_UNITS), all = w->kept[p->blocks];
    const int64_t thin = SLIM_UNITS * w->secondaries * SLIM_THIN, each = SLIM_UNITS * w->secondaries * SLIM_PRODUCT_TILE + thin;
    float *panel = (float *)scratch, *sums = panel + (p->rows + 1) * SLIM_PRODUCT_TILE;
    const int dense = w->secondaries == 1, one_run = l->outs == 1 && l->out[0].length >= l->padded;
    slim_product b = {.secondaries = (int)w->secondaries, .pixels = (int)l->padded, .thin = (int)l->thin, .check = w->check, .dense = dense};
    const float *phases = p->phases + group * (s->in_channels / s->groups) * p->channel;
    const int direct = p->direct && !(p->plain && l->begin + l->padded > p->pixels); /* nothing is read beyond x */
    uint64_t bad = 0; /* a bit for each SLIM_UNITS units */
    for (int64_t block = 0; block < p->blocks; block++) {
        const int64_t k = w->kept[block], rows = w->kept[block + 1] - k, last = block == p->blocks - 1;
        b.from = direct ? phases + l->begin : panel;
        b.koff = direct ? p->koff + k : p->of_panel;
        if (!direct) fill(p, l, panel, SLIM_PRODUCT_TILE, phases, p->koff + k, rows);
        b.rows = w->rows + w->segments[block];
        b.reads = w->reads + w->segments[block];
        b.outputs = w->outputs;
        b.segments = (int)(w->segments[block + 1] - w->segments[block]);
        const int64_t next = last ? w->kept[1] : w->kept[block + 2] - w->kept[block + 1];
        future f = soon(p, l, phases, k, rows, (int)last, next, to - from);
        for (int64_t units = from; units < to; units++) {
            const int64_t first = units * SLIM_UNITS * w->secondaries;
            const int64_t count = least(SLIM_UNITS * w->secondaries, outputs - first);
            b.values = w->values + ((group * all + k) * groups + units * rows) * SLIM_UNITS;
            b.sums = sums + (p->blocks > 1 ? (units - from) * each : 0); /* those of one block stay in the first cache */
            b.thin_sums = b.sums + each - thin;
            b.first = !block;
            if (!block) memset(dense && !exact ? b.thin_sums : b.sums, 0, (dense && !exact ? thin : each) * sizeof(float));
            approach(&f);
            if (last) expect(p, l, group * outputs + first, count);
            const slim_store out = outputs_of(p, l, group * outputs + first, count);
            /* pixels are stored while others of these units are not yet known to be finite */
            const int at_once = last && dense && one_run && count == SLIM_UNITS && !exact && !(w->check && out.residual);
            b.out = at_once ? &out : 0;
            if (exact) exact_product(&b, w->masked);
            else bad |= (uint64_t)p->isa->product(&b) << (units - from);
            if (!last) continue;
            if (bad >> (units - from) & 1) {
                product_tile(p, l, group, units, units + 1, scratch, 1);
                continue;
            }
            for (int64_t i = 0; !exact && i < thin; i++) {
                const int64_t unit = i % SLIM_UNITS, q = i / SLIM_UNITS % SLIM_THIN, j = i / SLIM_UNITS / SLIM_THIN;
                if (q < l->thin) b.sums[(j * SLIM_UNITS + unit) * SLIM_PRODUCT_TILE + l->padded + q] = b.thin_sums[i];
            }
            if (at_once) { /* but for the few pixels beyond whole lanes */
                const slim_run beyond = {l->padded, l->out[0].length - l->padded, l->out[0].from + l->padded};
                slim_store more = out;
                more.run = &beyond;
                more.secondaries = 1;
                more.across = SLIM_PRODUCT_TILE;
                if (beyond.length) p->isa->store(&more, b.sums);
                continue;
            }
            store(p, l, group * outputs + first, count, b.sums, w->secondaries, SLIM_UNITS * SLIM_PRODUCT_TILE,
                  SLIM_PRODUCT_TILE);
        }
    }
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static void one_tile(void *context, int64_t item, int me) {
    const plan *p = context;
    const slim_shape *s = p->s;
    const int64_t chunk = item % p->chunks, group = item / p->chunks % s->groups;
    const int64_t parts = up(s->units, p->streams ? 2 : SLIM_UNITS), from = chunk * p->chunk;
    const int64_t to = least(from + p->chunk, parts);
    char *scratch = p->scratch + me * p->of_thread;
    tile l;
    lay_out(p, item / p->chunks / s->groups, &l);
    if (p->streams) stream_tile(p, &l, group, from, to, scratch, 0);
    else product_tile(p, &l, group, from, to, scratch, 0);
}

static int convolve(plan *p, const float *x, const float *residual, float *y) {
    const slim_shape *s = p->s;
    const int64_t size = s->out_height * s->out_width, most_pixels = p->streams ? SLIM_TILE : SLIM_PRODUCT_PIXELS;
    const int64_t part = p->streams ? 2 : SLIM_UNITS, parts = up(s->units, part);
    const int threads = (int)most(1, least(s->threads, SLIM_THREADS));
    measure(p);
    p->image = p->plain ? s->x_channels * p->channel : s->in_channels * p->channel;
    if (!s->batch || !size || !s->out_channels) return 0;
    const int64_t at_once = up(s->batch, up(s->batch, least(s->batch, up(256, size)))); /* small images fill tiles together */
    /* one image whose phases' rows are little longer than the output's */
    p->direct = p->products && at_once == 1 && (p->phase_width - s->out_width) * 8 <= s->out_width &&
                (!p->plain || p->phase_width == s->out_width);
    const int64_t grid = p->direct ? (s->out_height - 1) * p->phase_width + s->out_width : size;
    const int64_t positions = p->products ? p->products->kept[p->blocks]
                                          : s->in_channels / s->groups * s->kernel_h * s->kernel_w;
    const int64_t secondaries = p->products ? p->products->secondaries : 4;
    p->tiles = most(1, up(lanes_of(p, at_once * grid), most_pixels / SLIM_LANES));
    p->chunk = least(CHUNK / part, parts);
    for (int64_t items; p->chunk > 8 / part; p->chunk = up(p->chunk, 2)) {
        items = p->tiles * s->groups * up(parts, p->chunk);
        if (4 * up(items, threads) * threads <= 5 * items) break; /* else more than a fifth of the threads' time is idle */
    }
    p->chunks = up(parts, p->chunk);
    p->of_thread = whole((p->streams ? (SLIM_BLOCK + 2 + 32) * SLIM_TILE : (p->rows + 1) * SLIM_PRODUCT_TILE + SLIM_TILE) * 4 +
                         p->chunk * part * secondaries * (p->streams ? SLIM_TILE : SLIM_PRODUCT_TILE + SLIM_THIN) * 4 + 64);
    const int64_t koff = whole((positions + s->kernel_h * s->kernel_w + p->rows) * (int64_t)sizeof(int64_t)), scratch = threads * p->of_thread;
    const int64_t split = p->plain ? 0 : (at_once * p->image + 2 * SLIM_LANES) * (int64_t)sizeof(float);
    slim_workspace *space = slim_borrow(scratch + koff + split);
    if (!space) return 1;
    p->scratch = space->memory;
    p->koff = (int64_t *)(p->scratch + scratch);
    p->split = (float *)(p->scratch + scratch + koff);
    if (split) memset(p->split + at_once * p->image, 0, 2 * SLIM_LANES * sizeof(float)); /* read beyond the last row */
    offsets_of_positions(p, p->products ? p->products->order : 0, positions);
    p->of_panel = p->koff + positions + s->kernel_h * s->kernel_w; /* where the rows of a panel begin */
    for (int64_t k = 0; k < p->rows; k++) p->of_panel[k] = k * SLIM_PRODUCT_TILE;
    for (int64_t n = 0; n < s->batch; n += at_once) {
        p->images = least(at_once, s->batch - n);
        p->pixels = p->images * grid;
        p->tiles = most(1, up(lanes_of(p, p->pixels), most_pixels / SLIM_LANES));
        p->x = x + n * s->x_channels * s->height * s->width;
        p->y = y + n * s->y_channels * size;
        p->residual = residual ? residual + n * s->y_channels * size : 0;
        p->phases = p->plain ? p->x : p->split;
        if (!p->plain) slim_parallel(threads, s->in_channels * p->images, split_channel, p);
        slim_parallel(threads, p->tiles * s->groups * p->chunks, one_tile, p);
    }
    slim_give_back(space);
    return 0;
}

int slim_conv_streams(const slim_shape *s, const slim_streams *w, const float *x, const float *scale, const float *bias,
                      const float *residual, float *y) {
    const int64_t positions = s->in_channels / s->groups * s->kernel_h * s->kernel_w;
    plan p = {.s = s, .streams = w, .scale = scale, .bias = bias};
    p.blocks = up(positions, SLIM_BLOCK);
    p.rows = up(positions, p.blocks); /* blocks of equal size: a short one would cost as much as a long one */
    return convolve(&p, x, residual, y);
}

int slim_conv_products(const slim_shape *s, const slim_products *w, const float *x, const float *scale,
                       const float *bias, const float *residual, float *y) {
    const int64_t *length = w->layout, *at = w->layout + 8;
    columns c = {.values = w->values, .secondaries = length[6], .masked = length[7] > 0};
    const int64_t **const column[] = {&c.kept, &c.order, &c.segments, &c.rows, &c.reads, &c.outputs};
    for (int i = 0; i < 6; at += length[i++]) *column[i] = at;
    c.check = c.secondaries > 1 || c.masked;
    slim_shape shape = *s;
    shape.units = up(s->out_channels / s->groups, c.secondaries);
    plan p = {.s = &shape, .products = &c, .scale = scale, .bias = bias, .blocks = length[0] - 1};
    for (int64_t block = 0; block < p.blocks; block++) p.rows = most(p.rows, c.kept[block + 1] - c.kept[block]);
    return convolve(&p, x, residual, y);
}

/* --- depthwise ---------------------------------------------------------------------------------------------------- */

static void depthwise_channel(void *context, int64_t item, int me) {
    const plan *p = context;
    const slim_shape *s = p->s;
    const int64_t channel = item % s->in_channels, size = s->out_height * s->out_width;
    const float *from = p->x + item * s->height * s->width;
    if (!p->plain && !p->strips) {
        float *to = (float *)(p->scratch + me * p->of_thread);
        p->isa->split(&p->splitting, from, to);
        from = to;
    }
    const slim_depthwise d = {
        .from = from,
        .weights = p->weights + channel * p->rows,
        .residual = p->residual ? p->residual + item * size : 0,
        .y = p->y + item * size,
        .strips = p->strips ? &p->splitting : 0,
        .koff = p->koff,
        .taps = p->rows,
        .height = s->out_height,
        .width = s->out_width,
        .line = p->phase_width,
        .scale = p->scale ? p->scale[channel] : 1,
        .bias = p->bias ? p->bias[channel] : 0,
        .activation = (int)s->activation,
    };
    p->isa->depthwise(&d);
}

int slim_conv_depthwise(const slim_shape *s, const float *weights, const float *x, const float *scale,
                        const float *bias, const float *residual, float *y) {
    plan p = {.s = s, .weights = weights, .x = x, .scale = scale, .bias = bias, .residual = residual, .y = y};
    const int threads = (int)most(1, least(s->threads, SLIM_THREADS));
    measure(&p);
    p.rows = s->kernel_h * s->kernel_w;
    p.strips = p.isa->strips && s->kernel_h == 3 && s->kernel_w == 3 && s->dilation_h == 1 && s->dilation_w == 1 &&
               s->stride_h == s->stride_w && s->stride_h <= 2;
    p.of_thread = p.strips ? 0 : whole((p.channel + SLIM_LANES) * (int64_t)sizeof(float));
    slim_workspace *space = slim_borrow(threads * p.of_thread + 2 * p.rows * (int64_t)sizeof(int64_t));
    if (!space) return 1;
    p.scratch = space->memory;
    p.koff = (int64_t *)(p.scratch + threads * p.of_thread);
    offsets_of_positions(&p, 0, p.rows);
    slim_parallel(threads, s->batch * s->in_channels, depthwise_channel, &p);
    slim_give_back(space);
    return 0;
}
