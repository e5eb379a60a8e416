/* A disk that writes down what it is told, and fails when it is told to; for LD_PRELOAD.
 *
 * DISK_FOLDER    only files in this folder, and SQLite's temporary files, are ours
 * DISK_RECORD    where every write, sync, truncation, creation, renaming and removal is written down
 * DISK_SWITCHES  a file whose bytes, looked at before every operation, are the faults; see disk.py
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 4096
#define NAME 256

enum kind { NOT_OURS, DATA, LOG, TEMPORARY, OTHER, FOLDER };
enum switches { DATA_FULL, LOG_FULL, TEMPORARY_FULL, SYNC_FAILS, END_AT_DATA_WRITE };
enum what { WRITE = 1, SYNC, TRUNCATE, CREATE, RENAME, UNLINK, FOLDER_SYNC };

struct record {
  uint32_t what, name;
  uint64_t offset, length;
} __attribute__((packed));

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static enum kind kinds[FILES];
static char names[FILES][NAME];
static const char *folder;
static size_t folder_length;
static int record = -1;
static volatile unsigned char *switches;
static unsigned char off[16];

typedef int (*open_t)(const char *, int, ...);
typedef int (*openat_t)(int, const char *, int, ...);
typedef int (*close_t)(int);
typedef ssize_t (*write_t)(int, const void *, size_t);
typedef ssize_t (*pwrite_t)(int, const void *, size_t, off_t);
typedef int (*fsync_t)(int);
typedef int (*ftruncate_t)(int, off_t);
typedef int (*rename_t)(const char *, const char *);
typedef int (*unlink_t)(const char *);

static open_t real_open;
static openat_t real_openat;
static close_t real_close;
static write_t real_write;
static pwrite_t real_pwrite;
static fsync_t real_fsync;
static fsync_t real_fdatasync;
static ftruncate_t real_ftruncate;
static rename_t real_rename;
static unlink_t real_unlink;

__attribute__((constructor)) static void begin(void) {
  real_open = (open_t)dlsym(RTLD_NEXT, "open64");
  real_openat = (openat_t)dlsym(RTLD_NEXT, "openat64");
  real_close = (close_t)dlsym(RTLD_NEXT, "close");
  real_write = (write_t)dlsym(RTLD_NEXT, "write");
  real_pwrite = (pwrite_t)dlsym(RTLD_NEXT, "pwrite64");
  real_fsync = (fsync_t)dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = (fsync_t)dlsym(RTLD_NEXT, "fdatasync");
  real_ftruncate = (ftruncate_t)dlsym(RTLD_NEXT, "ftruncate64");
  real_rename = (rename_t)dlsym(RTLD_NEXT, "rename");
  real_unlink = (unlink_t)dlsym(RTLD_NEXT, "unlink");
  switches = off;
  folder = getenv("DISK_FOLDER");
  if (!folder) return;
  folder_length = strlen(folder);
  const char *path = getenv("DISK_RECORD");
  if (path) record = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  path = getenv("DISK_SWITCHES");
  int opened = path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
  if (opened < 0) return;
  void *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
  if (mapped != MAP_FAILED) switches = mapped;
  real_close(opened);
}

static int ends_with(const char *text, const char *end) {
  size_t length = strlen(text), short_length = strlen(end);
  return length >= short_length && !strcmp(text + length - short_length, end);
}

/* The name within the folder, "" for the folder itself; NULL for what is not in it. */
static const char *name_of(const char *path) {
  if (!folder || !path || strncmp(path, folder, folder_length)) return NULL;
  const char *rest = path + folder_length;
  if (!*rest) return rest;
  return *rest == '/' && !strchr(rest + 1, '/') ? rest + 1 : NULL;
}

static enum kind kind_of(const char *path) {
  if (folder && path && strstr(path, "etilqs_")) return TEMPORARY;
  const char *name = name_of(path);
  if (!name || ends_with(name, "-shm") || ends_with(name, ".lock")) return NOT_OURS;
  if (!*name) return FOLDER;
  if (ends_with(name, "-wal")) return LOG;
  return ends_with(name, ".db") ? DATA : OTHER;
}

static void write_down(enum what what, const char *name, uint64_t offset, const void *data, uint64_t length) {
  if (record < 0) return;
  struct record one = {what, strlen(name), offset, length};
  if (real_write(record, &one, sizeof one) < 0) abort();
  if (real_write(record, name, one.name) < 0) abort();
  while (data && length) {
    ssize_t written = real_write(record, data, length);
    if (written < 0) abort();
    data = (const char *)data + written;
    length -= written;
  }
}

static enum kind kind_at(int fd) { return fd >= 0 && fd < FILES ? kinds[fd] : NOT_OURS; }

