/* Max pooling around the arithmetic of one channel. */
#include "kernels.h"

typedef struct {
    const slim_pooling *p;
    const float *x;
    float *y;
    char *lines;
    int64_t line; /* bytes */
    const slim_isa *isa;
} work;

static void channel(void *context, int64_t item, int me) {
    const work *w = context;
    w->isa->pool(w->p, w->x + item * w->p->height * w->p->width, w->y + item * w->p->out_height * w->p->out_width,
                 (float *)(w->lines + me * w->line));
}

int slim_max_pool(const slim_pooling *p, const float *x, float *y) {
    const int threads = (int)(p->threads < 1 ? 1 : p->threads > SLIM_THREADS ? SLIM_THREADS : p->threads);
    const int64_t line = ((p->width + 2 * p->pad_w + 2 * p->stride_w) * 2 * (int64_t)sizeof(float) + 127) / 64 * 64;
    slim_workspace *space = slim_borrow(threads * line);
    if (!space) return 1;
    work w = {p, x, y, space->memory, line, slim_isa_now()};
    slim_parallel(threads, p->planes, channel, &w);
    slim_give_back(space);
    return 0;
}
