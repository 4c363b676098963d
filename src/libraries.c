#define _GNU_SOURCE  /* dladdr */

#include "libraries.h"

#include <dlfcn.h>
#include <pthread.h>

#include <curl/curl.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;


/* A resolver thread that is still waiting when its Lua state closes must find
** libcurl where it was. A module that stays mapped keeps its libraries. */
static void staymapped (void) {
  Dl_info self;
  if (dladdr((const void *)&once, &self) != 0 && self.dli_fname != NULL) {
    void *handle = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    if (handle != NULL)
      dlclose(handle);
  }
}


static void start (void) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  staymapped();
}


void emr_libraries_start (void) {
  pthread_once(&once, start);
}