static int opened(int fd, const char *path, int existed) {
  if (fd < 0 || fd >= FILES) return fd;
  pthread_mutex_lock(&one_at_a_time);
  kinds[fd] = kind_of(path);
  if (kinds[fd] != NOT_OURS && kinds[fd] != TEMPORARY) {
    snprintf(names[fd], NAME, "%s", name_of(path));
    if (!existed) write_down(CREATE, names[fd], 0, NULL, 0);
  }
  pthread_mutex_unlock(&one_at_a_time);
  return fd;
}

static int exists(const char *path) {
  int before = errno, found = !access(path, F_OK);
  errno = before;
  return found;
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list more; \
    va_start(more, flags); \
    mode = va_arg(more, mode_t); \
    va_end(more); \
  }

int open64(const char *path, int flags, ...) {
  MODE(flags)
  int existed = exists(path);
  return opened(real_open(path, flags, mode), path, existed);
}

int open(const char *path, int flags, ...) {
  MODE(flags)
  int existed = exists(path);
  return opened(real_open(path, flags, mode), path, existed);
}

int openat64(int at, const char *path, int flags, ...) {
  MODE(flags)
  int existed = exists(path);
  return opened(real_openat(at, path, flags, mode), path, existed);
}

int openat(int at, const char *path, int flags, ...) {
  MODE(flags)
  int existed = exists(path);
  return opened(real_openat(at, path, flags, mode), path, existed);
}

int close(int fd) {
  if (fd >= 0 && fd < FILES) kinds[fd] = NOT_OURS;
  return real_close(fd);
}

/* A full disk lets a file be written over, and not grow. */
static int is_full(int fd, off_t end) {
  enum kind kind = kind_at(fd);
  if (kind < DATA || kind > TEMPORARY || !switches[kind - DATA]) return 0;
  struct stat found;
  return fstat(fd, &found) || end > found.st_size;
}

static ssize_t put(int fd, const void *data, size_t length, off_t offset, int here) {
  enum kind kind = kind_at(fd);
  if (kind == NOT_OURS) return here ? real_write(fd, data, length) : real_pwrite(fd, data, length, offset);
  pthread_mutex_lock(&one_at_a_time);
  if (kind == DATA && switches[END_AT_DATA_WRITE] && !--switches[END_AT_DATA_WRITE]) _exit(87);
  ssize_t written = -1;
  if (here) offset = lseek(fd, 0, SEEK_CUR);
  if (is_full(fd, offset + length)) {
    errno = ENOSPC;
  } else {
    written = here ? real_write(fd, data, length) : real_pwrite(fd, data, length, offset);
    if (written > 0 && kind != TEMPORARY) write_down(WRITE, names[fd], offset, data, written);
  }
  pthread_mutex_unlock(&one_at_a_time);
  return written;
}

ssize_t write(int fd, const void *data, size_t length) { return put(fd, data, length, 0, 1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return put(fd, data, length, offset, 0); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return put(fd, data, length, offset, 0); }

static int synced(int fd, fsync_t real) {
  enum kind kind = kind_at(fd);
  if (kind == NOT_OURS || kind == TEMPORARY) return real(fd);
  pthread_mutex_lock(&one_at_a_time);
  int result = -1;
  if (switches[SYNC_FAILS]) {
    errno = EIO;
  } else {
    result = real(fd);
    if (!result) write_down(kind == FOLDER ? FOLDER_SYNC : SYNC, names[fd], 0, NULL, 0);
  }
  pthread_mutex_unlock(&one_at_a_time);
  return result;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

static int truncated(int fd, off_t length) {
  enum kind kind = kind_at(fd);
  if (kind == NOT_OURS || kind == TEMPORARY) return real_ftruncate(fd, length);
  pthread_mutex_lock(&one_at_a_time);
  int result = -1;
  if (is_full(fd, length)) {
    errno = ENOSPC;
  } else {
    result = real_ftruncate(fd, length);
    if (!result) write_down(TRUNCATE, names[fd], length, NULL, 0);
  }
  pthread_mutex_unlock(&one_at_a_time);
  return result;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off_t length) { return truncated(fd, length); }

int rename(const char *from, const char *to) {
  pthread_mutex_lock(&one_at_a_time);
  int result = real_rename(from, to);
  if (!result && kind_of(from) != NOT_OURS && kind_of(to) != NOT_OURS)
    write_down(RENAME, name_of(from), 0, name_of(to), strlen(name_of(to)));
  pthread_mutex_unlock(&one_at_a_time);
  return result;
}

int unlink(const char *path) {
  pthread_mutex_lock(&one_at_a_time);
  int result = real_unlink(path);
  if (!result && kind_of(path) != NOT_OURS && kind_of(path) != TEMPORARY)
    write_down(UNLINK, name_of(path), 0, NULL, 0);
  pthread_mutex_unlock(&one_at_a_time);
  return result;
}
