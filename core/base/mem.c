/*
 * mem.c - the arena: aligned blocks, kept by size and handed out again.
 *
 * A training step asks for the same sizes over and over.  Sizes are rounded up so that at most an
 * eighth is wasted; each rounded size has a list of free blocks.  Keeping them saves the page
 * faults that cost PyTorch about 20 % of a small step, and bounds the memory of a loop: the
 * second step finds every block the first one left.
 */
#include "trit/base.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The sanitizer cannot see borders inside the arena, so it is told: what nobody asked for and what
 * lies idle must not be touched. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ALIGNMENT  64                /* one cache line, one AVX-512 vector  */
#define HUGE_BYTES ((size_t)2 << 20) /* x86 large page                   */
#define MIN_SHIFT  6
#define CLASSES    (8 * (64 - MIN_SHIFT)) /* eight sizes per power of two */

typedef struct block {
    struct block *next;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static block *free_list[CLASSES];
static trit_mem_stats stats;
static int64_t fail_countdown = -1;

/* Round up to (8..15)/8 of a power of two; tell the class. */
static size_t rounded(size_t bytes, int *class) {
    if (bytes < 512) bytes = 512;
    int top = 63 - __builtin_clzll((unsigned long long)bytes);
    size_t step = (size_t)1 << (top - 3);
    size_t size = (bytes + step - 1) & ~(step - 1);
    top = 63 - __builtin_clzll((unsigned long long)size);
    *class = 8 * (top - MIN_SHIFT) + (int)((size >> (top - 3)) & 7);
    return size;
}

static void *from_system(size_t size) {
    size_t align = size >= HUGE_BYTES ? HUGE_BYTES : ALIGNMENT;
    void *p = NULL;
    if (posix_memalign(&p, align, (size + align - 1) & ~(align - 1)) != 0) return NULL;
    if (size >= HUGE_BYTES) madvise(p, size & ~(HUGE_BYTES - 1), MADV_HUGEPAGE);
    return p;
}

/* With the lock held. */
static bool injected_failure(void) {
    if (fail_countdown < 0) return false;
    if (fail_countdown-- > 0) return false;
    return true;
}

static void trim_locked(void) {
    for (int c = 0; c < CLASSES; c++)
        while (free_list[c]) {
            block *b = free_list[c];
            free_list[c] = b->next;
            free(b);
        }
    stats.cached = 0;
}

void *trit_alloc(size_t bytes) {
    if (bytes > (size_t)1 << 46) {
        trit_fail(TRIT_ERR_MEM, "out of memory: %zu bytes asked for at once", bytes);
        return NULL;
    }
    int class;
    size_t size = rounded(bytes, &class);
    pthread_mutex_lock(&lock);
    void *p = NULL;
    if (!injected_failure()) {
        p = free_list[class];
        if (p) {
            free_list[class] = ((block *)p)->next;
            stats.cached -= size;
        } else if (!(p = from_system(size)) && stats.cached) {
            trim_locked(); /* the system is short: give back what is idle and try once more */
            p = from_system(size);
        }
    }
    if (p) {
        stats.live += size;
        if (stats.live > stats.peak) stats.peak = stats.live;
    }
    size_t live = stats.live;
    pthread_mutex_unlock(&lock);
    if (p) {
        ASAN_UNPOISON_MEMORY_REGION(p, bytes);
        ASAN_POISON_MEMORY_REGION((char *)p + bytes, size - bytes);
    }
    if (!p)
        trit_fail(TRIT_ERR_MEM, "out of memory: %zu bytes asked for with %zu in use", bytes, live);
    return p;
}

void trit_free(void *p, size_t bytes) {
    if (!p) return;
    int class;
    size_t size = rounded(bytes, &class);
    ASAN_POISON_MEMORY_REGION(p, size);
    ASAN_UNPOISON_MEMORY_REGION(p, sizeof(block));
    pthread_mutex_lock(&lock);
    ((block *)p)->next = free_list[class];
    free_list[class] = p;
    stats.live -= size;
    stats.cached += size;
    pthread_mutex_unlock(&lock);
}

trit_mem_stats trit_mem_query(void) {
    pthread_mutex_lock(&lock);
    trit_mem_stats s = stats;
    pthread_mutex_unlock(&lock);
    return s;
}

void trit_mem_trim(void) {
    pthread_mutex_lock(&lock);
    trim_locked();
    pthread_mutex_unlock(&lock);
}

void trit_mem_fail_after(int64_t n) {
    pthread_mutex_lock(&lock);
    fail_countdown = n;
    pthread_mutex_unlock(&lock);
}
