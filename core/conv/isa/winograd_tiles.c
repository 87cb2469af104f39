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

/* Outputs down tile row `row` of an image. */
static int64_t height_of(const winograd_plan *p, int64_t row) {
    return row < p->full_rows ? 4 : p->edge_h;
}

/* Image columns of a tile row with n outputs; image rows [first, end) of its n + 2 exist. */
INLINE void input_columns_n(const int n, const winograd_plan *p, const float *from, int64_t first,
                            int64_t end, float *lines) {
    const int64_t length = (p->tile_cols * 4 + 2) * LANES, pitch = p->width * p->in;
    for (int64_t j = 0; j < p->width; j++, from += p->in, lines += LANES) {
        vec d[6], o[6];
        if (first == 0 && end == n + 2)
            UNROLL for (int i = 0; i < n + 2; i++) d[i] = load(from + i * pitch);
        else
            UNROLL for (int i = 0; i < n + 2; i++) d[i] =
                i >= first && i < end ? load(from + i * pitch) : (vec){0};
        input_transform_n(n, d, o);
        UNROLL for (int i = 0; i < 6; i++) if (winograd_keeps(n, i))
            store(lines + i * length, o[i]);
    }
}

/* Six lines of transformed columns -1 .. 4*tile_cols of tile row `row`; zeros outside the image.
 * `rows` points at image row `base`. */
static void input_columns(const winograd_plan *p, const float *rows, int64_t base, int64_t row,
                          float *lines) {
    int64_t length = (p->tile_cols * 4 + 2) * LANES, pitch = p->width * p->in, top = row * 4 - 1;
    int64_t n = height_of(p, row), first = top < 0 ? 1 : 0, end = least(p->height - top, n + 2);
    const float *from = rows + (top - base) * pitch;
    for (int i = 0; i < 6; i++) store(lines + i * length, (vec){0});
    for (int64_t j = p->width + 1; j < p->tile_cols * 4 + 2; j++)
        for (int i = 0; i < 6; i++) store(lines + i * length + j * LANES, (vec){0});
    if (n == 4)
        input_columns_n(4, p, from, first, end, lines + LANES);
    else if (n == 3)
        input_columns_n(3, p, from, first, end, lines + LANES);
    else
        input_columns_n(2, p, from, first, end, lines + LANES);
}

/* A line to the six positions of its row, tile by tile of n outputs. */
INLINE void input_line(const int n, const winograd_plan *p, const float *line, int64_t tiles,
                       float *v) {
    for (int64_t t = 0; t < tiles; t++, line += 4 * LANES, v += LANES) {
        vec d[6], o[6];
        UNROLL for (int j = 0; j < n + 2; j++) d[j] = load(line + j * LANES);
        input_transform_n(n, d, o);
        UNROLL for (int j = 0; j < 6; j++) if (winograd_keeps(n, j))
            store(v + j * p->v_position, o[j]);
    }
}

/* The same for a whole line: inner tiles to `v`, an edge tile to `edge`. */
static void input_tiles(const winograd_plan *p, const float *line, float *v, float *edge) {
    input_line(4, p, line, p->full_cols, v);
    line += p->full_cols * 4 * LANES;
    if (p->edge_w == 3) input_line(3, p, line, 1, edge);
    if (p->edge_w == 2) input_line(2, p, line, 1, edge);
}

void SYMBOL(trit_winograd_input)(const winograd_plan *p, const float *strip, int64_t first,
                                 int64_t r0, int64_t r1, float *lines, float *v) {
    int64_t length = (p->tile_cols * 4 + 2) * LANES, top;
    for (int64_t r = r0; r < r1;) {
        const run u = run_from(p, r, r1, 1);
        const float *rows = run_rows(p, &u, p->source, p->in, &strip, &top);
        for (; r < u.end; r++) {
            const int64_t n = height_of(p, r % p->tile_rows);
            const int64_t inner = winograd_place(p, first, r) * LANES;
            const int64_t edge = winograd_edge_place(p, first, r) * LANES;
            for (int64_t b = 0; b < p->in_blocks; b++) {
                input_columns(p, rows + b * LANES, top, r % p->tile_rows, lines);
                for (int i = 0; i < 6; i++) {
                    float *to = v + i * 6 * p->v_position + b * p->v_block;
                    if (winograd_keeps(n, i))
                        input_tiles(p, lines + i * length, to + inner, to + edge);
                }
            }
        }
    }
}

INLINE void gradient_columns_n(const int n, const winograd_plan *p, const float *from, int64_t left,
                               float *lines) {
    const int64_t length = p->tile_cols * 4 * LANES, pitch = p->width * p->out;
    for (int64_t j = 0; j < p->width; j++, from += p->out, lines += LANES) {
        vec d[4], o[6];
        UNROLL for (int i = 0; i < n; i++) d[i] = i < left ? load(from + i * pitch) : (vec){0};
        gradient_transform_n(n, d, o);
        UNROLL for (int i = 0; i < 6; i++) if (winograd_keeps(n, i))
            store(lines + i * length, o[i]);
    }
}

