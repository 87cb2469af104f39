/*
 * parse.c - bytes -> model.  Nothing is believed: sizes, offsets, strings, codes and numbers are
 * checked before they are used, whatever the checksum says (it guards against accidents, not
 * against malice).
 */
#include <math.h>
#include <stdlib.h>

#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>

#include "infer/format.h"

const uint8_t trit_file_magic[8] = {0x89, 'T', 'R', 'I', 'T', 0x0d, 0x0a, 0x1a};

static trit_status check_frame(const char *file, const uint8_t *b, size_t n) {
    if (n < sizeof trit_file_magic || memcmp(b, trit_file_magic, sizeof trit_file_magic))
        return trit_fail(TRIT_ERR_IO, "%s: not a packed model: it does not start as one", file);
    if (n < HEADER_BYTES)
        return trit_fail(TRIT_ERR_IO, "%s: cut off after %zu bytes, in its header", file, n);
    if (get32(b + AT_VERSION) != TRIT_FILE_VERSION)
        return trit_fail(TRIT_ERR_IO, "%s: format version %u, this build reads version %d", file,
                         get32(b + AT_VERSION), TRIT_FILE_VERSION);
    if (get64(b + AT_BYTES) != n)
        return trit_fail(TRIT_ERR_IO, "%s: %zu bytes, but its header says %llu: %s", file, n,
                         (unsigned long long)get64(b + AT_BYTES),
                         n < get64(b + AT_BYTES) ? "cut off" : "something was appended");
    if (get64(b + AT_HASH) != XXH3_64bits(b + HASHED_FROM, n - HASHED_FROM))
        return trit_fail(TRIT_ERR_IO, "%s: damaged: the checksum does not match", file);
    const uint64_t nodes = get32(b + AT_NODES);
    if (nodes < 1 || nodes > MAX_NODES || HEADER_BYTES + nodes * NODE_BYTES > n)
        return trit_fail(TRIT_ERR_IO, "%s: %llu nodes do not fit", file, (unsigned long long)nodes);
    for (int i = AT_ZERO; i < HEADER_BYTES; i++)
        if (b[i]) return trit_fail(TRIT_ERR_IO, "%s: header byte %d is not 0", file, i);
    return TRIT_OK;
}

/* The zero-ended string at `at` of the strings, NULL when it is not one. */
static const char *string_at(const uint8_t *b, uint64_t at) {
    const uint64_t from = get32(b + AT_STRINGS), bytes = get32(b + AT_STRING_BYTES);
    if (at >= bytes || !memchr(b + from + at, 0, bytes - at)) return NULL;
    return (const char *)b + from + at;
}

/* Names go to terminals as they are: no control bytes but the zeros that end them. */
static trit_status check_strings(const char *file, const uint8_t *b, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i++)
        if ((b[i] && b[i] < 0x20) || b[i] == 0x7f)
            return trit_fail(TRIT_ERR_IO, "%s: its strings hold the control byte 0x%02x", file,
                             b[i]);
    return TRIT_OK;
}

static trit_status read_strings(const char *file, trit_model *m) {
    const uint8_t *b = m->bytes;
    const uint64_t from = get32(b + AT_STRINGS), bytes = get32(b + AT_STRING_BYTES);
    trit_graph *g = &m->graph;
    if (from < HEADER_BYTES || from > m->n || bytes > m->n - from)
        return trit_fail(TRIT_ERR_IO, "%s: its strings lie outside of the file", file);
    TRIT_TRY(check_strings(file, b + from, bytes));
    g->classes = get32(b + AT_CLASSES);
    if (g->classes < 1 || g->classes > MAX_SIDE || (uint64_t)g->classes >= bytes)
        return trit_fail(TRIT_ERR_IO, "%s: %lld classes, but names of %llu bytes", file,
                         (long long)g->classes, (unsigned long long)bytes);
    m->class_names = calloc((size_t)g->classes, sizeof *m->class_names);
    if (!m->class_names) return trit_fail(TRIT_ERR_MEM, "%s: out of memory", file);
    g->class_names = m->class_names;
    g->name = string_at(b, 0);
    uint64_t at = g->name ? strlen(g->name) + 1 : 0;
    for (int64_t c = 0; g->name && c < g->classes; c++) {
        m->class_names[c] = string_at(b, at);
        if (!m->class_names[c])
            return trit_fail(TRIT_ERR_IO, "%s: the name of class %lld is missing", file,
                             (long long)c);
        at += strlen(m->class_names[c]) + 1;
    }
    return g->name ? TRIT_OK : trit_fail(TRIT_ERR_IO, "%s: its name is missing", file);
}

