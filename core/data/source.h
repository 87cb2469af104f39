/*
 * source.h - what the files src_*.c share.
 */
#ifndef TRIT_DATA_SOURCE_H
#define TRIT_DATA_SOURCE_H

#include "trit/data.h"

/* Normalization constants, 1 = white. */
void trit_source_norm_cifar10(trit_source *s);  /* methods' CIFAR scripts */
void trit_source_norm_imagenet(trit_source *s); /* torchvision's          */

/* Copy n names; class_names is owned by the source. */
trit_status trit_source_set_classes(trit_source *s, const char *const *names, int n);

/* A directory's entries without "." files, sorted by bytes; free with trit_names_free. */
trit_status trit_names_list(const char *dir, char ***names, int64_t *n);
void trit_names_free(char **names, int64_t n);
bool trit_is_dir(const char *path);

/* A file mapped read-only. */
typedef struct {
    const uint8_t *bytes;
    size_t n;
} trit_map;
trit_status trit_map_open(const char *path, trit_map *map);
void trit_map_close(trit_map *map);

#endif
