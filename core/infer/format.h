/*
 * format.h - the file's bytes: where fields lie, reading and writing them (trit/infer.h says what
 * they mean), and the checks shared by writer and reader.
 */
#ifndef TRIT_INFER_FORMAT_H
#define TRIT_INFER_FORMAT_H

#include <stdatomic.h>
#include <string.h>

#include "trit/infer.h"

#define HEADER_BYTES 128
#define NODE_BYTES   96
#define HASHED_FROM  32
#define NO_VALUE     0xffffffffu

/* Bounds that keep every product below in 63 bits and memory within reach. */
#define MAX_NODES  4096
#define MAX_SIDE   65535              /* channels, pixels of a side, taps */
#define MAX_VALUES ((int64_t)1 << 28) /* numbers of one value, per image */

extern const uint8_t trit_file_magic[8];

/* Header fields. */
enum {
    AT_VERSION = 8,
    AT_NODES = 12,
    AT_BYTES = 16,
    AT_HASH = 24,
    AT_INPUT = 32,
    AT_CLASSES = 44,
    AT_MEAN = 48,
    AT_STD = 60,
    AT_RESIZE = 72,
    AT_RANGE = 76,
    AT_STRINGS = 84,
    AT_STRING_BYTES = 88,
    AT_ZERO = 92,
};

/* Node fields. */
enum {
    N_KIND = 0,
    N_WEIGHT = 1,
    N_PLANES = 2,
    N_FLAGS = 3,
    N_A = 4,
    N_B = 8,
    N_K = 12,
    N_WINDOW = 16,
    N_GROUPS = 32,
    N_CLAMP = 36,
    N_RANGE = 44,
    N_SCALES = 52,
    N_NAME = 56,
    N_ZERO = 60,
    N_WEIGHTS = 64,
    N_VECTORS = 72,
    N_TAIL = 80,
};

enum { F_TWO_SIDED = 1, F_GAIN = 2, F_BIAS = 4, F_CLAMP = 8, F_COUNT_PAD = 16, F_ALL = 31 };

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static inline uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }
static inline float getf(const uint8_t *p) {
    uint32_t u = get32(p);
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void put32(uint8_t *p, uint32_t v) {
    put16(p, (uint16_t)v);
    put16(p + 2, (uint16_t)(v >> 16));
}
static inline void put64(uint8_t *p, uint64_t v) {
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}
static inline void putf(uint8_t *p, float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    put32(p, u);
}

/* Numbers of one output channel's row of weights. */
static inline int64_t row_length(const trit_node *d) { return d->R * d->S * (d->C / d->groups); }

/* Rules of one node whose value a has shape [C,H,W]; fills C, H, W, P, Q.  `i` counts from 0. */
trit_status trit_node_check(const char *file, int64_t i, trit_node *d, int64_t C, int64_t H,
                            int64_t W);
/* What a node's kind has no use for is not set: flags, scales, groups, vectors. */
trit_status trit_node_check_unused(const char *file, int64_t i, const trit_node *d);
/* Rules of the whole graph; fills the derived fields of all nodes. */
trit_status trit_graph_check(const char *file, trit_graph *g);

int64_t trit_t5_bytes(int64_t codes);
void trit_t5_pack(const int8_t *codes, int64_t n, uint8_t *packed);
void trit_t5_unpack(const uint8_t *packed, int64_t n, int8_t *codes);
/* Index of the first bad byte of a row (code 3, a digit too many, filling other than 1), or -1. */
int64_t trit_t2_bad(const uint8_t *packed, int64_t n);
int64_t trit_t5_bad(const uint8_t *packed, int64_t n);

struct trit_model {
    atomic_int refs; /* the opener's and one per runner */
    uint8_t *bytes;  /* the file */
    size_t n;
    uint8_t *unpacked; /* 2-bit codes of nodes stored in base 3 */
    size_t unpacked_bytes;
    const char **class_names;
    trit_node *nodes;
    trit_graph graph;
};

/* Parse bytes from trit_alloc(n); they are the model's from here on, also on failure. */
trit_status trit_model_parse_owned(uint8_t *bytes, size_t n, const char *file, trit_model **out);

#endif
