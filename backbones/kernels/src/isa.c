/* Which instruction set is used, chosen when the library is loaded. */
#include <string.h>

#include "kernels.h"

#define DECLARE(isa, strips)                                                                                \
    int slim_stream_##isa(const slim_stream *, int64_t, float *);                                           \
    int slim_product_##isa(const slim_product *);                                                           \
    void slim_fill_##isa(float *, int64_t, const float *, const int64_t *, int64_t, const slim_run *, int); \
    void slim_store_##isa(const slim_store *, const float *);                                               \
    void slim_split_##isa(const slim_splitting *, const float *, float *);                                  \
    void slim_depthwise_##isa(const slim_depthwise *);                                                      \
    float slim_mean_##isa(const float *, int64_t);                                                          \
    void slim_fold_##isa(const slim_folding *, const slim_piece *);                                         \
    void slim_unfold_##isa(const slim_folding *, const slim_piece *);                                       \
    void slim_pool_##isa(const slim_pooling *, const float *, float *, float *);                            \
    static const slim_isa isa = {#isa, strips, slim_stream_##isa, slim_product_##isa, slim_fill_##isa,      \
                                 slim_store_##isa, slim_split_##isa, slim_depthwise_##isa, slim_mean_##isa, \
                                 slim_fold_##isa, slim_unfold_##isa, slim_pool_##isa};

DECLARE(portable, 0)
#ifdef SLIM_X86
DECLARE(avx2, 0)
DECLARE(avx512, 1)
#endif

static const slim_isa *now;

static int there(const char *name) {
#ifdef SLIM_X86
    /* All that build.py compiles it for: the first processors with avx512f had not the rest. */
    if (!strcmp(name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma");
#endif
    return !strcmp(name, "portable");
}

const char *slim_use(const char *name) {
    static const slim_isa *const all[] = {
#ifdef SLIM_X86
        &avx512, &avx2,
#endif
        &portable};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if ((!name || !strcmp(name, all[i]->name)) && there(all[i]->name)) return (now = all[i])->name;
    return 0;
}

const slim_isa *slim_isa_now(void) { return now; }
const char *slim_in_use(void) { return now->name; }

#ifndef SLIM_SOURCES
#define SLIM_SOURCES ""
#endif
const char *slim_sources(void) { return SLIM_SOURCES; }

__attribute__((constructor)) static void choose(void) { slim_use(0); }
