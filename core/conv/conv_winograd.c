/*
 * conv_winograd.c - Winograd F(4x4, 3x3) for 3x3 kernels with stride 1 and padding 1, all three
 * passes.  This file plans; isa/winograd_*.c compute.  The method stands in winograd.h.
 *
 * Two ways through memory, by the size of the transformed weights U (36/9 of the weights):
 *
 *   small   U fits the caches: it is computed once, and a unit takes some tile rows through input
 *           transform, products and output transform in its own scratch
 *   large   U would be written to and read from memory: the inputs of a chunk of tiles are
 *           transformed once for all units, and a unit computes the weights of some output
 *           blocks, a few input blocks at a time, uses them while they are hot, and produces
 *           those blocks of outputs
 *
 * Backward weight likewise keeps partial sums dU per slot when they are small; when they are large
 * one unit owns a position, or with few tiles all positions of some channels.
 */
#include "conv/winograd.h"

#include <string.h>

#define UNIT_TILES        48 /* tiles of a unit: V and M of 64 channels stay in a 1 MiB cache */
#define UNIT_TILES_16     28 /* with 16 lanes: two whole register tiles                       */
#define LEAST_TILES       24 /* fewer and the register tiles are cut too small */
#define UNITS_WANTED      16
#define LEAST_FILL        3  /* a third of the outputs of all tiles must lie inside the image  */
#define LEAST_BATCH_TILES 16 /* tiles of the batch that repay transforming the weights         */
#define SMALL_U           ((int64_t)36 * 128 * 128 * 4) /* bytes of U that are kept whole */
#define FEW_TILES         64 /* of so few V is the smaller of what threads can share: U and V */
#define SMALL_U_FEW       ((int64_t)36 * 64 * 64 * 4)
#define CHUNK_TILES       256 /* large: tiles transformed at once */
#define UNIT_CHANNELS     64  /* large: channels in and out that a unit takes at a time */
#define LEAST_UNITS       4   /* large: unless a unit would be less than a block of channels */
#define UNIT_TILES_WIDE   128 /* of more tiles it takes half as many channels out      */
#define SQUARE_TILES      128 /* most tiles for which dU is made channels by channels  */
#define SLOT_BYTES        ((int64_t)4 << 20)  /* all dU together: what adding them may cost */
#define SHARED_BYTES      ((int64_t)12 << 20) /* V and M of a chunk of backward weight */

static const winograd_kernels *kernels(void) {
    static const winograd_kernels *const sets[] = {&trit_winograd_generic, &trit_winograd_avx2,
                                                   &trit_winograd_avx512};
    return sets[trit_isa_level()];
}

static bool fits(const trit_conv_geom *g, char pass) {
    (void)pass;
    int64_t lanes = kernels()->lanes;
    return g->R == 3 && g->S == 3 && g->stride_h == 1 && g->stride_w == 1 && g->pad_h == 1 &&
           g->pad_w == 1 && g->dil_h == 1 && g->dil_w == 1 && g->G == 1 && g->C % lanes == 0 &&
           g->K % lanes == 0;
}

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* F(4x4) saves three quarters of the multiplications; edge tiles that hang over the image and, with
 * few tiles, the transforms of the weights eat into that. */
static bool pays(const trit_conv_geom *g, char pass) {
    (void)pass;
    int64_t tiles = divide_up(g->H, 4) * divide_up(g->W, 4);
    return LEAST_FILL * g->H * g->W >= 16 * tiles && g->N * tiles >= LEAST_BATCH_TILES;
}

static winograd_plan new_plan(const trit_conv_geom *g, int64_t in, int64_t out) {
    winograd_plan p = {.images = g->N,
                       .height = g->H,
                       .width = g->W,
                       .in = in,
                       .out = out,
                       .tile_rows = divide_up(g->H, 4),
                       .tile_cols = divide_up(g->W, 4),
                       .lanes = kernels()->lanes};
    p.full_rows = p.tile_rows;
    p.full_cols = p.tile_cols;
    p.edge_h = p.edge_w = 4;
    p.in_blocks = in / p.lanes;
    p.cv = out % (2 * p.lanes) == 0 ? 2 : 1;
    p.out_blocks = out / (p.cv * p.lanes);
    p.all_rows = g->N * p.tile_rows;
    p.u_position = in * p.cv * p.lanes + WINOGRAD_PAD;
    p.u_block = WINOGRAD_POSITIONS * p.u_position;
    return p;
}

