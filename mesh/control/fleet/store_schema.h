/* The tables of the database, as the steps that make them from any older format. A step is never changed once
 * it was released: a new format is a step behind the last. */
#ifndef RW_CONTROL_FLEET_STORE_SCHEMA_H
#define RW_CONTROL_FLEET_STORE_SCHEMA_H

enum { STORE_FORMAT = 13 }; /* PRAGMA user_version of a file that is up to date */
/* [i] takes a file from format i to i + 1. */
extern const char *const store_migrations[STORE_FORMAT];

#endif
