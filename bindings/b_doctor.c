/*
 * b_doctor.c - what `trit doctor` asks the core: how it was built, which gemm, which convolution
 * algorithms, and how far their results lie from the reference loop nest.
 */
#include "bind.h"

#include <math.h>

#include "trit/conv.h"

/* Shapes of the networks in trit.models: first layer, the three widths of a CIFAR ResNet, its
 * strided and 1x1 layers, a depthwise layer. */
static const struct {
    const char *name;
    trit_conv_geom g;
} cases[] = {
#define CASE(text, h, c, k, r, p, stride, pad, groups)                                             \
    {                                                                                              \
        text, { 2, h, h, c, k, r, r, p, p, stride, stride, pad, pad, 1, 1, groups }                \
    }
    CASE("3x3 3>16 on 32x32", 32, 3, 16, 3, 32, 1, 1, 1),
    CASE("3x3 16>16 on 32x32", 32, 16, 16, 3, 32, 1, 1, 1),
    CASE("3x3 64>64 on 8x8", 8, 64, 64, 3, 8, 1, 1, 1),
    CASE("3x3/2 16>32 on 32x32", 32, 16, 32, 3, 16, 2, 1, 1),
    CASE("1x1/2 16>32 on 32x32", 32, 16, 32, 1, 16, 2, 0, 1),
    CASE("3x3 depthwise 32 on 16x16", 16, 32, 32, 3, 16, 1, 1, 32),
#undef CASE
};

typedef struct {
    int64_t nx, nw, ny;
    float *x, *w, *dy, *got, *want; /* one block; got and want hold any of the three results */
    size_t bytes;
} operands;

static trit_status take(const trit_conv_geom *g, operands *o) {
    o->nx = g->N * g->H * g->W * g->C;
    o->nw = g->R * g->S * (g->C / g->G) * g->K;
    o->ny = g->N * g->P * g->Q * g->K;
    int64_t most = o->nx > o->ny ? o->nx : o->ny;
    most = most > o->nw ? most : o->nw;
    o->bytes = (size_t)(o->nx + o->nw + o->ny + 2 * most) * sizeof(float);
    o->x = trit_alloc(o->bytes);
    if (!o->x) return TRIT_ERR_MEM;
    o->w = o->x + o->nx;
    o->dy = o->w + o->nw;
    o->got = o->dy + o->ny;
    o->want = o->got + most;
    trit_rng_fill_normal(1, TRIT_STREAM_USER, 0.0f, 1.0f, o->x, o->nx + o->nw + o->ny);
    return TRIT_OK;
}

static trit_status pass(const trit_conv_geom *g, char which, const operands *o, float *out) {
    switch (which) {
    case 'f': return trit_conv_forward(g, o->x, o->w, out, NULL);
    case 'd': return trit_conv_backward_data(g, o->dy, o->w, out, NULL);
    default: return trit_conv_backward_weight(g, o->x, o->dy, out, NULL);
    }
}

/* Largest difference from the reference, relative to its largest element. */
static trit_status residual(const trit_conv_geom *g, char which, const operands *o, double *out) {
    int64_t n = which == 'f' ? o->ny : which == 'd' ? o->nx : o->nw;
    trit_conv_mode mode = trit_conv_get_mode();
    trit_status status = pass(g, which, o, o->got);
    if (status == TRIT_OK) {
        trit_conv_set_mode(TRIT_CONV_REFERENCE);
        status = pass(g, which, o, o->want);
        trit_conv_set_mode(mode);
    }
    double difference = 0, largest = 0;
    for (int64_t i = 0; i < n && status == TRIT_OK; i++) {
        double d = fabs((double)o->got[i] - (double)o->want[i]);
        if (!(d <= difference)) difference = d; /* a NaN stays */
        if (fabs((double)o->want[i]) > largest) largest = fabs((double)o->want[i]);
    }
    *out = largest > 0 ? difference / largest : difference;
    return status;
}

/*
 * core.conv_check() -> list of
 *   { shape = text, pass = "f"|"d"|"w", algorithm = text, residual = number }
 * Every pass of a few layer shapes in the algorithm that training uses, against the reference.
 */
static int l_conv_check(lua_State *L) {
    lua_newtable(L);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const trit_conv_geom *g = &cases[i].g;
        operands o = {0};
        bind_check(L, take(g, &o));
        double r[3] = {0};
        trit_status status = TRIT_OK;
        for (int k = 0; k < 3 && status == TRIT_OK; k++) status = residual(g, "fdw"[k], &o, &r[k]);
        trit_free(o.x, o.bytes);
        bind_check(L, status);
        for (int k = 0; k < 3; k++) {
            lua_createtable(L, 0, 4);
            lua_pushstring(L, cases[i].name);
            lua_setfield(L, -2, "shape");
            lua_pushlstring(L, &"fdw"[k], 1);
            lua_setfield(L, -2, "pass");
            lua_pushstring(L, trit_conv_algorithm(g, "fdw"[k]));
            lua_setfield(L, -2, "algorithm");
            lua_pushnumber(L, r[k]);
            lua_setfield(L, -2, "residual");
            lua_seti(L, -2, luaL_len(L, -2) + 1);
        }
    }
    return 1;
}

/* core.gemm_library() -> "BLIS 0.9.0 (skx kernels)" */
static int l_gemm_library(lua_State *L) {
    lua_pushstring(L, trit_gemm_library());
    return 1;
}

/* core.build() -> { compiler =, type =, flags =, sanitized = } of this module */
static int l_build(lua_State *L) {
    lua_createtable(L, 0, 4);
#ifdef __clang__
    lua_pushliteral(L, __VERSION__);
#else
    lua_pushliteral(L, "gcc " __VERSION__);
#endif
    lua_setfield(L, -2, "compiler");
    lua_pushliteral(L, TRIT_BUILD_TYPE);
    lua_setfield(L, -2, "type");
    lua_pushliteral(L, TRIT_BUILD_FLAGS);
    lua_setfield(L, -2, "flags");
#ifdef __SANITIZE_ADDRESS__
    lua_pushboolean(L, 1);
#else
    lua_pushboolean(L, 0);
#endif
    lua_setfield(L, -2, "sanitized");
    return 1;
}

static const luaL_Reg functions[] = {
    {"build", l_build},
    {"conv_check", l_conv_check},
    {"gemm_library", l_gemm_library},
    {NULL, NULL},
};

void trit_open_doctor(lua_State *L);
void trit_open_doctor(lua_State *L) { luaL_setfuncs(L, functions, 0); }
