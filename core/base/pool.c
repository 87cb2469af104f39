/*
 * pool.c - the one thread pool; the only file that starts compute threads.
 *
 * Units are handed out one by one from an atomic ticket, so a foreign process on one core slows
 * the step instead of stopping it (a static split waits for the slowest).  Every other worker takes
 * them from the end: what a core has written in one region it mostly reads in the next.  A region
 * ends when its units are done, not when every thread has answered: one that sleeps or was
 * preempted while idle costs nothing.  Between regions workers spin briefly, then sleep.
 *
 * The ticket packs (generation, units, taken at either end) into one word.  Taking a unit is one
 * fetch-add; the returned word says whether the unit exists, whatever region it belongs to, and
 * while a taken unit runs its region cannot end, so the job's fields stay valid.
 */
#define _GNU_SOURCE
#include "trit/base.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"

#define MAX_THREADS 256
#define SPIN_NS     50000 /* how long a waiting thread spins before it sleeps */

static pthread_mutex_t region = PTHREAD_MUTEX_INITIALIZER; /* one parallel region at a time */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_t helpers[MAX_THREADS];
static int n_helpers;          /* started threads beside the caller */
static atomic_uint generation; /* counts regions; a change is the call to work */
static atomic_int sleepers, stopping;

/* Fields of a ticket, from the lowest: units taken in front, units taken behind, units. */
#define COUNT_BITS 18
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)
#define MOST_UNITS ((int64_t)COUNT_MASK - MAX_THREADS) /* a region; longer loops run in several */

static atomic_ullong ticket;
static atomic_llong finished_units; /* units finished in this region */
static struct {
    trit_work work;
    void *context;
    int64_t first; /* added to the unit number */
} job;

static _Thread_local bool inside;
static _Thread_local int self; /* this thread's worker number */
static void *scratch[MAX_THREADS];
static size_t scratch_bytes;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void take_units(void) {
    const bool behind = self % 2;
    const uint64_t one = (uint64_t)1 << (behind ? COUNT_BITS : 0);
    int64_t finished = 0;
    inside = true;
    for (;;) {
        const uint64_t t = atomic_fetch_add_explicit(&ticket, one, memory_order_acq_rel);
        const uint64_t front = t & COUNT_MASK, back = t >> COUNT_BITS & COUNT_MASK;
        const uint64_t units = t >> 2 * COUNT_BITS & COUNT_MASK;
        if (front + back >= units) break;
        job.work(job.context, job.first + (int64_t)(behind ? units - 1 - back : front), self);
        finished++;
    }
    inside = false;
    if (finished) atomic_fetch_add_explicit(&finished_units, finished, memory_order_release);
}

static void wait_for_region(unsigned seen) {
    int64_t until = now_ns() + SPIN_NS;
    while (now_ns() < until) {
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(&generation, memory_order_acquire) != seen) return;
            _mm_pause();
        }
    }
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&sleepers, 1);
    while (atomic_load(&generation) == seen) pthread_cond_wait(&wake, &lock);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&lock);
}

typedef struct {
    int worker;
    unsigned seen;
} helper_start;

static helper_start starts[MAX_THREADS];

static void *helper_main(void *arg) {
    helper_start *s = arg;
    unsigned seen = s->seen;
    self = s->worker;
    trit_flush_denormals();
    for (;;) {
        wait_for_region(seen);
        seen = atomic_load_explicit(&generation, memory_order_acquire);
        if (atomic_load(&stopping)) return NULL;
        take_units();
    }
}

/* Everyone who might sleep hears of the new generation. */
static void announce(void) {
    atomic_fetch_add_explicit(&generation, 1, memory_order_seq_cst);
    if (atomic_load(&sleepers)) {
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&lock);
    }
}

static void stop_helpers(void) {
    atomic_store(&stopping, 1);
    atomic_fetch_add(&generation, 1);
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < n_helpers; i++) pthread_join(helpers[i], NULL);
    n_helpers = 0;
    atomic_store(&stopping, 0);
}