/* Distances within V and M for at most `tiles` tiles. */
static void plan_tiles(winograd_plan *p, int64_t tiles) {
    p->v_block = (tiles + 1) * p->lanes;
    p->v_position = p->in_blocks * p->v_block + WINOGRAD_PAD;
    p->m_block = tiles * p->cv * p->lanes + p->lanes;
    p->m_position = p->m_block + WINOGRAD_PAD;
}

/* Outputs of the last of the tiles along a side. */
static int64_t edge_of(int64_t length) {
    int64_t rest = length % 4;
    return rest == 0 ? 4 : rest == 1 ? 2 : rest;
}

/* Tile rows of equal chunks of at most about `most` tiles; if these are whole images, their last
 * tiles are cut to size. */
static int64_t plan_chunks(winograd_plan *p, int64_t most) {
    const int64_t image = p->tile_rows * p->tile_cols;
    if (image > most) return divide_up(p->all_rows, divide_up(p->all_rows * p->tile_cols, most));
    p->edge_h = edge_of(p->height);
    p->edge_w = edge_of(p->width);
    p->full_rows = p->tile_rows - (p->edge_h < 4);
    p->full_cols = p->tile_cols - (p->edge_w < 4);
    return divide_up(p->images, divide_up(p->images, most / image)) * p->tile_rows;
}

/* Tile rows [first, first + chunk) of the batch are next: how many tiles of each kind. */
static void take_chunk(winograd_plan *p, int64_t first, int64_t chunk) {
    p->first_row = first;
    p->end_row = first + chunk < p->all_rows ? first + chunk : p->all_rows;
    if (p->edge_h == 4 && p->edge_w == 4) return; /* one kind */
    const int64_t images = (p->end_row - first) / p->tile_rows;
    p->inner = p->edge_w < 4 ? images * p->full_rows : 0;
    p->last_row = p->inner + images * p->full_rows * p->full_cols;
    p->corner = p->last_row + (p->edge_h < 4 ? images * p->full_cols : 0);
}

/* Tile rows of a unit: about as many tiles, fewer when that leaves too few units. */
static int64_t unit_rows(const winograd_plan *p) {
    int64_t tiles = p->all_rows * p->tile_cols;
    int64_t wanted = divide_up(tiles, LEAST_TILES);
    if (wanted > UNITS_WANTED) wanted = UNITS_WANTED;
    int64_t units = divide_up(tiles, p->lanes == 16 ? UNIT_TILES_16 : UNIT_TILES);
    int64_t rows = divide_up(p->all_rows, units > wanted ? units : wanted);
    return rows < 1 ? 1 : rows;
}

/* Floats of the made rows of `rows` tile rows: their image rows, and two more for every image. */
static void plan_strip(winograd_plan *p, int64_t rows) {
    if (!p->source_rows && !p->dy_rows) return;
    int64_t channels = p->dy_rows && p->out > p->in ? p->out : p->in;
    int64_t images = rows / p->tile_rows + 2;
    p->strip = (rows * 4 + images * 2) * p->width * channels;
}

/* Units of shared V and M of `rows` tile rows: the more rows one has the fewer are made twice. */
static void plan_input(winograd_plan *p, int64_t rows) {
    p->input_rows = rows < 2 * UNITS_WANTED ? 1 : rows / UNITS_WANTED;
    plan_strip(p, p->input_rows);
}

static size_t floats(int64_t n) { return (size_t)n * sizeof(float); }

/* -------------------------------------------------------------------- rows along the way */

static bool rides(const trit_conv_geom *g, char pass) {
    (void)g, (void)pass;
    return true;
}

/* What a unit of the small way needs: isa/winograd_units.c, scratch_of. */
static int64_t scratch_floats(const winograd_plan *p) {
    return kernels()->lines(p) + WINOGRAD_POSITIONS * (p->v_position + p->m_position) +
           2 * p->strip;
}

