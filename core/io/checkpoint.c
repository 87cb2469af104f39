/*
 * checkpoint.c - tensors and a JSON text in one file that is either whole or not there.
 *
 * HDF5 first, then a trailer of 32 bytes: "TRITCKPT", the length before it (u64), XXH3-128 of
 * those bytes.  HDF5 knows its own end and ignores what follows, so any HDF5 tool opens the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "trit/io.h"

enum {
    MAGIC_BYTES = 8,
    TRAILER_BYTES = MAGIC_BYTES + 8 + 16,
    READ_BYTES = 1 << 16, /* hashed at a time */
    PATH_CHARS = 4096,
};

static const char magic[MAGIC_BYTES + 1] = "TRITCKPT";

static trit_status fail(const char *what, const char *path) {
    return trit_fail(TRIT_ERR_IO, "checkpoint: %s '%s': %s", what, path, strerror(errno));
}

/* XXH3-128 of the first `length` bytes of an open file, in canonical byte order. */
static trit_status hash_file(int fd, uint64_t length, const char *path, XXH128_canonical_t *out) {
    XXH3_state_t *state = XXH3_createState();
    char *buffer = malloc(READ_BYTES);
    trit_status status = TRIT_OK;
    if (!state || !buffer) status = trit_fail(TRIT_ERR_MEM, "checkpoint: no memory to hash");
    if (status == TRIT_OK) XXH3_128bits_reset(state);
    for (uint64_t at = 0; status == TRIT_OK && at < length;) {
        const uint64_t left = length - at;
        const ssize_t n = pread(fd, buffer, left < READ_BYTES ? left : READ_BYTES, (off_t)at);
        if (n <= 0)
            status = fail("cannot read", path);
        else
            XXH3_128bits_update(state, buffer, (size_t)n);
        at += n > 0 ? (uint64_t)n : 0;
    }
    if (status == TRIT_OK) XXH128_canonicalFromHash(out, XXH3_128bits_digest(state));
    free(buffer);
    XXH3_freeState(state);
    return status;
}

static void put_length(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_length(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* Append the trailer and bring the file to disk. */
static trit_status seal(const char *path) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return fail("cannot open", path);
    uint8_t trailer[TRAILER_BYTES];
    XXH128_canonical_t hash;
    struct stat st;
    trit_status status = fstat(fd, &st) == 0 ? TRIT_OK : fail("cannot measure", path);
    if (status == TRIT_OK) status = hash_file(fd, (uint64_t)st.st_size, path, &hash);
    if (status == TRIT_OK) {
        memcpy(trailer, magic, MAGIC_BYTES);
        put_length(trailer + MAGIC_BYTES, (uint64_t)st.st_size);
        memcpy(trailer + MAGIC_BYTES + 8, hash.digest, sizeof hash.digest);
        if (pwrite(fd, trailer, sizeof trailer, st.st_size) != sizeof trailer || fsync(fd) != 0)
            status = fail("cannot write", path);
    }
    if (close(fd) != 0 && status == TRIT_OK) status = fail("cannot close", path);
    return status;
}

/* Make a rename in the directory of `path` durable. */
static trit_status sync_directory(const char *path) {
    char directory[PATH_CHARS];
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash)
        *(slash == directory ? slash + 1 : slash) = 0;
    else
        strcpy(directory, ".");
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail("cannot open directory", directory);
    const bool failed = fsync(fd) != 0 && errno != EINVAL; /* some file systems cannot */
    close(fd);
    return failed ? fail("cannot sync directory", directory) : TRIT_OK;
}

