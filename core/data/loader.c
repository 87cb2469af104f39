/*
 * loader.c - batches made ahead of time by threads of their own.
 *
 * A pass is a row of batches; batch b holds positions b B .. of the order.  Workers take batch
 * numbers one by one and fill slot b mod depth; the consumer takes slots in order.  Which worker
 * fills a batch changes nothing in it, so the workers' number and their timing do not show.
 * Tensors are made and released on the consumer's thread only: their counts are not atomic.
 */
#include "data/dataset.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_WORKERS    64
#define AHEAD          2 /* batches beyond one per worker that may wait: evens out decoding */
#define SENTENCE_BYTES 1024

typedef struct {
    trit_tensor *x, *y;
    int64_t filled; /* samples, fewer than the tensor's when some were skipped */
    bool ready;
    trit_status status;
    char sentence[SENTENCE_BYTES];
} slot;

struct trit_batches {
    trit_data *data;
    int split;
    int64_t epoch;
    uint32_t *order; /* [n] position of each place in the pass; NULL: file order */
    int64_t n, batch;
    int64_t next, consumed, end; /* batch numbers: to be taken, to be handed out, past the last */
    int depth;
    slot *slots; /* [depth] */
    pthread_mutex_t lock;
    pthread_cond_t ready, room;
    pthread_t threads[MAX_WORKERS];
    int n_threads;
    bool stop;
};

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int64_t samples_in(const trit_batches *b, int64_t number) {
    int64_t left = b->n - number * b->batch;
    return left < b->batch ? left : b->batch;
}

static bool stopped(trit_batches *b) {
    pthread_mutex_lock(&b->lock);
    bool stop = b->stop;
    pthread_mutex_unlock(&b->lock);
    return stop;
}

static void fill(trit_batches *b, trit_sampler *s, int64_t number, slot *out) {
    trit_data *d = b->data;
    size_t floats = (size_t)d->height * (size_t)d->width * (size_t)d->source->channels;
    int64_t n = samples_in(b, number);
    out->filled = 0;
    out->status = TRIT_OK;
    for (int64_t i = 0; i < n && !stopped(b); i++) {
        int64_t place = number * b->batch + i, position = b->order ? b->order[place] : place;
        int label = 0;
        bool skipped;
        out->status =
            trit_data_sample(d, s, b->split, b->epoch, position,
                             out->x->data + (size_t)out->filled * floats, &label, &skipped);
        if (out->status != TRIT_OK) {
            snprintf(out->sentence, sizeof out->sentence, "%s", trit_last_error());
            return;
        }
        if (skipped) continue;
        out->y->data[out->filled++] = (float)(label + 1);
    }
}

static void *work(void *context) {
    trit_batches *b = context;
    trit_sampler s = {0};
    trit_flush_denormals();
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->stop && b->next < b->end && b->next >= b->consumed + b->depth)
            pthread_cond_wait(&b->room, &b->lock);
        if (b->stop || b->next >= b->end) break;
        int64_t number = b->next++;
        slot *mine = &b->slots[number % b->depth];
        pthread_mutex_unlock(&b->lock);
        fill(b, &s, number, mine);
        pthread_mutex_lock(&b->lock);
        mine->ready = true;
        pthread_cond_signal(&b->ready);
    }
    pthread_mutex_unlock(&b->lock);
    trit_sampler_close(&s);
    return NULL;
}

/* Fresh tensors for the batch that uses the slot next; the arena hands the old memory out again. */
static trit_status new_tensors(trit_batches *b, int64_t number, trit_tensor **x, trit_tensor **y) {
    const trit_data *d = b->data;
    int64_t n = samples_in(b, number);
    trit_shape image = {4, {n, d->source->channels, d->height, d->width}}, label = {1, {n}};
    TRIT_TRY(trit_tensor_new(&image, TRIT_CHANNELS_LAST, x));
    trit_status status = trit_tensor_new(&label, TRIT_ROW_MAJOR, y);
    if (status != TRIT_OK) trit_tensor_release(*x);
    return status;
}

/* Signals stay with the script's thread. */
static trit_status start_threads(trit_batches *b, int workers) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 0; i < workers; i++) {
        if (pthread_create(&b->threads[b->n_threads], NULL, work, b) != 0) break;
        b->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (b->n_threads == 0)
        return trit_fail(TRIT_ERR_MEM, "data: no loader thread could be started");
    return TRIT_OK;
}

static trit_status set_order(trit_batches *b) {
    const trit_data *d = b->data;
    if (b->split != TRIT_TRAIN || d->options.v[TRIT_DATA_SHUFFLE][0] == 0) return TRIT_OK;
    b->order = malloc((size_t)b->n * sizeof *b->order);
    if (!b->order) return trit_fail(TRIT_ERR_MEM, "data: no room for the order of an epoch");
    trit_rng_permutation(d->seed, TRIT_STREAM_SHUFFLE, (uint64_t)b->epoch, b->order,
                         (uint32_t)b->n);
    return TRIT_OK;
}

