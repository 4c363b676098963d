/*
** What is done once in a process, whatever number of Lua states there is.
*/
#ifndef EMR_LIBRARIES_H
#define EMR_LIBRARIES_H

#pragma GCC visibility push(hidden)

/* Starts libcurl, which is never undone: the host may go on without us. */
void emr_libraries_start (void);

#pragma GCC visibility pop

#endif