static void free_scratch(void) {
    for (int i = 0; i < MAX_THREADS; i++) {
        trit_free(scratch[i], scratch_bytes);
        scratch[i] = NULL;
    }
    scratch_bytes = 0;
}

trit_status trit_set_threads(int threads) {
    if (threads < 1 || threads > MAX_THREADS)
        return trit_fail(TRIT_ERR_ARG, "threads is %d but must lie in [1, %d]", threads,
                         MAX_THREADS);
    trit_status status = TRIT_OK;
    pthread_mutex_lock(&region);
    size_t keep = scratch_bytes;
    stop_helpers();
    free_scratch();
    for (int i = 0; i < threads - 1; i++) {
        starts[i] = (helper_start){i + 1, atomic_load(&generation)};
        if (pthread_create(&helpers[i], NULL, helper_main, &starts[i])) {
            status =
                trit_fail(TRIT_ERR_STATE, "the system refused thread %d of %d", i + 2, threads);
            break;
        }
        n_helpers++;
    }
    if (status == TRIT_OK && keep) status = trit_scratch_reserve(keep);
    pthread_mutex_unlock(&region);
    return status;
}

int trit_threads(void) { return n_helpers + 1; }

static void run_region(int64_t first, int64_t units, trit_work work, void *context) {
    job.work = work;
    job.context = context;
    job.first = first;
    atomic_store(&finished_units, 0);
    const uint64_t turn = atomic_load(&generation);
    atomic_store_explicit(&ticket, turn << 3 * COUNT_BITS | (uint64_t)units << 2 * COUNT_BITS,
                          memory_order_release);
    announce();
    take_units();
    int64_t until = now_ns() + SPIN_NS;
    for (int spin = 0; atomic_load_explicit(&finished_units, memory_order_acquire) < units;
         spin++) {
        if ((spin & 63) == 63 && now_ns() > until) sched_yield();
        _mm_pause();
    }
}

void trit_parallel(int64_t units, trit_work work, void *context) {
    if (units <= 0) return;
    if (inside || units == 1 || n_helpers == 0) { /* nested, or nothing to share */
        bool nested = inside;
        inside = true;
        for (int64_t u = 0; u < units; u++) work(context, u, self);
        inside = nested;
        return;
    }
    pthread_mutex_lock(&region);
    for (int64_t first = 0; first < units; first += MOST_UNITS) {
        const int64_t n = units - first;
        run_region(first, n < MOST_UNITS ? n : MOST_UNITS, work, context);
    }
    pthread_mutex_unlock(&region);
}

trit_status trit_scratch_reserve(size_t bytes) {
    if (bytes <= scratch_bytes) return TRIT_OK;
    if (inside) /* other workers use theirs */
        return trit_fail(TRIT_ERR_STATE, "scratch: %zu bytes a worker wanted in a parallel region",
                         bytes);
    free_scratch();
    for (int i = 0; i <= n_helpers; i++) {
        scratch[i] = trit_alloc(bytes);
        if (!scratch[i]) {
            for (int k = 0; k < i; k++) {
                trit_free(scratch[k], bytes);
                scratch[k] = NULL;
            }
            return TRIT_ERR_MEM;
        }
    }
    scratch_bytes = bytes;
    return TRIT_OK;
}

void *trit_scratch(int worker) { return scratch[worker]; }

static int default_threads(void) {
    const char *names[] = {"TRIT_THREADS", "OMP_NUM_THREADS"};
    for (int i = 0; i < 2; i++) {
        const char *v = getenv(names[i]);
        if (v && atoi(v) >= 1) return atoi(v) < MAX_THREADS ? atoi(v) : MAX_THREADS;
    }
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

trit_status trit_init(void) {
    static bool done;
    if (done) return TRIT_OK;
    TRIT_TRY(trit_cpu_start());
    trit_flush_denormals();
    TRIT_TRY(trit_set_threads(default_threads()));
    done = true;
    return TRIT_OK;
}