static trit_status sums_begin(winograd_plan *p, int64_t units, size_t *bytes) {
    if (!p->take) return TRIT_OK;
    *bytes = (size_t)(units * 2 * p->out) * sizeof(double);
    p->sums = trit_alloc(*bytes);
    if (!p->sums) return TRIT_ERR_MEM;
    memset(p->sums, 0, *bytes);
    return TRIT_OK;
}

static void sums_end(winograd_plan *p, int64_t units, size_t bytes, double *sums) {
    if (!p->take) return;
    trit_add_slots(p->sums, units, 2 * p->out, sums);
    trit_free(p->sums, bytes);
}

/* ------------------------------------------------------------------ forward, backward data */

static size_t u_bytes(const winograd_plan *p) { return floats(p->out_blocks * p->u_block); }

static void transform_weights(winograd_plan *p, float *u) {
    p->u = u;
    trit_parallel(p->out_blocks * p->in_blocks, kernels()->weights, p);
}

static void run_small(winograd_plan *p, float *u) {
    transform_weights(p, u);
    trit_parallel(divide_up(p->all_rows, p->rows), kernels()->rows, p);
}

static void transform_inputs(winograd_plan *p) {
    trit_parallel(divide_up(p->end_row - p->first_row, p->input_rows), kernels()->shared_input, p);
}

static void run_large(winograd_plan *p, float *v) {
    const winograd_kernels *k = kernels();
    p->v = v;
    for (int64_t r = 0; r < p->all_rows; r += p->rows) {
        take_chunk(p, r, p->rows);
        transform_inputs(p);
        trit_parallel(divide_up(p->out_blocks, p->wide), k->shared_products, p);
    }
}

static bool small_u(const winograd_plan *p) {
    const bool few = p->all_rows * p->tile_cols <= FEW_TILES;
    const int64_t most = few ? SMALL_U_FEW : SMALL_U;
    return p->out_blocks * p->u_block * (int64_t)sizeof(float) <= most + most / 8;
}

/* A unit takes UNIT_CHANNELS squared of U (or dU) at a time: they and the V and M that go with them
 * stay in the second-level cache. */
static void plan_square(winograd_plan *p, int64_t tiles) {
    const int64_t out = tiles > UNIT_TILES_WIDE ? UNIT_CHANNELS / 2 : UNIT_CHANNELS;
    const int64_t wide = divide_up(out, p->cv * p->lanes), deep = UNIT_CHANNELS / p->lanes;
    const int64_t most = divide_up(p->out_blocks, LEAST_UNITS);
    p->wide = wide < most ? wide : most;
    p->deep = deep < p->in_blocks ? deep : p->in_blocks;
    p->u_position = p->deep * p->lanes * p->cv * p->lanes + WINOGRAD_PAD;
    p->u_block = WINOGRAD_POSITIONS * p->u_position;
}

/* Tile rows of a unit, distances within V and M, room for made rows. */
static void plan_units(winograd_plan *p) {
    if (small_u(p)) {
        p->rows = unit_rows(p);
        plan_tiles(p, p->rows * p->tile_cols);
        plan_strip(p, p->rows);
        return;
    }
    p->rows = plan_chunks(p, CHUNK_TILES);
    plan_square(p, p->rows * p->tile_cols);
    plan_tiles(p, p->rows * p->tile_cols);
    p->m_panel = WINOGRAD_POSITIONS * p->m_position;
    plan_input(p, p->rows);
}

/* All of U, or V of a chunk; and what a unit needs. */
static trit_conv_room room_of(const winograd_plan *p, bool small) {
    const winograd_kernels *k = kernels();
    const int64_t lines = k->lines(p) + p->strip, need = p->wide * (p->u_block + p->m_panel);
    if (small) return (trit_conv_room){u_bytes(p), floats(scratch_floats(p))};
    return (trit_conv_room){floats(WINOGRAD_POSITIONS * p->v_position),
                            floats(need > lines ? need : lines)};
}

static trit_status run(winograd_plan *p, const trit_conv_along *along) {
    size_t bytes = 0;
    const bool small = small_u(p);
    plan_units(p);
    const int64_t units = divide_up(p->all_rows, p->rows);
    const trit_conv_room need = room_of(p, small);
    TRIT_TRY(trit_scratch_reserve(need.scratch));
    TRIT_TRY(sums_begin(p, units, &bytes));
    float *room = trit_conv_hold(along, need.shared);
    if (room) (small ? run_small : run_large)(p, room);
    trit_conv_let_go(along, room, need.shared);
    sums_end(p, units, bytes, along ? along->sums : NULL);
    return room ? TRIT_OK : TRIT_ERR_MEM;
}

