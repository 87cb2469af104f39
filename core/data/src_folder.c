/*
 * src_folder.c - images in class folders.
 *
 *   DIR/train/CLASS/...jpg and DIR/val/CLASS/... (or test/, or valid/)   two splits
 *   DIR/CLASS/...jpg                                                     all are training images
 *
 * Every test class must be a training class; a training class may have no test images.
 * A class is a folder; its index is its place among all class names of both splits sorted by bytes
 * (for ImageNet: sorted synsets).  Files are found at any depth below the class folder, in sorted
 * order; .jpg .jpeg .png count in any case of letters, other names are ignored and counted.
 */
#include "data/folder.h"
#include "data/source.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    char *pool; /* paths below the root, each ended by 0 */
    size_t used, room;
    size_t *at;     /* [n] into the pool */
    int32_t *label; /* [n] */
    int64_t n, n_room;
} file_list;

typedef struct {
    char root[TRIT_SPEC_BYTES + 512];
    file_list files[TRIT_SPLITS];
    int64_t ignored;
} folder_state;

static bool image_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot &&
           (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg") || !strcasecmp(dot, ".png"));
}

static trit_status append(file_list *l, const char *path, int label) {
    size_t bytes = strlen(path) + 1;
    if (l->used + bytes > l->room) {
        size_t room = 2 * l->room + bytes + 4096;
        char *grown = realloc(l->pool, room);
        if (!grown) goto no_memory;
        l->pool = grown;
        l->room = room;
    }
    if (l->n == l->n_room) {
        int64_t room = 2 * l->n_room + 256;
        size_t *at = realloc(l->at, (size_t)room * sizeof *at);
        if (!at) goto no_memory;
        l->at = at;
        int32_t *labels = realloc(l->label, (size_t)room * sizeof *labels);
        if (!labels) goto no_memory;
        l->label = labels;
        l->n_room = room;
    }
    memcpy(l->pool + l->used, path, bytes);
    l->at[l->n] = l->used;
    l->label[l->n++] = label;
    l->used += bytes;
    return TRIT_OK;
no_memory:
    return trit_fail(TRIT_ERR_MEM, "folder: no room for the names of %lld files",
                     (long long)l->n + 1);
}

#define CLASSES_NAMED 5 /* in a sentence about wrong ones */

#define MAX_DEPTH 8 /* below a class folder: a link back up must not run forever */

/* All images below root/sub, in sorted order. */
static trit_status collect(folder_state *st, file_list *l, const char *sub, int label, int depth) {
    char path[4096], full[4096 + sizeof st->root];
    char **names;
    int64_t n;
    snprintf(full, sizeof full, "%s/%s", st->root, sub);
    TRIT_TRY(trit_names_list(full, &names, &n));
    trit_status status = TRIT_OK;
    for (int64_t i = 0; status == TRIT_OK && i < n; i++) {
        if (snprintf(path, sizeof path, "%s/%s", sub, names[i]) >= (int)sizeof path) {
            status = trit_fail(TRIT_ERR_IO, "%s: path longer than %zu bytes", full, sizeof path);
            break;
        }
        snprintf(full, sizeof full, "%s/%s", st->root, path);
        if (image_name(names[i]))
            status = append(l, path, label);
        else if (!trit_is_dir(full))
            st->ignored++;
        else if (depth < MAX_DEPTH)
            status = collect(st, l, path, label, depth + 1);
    }
    trit_names_free(names, n);
    return status;
}

