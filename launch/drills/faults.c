// Disturbs a program's calls to the system: a library for LD_PRELOAD. Only files under DRILL_ROOT count, and all of the
// program's threads together.
//
//   DRILL_FAULT="CALL N WHAT"    what happens at the N-th call of a kind; with "N+" also at all later ones
//   DRILL_FILE=TEXT              only calls on files whose path has this text count for that
//   DRILL_RANK=R                 the fault meets rank R of an MPI job only
//   DRILL_CALLS=FILE             appends a line for each call: its kind and the file's path
//   DRILL_CUT=DIRECTORY          keeps what a power cut would leave; see `cut`
//   DRILL_CLOCK="S OFFSET"       after S seconds somebody sets the clock forward by OFFSET seconds, or back
//
// CALL is open, create, read, list, write, sync, lock, rename, mkdir or remove; "grow" for create, write and mkdir;
// "change" for all that change something; "end" for the end of MPI; or "thread" for the start of a thread by the program
// itself, not by a library. WHAT is
//
//   a number    the call fails with this errno, and does nothing
//   half        a read or a write does half of what it was asked for, as it may
//   garble      a read gives one wrong bit
//   flip        a bit of a tensor that was written to a checkpoint before changes in the program's memory
//   kill, stop  the process gets KILL or STOP before the call
//   cut         the power goes off before the call
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { OPEN, CREATE, READ, LIST, WRITE, SYNC, LOCK, RENAME, MKDIR, REMOVE, END, THREAD, KINDS };
static const char *const names[] = {"open", "create", "read",  "list",   "write", "sync",
                                    "lock", "rename", "mkdir", "remove", "end",  "thread"};

static char root[PATH_MAX], what[16];
static const char *calls, *shadow, *part_of_path;
static unsigned kinds;  // A bit for each kind that counts.
static long first;
static int goes_on;
static atomic_long count;

// The system's own function of a name.
#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

static void begin(void) {
  static atomic_int has_begun;
  if (atomic_exchange(&has_begun, 1)) return;
  const char *place = getenv("DRILL_ROOT"), *fault = getenv("DRILL_FAULT");
  if (!place || !realpath(place, root)) return;
  calls = getenv("DRILL_CALLS");
  shadow = getenv("DRILL_CUT");
  part_of_path = getenv("DRILL_FILE");
  const char *rank = getenv("DRILL_RANK"), *own_rank = getenv("OMPI_COMM_WORLD_RANK");
  if (rank && own_rank && strcmp(rank, own_rank)) return;
  char kind[16] = "", number[32] = "";
  if (!fault || sscanf(fault, "%15s %31s %15s", kind, number, what) != 3) return;
  for (int k = 0; k < KINDS; k++)
    if (!strcmp(kind, names[k])) kinds = 1u << k;
  if (!strcmp(kind, "grow")) kinds = 1u << CREATE | 1u << WRITE | 1u << MKDIR;
  if (!strcmp(kind, "change"))
    kinds = 1u << CREATE | 1u << WRITE | 1u << MKDIR | 1u << SYNC | 1u << RENAME | 1u << REMOVE;
  first = atol(number);
  goes_on = strchr(number, '+') != NULL;
}

// MARK: What a power cut leaves

/// A name of a file or directory that no other one ever has: inodes are used again.
static void key(int directory, const char *name, int flags, char *text, size_t size) {
  struct statx s = {0};
  syscall(SYS_statx, directory, name, flags | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME | STATX_MODE, &s);
  snprintf(text, size, "%c%llu.%lld.%u", S_ISDIR(s.stx_mode) ? 'd' : 'f', (unsigned long long)s.stx_ino,
           (long long)s.stx_btime.tv_sec, s.stx_btime.tv_nsec);
}

static int shadow_file(const char *prefix, const char *name) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s%s", shadow, prefix, name);
  return syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

/// Notes the names in a directory with the keys of what they stand for.
static void keep_names(const char *prefix, const char *path) {
  char own[80], other[80], line[PATH_MAX];
  key(AT_FDCWD, path, 0, own, sizeof own);
  DIR *directory = REAL(DIR * (*)(const char *), "opendir")(path);
  int file = shadow_file(prefix, own);
  struct dirent *entry;
  while (directory && (entry = REAL(struct dirent * (*)(DIR *), "readdir")(directory))) {
    if (entry->d_name[0] == '.' && (!entry->d_name[1] || !strcmp(entry->d_name, ".."))) continue;
    key(dirfd(directory), entry->d_name, 0, other, sizeof other);
    int n = snprintf(line, sizeof line, "%s %s\n", other, entry->d_name);
    syscall(SYS_write, file, line, n);
    if (other[0] == 'd' && !strcmp(prefix, "now-")) {
      snprintf(line, sizeof line, "%s/%s", path, entry->d_name);
      keep_names(prefix, line);
    }
  }
  if (directory) closedir(directory);
  syscall(SYS_close, file);
}

