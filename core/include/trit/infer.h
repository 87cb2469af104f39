/*
 * infer.h - packed networks: the *.trit file, and running it.  A C program needs nothing else:
 *
 *     trit_model *m;  trit_runner *r;  trit_guess top[5];
 *     if (trit_init() || trit_model_open("net.trit", &m) || trit_runner_new(m, NULL, &r) ||
 *         trit_classify_file(r, "photo.jpg", 5, top))
 *         fprintf(stderr, "%s\n", trit_last_error());
 *
 * THE FILE, version 1.  Little-endian, flat, independent of instruction set and build.  Offsets
 * count from the start of the file; blocks that an offset names are 4-byte aligned and lie inside
 * the file.  Every field is checked on reading; a file that breaks a rule is refused whole.
 *
 *   header, 128 bytes
 *     0  u8[8]   89 'T' 'R' 'I' 'T' 0d 0a 1a   (a text-mode copy destroys it visibly)
 *     8  u32     version, 1
 *    12  u32     nodes n, 1 .. 4096
 *    16  u64     bytes of the file
 *    24  u64     XXH3-64, seed 0, of bytes 32 .. end
 *    32  u32[3]  channels, height, width of the input image
 *    44  u32     classes: channels of the last node, whose image is 1 x 1
 *    48  f32[3]  mean, 60  f32[3] std: input = (pixel / 255 - mean) / std, std > 0
 *    72  u32     shorter side, in pixels, an image is resized to before its centre is cut out
 *    76  f32[2]  least and greatest input seen in calibration; 0 0 = not calibrated
 *    84  u32     offset of the strings, 88 u32 their bytes (0 = none); each ends in a zero byte:
 *                model, then `classes` class names, then what nodes refer to
 *    92  u8[36]  0
 *
 *   nodes, n records of 96 bytes from 128.  Node i makes value i + 1; value 0 is the input.
 *     0  u8      kind: 1 conv, 2 max pool, 3 average pool, 4 shortcut, 5 pointwise
 *     1  u8      weights (conv): 1 = float, 2 = codes of 2 bits, 3 = codes in base 3
 *     2  u8      planes (conv with codes), 1 .. 8
 *     3  u8      flags: 1 two-sided scales, 2 gain, 4 bias, 8 clamp, 16 average counts padding
 *     4  u32     a: a value made earlier
 *     8  u32     b: a value added (conv, pointwise); 0xffffffff = none
 *    12  u32     K: channels of the result
 *    16  u16[8]  kernel h, w; stride h, w; padding h, w; dilation h, w
 *    32  u32     channel groups (conv)
 *    36  f32[2]  clamp: least and greatest, infinities allowed
 *    44  f32[2]  least and greatest result seen in calibration; 0 0 = not calibrated
 *    52  u32     scales of a plane: 1 or K
 *    56  u32     offset of the name (in bytes, from the strings' start)
 *    60  u32     0
 *    64  u64     offset of the weights    72  u64  offset of the vectors    80  u8[16] 0
 *
 *   weights (conv)  element k of an output channel's row is input channel c of its group under tap
 *     (y, x): k = (y * kernel_w + x) * C/groups + c.  Rows follow each other, planes follow rows.
 *     float       f32, no padding
 *     2 bits      code w + 1: 0, 1, 2 stand for -1, 0, +1; 3 is an error.  Element k is in bits
 *                 2 (k mod 4) .. of byte k / 4 of its row; the last byte is filled with code 1
 *     base 3      five codes a byte, first the least digit: c0 + 3 c1 + 9 c2 + 27 c3 + 81 c4, at
 *                 most 242; filled with code 1.  20 % smaller, unpacked on loading
 *   vectors  f32, finite, in this order: scale[planes][scales], two-sided: negative side's
 *     scale[planes][scales], gain[K], bias[K]
 *
 *   A weight is the sum over planes of  +scale where its code is +1, -scale (two-sided: -negative
 *   scale) where it is -1.  A node's result is, per output channel,
 *
 *     conv, pointwise   clamp(gain * sum + bias + b)        sum: convolution; value a itself
 *     pool              over windows, padding never counted by max, by average when flagged
 *     shortcut          value a at every stride-th pixel, then zero channels up to K
 */
#ifndef TRIT_INFER_H
#define TRIT_INFER_H

#include "trit/base.h"

#define TRIT_FILE_VERSION 1
#define TRIT_MAX_PLANES   8

typedef enum {
    TRIT_NODE_CONV = 1,
    TRIT_NODE_MAX_POOL,
    TRIT_NODE_AVG_POOL,
    TRIT_NODE_SHORTCUT,
    TRIT_NODE_POINTWISE,
} trit_node_kind;

typedef enum { TRIT_WEIGHT_FLOAT = 1, TRIT_WEIGHT_T2, TRIT_WEIGHT_T5 } trit_weight_kind;

/* One node; pointers are borrowed.  The fields are the file's. */
typedef struct {
    trit_node_kind kind;
    int64_t a, b; /* values; b = -1: none */
    int64_t K, R, S, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups;
    bool clamp, count_pad, two_sided;
    float lo, hi;
    float least, greatest; /* calibration */
    trit_weight_kind weight;
    int planes;
    int64_t scales;
    const uint8_t *codes;   /* [planes][K][trit_t2_bytes(len)], len = R*S*C/groups; 2 bits always */
    const float *weights;   /* [K][len] of float weights */
    const float *scale;     /* [planes][scales] */
    const float *scale_neg; /* [planes][scales], two-sided only */
    const float *gain, *bias; /* [K] or NULL */
    const char *name;
    int64_t C, H, W, P, Q; /* derived: shape of value a, pixels of the result */
} trit_node;

