/* Which instruction set is used, chosen when the library is loaded. */
#include <string.h>

#include "kernels.h"

#define DECLARE(isa)                                                                      \
    void slim_tile_##isa(const slim_block *);                                             \
    void slim_fill_##isa(float *, const float *, const int64_t *, int64_t, int64_t);      \
    void slim_store_##isa(float *, const float *, const float *, float, float, int, int64_t); \
    static const slim_isa isa = {#isa, slim_tile_##isa, slim_fill_##isa, slim_store_##isa};

DECLARE(portable)
#ifdef SLIM_X86
DECLARE(avx2)
DECLARE(avx512)
#endif

static const slim_isa *now;

static int there(const char *name) {
#ifdef SLIM_X86
    if (!strcmp(name, "avx512")) return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("fma");
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