/// Keeps what a sync has brought to the disk: a file's bytes, or a directory's names. A directory's own name must be
/// synced by syncing the directory around it.
static void keep(int file, const char *path) {
  struct stat status;
  if (!shadow || fstat(file, &status) != 0) return;
  if (S_ISDIR(status.st_mode)) return keep_names("", path);
  char name[80], bytes[1 << 16];
  key(file, "", AT_EMPTY_PATH, name, sizeof name);
  int copy = shadow_file("", name);
  off_t place = 0;
  // The program may have opened the file for writing only.
  int again = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  for (long n; (n = syscall(SYS_pread64, again, bytes, sizeof bytes, place)) > 0; place += n)
    syscall(SYS_write, copy, bytes, n);
  syscall(SYS_close, again);
  syscall(SYS_close, copy);
}

/// Notes the names of this moment, too, which may be on the disk although nobody has synced them.
static void cut(void) {
  char own[80];
  key(AT_FDCWD, root, 0, own, sizeof own);
  int file = shadow_file("", "root");
  syscall(SYS_write, file, own, strlen(own));
  syscall(SYS_close, file);
  keep_names("now-", root);
}

// MARK: Bits

// A tensor of a checkpoint, in the program's memory.
static struct { unsigned char *base; size_t count; } tensors[1024];
static atomic_int tensor_count;

static unsigned long draw(void) {
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  unsigned long x = now.tv_nsec * 6364136223846793005ul + 1442695040888963407ul;
  return x >> 33;
}

static void remember(const char *path, const void *bytes, size_t count, off_t place) {
  if (strcmp(what, "flip") || place == 0 || !strstr(path, "/checkpoints/step-")) return;
  int n = atomic_fetch_add(&tensor_count, 1);
  if (n >= 1024) return;
  tensors[n].base = (void *)bytes;
  tensors[n].count = count;
}

static void flip(void) {
  int known = tensor_count < 1024 ? tensor_count : 1024;
  if (!known) return;
  int n = draw() % known;
  tensors[n].base[draw() % tensors[n].count] ^= 1 << draw() % 8;
}

// MARK: Calls

