/*
 * src_shapes10.c - the spec "shapes10[:name=value,...]": made once in the cache directory, then
 * opened as the folder of JPEG files it is.
 *
 * The directory is $TRIT_CACHE, else $XDG_CACHE_HOME/trit, else ~/.cache/trit; the set's name there
 * carries a checksum of all options and the generator's version.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "data/folder.h"
#include "data/shapes10.h"

#define GENERATOR_VERSION 1 /* change with every change of the pictures */

static trit_status set_option(trit_args *o, const char *item) {
    char name[64], *end;
    size_t stem = strcspn(item, "=");
    snprintf(name, sizeof name, "%.*s", (int)stem, item);
    int row = trit_param_find(trit_shapes10_params, name);
    if (row < 0 || !item[stem]) {
        char known[256] = "";
        for (int i = 0; trit_shapes10_params[i].name; i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                     trit_shapes10_params[i].name);
        return trit_fail(TRIT_ERR_ARG, "shapes10: '%s' is not name=value with a name of %s", item,
                         known);
    }
    double value = strtod(item + stem + 1, &end);
    if (end == item + stem + 1 || *end)
        return trit_fail(TRIT_ERR_ARG, "shapes10: option %s needs a number, not '%s'", name,
                         item + stem + 1);
    return trit_args_set("shapes10", trit_shapes10_params, o, row, 0, value);
}

static trit_status parse(const char *text, trit_args *o) {
    char item[128];
    trit_args_default(trit_shapes10_params, o);
    while (*text) {
        size_t length = strcspn(text, ",");
        snprintf(item, sizeof item, "%.*s", (int)length, text);
        TRIT_TRY(set_option(o, item));
        text += length + (text[length] == ',');
    }
    if (o->v[TRIT_SHAPES_SCALE_MIN][0] > o->v[TRIT_SHAPES_SCALE_MAX][0])
        return trit_fail(TRIT_ERR_ARG, "shapes10: scale_min %g is above scale_max %g",
                         o->v[TRIT_SHAPES_SCALE_MIN][0], o->v[TRIT_SHAPES_SCALE_MAX][0]);
    return TRIT_OK;
}

static trit_status cache_dir(char *text, size_t size) {
    const char *own = getenv("TRIT_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && own[0])
        snprintf(text, size, "%s", own);
    else if (xdg && xdg[0])
        snprintf(text, size, "%s/trit", xdg);
    else if (home && home[0])
        snprintf(text, size, "%s/.cache/trit", home);
    else
        return trit_fail(TRIT_ERR_IO, "shapes10: no place for it: set TRIT_CACHE or HOME");
    return TRIT_OK;
}

static trit_status shapes10_open(trit_source *s, const char *path) {
    char base[512], dir[768];
    trit_args o;
    TRIT_TRY(parse(path, &o));
    TRIT_TRY(cache_dir(base, sizeof base));
    uint64_t key = GENERATOR_VERSION;
    for (int i = 0; trit_shapes10_params[i].name; i++)
        key = XXH3_64bits_withSeed(o.v[i], sizeof(double), key);
    snprintf(dir, sizeof dir, "%s/shapes10-%d-%d-%dpx-%016llx", base,
             (int)o.v[TRIT_SHAPES_TRAIN][0], (int)o.v[TRIT_SHAPES_TEST][0],
             (int)o.v[TRIT_SHAPES_SIZE][0], (unsigned long long)key);
    TRIT_TRY(trit_shapes10_make(&o, dir, true));
    TRIT_TRY(trit_folder_open(s, dir));
    s->height = s->width = (int)o.v[TRIT_SHAPES_SIZE][0];
    for (int c = 0; c < 3; c++) { /* of the 10,000 default training images, measured: 0.496 .. */
        s->mean[c] = 0.50; /* 0.501 and 0.271 .. 0.272; colours are drawn alike per channel */
        s->std[c] = 0.27;
    }
    snprintf(s->norm, sizeof s->norm, "shapes10 constants");
    snprintf(s->note, sizeof s->note, "in %.240s", dir);
    return TRIT_OK;
}

const trit_source_kind trit_source_kind_shapes10 = {
    .name = "shapes10",
    .usage = "shapes10[:name=value,...]",
    .doc = "generated shapes, ten classes; made on first use",
    .open = shapes10_open,
    .read = trit_folder_read,
    .label = trit_folder_label,
    .name_of = trit_folder_name,
    .close = trit_folder_close,
};
