/*
 * check.c - looking at every image of a set: what is damaged, misnamed, grey, CMYK, or decoded with
 * a warning.  Images are decoded in full on all threads, a block at a time; rows come in order.
 */
#include <stdlib.h>
#include <string.h>

#include "trit/data.h"

#define BLOCK 256 /* images looked at before their rows are told */

typedef struct {
    trit_image_facts facts;
    trit_status status;
    char sentence[768];
} result;

typedef struct {
    const trit_source *source;
    int split;
    int64_t first;
    result *results;      /* [BLOCK] */
    trit_reader *readers; /* [workers] */
    trit_image *images;   /* [workers] */
} job;

static void unit(void *context, int64_t u, int worker) {
    job *j = context;
    result *r = &j->results[u];
    r->status = j->source->kind->read(j->source, j->split, j->first + u, &j->readers[worker],
                                      &j->images[worker]);
    r->facts = j->readers[worker].facts;
    if (r->status != TRIT_OK) snprintf(r->sentence, sizeof r->sentence, "%s", trit_last_error());
}

static void grow(int v, int *lo, int *hi) {
    if (*lo == 0 || v < *lo) *lo = v;
    if (v > *hi) *hi = v;
}

static void count(const result *r, trit_check_totals *t) {
    t->images++;
    t->bad += r->status != TRIT_OK;
    t->gray += r->facts.gray;
    t->cmyk += r->facts.cmyk;
    t->misnamed += r->facts.misnamed;
    t->warned += r->facts.warning[0] != 0;
    if (r->status != TRIT_OK) return;
    grow(r->facts.h, &t->min_h, &t->max_h);
    grow(r->facts.w, &t->min_w, &t->max_w);
}

static trit_status check_block(job *j, int64_t n, trit_check_row row, void *context,
                               trit_check_totals *totals) {
    char name[4096];
    trit_parallel(n, unit, j);
    for (int64_t i = 0; i < n; i++) {
        const result *r = &j->results[i];
        if (r->status != TRIT_OK && r->status != TRIT_ERR_IO)
            return trit_fail(r->status, "%s", r->sentence);
        count(r, totals);
        bool bad = r->status != TRIT_OK;
        if (!bad && !r->facts.gray && !r->facts.cmyk && !r->facts.misnamed && !r->facts.warning[0])
            continue;
        j->source->kind->name_of(j->source, j->split, j->first + i, name, sizeof name);
        row(context, j->split, name, &r->facts, bad ? r->sentence : NULL);
    }
    return TRIT_OK;
}

trit_status trit_source_check(const trit_source *s, trit_check_row row, void *context,
                              trit_check_totals *totals) {
    int workers = trit_threads();
    job j = {.source = s,
             .results = calloc(BLOCK, sizeof *j.results),
             .readers = calloc((size_t)workers, sizeof *j.readers),
             .images = calloc((size_t)workers, sizeof *j.images)};
    *totals = (trit_check_totals){0};
    trit_status status = TRIT_OK;
    if (!j.results || !j.readers || !j.images)
        status = trit_fail(TRIT_ERR_MEM, "data: no room to check %s", s->spec);
    for (j.split = 0; j.split < TRIT_SPLITS; j.split++)
        for (j.first = 0; status == TRIT_OK && j.first < s->count[j.split]; j.first += BLOCK) {
            int64_t left = s->count[j.split] - j.first;
            status = check_block(&j, left < BLOCK ? left : BLOCK, row, context, totals);
        }
    for (int i = 0; i < workers; i++) {
        if (j.readers) trit_reader_close(&j.readers[i]);
        if (j.images) trit_image_free(&j.images[i]);
    }
    free(j.results);
    free(j.readers);
    free(j.images);
    return status;
}
