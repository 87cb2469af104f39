/*
 * b_lock.c - trit.core.lock: a lock file that ends with its process.
 */
#include "bind.h"

#include "trit/io.h"

#define LOCK_MT "trit.lock"

/* core.lock(path) -> a lock on `path`.lock, ended by :close(), <close> or the collector; nil and a
 * sentence when another process holds it. */
static int l_lock(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    trit_lock **box = (trit_lock **)bind_box(L, LOCK_MT);
    if (trit_lock_take(path, box) != TRIT_OK) return bind_nil(L);
    return 1;
}

static int l_release(lua_State *L) {
    trit_lock **box = luaL_checkudata(L, 1, LOCK_MT);
    trit_lock *lock = *box;
    *box = NULL;
    trit_lock_release(lock);
    return 0;
}

static const luaL_Reg methods[] = {{NULL, NULL}};
static const luaL_Reg functions[] = {{"lock", l_lock}, {NULL, NULL}};

void trit_open_lock(lua_State *L);

void trit_open_lock(lua_State *L) {
    bind_class(L, LOCK_MT, methods, l_release);
    luaL_setfuncs(L, functions, 0);
}
