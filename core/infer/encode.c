/*
 * encode.c - graph -> bytes.  What is written is read back at once, so a file that our own reader
 * would refuse is never made.
 */
#include <stdlib.h>
#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>

#include "infer/format.h"

typedef struct {
    uint8_t *bytes; /* NULL: only measure */
    size_t n;
} writer;

static size_t put(writer *w, const void *data, size_t n) {
    const size_t at = w->n;
    if (w->bytes && n) memcpy(w->bytes + at, data, n);
    w->n += n;
    return at;
}

static void align(writer *w) {
    while (w->n % 4) put(w, "", 1);
}

static size_t put_floats(writer *w, const float *v, int64_t n) {
    const size_t at = w->n;
    for (int64_t i = 0; i < n; i++) {
        uint8_t b[4];
        putf(b, v[i]);
        put(w, b, 4);
    }
    return at;
}

static size_t put_codes(writer *w, const trit_node *d, bool archive, int8_t *row) {
    const size_t at = w->n;
    const int64_t len = row_length(d);
    const size_t in = (size_t)trit_t2_bytes(len), out = (size_t)trit_t5_bytes(len);
    if (!archive) return put(w, d->codes, (size_t)(d->planes * d->K) * in);
    for (int64_t r = 0; r < d->planes * d->K; r++) {
        if (w->bytes) {
            trit_t2_unpack(d->codes + (size_t)r * in, len, row);
            trit_t5_pack(row, len, w->bytes + w->n);
        }
        w->n += out;
    }
    return at;
}

static bool coded(const trit_node *d) {
    return d->kind == TRIT_NODE_CONV && d->weight != TRIT_WEIGHT_FLOAT;
}

static void put_vectors(writer *w, const trit_node *d) {
    const int64_t scales = coded(d) ? d->planes * d->scales : 0;
    put_floats(w, d->scale, scales);
    if (d->two_sided) put_floats(w, d->scale_neg, scales);
    if (d->gain) put_floats(w, d->gain, d->K);
    if (d->bias) put_floats(w, d->bias, d->K);
}

/* Everything of a node but its name and offsets. */
static void write_node(uint8_t *p, const trit_node *d, bool archive) {
    const bool conv = d->kind == TRIT_NODE_CONV;
    p[N_KIND] = (uint8_t)d->kind;
    p[N_WEIGHT] = (uint8_t)(!conv      ? 0
                            : coded(d) ? archive ? TRIT_WEIGHT_T5 : TRIT_WEIGHT_T2
                                       : TRIT_WEIGHT_FLOAT);
    p[N_PLANES] = (uint8_t)(coded(d) ? d->planes : 0);
    p[N_FLAGS] = (uint8_t)((d->two_sided ? F_TWO_SIDED : 0) | (d->gain ? F_GAIN : 0) |
                           (d->bias ? F_BIAS : 0) | (d->clamp ? F_CLAMP : 0) |
                           (d->count_pad ? F_COUNT_PAD : 0));
    put32(p + N_A, (uint32_t)d->a);
    put32(p + N_B, d->b < 0 ? NO_VALUE : (uint32_t)d->b);
    put32(p + N_K, (uint32_t)d->K);
    const int64_t window[8] = {d->R,     d->S,     d->stride_h, d->stride_w,
                               d->pad_h, d->pad_w, d->dil_h,    d->dil_w};
    for (int k = 0; k < 8; k++) put16(p + N_WINDOW + 2 * k, (uint16_t)window[k]);
    put32(p + N_GROUPS, (uint32_t)d->groups);
    putf(p + N_CLAMP, d->clamp ? d->lo : 0);
    putf(p + N_CLAMP + 4, d->clamp ? d->hi : 0);
    putf(p + N_RANGE, d->least);
    putf(p + N_RANGE + 4, d->greatest);
    put32(p + N_SCALES, coded(d) ? (uint32_t)d->scales : 0);
}

