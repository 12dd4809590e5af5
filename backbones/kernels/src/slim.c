/* SlimConv's own steps: the gate, and the sums of weighted chunks for all paths at once, with their gradients. */
#include <math.h>
#include <string.h>

#include "kernels.h"

typedef struct {
    const slim_isa *isa;
    const slim_gate *gate;
    const float *x;
    float *y;
} work;

static void mean_of_channel(void *context, int64_t item, int me) {
    const work *w = context;
    (void)me;
    w->y[item] = w->isa->mean(w->x + item * w->gate->size, w->gate->size);
}

static float row(const float *weights, const float *x, float bias, int64_t n) {
    float sum[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) sum[l] += weights[i + l] * x[i + l];
    for (; i < n; i++) bias += weights[i] * x[i];
    for (int l = 0; l < 16; l++) bias += sum[l];
    return bias;
}

int slim_means(const slim_gate *g, const float *x, float *means) {
    work w = {.isa = slim_isa_now(), .gate = g, .x = x, .y = means};
    slim_parallel((int)(g->threads < 1 ? 1 : g->threads), g->batch * g->channels, mean_of_channel, &w);
    return 0;
}

int slim_conv_gate(const slim_gate *g, const float *x, float *weights) {
    slim_workspace *space = slim_borrow((g->batch * g->channels + g->hidden) * (int64_t)sizeof(float));
    if (!space) return 1;
    float *means = (float *)space->memory, *hidden = means + g->batch * g->channels;
    slim_means(g, x, means);
    for (int64_t n = 0; n < g->batch; n++, means += g->channels, weights += g->outputs) {
        for (int64_t h = 0; h < g->hidden; h++) {
            const float z = row(g->squeeze + h * g->channels, means, g->squeeze_bias[h], g->channels);
            hidden[h] = z < 0 ? 0 : z; /* NaN stays NaN */
        }
        for (int64_t o = 0; o < g->outputs; o++)
            weights[o] = 1 / (1 + expf(-row(g->excite + o * g->hidden, hidden, g->excite_bias[o], g->hidden)));
    }
    slim_give_back(space);
    return 0;
}

/* --- Eq. 2 and its gradients -------------------------------------------------------------------------------------- */

typedef struct {
    const slim_folding *f;
    void (*run)(const slim_folding *, const slim_piece *);
    const char *x;
    const float *weights;
    char *y[SLIM_PATHS], *dx;
    float *dweights, *partial; /* of an image's first part; of its others */
    int64_t parts, pixels;     /* of an image; of a part */
} folding;

static folding prepared(const slim_folding *f, const void *x, const float *weights, int64_t parts) {
    folding w = {.f = f, .x = x, .weights = weights, .pixels = (f->size + parts - 1) / parts};
    w.parts = (f->size + w.pixels - 1) / w.pixels;
    return w;
}

/* With `last`, an item is a part of an image, else one channel of it. */
static void run_piece(void *context, int64_t item, int me) {
    const folding *w = context;
    const slim_folding *f = w->f;
    const int64_t bytes = f->half ? 2 : 4, weights = f->paths * f->chunks * f->width;
    const int64_t items = f->last ? w->parts : f->width, n = item / items, part = item % items;
    const int64_t channel = f->last ? 0 : part, first = f->last ? part * w->pixels : 0;
    const int64_t at = (n * f->channels + channel) * f->size + first * f->channels;
    slim_piece piece = {.x = w->x + at * bytes, .weights = w->weights + n * weights + channel};
    (void)me;
    piece.pixels = f->size - first < w->pixels ? f->size - first : w->pixels;
    for (int64_t p = 0; p < f->paths; p++)
        piece.y[p] = w->y[p] + (n * f->next + channel * f->size + first * f->width) * bytes;
    piece.dx = w->dx ? w->dx + at * bytes : 0;
    piece.dweights = w->dweights ? w->dweights + n * weights + channel : 0;
    if (w->dweights && f->last && part) piece.dweights = w->partial + (n * (w->parts - 1) + part - 1) * weights;
    w->run(f, &piece);
    if (w->dx && !f->last && !channel) { /* channels that are left over */
        const int64_t used = f->chunks * f->width * f->size;
        memset(piece.dx + used * bytes, 0, (f->channels * f->size - used) * bytes);
    }
}

int slim_conv_fold(const slim_folding *f, const void *x, const float *weights, void *const *y) {
    folding w = prepared(f, x, weights, (f->size + 63) / 64);
    w.run = slim_isa_now()->fold;
    for (int64_t p = 0; p < f->paths; p++) w.y[p] = y[p];
    slim_parallel((int)(f->threads < 1 ? 1 : f->threads), f->batch * (f->last ? w.parts : f->width), run_piece, &w);
    return 0;
}

int slim_conv_unfold(const slim_folding *f, const void *x, const float *weights, const void *const *g, void *dx,
                     float *dweights) {
    const int64_t threads = f->threads < 1 ? 1 : f->threads, each = f->paths * f->chunks * f->width;
    const int64_t wanted = f->last ? (threads + f->batch - 1) / f->batch : 1; /* parts: work for every thread */
    folding w = prepared(f, x, weights, wanted < f->size ? wanted : f->size);
    slim_workspace *space = slim_borrow(f->batch * (w.parts - 1) * each * (int64_t)sizeof(float) + 64);
    if (!space) return 1;
    w.run = slim_isa_now()->unfold;
    for (int64_t p = 0; p < f->paths; p++) w.y[p] = (char *)g[p];
    w.dx = dx;
    w.dweights = dweights;
    w.partial = (float *)space->memory;
    slim_parallel((int)threads, f->batch * (f->last ? w.parts : f->width), run_piece, &w);
    for (int64_t n = 0; n < f->batch; n++, dweights += each)
        for (int64_t part = 1; part < w.parts; part++, w.partial += each)
            for (int64_t i = 0; i < each; i++) dweights[i] += w.partial[i];
    slim_give_back(space);
    return 0;
}
