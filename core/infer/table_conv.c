/*
 * table_conv.c - float convolutions by tables of sums: packing, framing, walking; see tables.h.
 *
 * An image is laid out as planes first, once per convolution (a few percent of the work), then
 * every unit takes one tile of pixels through all blocks of weights.  Few tiles over few threads
 * come out unevenly: an odd last one is split by rows.
 *
 * Order of summation.  Under an output the numbers k = (y, x, channel) are added in groups of three
 * consecutive k, (w0 a + w1 b) + w2 c, groups one after the other from zero on; then each plane's
 * sum is multiplied by its scale and gain, planes are added in order, bias, and what is added.  The
 * same on every instruction set and for any number of threads.
 */
#include <math.h>
#include <stdlib.h>

#include "infer/tables.h"

#define MAX_STRIDE     16
#define MAX_TAPS       128
#define MAX_FRAME      ((int64_t)1 << 26) /* numbers */
#define FRAME_CHANNELS 16 /* whose planes one unit writes: a cache line of the image's */
#define FEW_TILES      32 /* for which an odd one matters */
#define LEAST_ROWS     64 /* that are worth splitting */
#define MOST_SINGLE    4  /* left-over pixels that are cheaper one by one than as a tile */

typedef struct {
    const trit_node *d;
    const trit_table_conv *c;
    const float *x, *add;
    float *frame, *y;
    int64_t tiles, singles; /* the last tile may hold less than 16 pixels */
} job;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* ------------------------------------------------------------------------- frames */

/* One direction: kernel taps over an image's side. */
typedef struct {
    int64_t taps, dil, stride, pad, side, results;
} axis;

static axis down(const trit_node *d) {
    return (axis){d->R, d->dil_h, d->stride_h, d->pad_h, d->H, d->P};
}

static axis along(const trit_node *d) {
    return (axis){d->S, d->dil_w, d->stride_w, d->pad_w, d->W, d->Q};
}

/* Greatest shift of the taps in phase f of the stride, or -1: the phase is not used. */
static int64_t shift_of(const axis *a, int64_t f) {
    for (int64_t t = a->taps - 1; t >= 0; t--)
        if (t * a->dil % a->stride == f) return t * a->dil / a->stride;
    return -1;
}

/* How many used phases come before phase f. */
static int64_t phase_index(const axis *a, int64_t f) {
    int64_t n = 0;
    for (int64_t i = 0; i < f; i++) n += shift_of(a, i) >= 0;
    return n;
}

static int64_t phase_at(const axis *a, int64_t n) {
    int64_t f = 0;
    while (shift_of(a, f) < 0 || n-- > 0) f++;
    return f;
}

/* Places of a phase before the image, and those up to its end. */
static int64_t places(const axis *a, int64_t f, int64_t limit) {
    const int64_t at = limit + a->pad - f; /* place i stands at i stride + f - pad */
    return at <= 0 ? 0 : (at + a->stride - 1) / a->stride;
}

static int64_t results_and_shift(const axis *a) {
    int64_t most = 0;
    for (int64_t f = 0; f < a->stride; f++)
        if (shift_of(a, f) > most) most = shift_of(a, f);
    return a->results + most;
}

/* Can rows be `pitch` apart, so that the zeros behind one are the zeros before the next? */
static bool shares(const axis *a, int64_t pitch) {
    for (int64_t f = 0; f < a->stride; f++) {
        if (shift_of(a, f) < 0) continue;
        const int64_t over = a->results + shift_of(a, f) - pitch;
        if (over > places(a, f, 0) || (over > 0 && places(a, f, a->side) > pitch)) return false;
    }
    return true;
}

bool trit_table_fits(const trit_node *d) {
    if (d->kind != TRIT_NODE_CONV || d->weight == TRIT_WEIGHT_FLOAT || d->groups != 1) return false;
    if (d->stride_h > MAX_STRIDE || d->stride_w > MAX_STRIDE || d->R * d->S > MAX_TAPS)
        return false;
    const int64_t rows = d->P + d->R * d->dil_h, columns = d->Q + d->S * d->dil_w;
    return rows < MAX_FRAME && columns < MAX_FRAME && rows * columns < MAX_FRAME &&
           rows * columns * d->C < MAX_FRAME / (d->stride_h * d->stride_w);
}

