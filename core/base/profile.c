/*
 * profile.c - where the time goes: seconds and calls by name, added up while profiling is on.
 *
 * Called by the one thread that runs the script, around whole ops; off, it costs one branch.
 */
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "trit/base.h"

#define MOST 256

static bool profiling;
static trit_profile_entry entries[MOST];
static int count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void trit_profile_start(void) {
    count = 0;
    profiling = true;
}

void trit_profile_stop(void) { profiling = false; }

double trit_profile_begin(void) { return profiling ? now() : 0.0; }

void trit_profile_end(double began, const char *name, char pass) {
    if (!profiling || began == 0.0) return;
    int i = 0;
    while (i < count && (entries[i].pass != pass ||
                         strncmp(entries[i].name, name, sizeof entries[i].name - 1) != 0))
        i++;
    if (i == MOST) return;
    if (i == count) {
        entries[count++] = (trit_profile_entry){.pass = pass};
        strncpy(entries[i].name, name, sizeof entries[i].name - 1);
    }
    entries[i].seconds += now() - began;
    entries[i].calls++;
}

const trit_profile_entry *trit_profile_entries(int *n) {
    *n = count;
    return entries;
}
