/* What the parts of the library share, and its plain C interface (no header of PyTorch's). */
#ifndef SLIM_KERNELS_H
#define SLIM_KERNELS_H

#include <stdint.h>

#define SLIM_TILE 64   /* most pixels of a tile, and floats of a row of the panel */
#define SLIM_THIN 4    /* most pixels beyond whole lanes that a product takes one by one */
#define SLIM_PRODUCT_TILE 160 /* of its sums; 9 lanes and those */
#define SLIM_PRODUCT_PIXELS 144 /* the same for products, 3 of AVX-512's registers at a time: longer runs of memory */
#define SLIM_BLOCK 128 /* rows of a panel that a stream reads, and one more of zeros: 32 KB, in the first cache */
#define SLIM_LANES 16  /* tiles are cut into pieces of so many pixels, whatever the width of a register */
#define SLIM_UNITS 8   /* primary filters side by side in a product */

/* Two weights of one run: their rows in the panel and the slot of the run, in bytes. */
typedef struct {
    float value[2];
    uint16_t row[2], slot, unused;
} slim_step;

/* Primary filters whose masks differ: a pair of them at a time, see tile.c. */
typedef struct {
    const slim_step *steps; /* (entries, 2): those of the pair's first and second unit in turn */
    const int64_t *starts;  /* (pairs + 1,): of the pair's entries in this block */
    const uint8_t *secondaries; /* (units,) */
    int64_t units;
    int pixels; /* a multiple of SLIM_LANES */
    int first;  /* the sums start here */
    const float *panel;
    float *snapshots; /* (2, 16, SLIM_TILE) */
} slim_stream;

/* Primary filters with the same masks: a product of matrices whose running sums are read where a mask begins or ends. */
typedef struct {
    const float *values;   /* (rows, SLIM_UNITS) of one group of units in this block */
    const int64_t *rows;   /* (segments,): rows until the sums are read */
    const int64_t *reads;  /* (segments + 1,): of a segment's entries in `outputs` */
    const int64_t *outputs; /* secondary * 2, + 1: subtract */
    int segments, secondaries, pixels, thin; /* pixels in whole lanes; those beyond them */
    const float *from; /* row k of the block begins at from + koff[k] */
    const int64_t *koff;
    float *sums; /* (secondaries, SLIM_UNITS, SLIM_PRODUCT_TILE) */
    float *thin_sums; /* (secondaries, SLIM_THIN, SLIM_UNITS) */
    int check;                    /* whether a sum that is not finite reaches outputs that have no part in it */
    int dense, first;             /* one secondary with all weights; the sums start here */
    const struct slim_store *out; /* of a dense product: outputs whose sums end here and need not be kept, or NULL */
} slim_product;

/* A run of neighbouring pixels: where it lies in the tile, in the input (or its phases), and in the output. */
typedef struct {
    int64_t at, length, from;
} slim_run;

/* Outputs of one tile: y = activation(sum * scale + bias + residual). */
typedef struct slim_store {
    const float *scale, *bias, *residual; /* of the first output; or NULL */
    float *y;
    int64_t size, count, secondaries; /* floats between two outputs; outputs; those of a unit */
    int64_t next, across;             /* floats of the sums between two secondaries, two units */
    const slim_run *run;
    int runs, activation;
} slim_store;

/* A picture moved apart into its phases: every stride_h-th row and stride_w-th column, zeros around it included. */
typedef struct {
    int64_t height, width, stride_h, stride_w, pad_top, pad_left;
    int64_t rows, columns, phase_height, phase_width; /* how many phases; the size of one */
} slim_splitting;

/* One channel with a filter of its own. */
typedef struct {
    const float *from, *weights, *residual;
    float *y;
    const slim_splitting *strips; /* a 3x3 filter with stride 1 or 2 in both directions that reads the picture itself, or NULL */
    const int64_t *koff; /* of each tap */
    int64_t taps, height, width, line; /* of the output; floats from one row of `from` to the next */
    float scale, bias;
    int activation;
} slim_depthwise;

/* Max pooling of `planes` pictures, one behind the other. */
typedef struct {
    int64_t planes, height, width, out_height, out_width, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, threads;
} slim_pooling;

#define SLIM_PATHS 3
#define SLIM_CHUNKS 8
#define SLIM_FOLD_TILE 2048 /* numbers of the input at a time: they are in the first cache while they are used */

/* Eq. 2 for all paths: x (batch, channels, size) and weights (batch, paths, chunks, width) to a map (batch, width,
 * size) a path; with `last`, x and the maps are (batch, size, channels) and (batch, size, width). */
typedef struct {
    int64_t batch, channels, size, paths, chunks, width; /* up to SLIM_PATHS, up to SLIM_CHUNKS */
    int64_t next;                                        /* numbers between two images of a map */
    int64_t last, half, threads;                         /* half: x and maps are bfloat16; weights never */
} slim_folding;

/* One channel of an image, or with `last` some pixels of all channels. */
typedef struct {
    const char *x;
    const float *weights;
    char *y[SLIM_PATHS]; /* of the gradients: those of the maps, which are read */
    char *dx;            /* or NULL */
    float *dweights;
    int64_t pixels;
} slim_piece;

