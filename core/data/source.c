/*
 * source.c - opening "kind:path" specs, and what the kinds share: directories, mapped files, class
 * names, checksum.
 */
#include "data/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

const char *const trit_split_names[TRIT_SPLITS] = {"train", "test"};

void trit_source_norm_cifar10(trit_source *s) {
    static const double mean[3] = {125.3, 123.0, 113.9}, std[3] = {63.0, 62.1, 66.7};
    for (int c = 0; c < 3; c++) {
        s->mean[c] = mean[c] / 255;
        s->std[c] = std[c] / 255;
    }
    snprintf(s->norm, sizeof s->norm, "CIFAR-10 constants");
}

void trit_source_norm_imagenet(trit_source *s) {
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    memcpy(s->mean, mean, sizeof mean);
    memcpy(s->std, std, sizeof std);
    snprintf(s->norm, sizeof s->norm, "ImageNet constants");
}

static trit_status unknown_kind(const char *spec) {
    char known[256] = "";
    for (int i = 0; trit_source_kinds[i]; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 trit_source_kinds[i]->usage);
    return trit_fail(TRIT_ERR_ARG, "data: spec '%s' is none of %s", spec, known);
}

trit_status trit_source_open(const char *spec, trit_source **out) {
    char name[32];
    size_t stem = strcspn(spec, ":");
    snprintf(name, sizeof name, "%.*s", (int)(stem < sizeof name ? stem : sizeof name - 1), spec);
    const trit_source_kind *kind = trit_source_kind_find(name);
    if (!kind || strlen(spec) >= TRIT_SPEC_BYTES) return unknown_kind(spec);
    trit_source *s = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "data: no room for a source");
    s->kind = kind;
    s->channels = 3;
    snprintf(s->spec, sizeof s->spec, "%s", spec);
    trit_status status = kind->open(s, spec[stem] ? spec + stem + 1 : "");
    if (status == TRIT_OK && s->count[TRIT_TRAIN] + s->count[TRIT_TEST] == 0)
        status = trit_fail(TRIT_ERR_IO, "%s: no images found", spec);
    if (status != TRIT_OK) {
        trit_source_close(s);
        return status;
    }
    *out = s;
    return TRIT_OK;
}

void trit_source_close(trit_source *s) {
    if (!s) return;
    s->kind->close(s);
    trit_names_free(s->class_names, s->classes);
    free(s);
}

trit_status trit_source_set_classes(trit_source *s, const char *const *names, int n) {
    s->class_names = calloc((size_t)n + 1, sizeof *s->class_names);
    if (!s->class_names) return trit_fail(TRIT_ERR_MEM, "data: no room for %d class names", n);
    s->classes = n;
    for (int i = 0; i < n; i++)
        if (!(s->class_names[i] = strdup(names[i])))
            return trit_fail(TRIT_ERR_MEM, "data: no room for %d class names", n);
    return TRIT_OK;
}

/* ------------------------------------------------------------ directories, files */

bool trit_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void trit_names_free(char **names, int64_t n) {
    for (int64_t i = 0; names && i < n; i++) free(names[i]);
    free(names);
}

trit_status trit_names_list(const char *dir, char ***names, int64_t *n) {
    DIR *d = opendir(dir);
    if (!d) return trit_fail(TRIT_ERR_IO, "%s: cannot open directory: %s", dir, strerror(errno));
    char **list = NULL;
    int64_t used = 0, room = 0;
    struct dirent *e;
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.') continue;
        if (used == room) {
            room = room ? 2 * room : 64;
            char **grown = realloc(list, (size_t)room * sizeof *list);
            if (!grown) goto no_memory;
            list = grown;
        }
        if (!(list[used] = strdup(e->d_name))) goto no_memory;
        used++;
    }
    closedir(d);
    if (used) qsort(list, (size_t)used, sizeof *list, by_bytes);
    *names = list;
    *n = used;
    return TRIT_OK;
no_memory:
    closedir(d);
    trit_names_free(list, used);
    return trit_fail(TRIT_ERR_MEM, "%s: no room for its list of names", dir);
}

trit_status trit_map_open(const char *path, trit_map *map) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return trit_fail(TRIT_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    trit_status status = TRIT_OK;
    *map = (trit_map){0};
    if (fstat(fd, &st) != 0) {
        status = trit_fail(TRIT_ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
    } else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            status = trit_fail(TRIT_ERR_IO, "%s: cannot map: %s", path, strerror(errno));
        else
            *map = (trit_map){p, (size_t)st.st_size};
    }
    close(fd);
    return status;
}

void trit_map_close(trit_map *map) {
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->n);
    *map = (trit_map){0};
}

/* ----------------------------------------------------------------------- checksum */

static trit_status add_image(const trit_source *s, XXH3_state_t *sum, int split, int64_t i,
                             bool content, trit_reader *r, trit_image *im) {
    char name[4096];
    int32_t label = s->kind->label(s, split, i);
    if (s->kind->resident) {
        XXH3_64bits_update(sum, &label, sizeof label);
        TRIT_TRY(s->kind->read(s, split, i, r, im));
        XXH3_64bits_update(sum, im->px, (size_t)im->h * (size_t)im->w * (size_t)im->c);
        return TRIT_OK;
    }
    s->kind->name_of(s, split, i, name, sizeof name);
    const char *base = strrchr(name, '/');
    base = base ? base + 1 : name;
    struct stat st;
    trit_map map = {0};
    /* What cannot be read is no part of the set: reading it is what tells. */
    if (stat(name, &st) != 0 || !S_ISREG(st.st_mode)) return TRIT_OK;
    if (content && trit_map_open(name, &map) != TRIT_OK) return TRIT_OK;
    const int64_t bytes = st.st_size;
    XXH3_64bits_update(sum, &label, sizeof label);
    XXH3_64bits_update(sum, base, strlen(base));
    if (content)
        XXH3_64bits_update(sum, map.bytes, map.n);
    else
        XXH3_64bits_update(sum, &bytes, sizeof bytes);
    trit_map_close(&map);
    return TRIT_OK;
}

trit_status trit_source_checksum(const trit_source *s, bool content, uint64_t *out) {
    XXH3_state_t *sum = XXH3_createState();
    if (!sum) return trit_fail(TRIT_ERR_MEM, "data: no room for a checksum");
    trit_reader r = {0};
    trit_image im = {0};
    trit_status status = TRIT_OK;
    XXH3_64bits_reset(sum);
    for (int c = 0; c < s->classes; c++)
        XXH3_64bits_update(sum, s->class_names[c], strlen(s->class_names[c]) + 1);
    for (int split = 0; split < TRIT_SPLITS; split++)
        for (int64_t i = 0; status == TRIT_OK && i < s->count[split]; i++)
            status = add_image(s, sum, split, i, content, &r, &im);
    *out = XXH3_64bits_digest(sum);
    XXH3_freeState(sum);
    trit_image_free(&im);
    trit_reader_close(&r);
    return status;
}
