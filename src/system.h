/*
** Clocks and random bytes of the operating system.
*/
#ifndef EMR_SYSTEM_H
#define EMR_SYSTEM_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

double emr_monotonic (void);  /* seconds */
double emr_wallclock (void);  /* seconds since 1970 */

/* Returns 0 when the system has no random bytes to give. */
int emr_random (void *p, size_t n);

#pragma GCC visibility pop

#endif
