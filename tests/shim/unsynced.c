/*
 * A disk that forgets: preloaded into a process, it remembers for each file below UNSYNCED_DIR what was written since its last sync, and takes
 * it back on command, as a machine that loses power does. The page cache survives a kill, so nothing less shows an answer given too early.
 *
 * Commands, one a line, on the process's stdin:
 *   drop [SEED]  ends the process. Without a seed no unsynced write stays; with one each unsynced sector (512 bytes) stays or goes by chance.
 *   die N SEED   the same after N more writes.
 *   eio N        the Nth sync from now fails, and what it was to sync is never on the disk, whatever is synced later.
 *   full BYTES   after that many more bytes, writes find no space.
 *   quota BYTES  the same, and the error is the one of a spent quota.
 *   space        there is space again.
 *
 * A new file is there after a loss only if its directory was synced. Shared memory (-shm) is not tracked: it means nothing after a crash.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { SECTOR = 512, SYNC_MICROSECONDS = 500 };

struct op {
  int truncates;
  off_t at;            /* of the write, or the new size */
  size_t new_len, old_len;
  char *new_bytes, *old_bytes;
  off_t old_size;
  int synced, doomed;
  struct op *next, *previous;
};

struct file {
  dev_t dev;
  ino_t ino;
  char path[4096];
  int named, gone, doomed;
  struct op *first, *last;
  struct file *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;
static char dir[4096];
static size_t dir_len;
static long fail_sync;        /* counts down to the sync that fails */
static long long space = -1;  /* bytes left, or no bound */
static int space_error = ENOSPC;
static long die_after;        /* counts down to the write that is the last */
static uint64_t die_seed;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void *need(size_t size) {
  void *memory = calloc(1, size ? size : 1);
  if (!memory) abort();
  return memory;
}

static int below(const char *path) {
  return dir_len && !strncmp(path, dir, dir_len) && (path[dir_len] == '/' || !path[dir_len]);
}

static int path_of(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, size - 1);
  if (len < 0) return 0;
  path[len] = 0;
  return below(path);
}

/* The file behind a descriptor if it is tracked. Needs the lock. */
static struct file *file_of(int fd) {
  struct stat st;
  char path[4096];
  if (!dir_len || fstat(fd, &st) || !S_ISREG(st.st_mode)) return NULL;
  for (struct file *f = files; f; f = f->next)
    if (!f->gone && f->dev == st.st_dev && f->ino == st.st_ino) return f;
  if (!path_of(fd, path, sizeof path)) return NULL;
  size_t len = strlen(path);
  if (len > 4 && !strcmp(path + len - 4, "-shm")) return NULL;
  struct file *f = need(sizeof *f);
  f->dev = st.st_dev;
  f->ino = st.st_ino;
  strcpy(f->path, path);
  f->named = 1;
  f->next = files;
  files = f;
  return f;
}

static struct op *push(struct file *f, int fd) {
  struct stat st;
  if (fstat(fd, &st)) abort();
  struct op *op = need(sizeof *op);
  op->old_size = st.st_size;
  op->previous = f->last;
  if (f->last) f->last->next = op; else f->first = op;
  f->last = op;
  return op;
}

static void keep_old(struct op *op, int fd, off_t at, size_t len) {
  op->old_bytes = need(len);
  /* The descriptor may be for writing only. */
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int reader = REAL(open)(link, O_RDONLY | O_CLOEXEC);
  ssize_t got = reader < 0 ? -1 : pread(reader, op->old_bytes, len, at);
  if (got < 0) abort();
  op->old_len = (size_t)got;
  close(reader);
}

static ssize_t tracked_write(int fd, const void *bytes, size_t len, off_t at, int moves) {
  if (space >= 0) {
    char path[4096];
    if (path_of(fd, path, sizeof path)) {
      if (space == 0 && len) { errno = space_error; return -1; }
      if ((long long)len > space) len = (size_t)space;
      space -= (long long)len;
    }
  }
  struct file *f = file_of(fd);
  if (f) {
    if (moves) at = lseek(fd, 0, SEEK_CUR);
    struct op *op = push(f, fd);
    op->at = at;
    op->new_len = len;
    op->new_bytes = need(len);
    memcpy(op->new_bytes, bytes, len);
    keep_old(op, fd, at, len);
  }
  return moves ? REAL(write)(fd, bytes, len) : REAL(pwrite)(fd, bytes, len, at);
}

static void drop(uint64_t seed);

