/* Layers one after the other without a word to Python in between; what lies between them is reused while it is near. */
#include "kernels.h"

int slim_chain(const slim_layer *l, int64_t layers, const float *input, float *output, float *arena) {
    for (; layers; layers--, l++) {
        const float *from[] = {0, arena, input, output};
        float *to[] = {0, arena, 0, output};
        const float *x = from[l->x.of] + l->x.at, *residual = from[l->residual.of];
        float *y = to[l->y.of] + l->y.at;
        int failed;
        if (residual) residual += l->residual.at;
        if (l->kind == SLIM_POOL) failed = slim_max_pool(&l->pooling, x, y);
        else if (l->kind == SLIM_GATE) failed = slim_conv_gate(&l->gate, x, y);
        else if (l->kind == SLIM_MEAN) failed = slim_means(&l->gate, x, y);
        else if (l->kind == SLIM_FOLD) {
            void *maps[SLIM_PATHS];
            for (int64_t p = 0; p < l->folding.paths; p++) maps[p] = y + p * l->folding.width * l->folding.size;
            failed = slim_conv_fold(&l->folding, x, residual, maps);
        }
        else if (l->kind == SLIM_STREAMS)
            failed = slim_conv_streams(&l->shape, &l->streams, x, l->scale, l->bias, residual, y);
        else if (l->kind == SLIM_DEPTHWISE)
            failed = slim_conv_depthwise(&l->shape, l->depthwise, x, l->scale, l->bias, residual, y);
        else failed = slim_conv_products(&l->shape, &l->products, x, l->scale, l->bias, residual, y);
        if (failed) return failed;
    }
    return 0;
}
