/*
 * winograd_tiles.c - transforms between image rows and tiles of F(4x4, 3x3); see winograd.h.
 *
 * A two-dimensional transform is a pass down the columns and one along the rows.  The first is
 * done once per image column of a tile row, from the image into `lines` (neighbouring tiles share
 * two columns: 15 % less work than tile by tile); the second runs per tile.
 */
#include "conv/isa/winograd_tiles.h"

#include "conv/isa/winograd_math.h"

int64_t SYMBOL(trit_winograd_lines)(const winograd_plan *p) {
    return 6 * (p->tile_cols * 4 + 2) * LANES;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* -------------------------------------------------------------------- image rows */

/* Tile rows [r, end) of one image and the image rows [top, bottom) that stand for them. */
typedef struct {
    int64_t image, r, end, top, bottom;
} run;

/* The part of tile rows [r, r1) that lies in r's image; `halo` image rows more on either side. */
static run run_from(const winograd_plan *p, int64_t r, int64_t r1, int64_t halo) {
    run u = {.image = r / p->tile_rows, .r = r};
    u.end = least(r1, (u.image + 1) * p->tile_rows);
    u.top = r % p->tile_rows * 4 - halo;
    if (u.top < 0) u.top = 0;
    u.bottom = least(((u.end - 1) % p->tile_rows + 1) * 4 + halo, p->height);
    return u;
}

/* Where a run's rows begin, and which image row that is: in the array, or in the strip, where the
 * made rows of all runs stand one after the other. */
static const float *run_rows(const winograd_plan *p, const run *u, const float *array,
                             int64_t channels, const float **strip, int64_t *top) {
    *top = 0;
    if (!*strip) return array + u->image * p->height * p->width * channels;
    const float *rows = *strip;
    *top = u->top;
    *strip += (u->bottom - u->top) * p->width * channels;
    return rows;
}

void SYMBOL(trit_winograd_make)(const winograd_plan *p, const trit_make *rows, int64_t halo,
                                int64_t r0, int64_t r1, float *strip) {
    for (int64_t r = r0; r < r1;) {
        const run u = run_from(p, r, r1, halo);
        const int64_t pixels = (u.bottom - u.top) * p->width;
        trit_rows_make(rows, (u.image * p->height + u.top) * p->width, pixels, strip);
        strip += pixels * rows->C;
        r = u.end;
    }
}

/* ---------------------------------------------------------------------- transforms */

/* Six lines of transformed columns -1 .. 4*tile_cols of tile row `row`; zeros outside the image.
 * `rows` points at image row `base`. */
static void input_columns(const winograd_plan *p, const float *rows, int64_t base, int64_t row,
                          float *lines) {
    int64_t length = (p->tile_cols * 4 + 2) * LANES, pitch = p->width * p->in, top = row * 4 - 1;
    int64_t first = top < 0 ? 1 : 0, end = top + 6 > p->height ? p->height - top : 6;
    const float *from = rows + (top - base) * pitch;
    for (int i = 0; i < 6; i++) store(lines + i * length, (vec){0});
    for (int64_t j = 0; j < p->width; j++, from += p->in) {
        vec d[6], o[6];
        if (first == 0 && end == 6)
            UNROLL for (int i = 0; i < 6; i++) d[i] = load(from + i * pitch);
        else
            UNROLL for (int i = 0; i < 6; i++) d[i] =
                i >= first && i < end ? load(from + i * pitch) : (vec){0};
        input_transform(d, o);
        UNROLL for (int i = 0; i < 6; i++) store(lines + i * length + (j + 1) * LANES, o[i]);
    }
    for (int64_t j = p->width + 1; j < p->tile_cols * 4 + 2; j++)
        for (int i = 0; i < 6; i++) store(lines + i * length + j * LANES, (vec){0});
}

/* One line to the six positions of its row, tile by tile. */
static void input_line(const winograd_plan *p, const float *line, float *v) {
    for (int64_t t = 0; t < p->tile_cols; t++, line += 4 * LANES, v += LANES) {
        vec d[6], o[6];
        UNROLL for (int j = 0; j < 6; j++) d[j] = load(line + j * LANES);
        input_transform(d, o);
        UNROLL for (int j = 0; j < 6; j++) store(v + j * p->v_position, o[j]);
    }
}

void SYMBOL(trit_winograd_input)(const winograd_plan *p, const float *strip, int64_t r0, int64_t r1,
                                 int64_t tile, float *lines, float *v) {
    int64_t length = (p->tile_cols * 4 + 2) * LANES, top;
    for (int64_t r = r0; r < r1;) {
        const run u = run_from(p, r, r1, 1);
        const float *rows = run_rows(p, &u, p->source, p->in, &strip, &top);
        for (; r < u.end; r++, tile += p->tile_cols)
            for (int64_t b = 0; b < p->in_blocks; b++) {
                input_columns(p, rows + b * LANES, top, r % p->tile_rows, lines);
                for (int i = 0; i < 6; i++)
                    input_line(p, lines + i * length,
                               v + i * 6 * p->v_position + b * p->v_block + tile * LANES);
            }
    }
}

/* Six lines of transformed columns 0 .. 4*tile_cols-1 of dy; zeros outside the image. */
static void gradient_columns(const winograd_plan *p, const float *rows, int64_t base, int64_t row,
                             float *lines) {
    int64_t length = p->tile_cols * 4 * LANES, pitch = p->width * p->out;
    int64_t left = p->height - row * 4; /* image rows under this tile row */
    const float *from = rows + (row * 4 - base) * pitch;
    for (int64_t j = 0; j < p->width; j++, from += p->out) {
        vec d[4], o[6];
        UNROLL for (int i = 0; i < 4; i++) d[i] = i < left ? load(from + i * pitch) : (vec){0};
        gradient_transform(d, o);
        UNROLL for (int i = 0; i < 6; i++) store(lines + i * length + j * LANES, o[i]);
    }
    for (int64_t j = p->width; j < p->tile_cols * 4; j++)
        for (int i = 0; i < 6; i++) store(lines + i * length + j * LANES, (vec){0});
}

static void gradient_line(const winograd_plan *p, const float *line, float *m) {
    int64_t step = p->cv * LANES;
    for (int64_t t = 0; t < p->tile_cols; t++, line += 4 * LANES, m += step) {
        vec d[4], o[6];
        UNROLL for (int j = 0; j < 4; j++) d[j] = load(line + j * LANES);
        gradient_transform(d, o);
        UNROLL for (int j = 0; j < 6; j++) store(m + j * p->m_position, o[j]);
    }
}

void SYMBOL(trit_winograd_gradient)(const winograd_plan *p, const float *strip, int64_t halo,
                                    int64_t r0, int64_t r1, int64_t tile, float *lines, float *m) {
    int64_t length = p->tile_cols * 4 * LANES, top;
    for (int64_t r = r0; r < r1;) {
        const run u = run_from(p, r, r1, halo);
        const float *rows = run_rows(p, &u, p->dy, p->out, &strip, &top);
        for (; r < u.end; r++, tile += p->tile_cols)
            for (int64_t b = 0; b < p->out / LANES; b++) {
                gradient_columns(p, rows + b * LANES, top, r % p->tile_rows, lines);
                float *to = m + b / p->cv * p->m_block + (tile * p->cv + b % p->cv) * LANES;
                for (int i = 0; i < 6; i++)
                    gradient_line(p, lines + i * length, to + i * 6 * p->m_position);
            }
    }
}

void SYMBOL(trit_winograd_take)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t c0,
                                int64_t c1, int64_t unit) {
    for (int64_t r = r0; r < r1;) {
        const run u = run_from(p, r, r1, 0);
        trit_rows_take(p->take, (u.image * p->height + u.top) * p->width,
                       (u.bottom - u.top) * p->width, c0, c1, p->result,
                       p->sums + unit * 2 * p->out);
        r = u.end;
    }
}

