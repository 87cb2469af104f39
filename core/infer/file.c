/*
 * file.c - packed models on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infer/format.h"

#define MAX_FILE ((size_t)4 << 30) /* bytes: offsets of strings are 32 bits */

static trit_status failed(const char *path, const char *what) {
    return trit_fail(TRIT_ERR_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static trit_status read_all(const char *path, int fd, uint8_t *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        const ssize_t got = read(fd, bytes + at, n - at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed(path, "read");
        if (got == 0) return trit_fail(TRIT_ERR_IO, "%s: became shorter while it was read", path);
        at += (size_t)got;
    }
    return TRIT_OK;
}

trit_status trit_model_open(const char *path, trit_model **out) {
    struct stat st;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe would wait for ever */
    if (fd < 0) return failed(path, "open");
    trit_status status = TRIT_OK;
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (fstat(fd, &st))
        status = failed(path, "read");
    else if (!S_ISREG(st.st_mode) || (size_t)st.st_size > MAX_FILE)
        status =
            trit_fail(TRIT_ERR_IO, "%s: not a packed model: not a file of at most 4 GiB", path);
    else if (!(bytes = trit_alloc(n = (size_t)st.st_size)))
        status = TRIT_ERR_MEM;
    if (status == TRIT_OK) status = read_all(path, fd, bytes, n);
    close(fd);
    if (status == TRIT_OK) return trit_model_parse_owned(bytes, n, path, out);
    trit_free(bytes, n);
    return status;
}

static trit_status write_all(const char *path, int fd, const uint8_t *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        const ssize_t put = write(fd, bytes + at, n - at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(path, "write");
        at += (size_t)put;
    }
    return fsync(fd) ? failed(path, "write") : TRIT_OK;
}

static void sync_directory(const char *path) { /* so that the new name survives a power cut */
    char dir[4096];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash) *(slash == dir ? slash + 1 : slash) = 0;
    const int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

trit_status trit_model_save(const trit_model *m, const char *path) {
    char temporary[4096];
    const int length = snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary)
        return trit_fail(TRIT_ERR_IO, "%.60s...: too long a name", path);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return failed(path, "write");
    trit_status status = write_all(path, fd, m->bytes, m->n);
    if (close(fd) && status == TRIT_OK) status = failed(path, "write");
    if (status == TRIT_OK && rename(temporary, path)) status = failed(path, "write");
    if (status == TRIT_OK)
        sync_directory(path);
    else
        unlink(temporary);
    return status;
}
