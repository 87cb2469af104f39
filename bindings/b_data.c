/*
 * b_data.c - data sets from Lua: open, iterate, check, make, pack.
 *
 * trit.data (lua/trit/data) is the public face; here are the boxes and plain functions under it.
 */
#include "bind.h"

#include <stdio.h>

#include "trit/data.h"

#define DATA_MT    "trit.data"
#define BATCHES_MT "trit.batches"

static trit_data *check_data(lua_State *L) {
    trit_data **box = luaL_checkudata(L, 1, DATA_MT);
    if (!*box) bind_raise(L, "data set is closed");
    return *box;
}

static int l_data_close(lua_State *L) {
    trit_data **box = luaL_checkudata(L, 1, DATA_MT);
    trit_data *d = *box;
    *box = NULL;
    trit_data_release(d);
    return 0;
}

static int l_batches_close(lua_State *L) {
    trit_batches **box = luaL_checkudata(L, 1, BATCHES_MT);
    trit_batches *b = *box;
    *box = NULL;
    trit_batches_close(b);
    return 0;
}

static int unknown_transform(lua_State *L, const char *name) {
    char known[256] = "";
    for (int i = 0; trit_transforms[i].name; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 trit_transforms[i].name);
    return bind_raise(L, "data: no augmentation '%s'; known: %s", name, known);
}

/* One element of the augment list, on top: "flip" or { "crop", pad = 4 }. */
static void read_step(lua_State *L, int number, trit_step *step) {
    bool table = lua_istable(L, -1);
    if (table) lua_geti(L, -1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        bind_raise(L, "data: augment[%d] must be a name or { name, option = value }", number);
    const char *name = lua_tostring(L, -1);
    step->transform = trit_transform_find(name);
    if (!step->transform) unknown_transform(L, name);
    if (!table) {
        trit_args_default(step->transform->params, &step->args);
        return;
    }
    lua_newtable(L); /* the options without the name */
    lua_pushnil(L);
    while (lua_next(L, -4)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        if (lua_isinteger(L, -2) && lua_tointeger(L, -2) == 1)
            lua_pop(L, 2);
        else
            lua_settable(L, -4);
    }
    bind_args(L, lua_gettop(L), name, step->transform->params, &step->args);
    lua_pop(L, 2);
}

static int read_steps(lua_State *L, int arg, trit_step steps[TRIT_MAX_TRANSFORMS]) {
    if (lua_isnoneornil(L, arg)) return 0;
    if (!lua_istable(L, arg)) bind_raise(L, "data: augment must be a list of steps");
    lua_Integer n = luaL_len(L, arg);
    if (n > TRIT_MAX_TRANSFORMS)
        bind_raise(L, "data: %d augmentation steps, at most %d are possible", (int)n,
                   TRIT_MAX_TRANSFORMS);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, arg, i);
        read_step(L, (int)i, &steps[i - 1]);
        lua_pop(L, 1);
    }
    return (int)n;
}

/* core.data_open(spec, options | nil, augment | nil) -> box */
static int l_data_open(lua_State *L) {
    const char *spec = luaL_checkstring(L, 1);
    trit_args options;
    trit_step steps[TRIT_MAX_TRANSFORMS];
    bind_args(L, 2, "data", trit_data_params, &options);
    int n = read_steps(L, 3, steps);
    trit_data **box = (trit_data **)bind_box(L, DATA_MT);
    bind_check(L, trit_data_open(spec, &options, steps, n, box));
    return 1;
}

static int check_split(lua_State *L, int arg) {
    static const char *const names[] = {"train", "test", NULL};
    return luaL_checkoption(L, arg, NULL, names);
}

/* box:batches("train", epoch, done) -> batches; `done` batches of the pass are left out */
static int l_data_batches(lua_State *L) {
    trit_data *d = check_data(L);
    int split = check_split(L, 2);
    lua_Integer epoch = luaL_checkinteger(L, 3), done = luaL_checkinteger(L, 4);
    trit_batches **box = (trit_batches **)bind_box(L, BATCHES_MT);
    bind_check(L, trit_batches_open(d, split, epoch, done, box));
    return 1;
}

