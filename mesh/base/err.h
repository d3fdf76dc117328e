/* Error codes and the sentence that goes with them. A code for the program, a sentence for the human. */
#ifndef RW_BASE_ERR_H
#define RW_BASE_ERR_H

#include <stdbool.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Below any -errno, so both kinds travel in one int. */
#define ERR_LIST(X) \
	X(MALFORMED, "malformed message") \
	X(TOO_LARGE, "too large") \
	X(UNSUPPORTED, "not supported") \
	X(CRYPTO, "authentication failed") \
	X(CLOSED, "closed by the other side") \
	X(NO_SESSION, "no session") \
	X(NO_PEER, "no such peer") \
	X(REFUSED, "refused") \
	X(VERSION, "written by another version")

enum err {
	ERR_FIRST = -1000,
#define X(name, text) ERR_##name,
	ERR_LIST(X)
#undef X
};

/* Filled by the layer that knows the context: "open tun rope0: Permission denied". */
struct errbuf {
	int code;
	char text[384];
};

/* Static text for a code of enum err or a negative errno; of any other too. */
const char *err_text(int code);

/* Formats "<fmt...>: <err_text(code)>" into eb (NULL is fine) and returns code. */
int err_set(struct errbuf *eb, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Same without the trailing err_text, for sentences that say it all. Returns code. */
int err_say(struct errbuf *eb, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Of several things that are all done, whatever becomes of each: the first error stays. `next` is made in any case; what is
 * done only while nothing is wrong is `if (!err) err = ...`. */
static inline int err_first(int err, int next)
{
	return err ? err : next;
}

#endif
