/* Memory between calls, and in large pages. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "kernels.h"

#define LARGE_PAGE ((uintptr_t)2 << 20)

int64_t slim_large_pages(void *begin, int64_t size) {
    int64_t done = 0;
#ifdef __linux__
    const uintptr_t end = ((uintptr_t)begin + size) / LARGE_PAGE * LARGE_PAGE;
    for (uintptr_t at = ((uintptr_t)begin + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE; at < end; at += LARGE_PAGE)
        done += !madvise((void *)at, LARGE_PAGE, 25); /* MADV_COLLAPSE, of Linux 6.1, which headers may not know yet */
#else
    (void)begin, (void)size;
#endif
    return done;
}

static _Atomic(slim_workspace *) kept;

slim_workspace *slim_borrow(int64_t size) {
    slim_workspace *space = atomic_exchange(&kept, 0); /* whoever finds none allocates */
    if (!space && !(space = calloc(1, sizeof *space))) return 0;
    if (space->size < size) {
        free(space->memory);
        size = (size + 63) / 64 * 64;
        space->memory = aligned_alloc(64, size);
        space->size = space->memory ? size : 0;
        if (space->memory) memset(space->memory, 0, size); /* pixels beyond the last are computed from what is there */
    }
    if (space->memory) return space;
    free(space);
    return 0;
}

void slim_give_back(slim_workspace *space) {
    slim_workspace *other = atomic_exchange(&kept, space);
    if (!other) return;
    free(other->memory);
    free(other);
}
