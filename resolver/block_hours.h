/* When a list holds: "22:00-07:00", "mon-fri 08:00-16:00", "sat,sun 00:00-24:00". One that ends before it begins
 * goes over midnight, and belongs to the day it began on. */
#ifndef RW_RESOLVER_BLOCK_HOURS_H
#define RW_RESOLVER_BLOCK_HOURS_H

#include <stdbool.h>
#include <stdint.h>

enum { HOURS_DAY_MIN = 24 * 60 };
struct block_hours {
	uint8_t days;	    /* a bit for each, Sunday first */
	uint16_t from, end; /* minutes of the day, up to 24:00; end is not in it */
};
bool block_hours_parse(const char *text, struct block_hours *out); /* false: out untouched */
/* day: 0 = Sunday; minute: of that day. */
bool block_hours_hold(const struct block_hours *h, unsigned day, unsigned minute);

#endif
