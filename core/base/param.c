/*
 * param.c - typed parameter tables: defaults, range checks, names of choices.
 */
#include "trit/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int trit_param_count(const trit_param *table) {
    int n = 0;
    while (table && table[n].name) n++;
    return n;
}

int trit_param_find(const trit_param *table, const char *name) {
    for (int i = 0; table && table[i].name; i++)
        if (!strcmp(table[i].name, name)) return i;
    return -1;
}

static int length_of(const trit_param *p) { return p->len > 1 ? p->len : 1; }

void trit_args_default(const trit_param *table, trit_args *args) {
    memset(args, 0, sizeof *args);
    for (int i = 0; table && table[i].name; i++) {
        for (int k = 0; k < length_of(&table[i]); k++) args->v[i][k] = table[i].def;
        args->n[i] = table[i].list ? 0 : length_of(&table[i]);
    }
}

/* The i-th choice "name" or "name=value"; false past the last. */
static bool choice_at(const char *choices, int i, char *name, size_t size, double *value) {
    const char *p = choices;
    for (int k = 0; p && *p; k++) {
        size_t len = strcspn(p, "|");
        if (k == i) {
            char item[64];
            snprintf(item, sizeof item, "%.*s", (int)len, p);
            char *eq = strchr(item, '=');
            *value = eq ? strtod(eq + 1, NULL) : i;
            if (eq) *eq = 0;
            snprintf(name, size, "%s", item);
            return true;
        }
        p = p[len] ? p + len + 1 : NULL;
    }
    return false;
}

/* "mean|zero" of "mean=0|zero=1", for sentences. */
static const char *choice_names(const char *choices, char *buffer, size_t size) {
    double v;
    size_t used = 0;
    char name[64];
    buffer[0] = 0;
    for (int i = 0; used < size && choice_at(choices, i, name, sizeof name, &v); i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? "|" : "", name);
    return buffer;
}
#define NAMES(choices) choice_names(choices, (char[256]){0}, 256)

const char *trit_param_choice(const trit_param *row, double value, char *buffer, size_t size) {
    double v;
    if (!row->choices) return NULL;
    for (int i = 0; choice_at(row->choices, i, buffer, size, &v); i++)
        if (v == value) return buffer;
    return NULL;
}

trit_status trit_args_set(const char *owner, const trit_param *table, trit_args *args, int row,
                          int at, double value) {
    const trit_param *p = &table[row];
    char name[64];
    if (at < 0 || at >= length_of(p))
        return trit_fail(TRIT_ERR_ARG, "%s: option %s takes at most %d values", owner, p->name,
                         length_of(p));
    if (isnan(value)) return trit_fail(TRIT_ERR_ARG, "%s: option %s is NaN", owner, p->name);
    bool named = trit_param_choice(p, value, name, sizeof name) != NULL;
    if (p->choices && !p->number && !named)
        return trit_fail(TRIT_ERR_ARG, "%s: option %s is %g but must be one of %s", owner, p->name,
                         value, NAMES(p->choices));
    if (!named && (value < p->min || value > p->max))
        return trit_fail(TRIT_ERR_ARG, "%s: option %s is %g but must lie in [%g, %g]", owner,
                         p->name, value, p->min, p->max);
    if (p->integer && !named && value != floor(value))
        return trit_fail(TRIT_ERR_ARG, "%s: option %s is %g but must be a whole number", owner,
                         p->name, value);
    args->v[row][at] = value;
    if (p->list) {
        args->n[row] = at + 1 > args->n[row] ? at + 1 : args->n[row];
    } else if (at == 0) { /* one number stands for all of a fixed-length list */
        for (int k = 1; k < length_of(p); k++) args->v[row][k] = value;
    }
    return TRIT_OK;
}

trit_status trit_args_set_name(const char *owner, const trit_param *table, trit_args *args, int row,
                               const char *choice) {
    const trit_param *p = &table[row];
    char name[64];
    double v;
    for (int i = 0; p->choices && choice_at(p->choices, i, name, sizeof name, &v); i++)
        if (!strcmp(name, choice)) return trit_args_set(owner, table, args, row, 0, v);
    if (!p->choices)
        return trit_fail(TRIT_ERR_ARG, "%s: option %s takes a number, not \"%s\"", owner, p->name,
                         choice);
    return trit_fail(TRIT_ERR_ARG, "%s: option %s is \"%s\" but must be %sone of %s", owner,
                     p->name, choice, p->number ? "a number or " : "", NAMES(p->choices));
}
