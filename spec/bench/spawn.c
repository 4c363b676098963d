/*
** Runs a command again and again, and prints what its processes cost:
**
**     spawn TIMES COMMAND [ARGUMENT...]
*/
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;


static double now (void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}


static int ascending (const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}


static void run (char **argv, struct rusage *r) {
  posix_spawn_file_actions_t quiet;
  pid_t pid;
  int status;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ) != 0 ||
      wait4(pid, &status, 0, r) != pid || status != 0) {
    fprintf(stderr, "spawn: %s failed\n", argv[0]);
    exit(1);
  }
  posix_spawn_file_actions_destroy(&quiet);
}


static double seconds (struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}


int main (int argc, char **argv) {
  long i, n = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
  double *took = n > 0 ? (double *)calloc((size_t)n, sizeof(double)) : NULL;
  double cpu = 0, began = now();
  long memory = 0;
  if (took == NULL)
    return 2;
  for (i = 0; i < n; i++) {
    struct rusage r;
    double t = now();
    run(argv + 2, &r);
    took[i] = now() - t;
    cpu += seconds(r.ru_utime) + seconds(r.ru_stime);
    memory = r.ru_maxrss > memory ? r.ru_maxrss : memory;
  }
  qsort(took, (size_t)n, sizeof(double), ascending);
  printf("calls=%ld cpu=%.9f wall=%.9f p50=%.9f p99=%.9f memory=%ld\n", n, cpu, now() - began,
         took[n / 2], took[n * 99 / 100], memory);
  free(took);
  return 0;
}