static int64_t phases(const trit_node *d) {
    const axis h = down(d), w = along(d);
    return phase_index(&h, h.stride) * phase_index(&w, w.stride);
}

void trit_table_plan(const trit_node *d, trit_table_conv *c) {
    static const trit_table_kernels *const sets[] = {&trit_tables_generic, &trit_tables_avx2,
                                                     &trit_tables_avx512};
    const axis h = down(d), w = along(d);
    const int64_t columns = results_and_shift(&w);
    *c = (trit_table_conv){.kernels = sets[trit_isa_level()],
                           .terms = d->planes * (d->two_sided ? 2 : 1),
                           .groups = (row_length(d) + 2) / 3,
                           .height = results_and_shift(&h),
                           .pitch = d->Q};
    while (!shares(&w, c->pitch)) c->pitch++;
    c->rows = up(d->K, TABLE_ROWS) * c->terms;
    /* An odd number of cache lines: planes do not fall on each other. */
    c->plane = up(c->height * c->pitch + columns - c->pitch, 32) + 16;
    const int64_t gap = c->pitch - d->Q, behind = 2 * TABLE_PIXELS + gap * (2 + TABLE_PIXELS);
    c->frame = phases(d) * d->C * c->plane + behind;
}

/* Row `row` of one phase's planes of `channels` channels from x on. */
static void frame_row(const trit_node *d, const trit_table_conv *c, int64_t fh, int64_t fw,
                      int64_t row, int64_t channels, const float *x, float *to) {
    const axis h = down(d), w = along(d);
    const int64_t y = row * h.stride + fh - h.pad;
    const bool inside = y >= 0 && y < h.side;
    const int64_t first = least(places(&w, fw, 0), c->pitch);
    const int64_t end = inside ? least(places(&w, fw, w.side), c->pitch) : first;
    const int64_t edge = row == c->height - 1 ? results_and_shift(&w) - c->pitch : 0;
    for (int64_t i = 0; i < channels; i++) {
        float *p = to + i * c->plane;
        for (int64_t q = 0; q < first; q++) p[q] = 0;
        for (int64_t q = end; q < c->pitch + edge; q++) p[q] = 0;
    }
    x += (y * w.side + first * w.stride + fw - w.pad) * d->C;
    if (end > first)
        c->kernels->planes(end - first, channels, x, w.stride * d->C, c->plane, to + first);
}

/* Some channels' planes of one phase: no two units write one cache line. */
static void frame_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    const trit_node *d = j->d;
    const trit_table_conv *c = j->c;
    const axis h = down(d), w = along(d);
    const int64_t parts = up(d->C, FRAME_CHANNELS) / FRAME_CHANNELS, phase = unit / parts;
    const int64_t first = unit % parts * FRAME_CHANNELS, across = phase_index(&w, w.stride);
    const int64_t fh = phase_at(&h, phase / across), fw = phase_at(&w, phase % across);
    float *to = j->frame + (phase * d->C + first) * c->plane;
    for (int64_t row = 0; row < c->height; row++, to += c->pitch)
        frame_row(d, c, fh, fw, row, least(FRAME_CHANNELS, d->C - first), j->x + first, to);
}

/* ------------------------------------------------------------------------ packing */

size_t trit_table_code_bytes(const trit_table_conv *c) { return (size_t)(c->rows * c->groups); }

size_t trit_table_numbers(const trit_table_conv *c) {
    return (size_t)(3 * c->groups + c->rows + c->rows / c->terms);
}

static void fill_offsets(const trit_node *d, trit_table_conv *c) {
    const axis h = down(d), w = along(d);
    const int64_t across = phase_index(&w, w.stride), len = row_length(d);
    for (int64_t k = 0; k < 3 * c->groups; k++) {
        const int64_t tap = k < len ? k / d->C : 0, channel = k < len ? k % d->C : 0;
        const int64_t y = tap / d->S * d->dil_h, x = tap % d->S * d->dil_w;
        const int64_t phase =
            phase_index(&h, y % h.stride) * across + phase_index(&w, x % w.stride);
        c->offset[k] =
            (int32_t)((phase * d->C + channel) * c->plane + y / h.stride * c->pitch + x / w.stride);
    }
}