typedef struct {
    const char *name;
    int64_t C, H, W, classes;
    float mean[3], std[3];
    int64_t resize;
    float least, greatest;
    const char *const *class_names; /* [classes] */
    int64_t n;
    trit_node *nodes;
} trit_graph;

/* ------------------------------------------------------------------- models */

typedef struct trit_model trit_model; /* a checked file in memory; never changes */

/* Errors: unreadable, truncated, damaged, another version, any field outside its rule. */
trit_status trit_model_open(const char *path, trit_model **out);
/* The same of bytes in memory (copied); `name` stands in sentences. */
trit_status trit_model_parse(const void *bytes, size_t n, const char *name, trit_model **out);
/* A model of a described graph; derived fields are filled in.  `archive`: codes in base 3. */
trit_status trit_model_encode(trit_graph *graph, bool archive, trit_model **out);
/* A temporary beside `path`, synced and renamed: the file is whole or not there. */
trit_status trit_model_save(const trit_model *m, const char *path);
void trit_model_close(trit_model *m); /* NULL is fine; runners keep what they need */

const trit_graph *trit_model_graph(const trit_model *m);
size_t trit_model_bytes(const trit_model *m);

/* Rows of 2-bit codes. */
int64_t trit_t2_bytes(int64_t codes);
void trit_t2_pack(const int8_t *codes, int64_t n, uint8_t *packed);   /* one row of -1, 0, +1 */
void trit_t2_unpack(const uint8_t *packed, int64_t n, int8_t *codes); /* the inverse */

/* ------------------------------------------------------------------ running */

typedef struct {
    int bits;      /* of activations: 0 = float32 (the exact path), 6 .. 8 = integers */
    int64_t batch; /* images worked on together, 0 = 1; more are taken in turns */
} trit_runner_options;

typedef struct trit_runner trit_runner;

/* Weights repacked for this processor, buffers planned; running allocates nothing more, unless
 * threads, convolution mode or instruction set were changed in between.  options NULL: the exact
 * path.  Errors: integers without calibration, or that would sum more than 2^22 numbers. */
trit_status trit_runner_new(trit_model *m, const trit_runner_options *options, trit_runner **out);
/* x [n][H][W][C] normalized, y [n][classes].  One caller of a runner at a time.  Runners and
 * linear layers of several threads take turns: each run uses all of the pool's threads by itself.
 * Threads and instruction set may not be changed meanwhile. */
trit_status trit_runner_run(trit_runner *r, int64_t n, const float *x, float *y);
void trit_runner_close(trit_runner *r); /* NULL is fine */

typedef struct {
    size_t weights, vectors, arena; /* bytes */
    const char *kernels;            /* "float avx512", "u8 vnni" ... */
} trit_runner_facts;
void trit_runner_query(const trit_runner *r, trit_runner_facts *facts);

/* Calibration: from now on this runner of the exact path notes the least and greatest number of
 * every value; afterwards a model with these ranges in its file can be made. */
trit_status trit_runner_observe(trit_runner *r);
trit_status trit_model_calibrated(const trit_runner *r, bool archive, trit_model **out);
/* Measure from now on; seconds spent in node i since then. */
trit_status trit_runner_profile(trit_runner *r);
double trit_runner_seconds(const trit_runner *r, int64_t node);
size_t trit_runner_weight_bytes(const trit_runner *r, int64_t node); /* in memory */
/* From now on a run of n images leaves node i's result in y [n][P][Q][K], as numbers; y NULL: no
 * longer. */
trit_status trit_runner_watch(trit_runner *r, int64_t node, float *y);

/* What this processor can do with all threads, measured for `seconds`: products of bytes a second,
 * in 1e9 (the instructions of the integer engine, nothing else); and 1e9 bytes a second when
 * `bytes` of memory are read over and over. */
double trit_peak_products(double seconds);
double trit_peak_reading(double seconds, size_t bytes);

/* ------------------------------------------------------------- a linear layer */

/* y = scale * W x of a matrix of codes: rows of trit_t2_bytes(K) bytes.  scales: 1 or `rows`.
 * bits 8: x is rounded to 8 bits of its own range in every call, the sums are exact, the same bits
 * on every instruction set.  bits 0: x as it is, float sums. */
typedef struct trit_linear trit_linear;
trit_status trit_linear_new(const uint8_t *codes, int64_t rows, int64_t K, const float *scale,
                            int64_t scales, int bits, trit_linear **out);
trit_status trit_linear_run(trit_linear *l, int64_t n, const float *x,
                            float *y);          // [n][K], [n][rows]
size_t trit_linear_bytes(const trit_linear *l); /* of the weights in memory */
const char *trit_linear_kernels(const trit_linear *l);
void trit_linear_close(trit_linear *l); /* NULL is fine */

/* ----------------------------------------------------------------- pictures */

typedef struct {
    int64_t class; /* from 0 */
    const char *name;
    float probability; /* softmax */
} trit_guess;

/* Read, resize, cut and normalize a JPEG or PNG file: x [H][W][C]. */
trit_status trit_model_picture(const trit_model *m, const char *path, float *x);
/* The `k` most probable classes of a picture, best first. */
trit_status trit_classify_file(trit_runner *r, const char *path, int k, trit_guess *top);
/* The same of logits [classes]. */
void trit_guess_top(const trit_model *m, const float *logits, int k, trit_guess *top);

#endif
