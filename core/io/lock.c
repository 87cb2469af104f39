/*
 * lock.c - one writer per file, by flock() on a file beside it.
 *
 * The lock is the kernel's and ends with its process, so the file a killed writer left behind
 * does not stop the next one.  The name is removed while still locked; whoever opened it before
 * sees, once it holds the lock, that the name is another file or none, and tries again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trit/io.h"

enum { HOST_CHARS = 128 };

struct trit_lock {
    int fd;
    char path[];
};

static bool same_file(int fd, const char *path) {
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

static void write_owner(int fd) {
    char host[HOST_CHARS] = "", line[HOST_CHARS + 32];
    gethostname(host, sizeof host - 1);
    const int n = snprintf(line, sizeof line, "%ld %s\n", (long)getpid(), host);
    /* for people only: a lock without a name is still a lock */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, line, (size_t)n, 0) != n) return;
}

static trit_status taken(int fd, const char *path) {
    char line[HOST_CHARS + 32] = "", host[HOST_CHARS] = "?";
    long pid = 0;
    const ssize_t n = pread(fd, line, sizeof line - 1, 0);
    if (n > 0) sscanf(line, "%ld %127s", &pid, host);
    return trit_fail(TRIT_ERR_STATE, "'%s' is being written by process %ld on %s", path, pid, host);
}

trit_status trit_lock_take(const char *path, trit_lock **out) {
    *out = NULL;
    const size_t size = strlen(path) + sizeof ".lock";
    trit_lock *lock = malloc(sizeof *lock + size);
    if (!lock) return trit_fail(TRIT_ERR_MEM, "no memory to lock '%s'", path);
    snprintf(lock->path, size, "%s.lock", path);
    trit_status status = TRIT_OK;
    do {
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock->fd < 0)
            status = trit_fail(TRIT_ERR_IO, "cannot create '%s': %s", lock->path, strerror(errno));
        else if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0)
            status = errno == EWOULDBLOCK ? taken(lock->fd, path)
                                          : trit_fail(TRIT_ERR_IO, "cannot lock '%s': %s",
                                                      lock->path, strerror(errno));
        else if (same_file(lock->fd, lock->path))
            break;
        if (lock->fd >= 0) close(lock->fd);
    } while (status == TRIT_OK);
    if (status != TRIT_OK) {
        free(lock);
        return status;
    }
    write_owner(lock->fd);
    *out = lock;
    return TRIT_OK;
}

void trit_lock_release(trit_lock *lock) {
    if (!lock) return;
    unlink(lock->path);
    close(lock->fd);
    free(lock);
}
