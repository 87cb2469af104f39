/*
 * src_idx.c - MNIST's IDX files, plain or gzipped (zlib reads both alike).
 *
 * Images: big-endian words 0x00000803, count, rows, columns, then bytes; labels: 0x00000801, count,
 * then bytes.  When only the t10k files are there, the first four fifths of them train and the last
 * fifth tests; the source's note says so.
 */
#include "data/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define IMAGES_MAGIC 0x00000803u
#define LABELS_MAGIC 0x00000801u
#define TRAIN_FIFTHS 4 /* of 5, when there is only the test file: 8000 / 2000 of t10k */

typedef struct {
    uint8_t *bytes; /* malloc */
    uint32_t count, rows, cols;
    uint8_t *data;
} idx_file;

typedef struct {
    idx_file images[TRIT_SPLITS], labels[TRIT_SPLITS];
    int64_t first[TRIT_SPLITS]; /* of the split in its file */
    bool shared;                /* both splits come from the files of TRIT_TEST */
} idx_state;

static uint32_t word(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The whole file, unpacked; grows because a gzip file does not say its length. */
static trit_status slurp(const char *path, uint8_t **out, size_t *n) {
    gzFile f = gzopen(path, "rb");
    if (!f) return trit_fail(TRIT_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    size_t room = 1 << 20, used = 0;
    uint8_t *bytes = malloc(room);
    int got = 0;
    while (bytes && (got = gzread(f, bytes + used, (unsigned)(room - used))) > 0) {
        used += (size_t)got;
        if (used < room) continue;
        room *= 2;
        uint8_t *grown = realloc(bytes, room);
        if (!grown) free(bytes);
        bytes = grown;
    }
    trit_status status = TRIT_OK;
    int code;
    const char *said = gzerror(f, &code);
    if (!bytes)
        status = trit_fail(TRIT_ERR_MEM, "%s: no room for %zu bytes", path, room);
    else if (got < 0 || code == Z_BUF_ERROR)
        status =
            trit_fail(TRIT_ERR_IO, "%s: damaged gzip data after %zu bytes: %s", path, used, said);
    gzclose(f);
    if (status != TRIT_OK) {
        free(bytes);
        return status;
    }
    *out = bytes;
    *n = used;
    return TRIT_OK;
}

static trit_status parse(const char *path, uint32_t magic, idx_file *f) {
    size_t n = 0, head = magic == IMAGES_MAGIC ? 16 : 8;
    TRIT_TRY(slurp(path, &f->bytes, &n));
    if (n < head)
        return trit_fail(TRIT_ERR_IO, "%s: %zu bytes found, an IDX header has %zu", path, n, head);
    if (word(f->bytes) != magic)
        return trit_fail(TRIT_ERR_IO, "%s: magic number 0x%08x found, 0x%08x expected%s", path,
                         word(f->bytes), magic, f->bytes[0] == '<' ? " (an HTML page?)" : "");
    f->count = word(f->bytes + 4);
    f->rows = head == 16 ? word(f->bytes + 8) : 1;
    f->cols = head == 16 ? word(f->bytes + 12) : 1;
    if (f->rows == 0 || f->cols == 0 || f->rows > 65535 || f->cols > 65535)
        return trit_fail(TRIT_ERR_IO, "%s: images of %u x %u pixels", path, f->rows, f->cols);
    uint64_t expected = head + (uint64_t)f->count * f->rows * f->cols;
    if (n != expected)
        return trit_fail(TRIT_ERR_IO,
                         "%s: %zu bytes found, %llu expected for %u items of %u x %u bytes", path,
                         n, (unsigned long long)expected, f->count, f->rows, f->cols);
    f->data = f->bytes + head;
    return TRIT_OK;
}

/* DIR/STEM-images-idx3-ubyte and its relatives; true when one exists. */
static bool find(const char *dir, const char *stem, const char *what, char *path, size_t size) {
    static const char *const marks[] = {"-", "."}, *const ends[] = {"", ".gz"};
    int rank = !strcmp(what, "images") ? 3 : 1;
    for (int m = 0; m < 2; m++)
        for (int e = 0; e < 2; e++) {
            snprintf(path, size, "%s/%s-%s%sidx%d-ubyte%s", dir, stem, what, marks[m], rank,
                     ends[e]);
            if (access(path, R_OK) == 0) return true;
        }
    return false;
}

/* Both files of one split; false in *there when neither exists. */
static trit_status load_split(trit_source *s, const char *dir, int split, bool *there) {
    static const char *const stem[TRIT_SPLITS] = {"train", "t10k"};
    idx_state *st = s->state;
    char images[4200], labels[4200];
    bool has_images = find(dir, stem[split], "images", images, sizeof images);
    bool has_labels = find(dir, stem[split], "labels", labels, sizeof labels);
    *there = has_images && has_labels;
    if (has_images != has_labels)
        return trit_fail(TRIT_ERR_IO, "idx: %s is there but its %s file is not",
                         has_images ? images : labels, has_images ? "labels" : "images");
    if (!*there) return TRIT_OK;
    TRIT_TRY(parse(images, IMAGES_MAGIC, &st->images[split]));
    TRIT_TRY(parse(labels, LABELS_MAGIC, &st->labels[split]));
    if (st->images[split].count != st->labels[split].count)
        return trit_fail(TRIT_ERR_IO, "%s: %u images but %u labels in %s", images,
                         st->images[split].count, st->labels[split].count, labels);
    return TRIT_OK;
}

static int file_of(const idx_state *st, int split) { return st->shared ? TRIT_TEST : split; }

static trit_status classes_of(trit_source *s) {
    const idx_state *st = s->state;
    int top = 9; /* MNIST's ten digits, more when labels say so (EMNIST) */
    for (int split = 0; split < TRIT_SPLITS; split++)
        for (uint32_t i = 0; i < st->labels[split].count; i++)
            if (st->labels[split].data[i] > top) top = st->labels[split].data[i];
    char text[256][4];
    const char *names[256];
    for (int i = 0; i <= top; i++) {
        snprintf(text[i], sizeof text[i], "%d", i);
        names[i] = text[i];
    }
    return trit_source_set_classes(s, names, top + 1);
}

static trit_status idx_open(trit_source *s, const char *path) {
    bool there[TRIT_SPLITS];
    if (!trit_is_dir(path)) return trit_fail(TRIT_ERR_IO, "idx: no directory '%s'", path);
    idx_state *st = s->state = calloc(1, sizeof *st);
    if (!st) return trit_fail(TRIT_ERR_MEM, "idx: no room for the state");
    for (int split = 0; split < TRIT_SPLITS; split++)
        TRIT_TRY(load_split(s, path, split, &there[split]));
    if (!there[TRIT_TRAIN] && !there[TRIT_TEST])
        return trit_fail(TRIT_ERR_IO,
                         "idx: '%s' has neither train-images-idx3-ubyte nor t10k-images-idx3-ubyte "
                         "(plain or .gz)",
                         path);
    const idx_file *any = &st->images[there[TRIT_TRAIN] ? TRIT_TRAIN : TRIT_TEST];
    const idx_file *test = &st->images[TRIT_TEST];
    if (there[TRIT_TEST] && (test->rows != any->rows || test->cols != any->cols))
        return trit_fail(TRIT_ERR_IO, "idx: train images are %u x %u pixels, test images %u x %u",
                         any->rows, any->cols, test->rows, test->cols);
    s->count[TRIT_TRAIN] = st->images[TRIT_TRAIN].count;
    s->count[TRIT_TEST] = test->count;
    if (!there[TRIT_TRAIN]) {
        st->shared = true;
        s->count[TRIT_TRAIN] = st->first[TRIT_TEST] = test->count / 5 * TRAIN_FIFTHS;
        s->count[TRIT_TEST] = test->count - s->count[TRIT_TRAIN];
        snprintf(s->note, sizeof s->note,
                 "only the t10k files are there: their first %lld images train, the last %lld test",
                 (long long)s->count[TRIT_TRAIN], (long long)s->count[TRIT_TEST]);
    }
    s->channels = 1;
    s->height = (int)any->rows;
    s->width = (int)any->cols;
    s->mean[0] = 0.1307; /* of MNIST's 60,000 training images, in use since PyTorch's example */
    s->std[0] = 0.3081;
    snprintf(s->norm, sizeof s->norm, "MNIST constants");
    return classes_of(s);
}

static trit_status idx_read(const trit_source *s, int split, int64_t index, trit_reader *r,
                            trit_image *out) {
    const idx_state *st = s->state;
    const idx_file *f = &st->images[file_of(st, split)];
    size_t bytes = (size_t)s->height * (size_t)s->width;
    r->facts = (trit_image_facts){.h = s->height, .w = s->width};
    TRIT_TRY(trit_image_reserve(out, s->height, s->width, 1));
    memcpy(out->px, f->data + (size_t)(st->first[split] + index) * bytes, bytes);
    return TRIT_OK;
}

static int idx_label(const trit_source *s, int split, int64_t index) {
    const idx_state *st = s->state;
    return st->labels[file_of(st, split)].data[st->first[split] + index];
}

static void idx_name(const trit_source *s, int split, int64_t index, char *text, size_t size) {
    const idx_state *st = s->state;
    snprintf(text, size, "%s %s image %lld", s->spec,
             file_of(st, split) == TRIT_TEST ? "t10k" : "train",
             (long long)(st->first[split] + index));
}

static void idx_close(trit_source *s) {
    idx_state *st = s->state;
    for (int split = 0; st && split < TRIT_SPLITS; split++) {
        free(st->images[split].bytes);
        free(st->labels[split].bytes);
    }
    free(st);
}

const trit_source_kind trit_source_kind_idx = {
    .name = "idx",
    .usage = "idx:DIR",
    .doc = "MNIST's files train-images-idx3-ubyte, t10k-... (or .gz)",
    .open = idx_open,
    .read = idx_read,
    .label = idx_label,
    .name_of = idx_name,
    .close = idx_close,
    .resident = true,
};