/* Sub-directories of root/sub ("" = root), sorted. */
static trit_status class_dirs(const folder_state *st, const char *sub, char ***names, int64_t *n) {
    char full[4096 + sizeof st->root];
    snprintf(full, sizeof full, "%s/%s", st->root, sub);
    TRIT_TRY(trit_names_list(full, names, n));
    int64_t kept = 0, all = *n;
    for (int64_t i = 0; i < all; i++) {
        snprintf(full, sizeof full, "%s/%s/%s", st->root, sub, (*names)[i]);
        if (trit_is_dir(full))
            (*names)[kept++] = (*names)[i];
        else
            free((*names)[i]);
    }
    *n = kept;
    return TRIT_OK;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The union of both splits' class names becomes the source's classes. */
static trit_status merge_classes(trit_source *s, char **const names[], const int64_t n[]) {
    int64_t total = n[0] + n[1], kept = 0;
    const char **all = calloc((size_t)total + 1, sizeof *all);
    if (!all) return trit_fail(TRIT_ERR_MEM, "folder: no room for %lld classes", (long long)total);
    for (int split = 0; split < TRIT_SPLITS; split++)
        for (int64_t i = 0; i < n[split]; i++) all[kept++] = names[split][i];
    qsort(all, (size_t)total, sizeof *all, by_bytes);
    kept = 0;
    for (int64_t i = 0; i < total; i++)
        if (kept == 0 || strcmp(all[kept - 1], all[i])) all[kept++] = all[i];
    trit_status status = trit_source_set_classes(s, all, (int)kept);
    free(all);
    return status;
}

/* A test class that is not trained would never be answered right: most often the folders are
 * named in another way.  Fewer test classes than training classes are fine. */
static trit_status check_classes(const char *path, const char *const sub[], char **const names[],
                                 const int64_t n[]) {
    char list[512] = "";
    int foreign = 0;
    if (!sub[TRIT_TRAIN] || !sub[TRIT_TEST]) return TRIT_OK;
    for (int64_t i = 0; i < n[TRIT_TEST]; i++) {
        char *name = names[TRIT_TEST][i];
        if (bsearch(&name, names[TRIT_TRAIN], (size_t)n[TRIT_TRAIN], sizeof name, by_bytes))
            continue;
        size_t used = strlen(list);
        if (foreign++ < CLASSES_NAMED)
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", name);
    }
    if (!foreign) return TRIT_OK;
    return trit_fail(TRIT_ERR_IO,
                     "folder: '%s': %s/ has %d class folders that train/ has not: %s%s; train/ has "
                     "%lld: %s%s",
                     path, sub[TRIT_TEST], foreign, list, foreign > CLASSES_NAMED ? ", ..." : "",
                     (long long)n[TRIT_TRAIN], n[TRIT_TRAIN] ? names[TRIT_TRAIN][0] : "none",
                     n[TRIT_TRAIN] > 1 ? ", ..." : "");
}

static int class_index(const trit_source *s, const char *name) {
    char **found = bsearch(&name, s->class_names, (size_t)s->classes, sizeof name, by_bytes);
    return (int)(found - s->class_names);
}

static trit_status collect_split(trit_source *s, int split, const char *sub, char **names,
                                 int64_t n) {
    folder_state *st = s->state;
    char path[4096];
    for (int64_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s%s%s", sub, sub[0] ? "/" : "", names[i]);
        TRIT_TRY(collect(st, &st->files[split], path, class_index(s, names[i]), 0));
    }
    s->count[split] = st->files[split].n;
    return TRIT_OK;
}

/* Which sub-directory holds which split; NULL: none.  Of several for testing the first of
 * `test_names` is taken; returns the next, which is not used, or NULL. */
static const char *find_splits(const folder_state *st, const char *sub[TRIT_SPLITS]) {
    static const char *const test_names[] = {"val", "test", "valid"};
    char full[sizeof st->root + 16];
    snprintf(full, sizeof full, "%s/train", st->root);
    sub[TRIT_TRAIN] = trit_is_dir(full) ? "train" : NULL;
    sub[TRIT_TEST] = NULL;
    const char *unused = NULL;
    for (int i = 2; i >= 0; i--) {
        snprintf(full, sizeof full, "%s/%s", st->root, test_names[i]);
        if (!trit_is_dir(full)) continue;
        unused = sub[TRIT_TEST];
        sub[TRIT_TEST] = test_names[i];
    }
    if (!sub[TRIT_TRAIN] && !sub[TRIT_TEST]) sub[TRIT_TRAIN] = "";
    return unused;
}

static void note(trit_source *s, const char *const sub[TRIT_SPLITS], const char *unused) {
    const folder_state *st = s->state;
    size_t room = sizeof s->note;
    if (!sub[TRIT_TRAIN])
        snprintf(s->note, room, "only %s/ is there: no training images", sub[TRIT_TEST]);
    else if (!sub[TRIT_TEST])
        snprintf(s->note, room, "no val/ or test/: all are training images, none test");
    if (unused)
        snprintf(s->note + strlen(s->note), room - strlen(s->note),
                 "%s%s/ is there too, but %s/ is used for testing", s->note[0] ? "; " : "", unused,
                 sub[TRIT_TEST]);
    if (st->ignored)
        snprintf(s->note + strlen(s->note), room - strlen(s->note),
                 "%s%lld files that are not named .jpg, .jpeg or .png are ignored",
                 s->note[0] ? "; " : "", (long long)st->ignored);
}

trit_status trit_folder_open(trit_source *s, const char *path) {
    char **names[TRIT_SPLITS] = {NULL, NULL};
    int64_t n[TRIT_SPLITS] = {0, 0};
    const char *sub[TRIT_SPLITS];
    if (!trit_is_dir(path)) return trit_fail(TRIT_ERR_IO, "folder: no directory '%s'", path);
    folder_state *st = s->state = calloc(1, sizeof *st);
    if (!st) return trit_fail(TRIT_ERR_MEM, "folder: no room for the state");
    snprintf(st->root, sizeof st->root, "%s", path);
    size_t length = strlen(st->root);
    while (length > 1 && st->root[length - 1] == '/') st->root[--length] = 0;
    const char *unused = find_splits(st, sub);
    trit_status status = TRIT_OK;
    for (int split = 0; split < TRIT_SPLITS && status == TRIT_OK; split++)
        if (sub[split]) status = class_dirs(st, sub[split], &names[split], &n[split]);
    if (status == TRIT_OK && n[0] + n[1] == 0)
        status = trit_fail(TRIT_ERR_IO,
                           "folder: '%s' has no class folders (expected DIR/train/CLASS/*.jpg or "
                           "DIR/CLASS/*.jpg)",
                           path);
    if (status == TRIT_OK) status = check_classes(path, sub, names, n);
    if (status == TRIT_OK) status = merge_classes(s, names, n);
    for (int split = 0; split < TRIT_SPLITS; split++) {
        if (status == TRIT_OK && sub[split])
            status = collect_split(s, split, sub[split], names[split], n[split]);
        trit_names_free(names[split], n[split]);
    }
    if (status != TRIT_OK) return status;
    note(s, sub, unused);
    trit_source_norm_imagenet(s);
    return TRIT_OK;
}

void trit_folder_name(const trit_source *s, int split, int64_t index, char *text, size_t size) {
    const folder_state *st = s->state;
    const file_list *l = &st->files[split];
    snprintf(text, size, "%s/%s", st->root, l->pool + l->at[index]);
}

trit_status trit_folder_read(const trit_source *s, int split, int64_t index, trit_reader *r,
                             trit_image *out) {
    char path[4096];
    trit_folder_name(s, split, index, path, sizeof path);
    return trit_image_load(r, path, out);
}

int trit_folder_label(const trit_source *s, int split, int64_t index) {
    const folder_state *st = s->state;
    return st->files[split].label[index];
}

void trit_folder_close(trit_source *s) {
    folder_state *st = s->state;
    for (int split = 0; st && split < TRIT_SPLITS; split++) {
        free(st->files[split].pool);
        free(st->files[split].at);
        free(st->files[split].label);
    }
    free(st);
}

const trit_source_kind trit_source_kind_folder = {
    .name = "folder",
    .usage = "folder:DIR",
    .doc = "JPEG and PNG files in class folders, train/ and val/ or test/ inside if present",
    .open = trit_folder_open,
    .read = trit_folder_read,
    .label = trit_folder_label,
    .name_of = trit_folder_name,
    .close = trit_folder_close,
};
