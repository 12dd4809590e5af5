/* Threads that wait for work between calls: starting them anew would cost as much as a small layer.
 *
 * Not OpenMP: torch brings its own copy of that library, and a second one would spin beside it. One caller has the
 * pool at a time; another one that comes meanwhile works alone. After a fork the child has no pool and makes its own.
 *
 * Each thread begins with a share of the items that follow each other, the same share of each layer: what it reads of a
 * map it has mostly written itself, and lines in another core's cache cost more than products. Then it helps others.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "kernels.h"

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER, lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int started, wanted, busy;
static uint64_t turn;
static void (*current)(void *, int64_t, int);
static void *context_of_job;
static int64_t number;
static int shares;
static struct {
    _Alignas(64) atomic_llong next; /* item of this share */
} share[SLIM_THREADS];

static void work(int me) {
    for (int other = 0; other < shares; other++) {
        const int from = (me + other) % shares;
        const int64_t end = (from + 1) * number / shares;
        for (int64_t item; (item = atomic_fetch_add(&share[from].next, 1)) < end;) current(context_of_job, item, me);
    }
}

static void *worker(void *argument) {
    const int me = (int)(intptr_t)argument;
    uint64_t seen = 0;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (turn == seen || me >= wanted) {
            seen = turn;
            pthread_cond_wait(&wake, &lock);
        }
        seen = turn;
        pthread_mutex_unlock(&lock);
        work(me + 1);
        pthread_mutex_lock(&lock);
        if (--busy == 0) pthread_cond_signal(&done);
    }
    return 0;
}

static void forget(void) { /* in the child of a fork: the threads are gone, and locks may be held by them */
    pthread_mutex_init(&owner, 0);
    pthread_mutex_init(&lock, 0);
    pthread_cond_init(&wake, 0);
    pthread_cond_init(&done, 0);
    started = wanted = busy = 0;
}

static void prepare(void) { pthread_atfork(0, 0, forget); }

void slim_parallel(int threads, int64_t items, void (*job)(void *, int64_t, int), void *context) {
    if (threads > items) threads = (int)items;
    if (threads > SLIM_THREADS) threads = SLIM_THREADS;
    if (threads < 2 || pthread_mutex_trylock(&owner)) {
        for (int64_t i = 0; i < items; i++) job(context, i, 0);
        return;
    }
    pthread_once(&once, prepare);
    pthread_mutex_lock(&lock);
    while (started < threads - 1) {
        pthread_t thread;
        if (pthread_create(&thread, 0, worker, (void *)(intptr_t)started)) break;
        pthread_detach(thread);
        started++;
    }
    current = job;
    context_of_job = context;
    number = items;
    wanted = busy = threads - 1 < started ? threads - 1 : started;
    shares = wanted + 1;
    for (int i = 0; i < shares; i++) atomic_store(&share[i].next, i * number / shares);
    turn++;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    work(0);
    pthread_mutex_lock(&lock);
    while (busy) pthread_cond_wait(&done, &lock);
    wanted = 0;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&owner);
}