/* batches:position() -> batches of the pass that lie behind */
static int l_batches_position(lua_State *L) {
    trit_batches **box = luaL_checkudata(L, 1, BATCHES_MT);
    if (!*box) bind_raise(L, "data: this iteration is closed");
    lua_pushinteger(L, trit_batches_position(*box));
    return 1;
}

/* batches:next() -> x, y; nothing after the last */
static int l_batches_next(lua_State *L) {
    trit_batches **box = luaL_checkudata(L, 1, BATCHES_MT);
    if (!*box) bind_raise(L, "data: this iteration is closed");
    trit_tensor **x_box = bind_tensor_box(L), **y_box = bind_tensor_box(L), *x, *y;
    bind_check(L, trit_batches_next(*box, &x, &y));
    if (!x) return 0;
    *y_box = y; /* both owned before the collector may run */
    bind_tensor_set(L, x_box, x);
    return 2;
}

static void push_triple(lua_State *L, const double *v, int n, const char *name) {
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushnumber(L, v[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* box:facts() -> table of all that does not change */
static int l_data_facts(lua_State *L) {
    trit_data_facts f;
    trit_data_query(check_data(L), &f);
    lua_newtable(L);
    set_string(L, "spec", f.source->spec);
    set_string(L, "kind", f.source->kind->name);
    set_string(L, "note", f.source->note);
    set_string(L, "norm", f.norm);
    set_integer(L, "classes", f.source->classes);
    set_integer(L, "train_size", f.size[TRIT_TRAIN]);
    set_integer(L, "test_size", f.size[TRIT_TEST]);
    set_integer(L, "batches", f.batches[TRIT_TRAIN]);
    set_integer(L, "test_batches", f.batches[TRIT_TEST]);
    lua_pushboolean(L, f.cached);
    lua_setfield(L, -2, "cached");
    lua_pushboolean(L, f.scaled);
    lua_setfield(L, -2, "scaled");
    const double shape[3] = {f.channels, f.height, f.width};
    lua_createtable(L, 3, 0);
    for (int i = 0; i < 3; i++) {
        lua_pushinteger(L, (lua_Integer)shape[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "shape");
    push_triple(L, f.mean, f.channels, "mean");
    push_triple(L, f.std, f.channels, "std");
    bind_push_args(L, trit_data_params, f.options);
    lua_setfield(L, -2, "options");
    lua_createtable(L, f.source->classes, 0);
    for (int i = 0; i < f.source->classes; i++) {
        lua_pushstring(L, f.source->class_names[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "class_names");
    return 1;
}

static int l_data_wait(lua_State *L) {
    lua_pushnumber(L, trit_data_wait_seconds(check_data(L)));
    return 1;
}

static int l_data_bad_count(lua_State *L) {
    lua_pushinteger(L, trit_data_bad_count(check_data(L)));
    return 1;
}

/* box:bad() -> { { split=, index= (from 1, in file order), problem= }, ... } */
static int l_data_bad(lua_State *L) {
    trit_data *d = check_data(L);
    char text[2048];
    int split;
    int64_t index;
    lua_newtable(L);
    for (int64_t k = 0; trit_data_bad_at(d, k, &split, &index, text, sizeof text); k++) {
        lua_newtable(L);
        set_string(L, "split", trit_split_names[split]);
        set_integer(L, "index", index + 1);
        set_string(L, "problem", text);
        lua_seti(L, -2, k + 1);
    }
    return 1;
}

static void push_sum(lua_State *L, uint64_t sum) {
    char text[32];
    snprintf(text, sizeof text, "xxh3:%016llx", (unsigned long long)sum);
    lua_pushstring(L, text);
}

/* box:checksum(content) */
static int l_data_checksum(lua_State *L) {
    trit_data_facts f;
    uint64_t sum;
    trit_data_query(check_data(L), &f);
    bind_check(L, trit_source_checksum(f.source, lua_toboolean(L, 2), &sum));
    push_sum(L, sum);
    return 1;
}

/* ------------------------------------------------------------- check, make, pack */

#define SOURCE_MT "trit.source"

static int l_source_close(lua_State *L) {
    trit_source **box = luaL_checkudata(L, 1, SOURCE_MT);
    trit_source *s = *box;
    *box = NULL;
    trit_source_close(s);
    return 0;
}

/* The source of the spec at argument 1, boxed on the stack. */
static trit_source *open_source(lua_State *L) {
    const char *spec = luaL_checkstring(L, 1);
    trit_source **box = (trit_source **)bind_box(L, SOURCE_MT);
    bind_check(L, trit_source_open(spec, box));
    return *box;
}

typedef struct {
    int split;
    char *name, *problem;
    trit_image_facts facts;
} finding;

typedef struct {
    finding *list;
    size_t n, room;
    bool failed;
} findings;

static void keep_finding(void *context, int split, const char *name, const trit_image_facts *facts,
                         const char *problem) {
    findings *f = context;
    if (f->n == f->room) {
        size_t room = 2 * f->room + 64;
        finding *grown = realloc(f->list, room * sizeof *grown);
        if (!grown) {
            f->failed = true;
            return;
        }
        f->list = grown;
        f->room = room;
    }
    finding *row = &f->list[f->n++];
    *row = (finding){split, strdup(name), problem ? strdup(problem) : NULL, *facts};
    f->failed |= !row->name || (problem && !row->problem);
}

static int l_findings_free(lua_State *L) {
    findings *f = luaL_checkudata(L, 1, "trit.findings");
    for (size_t i = 0; i < f->n; i++) {
        free(f->list[i].name);
        free(f->list[i].problem);
    }
    free(f->list);
    *f = (findings){0};
    return 0;
}

static void set_flag(lua_State *L, const char *name, bool on) {
    lua_pushboolean(L, on);
    lua_setfield(L, -2, name);
}

static void push_finding(lua_State *L, const finding *row) {
    lua_createtable(L, 0, 10);
    set_string(L, "split", trit_split_names[row->split]);
    set_string(L, "file", row->name);
    set_string(L, "problem", row->problem); /* nil: not damaged */
    set_flag(L, "gray", row->facts.gray);
    set_flag(L, "cmyk", row->facts.cmyk);
    set_flag(L, "misnamed", row->facts.misnamed);
    set_string(L, "format", row->facts.png ? "PNG" : "JPEG");
    set_integer(L, "height", row->facts.h);
    set_integer(L, "width", row->facts.w);
    if (row->facts.warning[0]) set_string(L, "warning", row->facts.warning);
}

static void push_totals(lua_State *L, const trit_check_totals *t) {
    set_integer(L, "images", t->images);
    set_integer(L, "bad", t->bad);
    set_integer(L, "gray", t->gray);
    set_integer(L, "cmyk", t->cmyk);
    set_integer(L, "misnamed", t->misnamed);
    set_integer(L, "warned", t->warned);
    set_integer(L, "min_height", t->min_h);
    set_integer(L, "max_height", t->max_h);
    set_integer(L, "min_width", t->min_w);
    set_integer(L, "max_width", t->max_w);
}

/* { train = { n of class 1, ... }, test = {...} } */
static void push_class_counts(lua_State *L, const trit_source *s) {
    lua_newtable(L);
    for (int split = 0; split < TRIT_SPLITS; split++) {
        lua_createtable(L, s->classes, 0);
        for (int c = 0; c < s->classes; c++) {
            lua_pushinteger(L, 0);
            lua_seti(L, -2, c + 1);
        }
        for (int64_t i = 0; i < s->count[split]; i++) {
            int label = s->kind->label(s, split, i);
            lua_geti(L, -1, label + 1);
            lua_Integer n = lua_tointeger(L, -1);
            lua_pop(L, 1);
            lua_pushinteger(L, n + 1);
            lua_seti(L, -2, label + 1);
        }
        lua_setfield(L, -2, trit_split_names[split]);
    }
}

/* core.data_check(spec) -> totals with classes, counts, files = { finding, ... }, checksum */
static int l_data_check(lua_State *L) {
    trit_check_totals totals;
    uint64_t sum;
    trit_source *s = open_source(L);
    findings *f = lua_newuserdatauv(L, sizeof *f, 0);
    *f = (findings){0};
    luaL_setmetatable(L, "trit.findings");
    bind_check(L, trit_source_check(s, keep_finding, f, &totals));
    if (f->failed) bind_raise(L, "data: no room for what was found in %s", s->spec);
    bind_check(L, trit_source_checksum(s, true, &sum));
    lua_newtable(L);
    push_totals(L, &totals);
    set_string(L, "spec", s->spec);
    set_string(L, "note", s->note);
    set_integer(L, "train", s->count[TRIT_TRAIN]);
    set_integer(L, "test", s->count[TRIT_TEST]);
    push_sum(L, sum);
    lua_setfield(L, -2, "checksum");
    lua_createtable(L, s->classes, 0);
    for (int i = 0; i < s->classes; i++) {
        lua_pushstring(L, s->class_names[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "class_names");
    push_class_counts(L, s);
    lua_setfield(L, -2, "class_counts");
    lua_createtable(L, (int)f->n, 0);
    for (size_t i = 0; i < f->n; i++) {
        push_finding(L, &f->list[i]);
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "files");
    return 1;
}

/* core.data_pack(spec, size, file) -> number of damaged images left out */
static int l_data_pack(lua_State *L) {
    int64_t left_out;
    int size = (int)luaL_checkinteger(L, 2);
    const char *file = luaL_checkstring(L, 3);
    trit_source *s = open_source(L);
    bind_check(L, trit_source_pack(s, size, file, &left_out));
    lua_pushinteger(L, left_out);
    return 1;
}

/* core.shapes10_make(options, dir) */
static int l_shapes10_make(lua_State *L) {
    trit_args options;
    const char *dir = luaL_checkstring(L, 2);
    bind_args(L, 1, "shapes10", trit_shapes10_params, &options);
    bind_check(L, trit_shapes10_make(&options, dir, false));
    return 0;
}

static int l_shapes10_params(lua_State *L) {
    bind_push_params(L, trit_shapes10_params);
    return 1;
}

/* ---------------------------------------------------------- lists of what there is */

/* core.transforms() -> { { name=, doc=, params={...} }, ... } */
static int l_transforms(lua_State *L) {
    lua_newtable(L);
    for (int i = 0; trit_transforms[i].name; i++) {
        lua_newtable(L);
        set_string(L, "name", trit_transforms[i].name);
        set_string(L, "doc", trit_transforms[i].doc);
        bind_push_params(L, trit_transforms[i].params);
        lua_setfield(L, -2, "params");
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

/* core.data_kinds() -> { { name=, usage=, doc= }, ... } */
static int l_kinds(lua_State *L) {
    lua_newtable(L);
    for (int i = 0; trit_source_kinds[i]; i++) {
        lua_newtable(L);
        set_string(L, "name", trit_source_kinds[i]->name);
        set_string(L, "usage", trit_source_kinds[i]->usage);
        set_string(L, "doc", trit_source_kinds[i]->doc);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

static int l_params(lua_State *L) {
    bind_push_params(L, trit_data_params);
    return 1;
}

void trit_open_data(lua_State *L);
void trit_open_data(lua_State *L) {
    static const luaL_Reg data[] = {{"batches", l_data_batches},
                                    {"facts", l_data_facts},
                                    {"wait_seconds", l_data_wait},
                                    {"bad_count", l_data_bad_count},
                                    {"bad", l_data_bad},
                                    {"checksum", l_data_checksum},
                                    {NULL, NULL}};
    static const luaL_Reg batches[] = {
        {"next", l_batches_next}, {"position", l_batches_position}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"data_open", l_data_open},
                                         {"data_transforms", l_transforms},
                                         {"data_kinds", l_kinds},
                                         {"data_params", l_params},
                                         {"data_check", l_data_check},
                                         {"data_pack", l_data_pack},
                                         {"shapes10_make", l_shapes10_make},
                                         {"shapes10_params", l_shapes10_params},
                                         {NULL, NULL}};
    bind_class(L, DATA_MT, data, l_data_close);
    bind_class(L, BATCHES_MT, batches, l_batches_close);
    bind_class(L, SOURCE_MT, NULL, l_source_close);
    bind_class(L, "trit.findings", NULL, l_findings_free);
    luaL_setfuncs(L, functions, 0);
}