static trit_status forward(const trit_conv_geom *g, const float *x, const float *w, float *y,
                           const trit_conv_along *along) {
    winograd_plan p = new_plan(g, g->C, g->K);
    p.source = x;
    p.weights = w;
    p.result = y;
    if (along) p.source_rows = along->x, p.take = along->take;
    return run(&p, along);
}

static trit_conv_room forward_room(const trit_conv_geom *g) {
    winograd_plan p = new_plan(g, g->C, g->K);
    const bool small = small_u(&p);
    plan_units(&p);
    return room_of(&p, small);
}

static winograd_plan data_plan(const trit_conv_geom *g, const float *dy, const float *w, float *dx,
                               const trit_conv_along *along) {
    winograd_plan p = new_plan(g, g->K, g->C);
    p.source = dy;
    p.weights = w;
    p.turned = true;
    p.result = dx;
    if (along) p.source_rows = along->dy, p.take = along->take;
    return p;
}

static trit_status backward_data(const trit_conv_geom *g, const float *dy, const float *w,
                                 float *dx, const trit_conv_along *along) {
    winograd_plan p = data_plan(g, dy, w, dx, along);
    return run(&p, along);
}

/* ------------------------------------------------------------------ backward weight */

/* Slots of partial sums dU; more would cost more to add than they bring. */
static int64_t slot_count(const winograd_plan *p) {
    int64_t most = SLOT_BYTES / (p->out_blocks * p->u_block * (int64_t)sizeof(float));
    return most < UNITS_WANTED ? most : UNITS_WANTED;
}

static void plan_slots(winograd_plan *p, int64_t most) {
    p->rows = unit_rows(p);
    plan_tiles(p, p->rows * p->tile_cols);
    p->m_position = p->out_blocks * p->m_block + WINOGRAD_PAD;
    plan_strip(p, p->rows);
    int64_t items = divide_up(p->all_rows, p->rows);
    p->slots = most < items ? most : items;
}

/* Partial sums by `work` over slots, then dw. */
static trit_status add_up(winograd_plan *p, trit_work work, void *context) {
    size_t bytes = floats(p->slots * p->out_blocks * p->u_block);
    p->du = trit_alloc(bytes);
    if (!p->du) return TRIT_ERR_MEM;
    trit_parallel(p->slots, work, context);
    trit_parallel(p->out_blocks * (p->in / WINOGRAD_CHANNELS), kernels()->gradient, p);
    trit_free(p->du, bytes);
    return TRIT_OK;
}

static trit_status run_slots(winograd_plan *p, int64_t most) {
    plan_slots(p, most);
    TRIT_TRY(trit_scratch_reserve(floats(scratch_floats(p))));
    return add_up(p, kernels()->slot, p);
}

static trit_status run_positions(winograd_plan *p) {
    const winograd_kernels *k = kernels();
    int64_t tile_bytes = WINOGRAD_POSITIONS * (p->in + p->out) * (int64_t)sizeof(float);
    int64_t tiles = SHARED_BYTES / tile_bytes;
    if (tiles < UNIT_TILES) tiles = UNIT_TILES;
    const int64_t chunk = plan_chunks(p, tiles);
    plan_tiles(p, chunk * p->tile_cols);
    p->m_position = p->out_blocks * p->m_block + WINOGRAD_PAD;
    p->slots = 1;
    plan_input(p, chunk);
    TRIT_TRY(trit_scratch_reserve(floats(k->lines(p) + p->strip)));
    int64_t v = WINOGRAD_POSITIONS * p->v_position, m = WINOGRAD_POSITIONS * p->m_position;
    size_t bytes = floats(v + m + p->out_blocks * p->u_block);
    p->v = trit_alloc(bytes);
    if (!p->v) return TRIT_ERR_MEM;
    p->m = p->v + v;
    p->du = p->m + m;
    for (int64_t r = 0; r < p->all_rows; r += chunk) {
        take_chunk(p, r, chunk);
        transform_inputs(p);
        trit_parallel(WINOGRAD_POSITIONS, k->shared_position, p);
    }
    trit_parallel(p->out_blocks * (p->in / WINOGRAD_CHANNELS), k->gradient, p);
    trit_free(p->v, bytes);
    return TRIT_OK;
}