static trit_status write_content(const char *path, int n, const trit_named *tensors,
                                 const char *meta) {
    trit_h5 *f;
    TRIT_TRY(trit_h5_open(path, 'w', &f));
    const char *format = "trit checkpoint";
    trit_status status = trit_h5_write_text(f, "", "format", 0, &format);
    if (status == TRIT_OK) status = trit_h5_write_text(f, "meta", NULL, 0, &meta);
    if (status == TRIT_OK) status = trit_h5_group(f, "tensors");
    for (int i = 0; i < n && status == TRIT_OK; i++) {
        const trit_named *t = &tensors[i];
        if (strlen(t->name) >= PATH_CHARS)
            status = trit_fail(TRIT_ERR_ARG, "checkpoint: tensor %d has too long a name", i);
        else if (t->tensor)
            status = trit_h5_write_tensor(f, t->name, t->tensor);
        else
            status = trit_h5_write(f, t->name, NULL, TRIT_H5_U8, 1, &t->size, t->bytes);
    }
    return trit_h5_close_after(f, status);
}

trit_status trit_checkpoint_save(const char *path, int n, const trit_named *tensors,
                                 const char *meta_json) {
    char temporary[PATH_CHARS];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary)
        return trit_fail(TRIT_ERR_ARG, "checkpoint: path too long: '%s'", path);
    trit_status status = write_content(temporary, n, tensors, meta_json);
    if (status == TRIT_OK) status = seal(temporary);
    if (status == TRIT_OK && rename(temporary, path) != 0) status = fail("cannot rename to", path);
    if (status != TRIT_OK) { /* emptied too: HDF5 may keep it open (h5.c), and with it the space */
        if (truncate(temporary, 0) != 0 || unlink(temporary) != 0)
            errno = 0; /* nothing more can be done: the first error is the one to report */
        return status;
    }
    return sync_directory(path);
}

trit_status trit_checkpoint_verify(const char *path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail("cannot open", path);
    uint8_t trailer[TRAILER_BYTES];
    XXH128_canonical_t hash;
    struct stat st;
    trit_status status = fstat(fd, &st) == 0 ? TRIT_OK : fail("cannot measure", path);
    const off_t body = status == TRIT_OK ? st.st_size - TRAILER_BYTES : 0;
    if (status == TRIT_OK &&
        (body < 0 || pread(fd, trailer, sizeof trailer, body) != sizeof trailer ||
         memcmp(trailer, magic, MAGIC_BYTES) != 0 ||
         get_length(trailer + MAGIC_BYTES) != (uint64_t)body))
        status = trit_fail(TRIT_ERR_IO,
                           "checkpoint: '%s' is cut off or no checkpoint: %lld bytes without the "
                           "closing mark",
                           path, (long long)st.st_size);
    if (status == TRIT_OK) status = hash_file(fd, (uint64_t)body, path, &hash);
    if (status == TRIT_OK &&
        memcmp(hash.digest, trailer + MAGIC_BYTES + 8, sizeof hash.digest) != 0)
        status = trit_fail(
            TRIT_ERR_IO, "checkpoint: '%s' is damaged: its checksum does not match its %lld bytes",
            path, (long long)body);
    close(fd);
    return status;
}

static trit_status copy_file(const char *from, const char *to) {
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return fail("cannot open", from);
    const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    trit_status status = out < 0 ? fail("cannot create", to) : TRIT_OK;
    char buffer[8192];
    for (ssize_t n = 1; status == TRIT_OK && n > 0;) {
        n = read(in, buffer, sizeof buffer);
        if (n < 0) status = fail("cannot read", from);
        if (n > 0 && write(out, buffer, (size_t)n) != n) status = fail("cannot write", to);
    }
    if (status == TRIT_OK && fsync(out) != 0) status = fail("cannot write", to);
    if (out >= 0) close(out);
    close(in);
    return status;
}

trit_status trit_file_alias(const char *from, const char *to) {
    char temporary[PATH_CHARS];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", to) >= (int)sizeof temporary)
        return trit_fail(TRIT_ERR_ARG, "checkpoint: path too long: '%s'", to);
    unlink(temporary);
    trit_status status = TRIT_OK;
    if (link(from, temporary) != 0) status = copy_file(from, temporary); /* no links here: copy */
    if (status == TRIT_OK && rename(temporary, to) != 0) status = fail("cannot rename to", to);
    unlink(temporary); /* rename of two links to one file leaves both names */
    return status == TRIT_OK ? sync_directory(to) : status;
}