/* A row of -1, 0, 1 into its places of the codes; entry 13 is the sum of nothing. */
static void pack_row(trit_table_conv *c, int64_t row, const int8_t *w) {
    const int64_t portion = c->kernels->portion;
    for (int64_t b = 0; b < c->groups; b += TABLE_GROUPS) {
        const int64_t n = least(TABLE_GROUPS, c->groups - b);
        uint8_t *to = c->codes + b * c->rows + row / portion * portion * n + row % portion;
        for (int64_t g = 0; g < n; g++) {
            const int8_t *three = w + 3 * (b + g);
            const int entry = 13 + three[0] + 3 * three[1] + 9 * three[2];
            to[g * portion] = (uint8_t)(entry * c->kernels->unit);
        }
    }
}

/* One side of two-sided codes: the other's become zeros. */
static void keep_side(int8_t *w, int64_t n, int side) {
    for (int64_t i = 0; i < n; i++)
        if (w[i] != side) w[i] = 0;
}

static void pack_channel(const trit_node *d, trit_table_conv *c, int64_t k, int8_t *w) {
    const int64_t len = row_length(d), bytes = trit_t2_bytes(len);
    const float gain = k < d->K && d->gain ? d->gain[k] : 1;
    for (int64_t t = 0; t < c->terms; t++) {
        const int64_t plane = d->two_sided ? t / 2 : t, row = trit_table_row(c->terms, t, k);
        const int64_t s = plane * d->scales + (d->scales > 1 ? k : 0);
        memset(w, 0, (size_t)(3 * c->groups));
        c->factor[row] = 0;
        if (k < d->K) {
            trit_t2_unpack(d->codes + (plane * d->K + k) * bytes, len, w);
            if (d->two_sided) keep_side(w, len, t % 2 ? -1 : 1);
            c->factor[row] = gain * (d->two_sided && t % 2 ? d->scale_neg : d->scale)[s];
        }
        pack_row(c, row, w);
    }
    c->bias[k] = k < d->K && d->bias ? d->bias[k] : 0;
}

trit_status trit_table_pack(const trit_node *d, trit_table_conv *c, uint8_t *codes,
                            float *numbers) {
    int8_t *w = malloc((size_t)(3 * c->groups));
    if (!w) return trit_fail(TRIT_ERR_MEM, "runner: out of memory");
    c->codes = codes;
    c->factor = numbers;
    c->bias = numbers + c->rows;
    c->offset = (int32_t *)(void *)(c->bias + c->rows / c->terms);
    fill_offsets(d, c);
    for (int64_t k = 0; k < c->rows / c->terms; k++) pack_channel(d, c, k, w);
    free(w);
    return TRIT_OK;
}

/* ------------------------------------------------------------------------ running */

size_t trit_table_scratch(const trit_table_conv *c) {
    return whole_lines(sizeof(trit_table_tile)) +
           (size_t)(TABLE_GROUPS * TABLE_ENTRIES + c->rows) * TABLE_PIXELS * sizeof(float);
}

static trit_table_finish finish_of(const job *j, int64_t k0, int64_t k1) {
    const trit_node *d = j->d;
    return (trit_table_finish){.channels = k1 - k0,
                               .terms = j->c->terms,
                               .ld = d->K,
                               .factor = j->c->factor + k0 * j->c->terms,
                               .bias = j->c->bias + k0,
                               .lo = d->clamp ? d->lo : -INFINITY,
                               .hi = d->clamp ? d->hi : INFINITY};
}

static const float *place_of(const job *j, int64_t pixel) {
    return j->frame + pixel / j->d->Q * j->c->pitch + pixel % j->d->Q;
}

