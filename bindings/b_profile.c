/*
 * b_profile.c - what benchmarks need.
 *
 *   core.profile_start(), core.profile_stop() -> list of { name =, pass =, calls =, seconds = }
 *   core.conv_mode([name]) -> the mode before, "auto", "exact", "gemm" or "reference"
 *   core.peak_gflops(seconds) -> measured multiply-add peak of all threads
 *   core.peak_products(seconds) -> the same of bytes, as infer has them, in 1e9 a second
 *   core.peak_reading(seconds, bytes) -> GB/s of reading so many bytes over and over
 *   core.decode_images({ path, ... }) -> seconds, pixels: read and decoded by this thread alone
 */
#include "bind.h"

#include <time.h>

#include "trit/conv.h"
#include "trit/data.h"
#include "trit/infer.h"

static int l_start(lua_State *L) {
    (void)L;
    trit_profile_start();
    return 0;
}

static int l_stop(lua_State *L) {
    int n;
    trit_profile_stop();
    const trit_profile_entry *e = trit_profile_entries(&n);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_createtable(L, 0, 4);
        lua_pushstring(L, e[i].name);
        lua_setfield(L, -2, "name");
        lua_pushlstring(L, &e[i].pass, 1);
        lua_setfield(L, -2, "pass");
        lua_pushinteger(L, e[i].calls);
        lua_setfield(L, -2, "calls");
        lua_pushnumber(L, e[i].seconds);
        lua_setfield(L, -2, "seconds");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int l_conv_mode(lua_State *L) {
    static const char *const names[] = {"auto", "exact", "gemm", "reference", NULL};
    const trit_conv_mode old = trit_conv_get_mode();
    if (!lua_isnone(L, 1)) trit_conv_set_mode((trit_conv_mode)luaL_checkoption(L, 1, NULL, names));
    lua_pushstring(L, names[old]);
    return 1;
}

static int l_peak_gflops(lua_State *L) {
    lua_pushnumber(L, trit_peak_gflops(luaL_optnumber(L, 1, 0.2)));
    return 1;
}

static int l_peak_products(lua_State *L) {
    lua_pushnumber(L, trit_peak_products(luaL_optnumber(L, 1, 0.2)));
    return 1;
}

static int l_peak_reading(lua_State *L) {
    const lua_Integer bytes = luaL_checkinteger(L, 2);
    luaL_argcheck(L, bytes > 0, 2, "bytes to read");
    lua_pushnumber(L, trit_peak_reading(luaL_checknumber(L, 1), (size_t)bytes));
    return 1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int l_decode_images(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    trit_reader reader = {0};
    trit_image image = {0};
    trit_status status = TRIT_OK;
    double pixels = 0;
    const double began = now();
    const lua_Integer n = luaL_len(L, 1);
    for (lua_Integer i = 1; i <= n && status == TRIT_OK; i++) {
        lua_rawgeti(L, 1, i);
        const char *path = lua_tostring(L, -1);
        status = path ? trit_image_load(&reader, path, &image)
                      : trit_fail(TRIT_ERR_ARG, "decode_images: paths expected");
        pixels += (double)image.h * (double)image.w;
        lua_pop(L, 1);
    }
    const double seconds = now() - began;
    trit_reader_close(&reader);
    trit_image_free(&image);
    bind_check(L, status);
    lua_pushnumber(L, seconds);
    lua_pushnumber(L, pixels);
    return 2;
}

static const luaL_Reg functions[] = {
    {"decode_images", l_decode_images}, {"conv_mode", l_conv_mode},
    {"peak_gflops", l_peak_gflops},     {"peak_products", l_peak_products},
    {"peak_reading", l_peak_reading},   {"profile_start", l_start},
    {"profile_stop", l_stop},           {NULL, NULL},
};

void trit_open_profile(lua_State *L);
void trit_open_profile(lua_State *L) { luaL_setfuncs(L, functions, 0); }