/* One tile, one vector of channels: rows x columns of it lie inside the image. */
INLINE void output_tile(const winograd_plan *p, const float *m, int64_t rows, int64_t columns,
                        float *to) {
    vec lines[4][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vec d[6], o[4];
        UNROLL for (int i = 0; i < 6; i++) d[i] = load(m + (i * 6 + j) * p->m_position);
        output_transform(d, o);
        UNROLL for (int i = 0; i < 4; i++) lines[i][j] = o[i];
    }
    UNROLL for (int i = 0; i < 4; i++) {
        if (i >= rows) break;
        vec o[4];
        output_transform(lines[i], o);
        float *row = to + i * p->width * p->out;
        if (columns >= 4)
            UNROLL for (int j = 0; j < 4; j++) store(row + j * p->out, o[j]);
        else
            for (int j = 0; j < columns; j++) store(row + j * p->out, o[j]);
    }
}

void SYMBOL(trit_winograd_output)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t block,
                                  const float *m) {
    for (int64_t r = r0; r < r1; r++) {
        int64_t n = r / p->tile_rows, row = r % p->tile_rows;
        float *to = p->result + (n * p->height + row * 4) * p->width * p->out;
        for (int64_t t = 0; t < p->tile_cols; t++)
            for (int64_t j = 0; j < p->cv; j++, m += LANES)
                output_tile(p, m, p->height - row * 4, p->width - t * 4,
                            to + t * 4 * p->out + (block * p->cv + j) * LANES);
    }
}
