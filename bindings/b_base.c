/*
 * b_base.c - small things of the base layer: fingerprints, single random numbers.
 */
#include "bind.h"

/* core.hash(text) -> 32 hexadecimal digits */
static int l_hash(lua_State *L) {
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    char hex[TRIT_HASH_CHARS + 1];
    trit_hash_hex(text, n, hex);
    lua_pushlstring(L, hex, TRIT_HASH_CHARS);
    return 1;
}

/* core.sweep_uniform(seed, index, lane) -> number in [0,1), of the stream for sweeps */
static int l_sweep_uniform(lua_State *L) {
    const uint64_t seed = (uint64_t)luaL_checkinteger(L, 1);
    const uint64_t index = (uint64_t)luaL_checkinteger(L, 2);
    const uint32_t lane = (uint32_t)luaL_checkinteger(L, 3);
    lua_pushnumber(L, trit_rng_uniform(seed, TRIT_STREAM_SWEEP, index, lane));
    return 1;
}

static const luaL_Reg functions[] = {
    {"hash", l_hash},
    {"sweep_uniform", l_sweep_uniform},
    {NULL, NULL},
};

void trit_open_base(lua_State *L);

void trit_open_base(lua_State *L) { luaL_setfuncs(L, functions, 0); }
