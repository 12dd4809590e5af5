/* Layers one after the other without a word to Python in between; what lies between them is reused while it is near. */
#include "kernels.h"

int slim_chain(const slim_layer *layer, int64_t layers, const float *input, float *output, float *arena) {
    for (; layers; layers--, layer++) {
        const float *x = layer->x == SLIM_INPUT ? input : arena + layer->x;
        const float *residual = layer->residual == SLIM_NOWHERE ? 0
                                : layer->residual == SLIM_INPUT ? input
                                                                : arena + layer->residual;
        float *y = layer->y == SLIM_OUTPUT ? output : arena + layer->y;
        int failed;
        if (layer->kind == SLIM_POOL) failed = slim_max_pool(&layer->pooling, x, y);
        else if (layer->kind == SLIM_STREAMS)
            failed = slim_conv_streams(&layer->shape, &layer->streams, x, layer->scale, layer->bias, residual, y);
        else if (layer->kind == SLIM_DEPTHWISE)
            failed = slim_conv_depthwise(&layer->shape, layer->depthwise, x, layer->scale, layer->bias, residual, y);
        else failed = slim_conv_products(&layer->shape, &layer->products, x, layer->scale, layer->bias, residual, y);
        if (failed) return failed;
    }
    return 0;
}
