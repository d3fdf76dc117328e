/* What libyaml says of a text that it cannot read, in words for who wrote it. libyaml itself stays with those who call it. */
#ifndef RW_BASE_YAML_FAULT_H
#define RW_BASE_YAML_FAULT_H

#include <stdbool.h>
#include <stddef.h>

struct yaml_fault {
	const char *problem, *context; /* NULL = none */
	size_t line, column;	       /* from 0, in characters */
	size_t context_line;	       /* from 0 */
	size_t offset;		       /* is_reader: the byte that begins no character */
	bool is_reader, is_scanner;
};
/* Of a yaml_parser_t that has failed. */
#define YAML_FAULT(p) \
	{ \
		.problem = (p)->problem, .context = (p)->context, .line = (p)->problem_mark.line, \
		.column = (p)->problem_mark.column, .context_line = (p)->context_mark.line, \
		.offset = (p)->problem_offset, .is_reader = (p)->error == YAML_READER_ERROR, \
		.is_scanner = (p)->error == YAML_SCANNER_ERROR \
	}

enum { YAML_FAULT_TEXT = 256 };
/* The sentence into out; line and column of *f become those that are meant, from 1. text is what was read. */
void yaml_fault_say(struct yaml_fault *f, const char *text, size_t len, char out[YAML_FAULT_TEXT]);

#endif
