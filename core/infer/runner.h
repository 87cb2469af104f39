/*
 * runner.h - between the runner's interface and its two engines (infer layer only).
 *
 * An engine prepares weights and a plan of buffers from a checked graph, then runs it.  Value v is
 * made by node v - 1; value 0 is the input.
 */
#ifndef TRIT_INFER_RUNNER_H
#define TRIT_INFER_RUNNER_H

#include "infer/format.h"
#include "trit/conv.h"

/* Memory one value needs while nodes first .. last run, in 64-byte units of one arena. */
typedef struct {
    size_t bytes;
    int64_t first, last;
    size_t offset; /* filled in */
} trit_span;

/* Give every span a place so that none that live together overlap; returns the arena's bytes. */
size_t trit_plan_spans(trit_span *spans, int64_t n);
/* Lifetimes of a graph's values: made by node v - 1, last read by the last user. */
void trit_plan_lives(const trit_graph *g, trit_span *spans); // [n + 1]

/* The effective weights of a conv, gain included, [R][S][C/groups][K]. */
trit_status trit_node_floats(const trit_node *d, float *w);
int64_t trit_node_weights(const trit_node *d); /* how many numbers */

typedef struct {
    const char *name;
    trit_status (*prepare)(trit_runner *r);
    /* At most r->batch images. */
    trit_status (*run)(trit_runner *r, int64_t n, const float *x, float *y);
    void (*release)(trit_runner *r); /* also of a half prepared one */
} trit_engine;

extern const trit_engine trit_engine_float, trit_engine_u8;

struct trit_runner {
    trit_model *model;
    const trit_graph *graph;
    const trit_engine *engine;
    int bits;
    int64_t batch;
    trit_span *spans; /* [2n + 1]: values, then temporaries of nodes */
    uint8_t *arena;
    size_t arena_bytes, weight_bytes, vector_bytes;
    float *least, *greatest; /* [n + 1], NULL until observed */
    double *seconds;         /* [n], NULL: not measured */
    size_t *weighs;          /* [n]: bytes of weights; an engine changes what is not float32 */
    int64_t watched;         /* value that is copied to `watch` */
    float *watch;            /* NULL: none is */
    int64_t watch_at;        /* numbers already there in this run */
    char kernels[64];
    void *state; /* the engine's */
};

/* A value as it is made: its range is noted, its n numbers are copied to who watches. */
void trit_runner_note(trit_runner *r, int64_t value, const float *x, int64_t n);
double trit_now(void);

/* Whoever computes takes a turn: all share the pool's threads and scratch.  Denormals are flushed
 * meanwhile, as the pool's threads do; giving the turn back restores what the caller had. */
unsigned trit_turn_take(void);
void trit_turn_give(unsigned before);

/* Bytes of whole cache lines: what follows in a block begins on one. */
static inline size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* A convolution node as the float kernels see it. */
trit_conv_geom trit_node_geometry(const trit_node *d, int64_t images);

#endif
