/* The one place where the version is written. */
#ifndef EMR_VERSION_H
#define EMR_VERSION_H

#define EMR_VERSION "0.1.0"

#endif
