/* Makes a folder behave like a difficult mount, for a process that preloads this.
 *
 * Below MOUNT_FOLDER, a read returns at most MOUNT_BYTES bytes (0: no limit). With MOUNT_FAULTS=1, the second
 * read of each open file is interrupted (EINTR), and the third fails (EIO), both once. With MOUNT_NO_SHARED=1
 * a shared mapping fails (ENODEV), with MOUNT_NO_MAPS=1 every mapping. With MOUNT_NO_KILL=1, wherever it is,
 * no signal reaches a process group, as if its processes slept in a read of a dead mount.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 4096

static int reads[DESCRIPTORS];

static int on_mount(int descriptor) {
    const char *folder = getenv("MOUNT_FOLDER");
    char link[64], path[PATH_MAX];
    if (folder == NULL || descriptor < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int flag(const char *name) {
    const char *value = getenv(name);
    return value != NULL && atoi(value) != 0;
}

/* Returns how many bytes may be read, -1 after setting errno. */
static ssize_t allowed(int descriptor, size_t count) {
    const char *text = getenv("MOUNT_BYTES");
    size_t most = text == NULL ? 0 : (size_t)atol(text);
    if (flag("MOUNT_FAULTS") && descriptor < DESCRIPTORS) {
        int number = ++reads[descriptor];
        if (number == 2) { errno = EINTR; return -1; }
        if (number == 3) { errno = EIO; return -1; }
    }
    return most != 0 && count > most ? (ssize_t)most : (ssize_t)count;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t read(int descriptor, void *buffer, size_t count) {
    REAL(read);
    if (on_mount(descriptor)) {
        ssize_t most = allowed(descriptor, count);
        if (most < 0) return -1;
        count = (size_t)most;
    }
    return real(descriptor, buffer, count);
}

#define PREAD(name, offset_type) \
    ssize_t name(int descriptor, void *buffer, size_t count, offset_type offset) { \
        REAL(name); \
        if (on_mount(descriptor)) { \
            ssize_t most = allowed(descriptor, count); \
            if (most < 0) return -1; \
            count = (size_t)most; \
        } \
        return real(descriptor, buffer, count, offset); \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define PREADV(name, offset_type) \
    ssize_t name(int descriptor, const struct iovec *parts, int count, offset_type offset) { \
        REAL(name); \
        if (on_mount(descriptor) && count > 0) { \
            ssize_t most = allowed(descriptor, parts[0].iov_len); \
            if (most < 0) return -1; \
            struct iovec first = {parts[0].iov_base, (size_t)most}; \
            return real(descriptor, &first, 1, offset); \
        } \
        return real(descriptor, parts, count, offset); \
    }
PREADV(preadv, off_t)
PREADV(preadv64, off64_t)

int close(int descriptor) {
    REAL(close);
    if (descriptor >= 0 && descriptor < DESCRIPTORS) reads[descriptor] = 0;
    return real(descriptor);
}

#define MMAP(name, offset_type) \
    void *name(void *at, size_t length, int protection, int flags, int descriptor, offset_type offset) { \
        REAL(name); \
        int refused = flag("MOUNT_NO_MAPS") || (flag("MOUNT_NO_SHARED") && (flags & MAP_SHARED)); \
        if (refused && on_mount(descriptor)) { \
            errno = ENODEV; \
            return MAP_FAILED; \
        } \
        return real(at, length, protection, flags, descriptor, offset); \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

int killpg(pid_t group, int number) {
    REAL(killpg);
    return flag("MOUNT_NO_KILL") ? 0 : real(group, number);
}