/* Few tiles, many channels: dU would be most of the memory traffic.  A unit computes that of some
 * channels at all positions, and transforms it while it is hot. */
static trit_status run_squares(winograd_plan *p) {
    const winograd_kernels *k = kernels();
    const int64_t rows = plan_chunks(p, SQUARE_TILES);
    plan_tiles(p, rows * p->tile_cols);
    p->m_position = p->out_blocks * p->m_block + WINOGRAD_PAD;
    plan_square(p, rows * p->tile_cols);
    p->slots = 1;
    plan_input(p, rows);
    int64_t lines = k->lines(p) + p->strip, du = p->wide * p->u_block;
    TRIT_TRY(trit_scratch_reserve(floats(lines > du ? lines : du)));
    int64_t v = WINOGRAD_POSITIONS * p->v_position, m = WINOGRAD_POSITIONS * p->m_position;
    size_t bytes = floats(v + m);
    p->v = trit_alloc(bytes);
    if (!p->v) return TRIT_ERR_MEM;
    p->m = p->v + v;
    take_chunk(p, 0, rows);
    transform_inputs(p);
    trit_parallel(divide_up(p->in_blocks, p->deep) * divide_up(p->out_blocks, p->wide),
                  k->shared_square, p);
    trit_free(p->v, bytes);
    return TRIT_OK;
}

static winograd_plan weight_plan(const trit_conv_geom *g, const float *x, const float *dy,
                                 float *dw, const trit_conv_along *along) {
    winograd_plan p = new_plan(g, g->C, g->K);
    p.source = x;
    p.dy = dy;
    p.correlates = true;
    p.result = dw;
    if (along) p.source_rows = along->x, p.dy_rows = along->dy;
    return p;
}

static trit_status backward_weight(const trit_conv_geom *g, const float *x, const float *dy,
                                   float *dw, const trit_conv_along *along) {
    winograd_plan p = weight_plan(g, x, dy, dw, along);
    int64_t most = slot_count(&p);
    if (most >= 4) return run_slots(&p, most);
    bool few = p.all_rows * p.tile_cols <= SQUARE_TILES;
    return few ? run_squares(&p) : run_positions(&p);
}

/* ------------------------------------------------------------------ both in one sweep */

static bool joins(const trit_conv_geom *g) {
    winograd_plan data = new_plan(g, g->K, g->C), weight = new_plan(g, g->C, g->K);
    return small_u(&data) && slot_count(&weight) >= 4;
}

static trit_status run_both(winograd_both *b, double *sums) {
    winograd_plan *d = &b->data, *w = &b->weight;
    size_t sums_bytes = 0;
    plan_slots(w, slot_count(w));
    d->rows = w->rows;
    plan_tiles(d, d->rows * d->tile_cols);
    d->strip = w->strip;
    const int64_t units = divide_up(d->all_rows, d->rows);
    const int64_t of_d = scratch_floats(d), of_w = scratch_floats(w);
    TRIT_TRY(trit_scratch_reserve(floats(of_d > of_w ? of_d : of_w)));
    TRIT_TRY(sums_begin(d, units, &sums_bytes));
    float *u = trit_alloc(u_bytes(d));
    trit_status status = u ? TRIT_OK : TRIT_ERR_MEM;
    if (u) {
        transform_weights(d, u);
        status = add_up(w, kernels()->both, b);
        trit_free(u, u_bytes(d));
    }
    sums_end(d, units, sums_bytes, sums);
    return status;
}

static trit_status backward(const trit_conv_geom *g, const float *x, const float *dy,
                            const float *w, float *dx, float *dw, const trit_conv_along *along) {
    winograd_both b = {data_plan(g, dy, w, dx, along), weight_plan(g, x, dy, dw, along)};
    return run_both(&b, along ? along->sums : NULL);
}

const conv_algo trit_conv_winograd = {
    .name = "winograd",
    .inexact = true,
    .fits = fits,
    .pays = pays,
    .rides = rides,
    .forward = forward,
    .forward_room = forward_room,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
    .joins = joins,
    .backward = backward,
};
