/* Memory between calls. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

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