static void write_header(uint8_t *b, const trit_graph *g, size_t strings, size_t string_bytes) {
    memcpy(b, trit_file_magic, sizeof trit_file_magic);
    put32(b + AT_VERSION, TRIT_FILE_VERSION);
    put32(b + AT_NODES, (uint32_t)g->n);
    put32(b + AT_INPUT, (uint32_t)g->C);
    put32(b + AT_INPUT + 4, (uint32_t)g->H);
    put32(b + AT_INPUT + 8, (uint32_t)g->W);
    put32(b + AT_CLASSES, (uint32_t)g->classes);
    for (int c = 0; c < 3; c++) {
        putf(b + AT_MEAN + 4 * c, g->mean[c]);
        putf(b + AT_STD + 4 * c, g->std[c]);
    }
    put32(b + AT_RESIZE, (uint32_t)g->resize);
    putf(b + AT_RANGE, g->least);
    putf(b + AT_RANGE + 4, g->greatest);
    put32(b + AT_STRINGS, (uint32_t)strings);
    put32(b + AT_STRING_BYTES, (uint32_t)string_bytes);
}

/* With w->bytes NULL only w->n grows: the same code measures and writes. */
static void write_all(writer *w, const trit_graph *g, bool archive, int8_t *row) {
    w->n = HEADER_BYTES + (size_t)g->n * NODE_BYTES;
    const size_t strings = put(w, g->name, strlen(g->name) + 1);
    for (int64_t c = 0; c < g->classes; c++)
        put(w, g->class_names[c], strlen(g->class_names[c]) + 1);
    for (int64_t i = 0; i < g->n; i++) {
        const size_t at = put(w, g->nodes[i].name, strlen(g->nodes[i].name) + 1);
        if (w->bytes)
            put32(w->bytes + HEADER_BYTES + i * NODE_BYTES + N_NAME, (uint32_t)(at - strings));
    }
    const size_t string_bytes = w->n - strings;
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        size_t weights = 0;
        align(w);
        if (coded(d))
            weights = put_codes(w, d, archive, row);
        else if (d->kind == TRIT_NODE_CONV)
            weights = put_floats(w, d->weights, row_length(d) * d->K);
        align(w);
        const size_t vectors = w->n;
        put_vectors(w, d);
        if (!w->bytes) continue;
        uint8_t *p = w->bytes + HEADER_BYTES + i * NODE_BYTES;
        write_node(p, d, archive);
        put64(p + N_WEIGHTS, weights);
        put64(p + N_VECTORS, vectors);
    }
    if (w->bytes) write_header(w->bytes, g, strings, string_bytes);
}

static trit_status check_pointers(const trit_graph *g) {
    bool named = g->name && g->class_names;
    for (int64_t c = 0; named && c < g->classes; c++) named = g->class_names[c];
    if (!named) return trit_fail(TRIT_ERR_ARG, "model: it or one of its classes lacks a name");
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        const bool whole = d->name && (!coded(d) || (d->codes && d->scale)) &&
                           (d->kind != TRIT_NODE_CONV || coded(d) || d->weights) &&
                           (!d->two_sided || d->scale_neg);
        if (!whole)
            return trit_fail(TRIT_ERR_ARG, "model: node %lld lacks weights, scales or a name",
                             (long long)i);
    }
    return TRIT_OK;
}

trit_status trit_model_encode(trit_graph *g, bool archive, trit_model **out) {
    TRIT_TRY(trit_graph_check("model", g));
    TRIT_TRY(check_pointers(g));
    int64_t longest = 1;
    for (int64_t i = 0; i < g->n; i++)
        if (coded(&g->nodes[i]) && row_length(&g->nodes[i]) > longest)
            longest = row_length(&g->nodes[i]);
    int8_t *row = malloc((size_t)longest);
    if (!row) return trit_fail(TRIT_ERR_MEM, "model: out of memory");
    writer w = {0};
    write_all(&w, g, archive, row);
    const size_t n = w.n;
    w.bytes = trit_alloc(n);
    if (!w.bytes) {
        free(row);
        return TRIT_ERR_MEM;
    }
    memset(w.bytes, 0, n);
    write_all(&w, g, archive, row);
    free(row);
    put64(w.bytes + AT_BYTES, n);
    put64(w.bytes + AT_HASH, XXH3_64bits(w.bytes + HASHED_FROM, n - HASHED_FROM));
    return trit_model_parse_owned(w.bytes, n, "model", out);
}
