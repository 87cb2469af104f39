/*
 * b_profile.c - where the time goes: core.profile_start(), core.profile_stop() -> list of
 * { name =, pass = "f"|"b"|"d"|"w", calls =, seconds = }.
 */
#include "bind.h"

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

static const luaL_Reg functions[] = {
    {"profile_start", l_start},
    {"profile_stop", l_stop},
    {NULL, NULL},
};

void trit_open_profile(lua_State *L);
void trit_open_profile(lua_State *L) { luaL_setfuncs(L, functions, 0); }