static void read_node(const uint8_t *p, trit_node *d) {
    *d = (trit_node){.kind = (trit_node_kind)p[N_KIND],
                     .a = get32(p + N_A),
                     .b = get32(p + N_B) == NO_VALUE ? -1 : (int64_t)get32(p + N_B),
                     .K = get32(p + N_K),
                     .R = get16(p + N_WINDOW),
                     .S = get16(p + N_WINDOW + 2),
                     .stride_h = get16(p + N_WINDOW + 4),
                     .stride_w = get16(p + N_WINDOW + 6),
                     .pad_h = get16(p + N_WINDOW + 8),
                     .pad_w = get16(p + N_WINDOW + 10),
                     .dil_h = get16(p + N_WINDOW + 12),
                     .dil_w = get16(p + N_WINDOW + 14),
                     .groups = get32(p + N_GROUPS),
                     .clamp = p[N_FLAGS] & F_CLAMP,
                     .count_pad = p[N_FLAGS] & F_COUNT_PAD,
                     .two_sided = p[N_FLAGS] & F_TWO_SIDED,
                     .lo = getf(p + N_CLAMP),
                     .hi = getf(p + N_CLAMP + 4),
                     .least = getf(p + N_RANGE),
                     .greatest = getf(p + N_RANGE + 4),
                     .weight = (trit_weight_kind)p[N_WEIGHT],
                     .planes = p[N_PLANES],
                     .scales = get32(p + N_SCALES)};
}

/* `count` floats at offset `at`, all finite. */
static trit_status read_floats(const char *file, const trit_model *m, int64_t i, uint64_t at,
                               __int128 count, const float **out) {
    if (at % 4 || at > m->n || count * 4 > (__int128)(m->n - at))
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: numbers outside of the file", file,
                         (long long)i);
    for (int64_t k = 0; k < (int64_t)count; k++)
        if (!isfinite(getf(m->bytes + at + 4 * k)))
            return trit_fail(TRIT_ERR_IO, "%s: node %lld: number %lld is not finite", file,
                             (long long)i, (long long)k);
    *out = (const float *)(const void *)(m->bytes + at);
    return TRIT_OK;
}

static trit_status read_vectors(const char *file, const trit_model *m, int64_t i, trit_node *d) {
    const uint8_t *p = m->bytes + HEADER_BYTES + i * NODE_BYTES;
    const bool coded = d->weight != 0 && d->weight != TRIT_WEIGHT_FLOAT;
    const int64_t scales = coded ? d->planes * d->scales : 0;
    const float *v;
    const int64_t count = scales * (d->two_sided ? 2 : 1) + (p[N_FLAGS] & F_GAIN ? d->K : 0) +
                          (p[N_FLAGS] & F_BIAS ? d->K : 0);
    TRIT_TRY(read_floats(file, m, i, get64(p + N_VECTORS), count, &v));
    d->scale = scales ? v : NULL;
    v += scales;
    d->scale_neg = scales && d->two_sided ? v : NULL;
    if (d->scale_neg) v += scales;
    d->gain = p[N_FLAGS] & F_GAIN ? v : NULL;
    if (d->gain) v += d->K;
    d->bias = p[N_FLAGS] & F_BIAS ? v : NULL;
    return TRIT_OK;
}

static trit_status check_codes(const char *file, const trit_model *m, int64_t i,
                               const trit_node *d) {
    const uint64_t at = get64(m->bytes + HEADER_BYTES + i * NODE_BYTES + N_WEIGHTS);
    const int64_t len = row_length(d), rows = d->planes * d->K;
    const bool t5 = d->weight == TRIT_WEIGHT_T5;
    const int64_t row = t5 ? trit_t5_bytes(len) : trit_t2_bytes(len);
    if (at % 4 || at > m->n || (__int128)row * rows > (__int128)(m->n - at))
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: codes outside of the file", file,
                         (long long)i);
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *b = m->bytes + at + r * row;
        const int64_t bad = t5 ? trit_t5_bad(b, len) : trit_t2_bad(b, len);
        if (bad >= 0)
            return trit_fail(TRIT_ERR_IO, "%s: node %lld: row %lld, byte %lld holds no codes", file,
                             (long long)i, (long long)r, (long long)bad);
    }
    return TRIT_OK;
}

static trit_status read_weights(const char *file, const trit_model *m, int64_t i, trit_node *d) {
    const uint64_t at = get64(m->bytes + HEADER_BYTES + i * NODE_BYTES + N_WEIGHTS);
    if (d->kind != TRIT_NODE_CONV) {
        if (d->weight || d->planes || at || d->two_sided)
            return trit_fail(TRIT_ERR_IO, "%s: node %lld: its kind has no weights", file,
                             (long long)i);
        return TRIT_OK;
    }
    if (d->weight == TRIT_WEIGHT_FLOAT)
        return read_floats(file, m, i, at, (__int128)row_length(d) * d->K, &d->weights);
    TRIT_TRY(check_codes(file, m, i, d));
    d->codes = m->bytes + at; /* base 3: replaced by unpack() */
    return TRIT_OK;
}

static trit_status check_fields(const char *file, const uint8_t *p, int64_t i) {
    bool zero = get32(p + N_ZERO) == 0 && !(p[N_FLAGS] & ~F_ALL);
    zero = zero && (p[N_FLAGS] & F_CLAMP || !(get32(p + N_CLAMP) | get32(p + N_CLAMP + 4)));
    for (int k = N_TAIL; k < NODE_BYTES; k++) zero = zero && p[k] == 0;
    if (!zero)
        return trit_fail(TRIT_ERR_IO, "%s: node %lld sets what version %d does not know", file,
                         (long long)i, TRIT_FILE_VERSION);
    return TRIT_OK;
}

