/* Loaded before libc: writes and syncs of the database's files fail as the control file says.
 * FAULTS_FILES is part of the files' paths. FAULTS_CONTROL holds one of: none, sync-eio, write-eio,
 * write-enospc, write-half. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_meant(int fd) {
  char link[64], path[4096];
  const char *files = getenv("FAULTS_FILES");
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  if (files == NULL || len <= 0) return 0;
  path[len] = 0;
  return strstr(path, files) != NULL;
}

static int fault_is(int fd, const char *name) {
  char text[32] = {0};
  const char *control = getenv("FAULTS_CONTROL");
  if (control == NULL || !is_meant(fd)) return 0;
  int file = open(control, O_RDONLY);
  if (file < 0) return 0;
  ssize_t len = read(file, text, sizeof text - 1);
  close(file);
  return len > 0 && strcmp(text, name) == 0;
}

static int fails(int fd, int *half) {
  if (fault_is(fd, "write-eio")) errno = EIO;
  else if (fault_is(fd, "write-enospc")) errno = ENOSPC;
  else {
    *half = fault_is(fd, "write-half");
    return 0;
  }
  return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) {
  if (fault_is(fd, "sync-eio")) { errno = EIO; return -1; }
  return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
  if (fault_is(fd, "sync-eio")) { errno = EIO; return -1; }
  return NEXT(fdatasync)(fd);
}

/* Half of what was asked for, and then nothing more: a disk that fills up in the middle. */
#define WRITE(call, rest)                            \
  int half = 0;                                      \
  if (fails(fd, &half)) return -1;                   \
  if (half && len < 2) { errno = ENOSPC; return -1; } \
  if (half) len /= 2;                                \
  return NEXT(call) rest

ssize_t write(int fd, const void *from, size_t len) {
  WRITE(write, (fd, from, len));
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t at) {
  WRITE(pwrite, (fd, from, len, at));
}

ssize_t pwrite64(int fd, const void *from, size_t len, off64_t at) {
  WRITE(pwrite64, (fd, from, len, at));
}
