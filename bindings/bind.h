/*
 * bind.h - what every binding is written with: boxes, argument checks, errors.
 *
 * Rules.  A box is made before the thing it holds, so a Lua memory error leaks nothing.  A core
 * function cannot raise; its failure is raised here, at one place, when C owns nothing.  The
 * position put before a sentence is the script's line: the first Lua function on the stack that
 * is not part of trit itself.
 */
#ifndef TRIT_BIND_H
#define TRIT_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "trit/op.h"

#define TENSOR_MT "trit.tensor"

/* ------------------------------------------------------------------- errors */

/* Raise `sentence` at the script's line. */
int bind_raise(lua_State *L, const char *fmt, ...);
/* Raise the core's last sentence if status is a failure. */
void bind_check(lua_State *L, trit_status status);
/* Run fn(L, context) where a Lua error would jump over the core's frames: an error inside, memory
 * too, becomes a failure with the sentence "owner: ...".  The stack is as before afterwards; fn
 * starts with an empty one. */
trit_status bind_protect(lua_State *L, const char *owner,
                         trit_status (*fn)(lua_State *L, void *context), void *context);
/* nil, sentence: for failures of the environment (files). */
int bind_nil(lua_State *L);

/* -------------------------------------------------------------------- boxes */

/* A collectable box of metatable `mt` holding NULL. */
void **bind_box(lua_State *L, const char *mt);
/* Register a metatable: methods by __index, `release` for __gc, __close and :close(). */
void bind_class(lua_State *L, const char *mt, const luaL_Reg *methods, lua_CFunction release);

/* An empty tensor box on the stack; fill with bind_tensor_set. */
trit_tensor **bind_tensor_box(lua_State *L);
/* The box takes over one reference; the bytes count for the collector. */
void bind_tensor_set(lua_State *L, trit_tensor **box, trit_tensor *t);
/* Push a new box that takes over the reference t. */
void bind_push_tensor(lua_State *L, trit_tensor *t);

trit_tensor *bind_tensor(lua_State *L, int arg);     /* alive, settled; raises otherwise */
trit_tensor *bind_any_tensor(lua_State *L, int arg); /* alive; its values may be pending */
trit_tensor *bind_opt_tensor(lua_State *L, int arg); /* nil or absent: NULL     */

/* ---------------------------------------------------------------- arguments */

/* {2, 3} at `arg` -> shape; `what` names the function in errors. */
void bind_shape(lua_State *L, int arg, const char *what, trit_shape *shape);
/* Options table at `arg` (nil = defaults) -> args; unknown names are errors listing the known. */
void bind_args(lua_State *L, int arg, const char *owner, const trit_param *table, trit_args *args);
/* The table at `arg` (nil = none) may hold only these names, "layout, seed". */
void bind_known(lua_State *L, int arg, const char *owner, const char *names);
/* One Lua value at index -> row `row` of args (number, boolean, choice, list). */
void bind_arg_value(lua_State *L, int index, const char *owner, const trit_param *table,
                    trit_args *args, int row);
/* args -> a Lua table name -> value, choices by name; infinity as math.huge or its name. */
void bind_push_args(lua_State *L, const trit_param *table, const trit_args *args);
/* Parameter table -> { { name=, default=, integer=, min=, max=, choices={...}, doc= }, ... } */
void bind_push_params(lua_State *L, const trit_param *table);
/* t.name or default */
lua_Number bind_field_number(lua_State *L, int table, const char *name, lua_Number def);
/* t.name, a whole number >= 0, or default */
uint64_t bind_field_whole(lua_State *L, int table, const char *owner, const char *name,
                          uint64_t def);

/* Generated: opens every topic.  The entry point Lua looks for. */
void trit_open_all(lua_State *L);
int luaopen_trit_core(lua_State *L);

#endif