/// Counts a call. Returns the errno with which it is to fail, -1 for another fault that is due, 0 for none.
static int meet(int kind, const char *path) {
  begin();
  size_t length = strlen(root);
  if (kind < END && (!length || strncmp(path, root, length) || (path[length] != '/' && path[length] != 0))) return 0;
  if (calls && kind < END) {
    char line[2 * PATH_MAX + 16];
    int n = snprintf(line, sizeof line, "%s %s\n", names[kind], path);
    int file = syscall(SYS_openat, AT_FDCWD, calls, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    syscall(SYS_write, file, line, n);
    syscall(SYS_close, file);
  }
  if (!(kinds >> kind & 1) || (part_of_path && !strstr(path, part_of_path))) return 0;
  long number = atomic_fetch_add(&count, 1) + 1;
  if (number != first && !(goes_on && number > first)) return 0;
  if (!strcmp(what, "flip")) flip();
  if (!strcmp(what, "cut")) cut();
  if (!strcmp(what, "cut") || !strcmp(what, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(what, "stop")) kill(getpid(), SIGSTOP);
  if (what[0] < '0' || what[0] > '9') return !strcmp(what, "half") || !strcmp(what, "garble") ? -1 : 0;
  return errno = atoi(what);
}

/// The same for a call that names an open file.
static int meet_file(int kind, int file, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return meet(kind, path);
}

/// The same for a call that names a file by a path, perhaps with links. The file need not be there.
static int meet_path(int kind, const char *path) {
  char parent[PATH_MAX], whole[2 * PATH_MAX];
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  int length = slash ? (int)(slash - path) + 1 : 1;
  snprintf(whole, sizeof whole, "%.*s", length, slash ? path : ".");
  if (!realpath(whole, parent)) return 0;
  snprintf(whole, sizeof whole, "%s%s%s", parent, *name ? "/" : "", name);
  return meet(kind, whole);
}

static int open_file(int directory, const char *path, int flags, mode_t mode) {
  if (path[0] == '/' || directory == AT_FDCWD) {
    int creates = flags & O_CREAT && access(path, F_OK) != 0;
    if (meet_path(creates ? CREATE : OPEN, path) > 0) return -1;
  }
  return syscall(SYS_openat, directory, path, flags, mode);
}

#define OPENING(name)                                                       \
  int name(const char *path, int flags, ...) {                              \
    va_list rest;                                                           \
    va_start(rest, flags);                                                  \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                           \
    return open_file(AT_FDCWD, path, flags, mode);                          \
  }
OPENING(open)
OPENING(open64)

static size_t part(int fault, size_t size) { return fault == -1 && !strcmp(what, "half") && size > 1 ? size / 2 : size; }

static ssize_t received(int fault, void *bytes, ssize_t count) {
  if (fault == -1 && !strcmp(what, "garble") && count > 0) ((char *)bytes)[draw() % count] ^= 1 << draw() % 8;
  return count;
}

ssize_t read(int file, void *bytes, size_t size) {
  char path[PATH_MAX];
  int fault = meet_file(READ, file, path);
  return fault > 0 ? -1 : received(fault, bytes, syscall(SYS_read, file, bytes, part(fault, size)));
}

ssize_t pread(int file, void *bytes, size_t size, off_t place) {
  char path[PATH_MAX];
  int fault = meet_file(READ, file, path);
  return fault > 0 ? -1 : received(fault, bytes, syscall(SYS_pread64, file, bytes, part(fault, size), place));
}
ssize_t pread64(int file, void *bytes, size_t size, off_t place) { return pread(file, bytes, size, place); }

ssize_t write(int file, const void *bytes, size_t size) {
  char path[PATH_MAX];
  int fault = meet_file(WRITE, file, path);
  return fault > 0 ? -1 : syscall(SYS_write, file, bytes, part(fault, size));
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t place) {
  char path[PATH_MAX] = "";
  int fault = meet_file(WRITE, file, path);
  if (!fault) remember(path, bytes, size, place);
  return fault > 0 ? -1 : syscall(SYS_pwrite64, file, bytes, part(fault, size), place);
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off_t place) { return pwrite(file, bytes, size, place); }

int fsync(int file) {
  char path[PATH_MAX];
  if (meet_file(SYNC, file, path) > 0) return -1;
  int result = syscall(SYS_fsync, file);
  if (result == 0 && shadow && root[0] && !strncmp(path, root, strlen(root))) keep(file, path);
  return result;
}

int flock(int file, int operation) {
  char path[PATH_MAX];
  return meet_file(LOCK, file, path) > 0 ? -1 : syscall(SYS_flock, file, operation);
}

int rename(const char *from, const char *to) {
  return meet_path(RENAME, to) > 0 ? -1 : syscall(SYS_rename, from, to);
}

int mkdir(const char *path, mode_t mode) {
  return meet_path(MKDIR, path) > 0 ? -1 : syscall(SYS_mkdir, path, mode);
}

int unlink(const char *path) { return meet_path(REMOVE, path) > 0 ? -1 : syscall(SYS_unlink, path); }
int rmdir(const char *path) { return meet_path(REMOVE, path) > 0 ? -1 : syscall(SYS_rmdir, path); }

DIR *opendir(const char *path) {
  if (meet_path(LIST, path) > 0) return NULL;
  return REAL(DIR * (*)(const char *), "opendir")(path);
}

struct dirent *readdir(DIR *directory) {
  char path[PATH_MAX];
  if (meet_file(LIST, dirfd(directory), path) > 0) return NULL;
  return REAL(struct dirent * (*)(DIR *), "readdir")(directory);
}

int MPI_Finalize(void) {
  if (meet(END, "") > 0) return 1;
  return REAL(int (*)(void), "MPI_Finalize")();
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  Dl_info caller, program;
  int is_own = dladdr(__builtin_return_address(0), &caller) && dladdr((void *)getauxval(AT_ENTRY), &program) &&
               caller.dli_fbase == program.dli_fbase;
  int fault = is_own ? meet(THREAD, "") : 0;
  if (fault > 0) return fault;
  return REAL(int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *), "pthread_create")(
      thread, attributes, body, argument);
}

// MARK: The clock

static double seconds(clockid_t clock) {
  struct timespec now;
  syscall(SYS_clock_gettime, clock, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

/// When the clock is set, in its old time, and by how much.
static double set_at, offset;

__attribute__((constructor)) static void plan_clock(void) {
  const char *plan = getenv("DRILL_CLOCK");
  double after;
  if (plan && sscanf(plan, "%lf %lf", &after, &offset) == 2) set_at = seconds(CLOCK_REALTIME) + after;
}

static time_t shift(void) { return set_at != 0 && seconds(CLOCK_REALTIME) >= set_at ? (time_t)offset : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME && result == 0) now->tv_sec += shift();
  return result;
}

int gettimeofday(struct timeval *now, void *zone) {
  int result = syscall(SYS_gettimeofday, now, zone);
  if (result == 0) now->tv_sec += shift();
  return result;
}

time_t time(time_t *place) {
  time_t now = (time_t)seconds(CLOCK_REALTIME) + shift();
  if (place) *place = now;
  return now;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *limit) {
  struct timespec moved = *limit;
  double end = limit->tv_sec + limit->tv_nsec * 1e-9;
  int is_set = set_at != 0 && seconds(CLOCK_REALTIME) >= set_at;
  // Limits by the steady clock are small numbers. One by the clock that is set ends when that one shows it.
  if (set_at != 0 && limit->tv_sec > 1000000000 && (is_set || end > set_at)) {
    double truly = is_set || end - offset > set_at ? end - offset : set_at;
    moved.tv_sec = (time_t)truly;
    moved.tv_nsec = (long)((truly - (time_t)truly) * 1e9);
  }
  return REAL(int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *), "pthread_cond_timedwait")(
      condition, mutex, &moved);
}
