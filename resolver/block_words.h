/* Words that say what is blocked, alike in the configuration of the program, in the settings of a server and in what
 * a server tells a node. Pure. */
#ifndef RW_RESOLVER_BLOCK_WORDS_H
#define RW_RESOLVER_BLOCK_WORDS_H

#include "resolver/block.h"

/* One line that somebody wrote by hand, in any form of a list (block_list.h): ERR_MALFORMED and a sentence when it
 * names nothing. In a file of strangers such a line is one of many; here something was meant. */
int block_words_line(const char *text, struct errbuf *eb);
/* null, nxdomain, nodata, refused: the kind. An address: that kind, and the address beside one of the other family
 * that is there already. false: neither; *out is untouched. */
bool block_words_answer(const char *text, struct block_answer *out);
/* Text for a file's name: a-z, 0-9, - and _, not empty. */
bool block_words_is_plain(const char *name);
/* http:// or https:// in front. */
bool block_words_is_url(const char *text);

#endif
