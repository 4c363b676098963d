#include "system.h"

#include <time.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif


static double seconds (clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}


double emr_monotonic (void) {
  return seconds(CLOCK_MONOTONIC);
}


double emr_wallclock (void) {
  return seconds(CLOCK_REALTIME);
}


int emr_random (void *p, size_t n) {
  return getentropy(p, n) == 0;
}
