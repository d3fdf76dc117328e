/* The warning that this machine's own key ends soon. Pure; times are Unix milliseconds of the server's clock. */
#ifndef RW_NODE_KEY_END_H
#define RW_NODE_KEY_END_H

#include <stdint.h>

enum { KEY_END_TEXT = 192 };

/* 14, 3 or 1: so many days at most are left. 0: more, or it has ended. end_ms INT64_MIN: it never ends. */
unsigned key_end_stage(int64_t end_ms, int64_t now_ms);
/* The sentence for people; "" at stage 0. Returns buf. */
char *key_end_text(int64_t end_ms, int64_t now_ms, char buf[static KEY_END_TEXT]);

#endif
