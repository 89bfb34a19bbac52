// The peer of `scripts/bench read`: what a small server in C with libfuse 3 takes to show a ramoops region.
//
//   peer SOURCE RECORD_SIZE CONSOLE_SIZE MOUNTPOINT
//
// As pstorefs it keeps nothing between requests: a size is read from the source when it is asked for, a
// file's bytes are those of the moment of open(2), names live 0 and attributes of a lookup 1 ms. It knows
// dumps without parity or compression, and one console (doc/formats.md 1.2-1.7).
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNATURE 0x43474244 // DBGC
#define ROOT FUSE_ROOT_ID
#define FIRST (ROOT + 1)
#define CONSOLE "console-ramoops-0"

// As long as the line before a dump can be.
#define LINE 64

struct zone {
  uint32_t signature, start, size;
  char begin[LINE];
};

struct snapshot {
  size_t length;
  char bytes[];
};

static int source;
static size_t record_size, console_size;
static int dumps, files;

static int is_console(int file) { return file == dumps; }
static off_t offset_of(int file) { return (off_t)file * record_size; }

static size_t room_of(int file) {
  return (is_console(file) ? console_size : record_size) - offsetof(struct zone, begin);
}

// Reads how a zone begins; returns false where it holds nothing.
static int look(int file, struct zone *zone) {
  ssize_t length = pread(source, zone, sizeof *zone, offset_of(file));
  return length == sizeof *zone && zone->signature == SIGNATURE && zone->size > 0 &&
         zone->size <= room_of(file) && zone->start <= zone->size;
}

// The length of the line before a dump, 0 where there is none, and its time.
static size_t line_of(const char *begin, size_t length, struct timespec *time) {
  const char *end = memchr(begin, '\n', length < LINE ? length : LINE);
  long long seconds;
  long microseconds;
  if (!end || sscanf(begin, "====%lld.%ld-", &seconds, &microseconds) != 2)
    return 0;
  *time = (struct timespec){.tv_sec = seconds, .tv_nsec = microseconds * 1000};
  return end + 1 - begin;
}

// Returns false where there is no such file.
static int attributes_of(int file, struct stat *st) {
  struct zone zone;
  if (file < 0 || file >= files || !look(file, &zone))
    return 0;
  memset(st, 0, sizeof *st);
  st->st_ino = FIRST + file;
  st->st_mode = S_IFREG | 0444;
  st->st_nlink = 1;
  st->st_size = zone.size;
  if (is_console(file))
    return 1;
  size_t line = line_of(zone.begin, zone.size, &st->st_mtim);
  st->st_ctim = st->st_mtim;
  st->st_size -= line;
  return line > 0 && st->st_size > 0;
}

static void name_of(int file, char name[LINE]) {
  if (is_console(file))
    strcpy(name, CONSOLE);
  else
    snprintf(name, LINE, "dmesg-ramoops-%d", file);
}

static void lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
  int file = -1;
  if (!strcmp(name, CONSOLE))
    file = dumps;
  else
    sscanf(name, "dmesg-ramoops-%d", &file);
  struct fuse_entry_param entry = {.attr_timeout = 0.001};
  if (parent != ROOT || !attributes_of(file, &entry.attr)) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  entry.ino = entry.attr.st_ino;
  fuse_reply_entry(request, &entry);
}

static void getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info) {
  struct stat st = {.st_ino = ROOT, .st_mode = S_IFDIR | 0755, .st_nlink = 2};
  if (ino == ROOT || attributes_of(ino - FIRST, &st))
    fuse_reply_attr(request, &st, 0);
  else
    fuse_reply_err(request, ENOENT);
}

static void read_folder(fuse_req_t request, fuse_ino_t ino, size_t size, off_t from,
                        struct fuse_file_info *info) {
  char *entries = malloc(size);
  size_t length = 0;
  for (int file = from; entries && file < files; file++) {
    struct stat st;
    if (!attributes_of(file, &st))
      continue;
    char name[LINE];
    name_of(file, name);
    size_t n = fuse_add_direntry(request, entries + length, size - length, name, &st, file + 1);
    if (n > size - length)
      break;
    length += n;
  }
  if (entries)
    fuse_reply_buf(request, entries, length);
  else
    fuse_reply_err(request, ENOMEM);
  free(entries);
}

static void open_file(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info) {
  int file = ino - FIRST;
  struct zone zone;
  if (!look(file, &zone)) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  off_t data = offset_of(file) + offsetof(struct zone, begin);
  struct snapshot *snapshot = malloc(sizeof *snapshot + zone.size);
  // The oldest bytes first.
  size_t old = zone.size - zone.start;
  if (!snapshot || pread(source, snapshot->bytes, old, data + zone.start) != (ssize_t)old ||
      pread(source, snapshot->bytes + old, zone.start, data) != (ssize_t)zone.start) {
    free(snapshot);
    fuse_reply_err(request, EIO);
    return;
  }
  struct timespec time;
  size_t line = is_console(file) ? 0 : line_of(snapshot->bytes, zone.size, &time);
  snapshot->length = zone.size - line;
  memmove(snapshot->bytes, snapshot->bytes + line, snapshot->length);
  info->fh = (uintptr_t)snapshot;
  info->direct_io = 1;
  fuse_reply_open(request, info);
}

static void read_file(fuse_req_t request, fuse_ino_t ino, size_t size, off_t from,
                      struct fuse_file_info *info) {
  struct snapshot *snapshot = (struct snapshot *)(uintptr_t)info->fh;
  size_t left = (size_t)from < snapshot->length ? snapshot->length - from : 0;
  fuse_reply_buf(request, left ? snapshot->bytes + from : NULL, left < size ? left : size);
}

static void release(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info) {
  free((void *)(uintptr_t)info->fh);
  fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = lookup,
    .getattr = getattr,
    .readdir = read_folder,
    .open = open_file,
    .read = read_file,
    .release = release,
};

int main(int argc, char **argv) {
  struct stat st;
  if (argc != 5 || (source = open(argv[1], O_RDONLY)) < 0 || fstat(source, &st)) {
    fprintf(stderr, "usage: peer SOURCE RECORD_SIZE CONSOLE_SIZE MOUNTPOINT\n");
    return 2;
  }
  record_size = strtoul(argv[2], NULL, 10);
  console_size = strtoul(argv[3], NULL, 10);
  dumps = record_size ? (st.st_size - console_size) / record_size : 0;
  files = dumps + (console_size > 0);

  char *options[] = {"peer", "-o", "fsname=peer"};
  struct fuse_args args = FUSE_ARGS_INIT(3, options);
  struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);
  if (!session || fuse_session_mount(session, argv[4]) || fuse_daemonize(0))
    return 1;
  // Threads that stay: the CPU time of one that has ended is not counted.
  struct fuse_loop_config config = {.max_idle_threads = 100};
  int failed = fuse_session_loop_mt(session, &config);
  fuse_session_unmount(session);
  return failed != 0;
}