/* Six lines of transformed columns 0 .. 4*tile_cols-1 of dy; zeros outside the image. */
static void gradient_columns(const winograd_plan *p, const float *rows, int64_t base, int64_t row,
                             float *lines) {
    int64_t length = p->tile_cols * 4 * LANES, pitch = p->width * p->out;
    int64_t left = p->height - row * 4, n = height_of(p, row); /* image rows under this tile row */
    const float *from = rows + (row * 4 - base) * pitch;
    for (int64_t j = p->width; j < p->tile_cols * 4; j++)
        for (int i = 0; i < 6; i++) store(lines + i * length + j * LANES, (vec){0});
    if (n == 4)
        gradient_columns_n(4, p, from, left, lines);
    else if (n == 3)
        gradient_columns_n(3, p, from, left, lines);
    else
        gradient_columns_n(2, p, from, left, lines);
}

INLINE void gradient_line(const int n, const winograd_plan *p, const float *line, int64_t tiles,
                          float *m) {
    int64_t step = p->cv * LANES;
    for (int64_t t = 0; t < tiles; t++, line += 4 * LANES, m += step) {
        vec d[4], o[6];
        UNROLL for (int j = 0; j < n; j++) d[j] = load(line + j * LANES);
        gradient_transform_n(n, d, o);
        UNROLL for (int j = 0; j < 6; j++) if (winograd_keeps(n, j))
            store(m + j * p->m_position, o[j]);
    }
}

static void gradient_tiles(const winograd_plan *p, const float *line, float *m, float *edge) {
    gradient_line(4, p, line, p->full_cols, m);
    line += p->full_cols * 4 * LANES;
    if (p->edge_w == 3) gradient_line(3, p, line, 1, edge);
    if (p->edge_w == 2) gradient_line(2, p, line, 1, edge);
}

void SYMBOL(trit_winograd_gradient)(const winograd_plan *p, const float *strip, int64_t halo,
                                    int64_t first, int64_t r0, int64_t r1, float *lines, float *m) {
    int64_t length = p->tile_cols * 4 * LANES, top, step = p->cv * LANES;
    for (int64_t r = r0; r < r1;) {
        const run u = run_from(p, r, r1, halo);
        const float *rows = run_rows(p, &u, p->dy, p->out, &strip, &top);
        for (; r < u.end; r++) {
            const int64_t n = height_of(p, r % p->tile_rows);
            const int64_t inner = winograd_place(p, first, r) * step;
            const int64_t edge = winograd_edge_place(p, first, r) * step;
            for (int64_t b = 0; b < p->out / LANES; b++) {
                gradient_columns(p, rows + b * LANES, top, r % p->tile_rows, lines);
                for (int i = 0; i < 6; i++) {
                    float *to =
                        m + i * 6 * p->m_position + b / p->cv * p->m_block + b % p->cv * LANES;
                    if (winograd_keeps(n, i))
                        gradient_tiles(p, lines + i * length, to + inner, to + edge);
                }
            }
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

/* One tile of h x w outputs, one vector of channels: rows x columns of it lie inside the image. */
INLINE void output_tile(const int h, const int w, const winograd_plan *p, const float *m,
                        int64_t rows, int64_t columns, float *to) {
    vec lines[4][6];
    UNROLL for (int j = 0; j < 6; j++) {
        if (!winograd_keeps(w, j)) continue;
        vec d[6], o[4];
        UNROLL for (int i = 0; i < 6; i++) if (winograd_keeps(h, i)) d[i] =
            load(m + (i * 6 + j) * p->m_position);
        output_transform_n(h, d, o);
        UNROLL for (int i = 0; i < h; i++) lines[i][j] = o[i];
    }
    UNROLL for (int i = 0; i < h; i++) {
        if (i >= rows) break;
        vec o[4];
        output_transform_n(w, lines[i], o);
        float *row = to + i * p->width * p->out;
        if (columns >= w)
            UNROLL for (int j = 0; j < w; j++) store(row + j * p->out, o[j]);
        else
            for (int j = 0; j < columns; j++) store(row + j * p->out, o[j]);
    }
}

/* A row of tiles with h outputs down: inner ones from `m`, an edge tile from `edge`; `rows` image
 * rows. */
INLINE void output_tiles(const int h, const winograd_plan *p, const float *m, const float *edge,
                         int64_t rows, float *to) {
    const int64_t columns = p->width - p->full_cols * 4;
    for (int64_t t = 0; t < p->full_cols; t++)
        for (int64_t j = 0; j < p->cv; j++, m += LANES)
            output_tile(h, 4, p, m, rows, p->width - t * 4, to + t * 4 * p->out + j * LANES);
    to += p->full_cols * 4 * p->out;
    for (int64_t j = 0; j < p->cv; j++, edge += LANES, to += LANES) {
        if (p->edge_w == 3) output_tile(h, 3, p, edge, rows, columns, to);
        if (p->edge_w == 2) output_tile(h, 2, p, edge, rows, columns, to);
    }
}

void SYMBOL(trit_winograd_output)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t block,
                                  const float *m) {
    const int64_t step = p->cv * LANES;
    for (int64_t r = r0; r < r1; r++) {
        int64_t n = r / p->tile_rows, row = r % p->tile_rows, rows = p->height - row * 4;
        const float *inner = m + winograd_place(p, r0, r) * step;
        const float *edge = m + winograd_edge_place(p, r0, r) * step;
        float *to = p->result + (n * p->height + row * 4) * p->width * p->out + block * step;
        if (height_of(p, row) == 4)
            output_tiles(4, p, inner, edge, rows, to);
        else if (p->edge_h == 3)
            output_tiles(3, p, inner, edge, rows, to);
        else
            output_tiles(2, p, inner, edge, rows, to);
    }
}
