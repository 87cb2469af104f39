/*
 * folder.h - the folder source, also used by sets that are folders once made.
 */
#ifndef TRIT_DATA_FOLDER_H
#define TRIT_DATA_FOLDER_H

#include "trit/data.h"

trit_status trit_folder_open(trit_source *s, const char *path);
trit_status trit_folder_read(const trit_source *s, int split, int64_t index, trit_reader *r,
                             trit_image *out);
int trit_folder_label(const trit_source *s, int split, int64_t index);
void trit_folder_name(const trit_source *s, int split, int64_t index, char *text, size_t size);
void trit_folder_close(trit_source *s);

#endif