/* The lanes of pixels from `first` on. */
static void tile_of(const job *j, int64_t first, trit_table_tile *t) {
    const int64_t q = first % j->d->Q;
    t->pixels = least(TABLE_PIXELS, j->d->P * j->d->Q - first);
    t->gap = j->c->pitch - j->d->Q;
    t->breaks = t->gap ? (q + TABLE_PIXELS - 1) / j->d->Q : 0;
    for (int64_t b = 0; b < t->breaks; b++)
        for (int64_t l = 0; l < TABLE_PIXELS; l++)
            t->mask[b][l] = q + l >= (b + 1) * j->d->Q ? -1 : 0;
}

/* Channels [k0, k1) of one tile. */
static void run_tile(const job *j, int64_t tile, int64_t k0, int64_t k1, int worker) {
    const trit_table_conv *c = j->c;
    const int64_t first = tile * TABLE_PIXELS, rows = up(k1 - k0, TABLE_ROWS) * c->terms;
    const int64_t at = first * j->d->K + k0;
    trit_table_tile *t = trit_scratch(worker);
    float *tables = (float *)(void *)((uint8_t *)t + whole_lines(sizeof *t));
    float *sums = tables + TABLE_GROUPS * TABLE_ENTRIES * TABLE_PIXELS;
    const float *x = place_of(j, first);
    tile_of(j, first, t);
    for (int64_t g = 0; g < c->groups; g += TABLE_GROUPS) {
        const int64_t n = least(TABLE_GROUPS, c->groups - g);
        c->kernels->build(n, x, c->offset + 3 * g, t, tables);
        c->kernels->add(t->pixels, rows, n, c->codes + g * c->rows + k0 * c->terms * n, tables,
                        g == 0, sums);
    }
    const trit_table_finish f = finish_of(j, k0, k1);
    c->kernels->finish(&f, t->pixels, sums, j->add ? j->add + at : NULL, j->y + at);
}

static void run_single(const job *j, int64_t pixel, int64_t k0, int64_t k1, int worker) {
    const trit_table_conv *c = j->c;
    const trit_table_codes w = {c->rows, c->groups, c->codes, c->offset};
    const int64_t at = pixel * j->d->K + k0;
    float *sums = trit_scratch(worker);
    c->kernels->single(k0 * c->terms, up(k1 - k0, TABLE_ROWS) * c->terms, &w, place_of(j, pixel),
                       sums);
    const trit_table_finish f = finish_of(j, k0, k1);
    c->kernels->finish_single(&f, sums, j->add ? j->add + at : NULL, j->y + at);
}

static int64_t split(const job *j) { return j->c->rows >= LEAST_ROWS ? 2 : 1; }

/* Tiles that are not split; then halves of the last one, then halves of single pixels. */
static int64_t whole_tiles(const job *j) {
    return j->tiles % 2 && j->tiles < FEW_TILES && split(j) > 1 ? j->tiles - 1 : j->tiles;
}

static void run_unit(void *context, int64_t unit, int worker) {
    const job *j = context;
    const int64_t whole = whole_tiles(j), parts = split(j), K = j->d->K;
    if (unit < whole) {
        run_tile(j, unit, 0, K, worker);
        return;
    }
    unit -= whole;
    const int64_t half = parts > 1 ? least(up(K / 2, TABLE_ROWS), K) : K, part = unit % parts;
    const int64_t k0 = part * half, k1 = part + 1 < parts ? half : K;
    const int64_t n = whole + unit / parts;
    if (n < j->tiles)
        run_tile(j, n, k0, k1, worker);
    else
        run_single(j, j->tiles * TABLE_PIXELS + n - j->tiles, k0, k1, worker);
}

void trit_table_run(const trit_node *d, const trit_table_conv *c, const float *x, float *frame,
                    const float *add, float *y) {
    job j = {.d = d, .c = c, .x = x, .add = add, .frame = frame, .y = y};
    const int64_t pixels = d->P * d->Q, left = pixels % TABLE_PIXELS;
    j.singles = c->kernels->single && left <= MOST_SINGLE ? left : 0;
    j.tiles = pixels / TABLE_PIXELS + (left && !j.singles);
    trit_parallel(phases(d) * (up(d->C, FRAME_CHANNELS) / FRAME_CHANNELS), frame_unit, &j);
    const int64_t whole = whole_tiles(&j);
    trit_parallel(whole + (j.tiles - whole + j.singles) * split(&j), run_unit, &j);
}
