#include "simnet/scenario/condition.h"

#include "mesh/base/err.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Longer ones first, or "<=" is taken for "<". */
static const struct {
	const char *word;
	enum condition_op op;
} operators[] = {
	{ "<=", CONDITION_AT_MOST },
	{ ">=", CONDITION_AT_LEAST },
	{ "==", CONDITION_IS },
	{ "!=", CONDITION_IS_NOT },
	{ "<", CONDITION_LESS },
	{ ">", CONDITION_MORE },
};
static_assert(ARRAY_LEN(operators) == CONDITION_OPS, "operators misses one");

static size_t find_operator(const char *text)
{
	size_t i = 0;

	while (i < ARRAY_LEN(operators) && strncmp(text, operators[i].word, strlen(operators[i].word)) != 0)
		i++;
	return i;
}

/* A decimal number and nothing else; no hexadecimal, no infinity. */
static bool read_decimal(const char *text, size_t len, double *out)
{
	char copy[64], *end;

	while (len && (text[len - 1] == ' ' || text[len - 1] == '\r'))
		len--;
	while (len && *text == ' ')
		text++, len--;
	if (!len || len >= sizeof(copy) || strspn(text, "+-.0123456789eE") < len)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*out = strtod(copy, &end);
	return !*end && end != copy && isfinite(*out);
}

bool condition_meant(const char *text)
{
	return find_operator(text) < ARRAY_LEN(operators);
}

bool condition_parse(const char *text, struct condition *out)
{
	size_t i = find_operator(text);
	double value;

	if (i == ARRAY_LEN(operators))
		return false;
	text += strlen(operators[i].word);
	if (!read_decimal(text, strlen(text), &value))
		return false;
	*out = (struct condition) { .op = operators[i].op, .value = value };
	return true;
}

static bool fits(const struct condition *c, double have)
{
	switch (c->op) {
	case CONDITION_LESS: return have < c->value;
	case CONDITION_AT_MOST: return have <= c->value;
	case CONDITION_MORE: return have > c->value;
	case CONDITION_AT_LEAST: return have >= c->value;
	case CONDITION_IS: return have >= c->value && have <= c->value;
	case CONDITION_IS_NOT: return have < c->value || have > c->value;
	case CONDITION_OPS: break;
	}
	return false;
}

bool condition_holds(const struct condition *c, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		double have;
		if (read_decimal(lines, len, &have) && fits(c, have))
			return true;
		lines += len;
		lines += *lines == '\n';
	}
	return false;
}