static trit_status read_nodes(const char *file, trit_model *m) {
    trit_graph *g = &m->graph;
    g->n = get32(m->bytes + AT_NODES);
    m->nodes = calloc((size_t)g->n, sizeof *m->nodes);
    if (!m->nodes) return trit_fail(TRIT_ERR_MEM, "%s: out of memory", file);
    g->nodes = m->nodes;
    for (int64_t i = 0; i < g->n; i++) {
        const uint8_t *p = m->bytes + HEADER_BYTES + i * NODE_BYTES;
        TRIT_TRY(check_fields(file, p, i));
        read_node(p, &g->nodes[i]);
        g->nodes[i].name = string_at(m->bytes, get32(p + N_NAME));
        if (!g->nodes[i].name)
            return trit_fail(TRIT_ERR_IO, "%s: node %lld has no name", file, (long long)i);
    }
    TRIT_TRY(trit_graph_check(file, g));
    for (int64_t i = 0; i < g->n; i++) {
        TRIT_TRY(read_weights(file, m, i, &g->nodes[i]));
        TRIT_TRY(read_vectors(file, m, i, &g->nodes[i]));
        TRIT_TRY(trit_node_check_unused(file, i, &g->nodes[i])); /* now with vectors */
    }
    return TRIT_OK;
}

/* Codes in base 3 become 2-bit codes in one block. */
static trit_status unpack(const char *file, trit_model *m) {
    int64_t longest = 0;
    for (int64_t i = 0; i < m->graph.n; i++) {
        const trit_node *d = &m->nodes[i];
        if (d->weight != TRIT_WEIGHT_T5) continue;
        const int64_t len = row_length(d);
        m->unpacked_bytes += (size_t)(d->planes * d->K * trit_t2_bytes(len));
        longest = len > longest ? len : longest;
    }
    if (!m->unpacked_bytes) return TRIT_OK;
    m->unpacked = malloc(m->unpacked_bytes);
    int8_t *row = malloc((size_t)longest);
    uint8_t *to = m->unpacked;
    for (int64_t i = 0; m->unpacked && row && i < m->graph.n; i++) {
        trit_node *d = &m->nodes[i];
        if (d->weight != TRIT_WEIGHT_T5) continue;
        const uint8_t *from = d->codes;
        const int64_t len = row_length(d);
        d->codes = to;
        for (int64_t r = 0; r < d->planes * d->K; r++) {
            trit_t5_unpack(from, len, row);
            trit_t2_pack(row, len, to);
            from += trit_t5_bytes(len);
            to += trit_t2_bytes(len);
        }
    }
    const bool ok = m->unpacked && row;
    free(row);
    return ok ? TRIT_OK : trit_fail(TRIT_ERR_MEM, "%s: out of memory", file);
}

static trit_status read_header(const char *file, trit_model *m) {
    const uint8_t *b = m->bytes;
    trit_graph *g = &m->graph;
    TRIT_TRY(check_frame(file, b, m->n));
    g->C = get32(b + AT_INPUT);
    g->H = get32(b + AT_INPUT + 4);
    g->W = get32(b + AT_INPUT + 8);
    for (int c = 0; c < 3; c++) {
        g->mean[c] = getf(b + AT_MEAN + 4 * c);
        g->std[c] = getf(b + AT_STD + 4 * c);
    }
    g->resize = get32(b + AT_RESIZE);
    g->least = getf(b + AT_RANGE);
    g->greatest = getf(b + AT_RANGE + 4);
    return TRIT_OK;
}

trit_status trit_model_parse_owned(uint8_t *bytes, size_t n, const char *file, trit_model **out) {
    trit_model *m = calloc(1, sizeof *m);
    if (!m) {
        trit_free(bytes, n);
        return trit_fail(TRIT_ERR_MEM, "%s: out of memory", file);
    }
    atomic_init(&m->refs, 1);
    m->bytes = bytes;
    m->n = n;
    trit_status status = read_header(file, m);
    if (status == TRIT_OK) status = read_strings(file, m);
    if (status == TRIT_OK) status = read_nodes(file, m);
    if (status == TRIT_OK) status = unpack(file, m);
    if (status == TRIT_OK)
        *out = m;
    else
        trit_model_close(m);
    return status;
}

trit_status trit_model_parse(const void *bytes, size_t n, const char *name, trit_model **out) {
    uint8_t *copy = trit_alloc(n);
    if (!copy) return TRIT_ERR_MEM;
    if (n) memcpy(copy, bytes, n);
    return trit_model_parse_owned(copy, n, name, out);
}

void trit_model_close(trit_model *m) {
    if (!m || atomic_fetch_sub(&m->refs, 1) > 1) return;
    trit_free(m->bytes, m->n);
    free(m->unpacked);
    free(m->class_names);
    free(m->nodes);
    free(m);
}

const trit_graph *trit_model_graph(const trit_model *m) { return &m->graph; }
size_t trit_model_bytes(const trit_model *m) { return m->n; }