typedef struct {
    const char *name;
    int strips; /* depthwise can do without phases */
    int (*stream)(const slim_stream *, int64_t pair, float *sums); /* both: whether a running sum is not finite */
    int (*product)(const slim_product *);
    void (*fill)(float *panel, int64_t stride, const float *from, const int64_t *koff, int64_t rows,
                 const slim_run *, int runs);
    void (*store)(const slim_store *, const float *sums);
    void (*split)(const slim_splitting *, const float *from, float *to);
    void (*depthwise)(const slim_depthwise *);
    float (*mean)(const float *x, int64_t n);
    void (*fold)(const slim_folding *, const slim_piece *);
    void (*unfold)(const slim_folding *, const slim_piece *);
    void (*pool)(const slim_pooling *, const float *x, float *y, float *line);
} slim_isa;

enum { SLIM_NONE, SLIM_RELU, SLIM_RELU6 };

extern const slim_isa *slim_isa_now(void);

/* Work in up to `threads` threads: job(context, item, me) for each item in 0..items-1; me, the number of the thread, is
 * below `threads`, and 0 for the caller's own. */
void slim_parallel(int threads, int64_t items, void (*job)(void *context, int64_t item, int me), void *context);
#define SLIM_THREADS 256

/* Memory between calls: fresh pages would cost as much as a small layer. NULL: there is none. */
typedef struct {
    char *memory;
    int64_t size;
} slim_workspace;
slim_workspace *slim_borrow(int64_t size);
void slim_give_back(slim_workspace *);

/* A convolution. All numbers are int64_t; sizes of (height, width) come as pairs. */
typedef struct {
    int64_t batch, in_channels, height, width;
    int64_t out_channels, out_height, out_width;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
    int64_t groups, units;              /* units of one group */
    int64_t x_channels, y_channels;     /* channels between one image and the next */
    int64_t activation, threads;
} slim_shape;

typedef struct {
    const slim_step *steps;
    const int64_t *starts;      /* (groups, blocks, pairs + 1) */
    const uint8_t *secondaries; /* (units,): outputs of a unit, 1 to 4 */
    const int64_t *outputs;     /* (units,): its first output in the group */
} slim_streams;

typedef struct {
    const float *values;   /* for each group and block: (units / SLIM_UNITS, rows, SLIM_UNITS) */
    const int64_t *layout; /* lengths of the eight columns kept, order, segments, rows, reads, outputs, secondaries, masked; they */
} slim_products;

#define SLIM_API __attribute__((visibility("default")))

/* y = activation(conv(x) * scale + bias + residual), (N, C, H, W) each; scale and bias have a number for each output
 * channel; they and residual may be NULL. Returns 0, or 1: no memory. */
SLIM_API int slim_conv_streams(const slim_shape *, const slim_streams *, const float *x, const float *scale,
                               const float *bias, const float *residual, float *y);
SLIM_API int slim_conv_products(const slim_shape *, const slim_products *, const float *x, const float *scale,
                                const float *bias, const float *residual, float *y);
/* The same with one filter (kernel_h, kernel_w) a channel: groups = in_channels = out_channels. */
SLIM_API int slim_conv_depthwise(const slim_shape *, const float *weights, const float *x, const float *scale,
                                 const float *bias, const float *residual, float *y);
/* SlimConv's gate (Eq. 1): the weights of all paths, (batch, outputs), from the means of `channels` pictures. */
typedef struct {
    int64_t batch, channels, size, hidden, outputs, threads;
    const float *squeeze, *squeeze_bias, *excite, *excite_bias; /* (hidden, channels), (hidden,), (outputs, hidden), (outputs,) */
} slim_gate;
SLIM_API int slim_conv_gate(const slim_gate *, const float *x, float *weights);
int slim_means(const slim_gate *, const float *x, float *means); /* (batch, channels): only these */
SLIM_API int slim_conv_fold(const slim_folding *, const void *x, const float *weights, void *const *y);
/* From the gradients g of the maps to those of x (unless dx is NULL) and of the weights. Returns 0, or 1: no memory. */
SLIM_API int slim_conv_unfold(const slim_folding *, const void *x, const float *weights, const void *const *g, void *dx,
                              float *dweights);

/* One layer of a chain: what it reads and writes, in floats from where that begins. */
enum { SLIM_STREAMS, SLIM_PRODUCTS, SLIM_DEPTHWISE, SLIM_POOL, SLIM_GATE, SLIM_FOLD, SLIM_MEAN };
enum { SLIM_NOWHERE, SLIM_ARENA, SLIM_INPUT, SLIM_OUTPUT };
typedef struct {
    int64_t of, at;
} slim_place;
typedef struct {
    int64_t kind;
    slim_place x, residual, y; /* residual: of a fold the gate's weights */
    const float *scale, *bias, *depthwise;
    slim_shape shape;
    slim_pooling pooling;
    slim_streams streams;
    slim_products products;
    slim_gate gate;
    slim_folding folding;
} slim_layer;

/* Layers one after the other. Returns 0, or 1: no memory. */
SLIM_API int slim_chain(const slim_layer *, int64_t layers, const float *input, float *output, float *arena);
SLIM_API int slim_max_pool(const slim_pooling *, const float *x, float *y);
/* Move memory of anybody's into large pages where they lie in it whole and the system has some; returns how many. Its
 * contents stay. Addresses of so many small pages are not in the processor's tables, and prefetching ends with a page. */
SLIM_API int64_t slim_large_pages(void *begin, int64_t size);
SLIM_API const char *slim_in_use(void);
SLIM_API const char *slim_use(const char *isa); /* NULL: the best; else by name if this CPU has it, or NULL */
SLIM_API const char *slim_sources(void);        /* the digest of the sources that it was compiled from */

#endif
