/*
 * A disk that goes bad under a PostgreSQL: preloaded into its processes. Each switch is a file in the folder BAD_DISK, on for as long as it is there:
 *   full  what would make a file of a table longer finds no space, as on a disk where only the write-ahead log has its own still.
 *   eio   a sync of the write-ahead log fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int on(const char *name) {
  char path[4096];
  const char *folder = getenv("BAD_DISK");
  if (!folder) return 0;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int before = errno, is_on = !access(path, F_OK);
  errno = before;
  return is_on;
}

static int is_below(int fd, const char *folder) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  if (len < 0) return 0;
  path[len] = 0;
  return strstr(path, folder) != NULL;
}

static int finds_no_space(int fd, off_t end) {
  struct stat now;
  if (!on("full") || !is_below(fd, "/base/") || fstat(fd, &now) || end <= now.st_size) return 0;
  errno = ENOSPC;
  return 1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
  return finds_no_space(fd, at + (off_t)len) ? -1 : REAL(pwrite64)(fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
  return finds_no_space(fd, at + (off_t)len) ? -1 : REAL(pwrite)(fd, bytes, len, at);
}

static int fails(int fd) {
  if (!on("eio") || !is_below(fd, "/pg_wal/")) return 0;
  errno = EIO;
  return 1;
}

int fdatasync(int fd) { return fails(fd) ? -1 : REAL(fdatasync)(fd); }

int fsync(int fd) { return fails(fd) ? -1 : REAL(fsync)(fd); }