static trit_status prepare(trit_batches *b, int workers) {
    TRIT_TRY(set_order(b));
    b->depth = workers + AHEAD;
    b->slots = calloc((size_t)b->depth, sizeof *b->slots);
    if (!b->slots) return trit_fail(TRIT_ERR_MEM, "data: no room for the queue of batches");
    for (int i = 0; i < b->depth && b->next + i < b->end; i++) {
        slot *s = &b->slots[(b->next + i) % b->depth];
        trit_status status = new_tensors(b, b->next + i, &s->x, &s->y);
        if (status != TRIT_OK) {
            s->x = s->y = NULL;
            return status;
        }
    }
    return b->next < b->end ? start_threads(b, workers) : TRIT_OK;
}

trit_status trit_batches_open(trit_data *d, int split, int64_t epoch, int64_t start_batch,
                              trit_batches **out) {
    trit_data_facts facts;
    trit_data_query(d, &facts);
    if (facts.size[split] == 0)
        return trit_fail(TRIT_ERR_STATE, "%s has no %s images%s%s", facts.source->spec,
                         trit_split_names[split], facts.source->note[0] ? ": " : "",
                         facts.source->note);
    if (epoch < 0 || epoch > UINT32_MAX)
        return trit_fail(TRIT_ERR_ARG, "data: epoch %lld", (long long)epoch);
    if (start_batch < 0 || start_batch > facts.batches[split])
        return trit_fail(TRIT_ERR_ARG, "data: start at batch %lld, an epoch has %lld",
                         (long long)start_batch, (long long)facts.batches[split]);
    trit_batches *b = calloc(1, sizeof *b);
    if (!b) return trit_fail(TRIT_ERR_MEM, "data: no room for an iteration");
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->ready, NULL);
    pthread_cond_init(&b->room, NULL);
    b->data = trit_data_retain(d);
    b->split = split;
    b->epoch = epoch;
    b->n = facts.size[split];
    b->batch = (int64_t)d->options.v[TRIT_DATA_BATCH][0];
    b->next = b->consumed = start_batch;
    b->end = facts.batches[split];
    trit_status status = prepare(b, (int)d->options.v[TRIT_DATA_WORKERS][0]);
    if (status != TRIT_OK) {
        trit_batches_close(b);
        return status;
    }
    *out = b;
    return TRIT_OK;
}

static void wait_for(trit_batches *b, const slot *s) {
    if (s->ready) return;
    double start = seconds();
    while (!s->ready) pthread_cond_wait(&b->ready, &b->lock);
    double waited = seconds() - start;
    pthread_mutex_lock(&b->data->lock);
    b->data->wait_seconds += waited;
    pthread_mutex_unlock(&b->data->lock);
}

/* Skipped samples leave a shorter batch: a view of the filled part. */
static trit_status shorten(trit_tensor **t, int64_t filled) {
    if ((*t)->shape.dim[0] == filled) return TRIT_OK;
    trit_shape shape = (*t)->shape;
    trit_tensor *view;
    shape.dim[0] = filled;
    TRIT_TRY(trit_tensor_view(*t, &shape, (*t)->stride, 0, &view));
    trit_tensor_release(*t);
    *t = view;
    return TRIT_OK;
}

trit_status trit_batches_next(trit_batches *b, trit_tensor **x, trit_tensor **y) {
    for (*x = *y = NULL; b->consumed < b->end;) {
        slot *s = &b->slots[b->consumed % b->depth];
        trit_tensor *new_x = NULL, *new_y = NULL;
        pthread_mutex_lock(&b->lock);
        wait_for(b, s);
        pthread_mutex_unlock(&b->lock);
        if (s->status != TRIT_OK) return trit_fail(s->status, "%s", s->sentence);
        TRIT_TRY(shorten(&s->x, s->filled));
        TRIT_TRY(shorten(&s->y, s->filled));
        if (b->consumed + b->depth < b->end)
            TRIT_TRY(new_tensors(b, b->consumed + b->depth, &new_x, &new_y));
        trit_tensor *old_x = s->x, *old_y = s->y;
        int64_t filled = s->filled;
        pthread_mutex_lock(&b->lock);
        s->x = new_x;
        s->y = new_y;
        s->ready = false;
        b->consumed++;
        pthread_cond_broadcast(&b->room);
        pthread_mutex_unlock(&b->lock);
        if (filled) {
            *x = old_x;
            *y = old_y;
            return TRIT_OK;
        }
        trit_tensor_release(old_x); /* every sample was skipped */
        trit_tensor_release(old_y);
    }
    return TRIT_OK;
}

int64_t trit_batches_position(const trit_batches *b) { return b->consumed; }

void trit_batches_close(trit_batches *b) {
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->room);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->n_threads; i++) pthread_join(b->threads[i], NULL);
    for (int i = 0; b->slots && i < b->depth; i++) {
        trit_tensor_release(b->slots[i].x);
        trit_tensor_release(b->slots[i].y);
    }
    free(b->slots);
    free(b->order);
    trit_data_release(b->data);
    pthread_cond_destroy(&b->ready);
    pthread_cond_destroy(&b->room);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