static ssize_t do_write(int fd, const void *bytes, size_t len, off_t at, int moves) {
  pthread_mutex_lock(&lock);
  ssize_t wrote = tracked_write(fd, bytes, len, at, moves);
  int error = errno;
  if (die_after > 0 && file_of(fd) && --die_after == 0) drop(die_seed);
  pthread_mutex_unlock(&lock);
  errno = error;
  return wrote;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return do_write(fd, bytes, len, at, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at) { return do_write(fd, bytes, len, at, 0); }
ssize_t write(int fd, const void *bytes, size_t len) {
  if (fd <= 2) return REAL(write)(fd, bytes, len);
  return do_write(fd, bytes, len, 0, 1);
}

static int do_truncate(int fd, off_t size) {
  pthread_mutex_lock(&lock);
  struct file *f = file_of(fd);
  if (f) {
    struct op *op = push(f, fd);
    op->truncates = 1;
    op->at = size;
    if (op->old_size > size) keep_old(op, fd, size, (size_t)(op->old_size - size));
  }
  int done = REAL(ftruncate)(fd, size);
  int error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }
int ftruncate64(int fd, off_t size) { return do_truncate(fd, size); }

static void forget(struct file *f) {
  while (f->first && f->first->synced) {
    struct op *op = f->first;
    f->first = op->next;
    if (f->first) f->first->previous = NULL; else f->last = NULL;
    free(op->new_bytes);
    free(op->old_bytes);
    free(op);
  }
}

static int do_sync(int fd) {
  struct stat st;
  char path[4096];
  if (!dir_len || fstat(fd, &st) || !path_of(fd, path, sizeof path)) return REAL(fsync)(fd);
  pthread_mutex_lock(&lock);
  struct file *f = S_ISDIR(st.st_mode) ? NULL : file_of(fd);
  struct op *until = f ? f->last : NULL;
  int fails = fail_sync > 0 && --fail_sync == 0;
  pthread_mutex_unlock(&lock);
  usleep(SYNC_MICROSECONDS); /* a disk takes its time, and the power may go in it */
  pthread_mutex_lock(&lock);
  if (!fails && S_ISDIR(st.st_mode))
    for (struct file *each = files; each; each = each->next) each->named = 1;
  for (struct op *op = until; op; op = op->previous) {
    if (fails && !op->synced) op->doomed = 1;
    if (!op->doomed) op->synced = 1;
  }
  if (f && fails) f->doomed = 1;
  if (f && !f->doomed) forget(f);
  pthread_mutex_unlock(&lock);
  if (!fails) return 0;
  errno = EIO;
  return -1;
}

int fsync(int fd) { return do_sync(fd); }
int fdatasync(int fd) { return do_sync(fd); }

static int do_open(const char *path, int flags, mode_t mode) {
  int is_new = (flags & O_CREAT) && below(path) && access(path, F_OK);
  int fd = REAL(open)(path, flags, mode);
  if (fd >= 0 && is_new) {
    pthread_mutex_lock(&lock);
    struct file *f = file_of(fd);
    if (f) f->named = 0;
    pthread_mutex_unlock(&lock);
  }
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return do_open(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return do_open(path, flags, mode);
}

int unlink(const char *path) {
  pthread_mutex_lock(&lock);
  for (struct file *f = files; f; f = f->next)
    if (!strcmp(f->path, path)) f->gone = 1;
  int done = REAL(unlink)(path);
  pthread_mutex_unlock(&lock);
  return done;
}

static uint64_t chance;
static int heads(void) {
  chance ^= chance << 13;
  chance ^= chance >> 7;
  chance ^= chance << 17;
  return (chance * 0x2545f4914f6cdd1dULL) >> 63;
}

static void put(int fd, const char *bytes, size_t len, off_t at) {
  if (len && REAL(pwrite)(fd, bytes, len, at) != (ssize_t)len) abort();
}

/* Makes every file what a loss of power leaves, and ends. Needs the lock: nothing is written after. */
static void drop(uint64_t seed) {
  chance = seed;
  for (struct file *f = files; f; f = f->next) {
    if (f->gone) continue;
    if (!f->named) { REAL(unlink)(f->path); continue; }
    int fd = REAL(open)(f->path, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    for (struct op *op = f->last; op; op = op->previous) {
      if (op->truncates && REAL(ftruncate)(fd, op->at)) abort();
      put(fd, op->old_bytes, op->old_len, op->at);
      if (REAL(ftruncate)(fd, op->old_size)) abort();
    }
    for (struct op *op = f->first; op; op = op->next) {
      int whole = op->synced && !op->doomed;
      if (!whole && (op->doomed || !seed)) continue;
      if (op->truncates) {
        if ((whole || heads()) && REAL(ftruncate)(fd, op->at)) abort();
        continue;
      }
      for (size_t done = 0; done < op->new_len;) {
        size_t len = SECTOR - (size_t)((op->at + (off_t)done) % SECTOR);
        if (len > op->new_len - done) len = op->new_len - done;
        if (whole || heads()) put(fd, op->new_bytes + done, len, op->at + (off_t)done);
        done += len;
      }
    }
    close(fd);
  }
  _exit(0);
}

static void *obey(void *unused) {
  char line[128];
  (void)unused;
  while (fgets(line, sizeof line, stdin)) {
    unsigned long long number = 0, seed = 0;
    char word[16] = "";
    sscanf(line, "%15s %llu %llu", word, &number, &seed);
    pthread_mutex_lock(&lock);
    if (!strcmp(word, "drop")) drop(number);
    else if (!strcmp(word, "die")) { die_after = (long)number; die_seed = seed; }
    else if (!strcmp(word, "eio")) fail_sync = (long)number;
    else if (!strcmp(word, "full")) { space = (long long)number; space_error = ENOSPC; }
    else if (!strcmp(word, "quota")) { space = (long long)number; space_error = EDQUOT; }
    else if (!strcmp(word, "space")) space = -1;
    else abort();
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

__attribute__((constructor)) static void start(void) {
  const char *wanted = getenv("UNSYNCED_DIR");
  if (!wanted || !realpath(wanted, dir)) abort();
  dir_len = strlen(dir);
  pthread_t thread;
  if (pthread_create(&thread, NULL, obey, NULL)) abort();
  pthread_detach(thread);
}
