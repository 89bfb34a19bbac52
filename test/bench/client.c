// How long open, read and close of a dump take: client FOLDER prints the median and the 99th
// percentile in microseconds.
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAMES 4096
#define TIMES 4000

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
  static char names[NAMES][256], bytes[65536];
  static double times[TIMES];
  int count = 0;
  if (argc != 2 || chdir(argv[1]))
    err(1, "%s", argc > 1 ? argv[1] : "which folder?");
  DIR *folder = opendir(".");
  for (struct dirent *entry; folder && count < NAMES && (entry = readdir(folder));)
    if (!strncmp(entry->d_name, "dmesg-", 6))
      snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
  if (count == 0)
    errx(1, "%s: no dumps", argv[1]);
  // The same order in each run.
  srand(1);
  for (int i = 0; i < TIMES; i++) {
    const char *name = names[rand() % count];
    double start = now();
    int file = open(name, O_RDONLY);
    if (file < 0 || read(file, bytes, sizeof bytes) <= 0)
      err(1, "%s", name);
    close(file);
    times[i] = now() - start;
  }
  qsort(times, TIMES, sizeof times[0], compare);
  printf("%.1f %.1f\n", times[TIMES / 2], times[TIMES / 100 * 99]);
}
