/* An invitation: one line that has all that a machine needs to join. Made by the server, read by the node's command line.
 *
 *     ropewalk+https://AXk2...@mesh.example.com:8443
 *
 * The server's URL stands in clear, so that a person sees which network it is; before the @ is base64url of
 *
 *     u8 version (1), then fields in rising order {u8 kind, u8 len, value}, then 4 bytes of BLAKE2s-256
 *
 * over the URL, a zero byte and what stands before them: whatever was lost or changed on the way is noticed. A field
 * above 127 may be passed over by who does not know it; another may not. The line has no character that a shell, a mail
 * program or a chat changes, but for an IPv6 address in the URL, which has brackets.
 *
 * The line is a secret as long as its auth key is good: invite_wipe what was read. */
#ifndef RW_PROTO_INVITE_H
#define RW_PROTO_INVITE_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"

enum { INVITE_VERSION = 1, INVITE_LINE_MAX = 1536, INVITE_VALUE = 256 };

struct invite {
	char server[512];	     /* URL, http:// or https:// */
	struct machine_key key;	     /* the server's Noise key: nothing else is told the auth key */
	char auth_key[INVITE_VALUE]; /* lets the machine in */
	char name[64];		     /* what the machine is to be called; "" = as it calls itself */
	char tags[INVITE_VALUE];     /* those of the auth key, for people to read: "tag:a,tag:b" or "" */
};

/* The line, without an end of line. false: memory is short, or *v is none that could be read again. */
bool invite_write(const struct invite *v, struct buf *out);
/* White space in it is passed over: lines are wrapped on their way. 0, or a code with a sentence that says what is wrong;
 * *out is untouched then. */
int invite_read(const char *text, size_t len, struct invite *out, struct errbuf *eb);
void invite_wipe(struct invite *v);

#endif
