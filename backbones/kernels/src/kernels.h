/* What the parts of the library share, and its plain C interface (no header of PyTorch's). */
#ifndef SLIM_KERNELS_H
#define SLIM_KERNELS_H

#include <stdint.h>

#define SLIM_TILE 64  /* pixels of a panel: a row of it is 256 bytes */
#define SLIM_BLOCK 128 /* rows of a panel, and one more of zeros: 32 KB, so that it stays in the first cache */
#define SLIM_CHUNK 128 /* units whose sums are kept while all blocks pass: 128 KB */

/* One block of weights for the units from..to, and the panel that they read. */
typedef struct {
    const float *values;
    const uint16_t *offsets; /* of a weight's row in the panel, in bytes */
    const uint8_t *counts;   /* 16 a unit: pairs of weights in each run */
    const int64_t *starts;   /* of a unit's weights */
    const uint8_t *secondaries;
    int64_t from, to;
    int kinds; /* bit n: some unit has n secondaries */
    int first; /* the sums start here */
    int pixels;
    const float *panel;
    float *sums; /* (to - from, 4, SLIM_TILE) */
} slim_block;

enum { SLIM_NONE, SLIM_RELU, SLIM_RELU6 };

typedef struct {
    const char *name;
    void (*tile)(const slim_block *);
    void (*fill)(float *panel, const float *from, const int64_t *koff, int64_t rows, int64_t pixels);
    void (*store)(float *y, const float *sum, const float *residual, float scale, float bias, int activation, int64_t n);
} slim_isa;

/* Work in up to `threads` threads: job(context, item, me) for each item in 0..items-1; me, the number of the thread, is
 * below `threads`, and 0 for the caller's own. */
void slim_parallel(int threads, int64_t items, void (*job)(void *context, int64_t item, int me), void *context);
#define SLIM_THREADS 256

/* A convolution. All numbers are int64_t; sizes of (height, width) come as pairs. */
typedef struct {
    int64_t batch, in_channels, height, width;
    int64_t out_channels, out_height, out_width;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
    int64_t groups, units; /* units of one group */
    int64_t activation, threads;
} slim_shape;

typedef struct {
    const float *values;
    const uint16_t *offsets;
    const uint8_t *counts;      /* (groups, blocks, units, 16) */
    const int64_t *starts;      /* (groups, blocks, units) */
    const uint8_t *secondaries; /* (units,): outputs of a unit, 1 to 4 */
    const int64_t *outputs;     /* (units,): its first output in the group */
} slim_weights;

#define SLIM_API __attribute__((visibility("default")))

/* y = activation(conv(x) * scale + bias + residual), (N, C, H, W) each, contiguous; scale and bias have a number for
 * each output channel; they and residual may be NULL. Returns 0, or 1: no memory. */
SLIM_API int slim_conv(const slim_shape *, const slim_weights *, const float *x, const float *scale, const float *bias,
                       const float *residual, float *y);
SLIM_API const char *slim_in_use(void);
SLIM_API const char *slim_use(const char *isa); /* NULL: the best; else by name if this CPU has it, or NULL */
SLIM_API const char *slim_sources(void);        /* the digest of the sources that it was compiled from */

#endif
