/* SlimConv's own steps: the gate, and the sums of weighted chunks for all paths at once. */
#include <math.h>

#include "kernels.h"

typedef struct {
    const slim_isa *isa;
    const slim_gate *gate;
    const slim_folding *folding;
    const float *x, *weights;
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

int slim_conv_gate(const slim_gate *g, const float *x, float *weights) {
    slim_workspace *space = slim_borrow((g->batch * g->channels + g->hidden) * (int64_t)sizeof(float));
    if (!space) return 1;
    float *means = (float *)space->memory, *hidden = means + g->batch * g->channels;
    work w = {.isa = slim_isa_now(), .gate = g, .x = x, .y = means};
    slim_parallel((int)(g->threads < 1 ? 1 : g->threads), g->batch * g->channels, mean_of_channel, &w);
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

static void fold_channel(void *context, int64_t item, int me) {
    const work *w = context;
    const slim_folding *f = w->folding;
    const int64_t n = item / f->width, channel = item % f->width;
    (void)me;
    w->isa->fold(f, w->x + (n * f->channels + channel) * f->size, w->weights + n * f->paths * f->chunks * f->width + channel,
                 w->y + (n * f->paths * f->width + channel) * f->size);
}

int slim_conv_fold(const slim_folding *f, const float *x, const float *weights, float *y) {
    work w = {.isa = slim_isa_now(), .folding = f, .x = x, .weights = weights, .y = y};
    slim_parallel((int)(f->threads < 1 ? 1 : f->threads), f->batch * f->width, fold_channel, &w);
    return 0;
}
