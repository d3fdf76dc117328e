#include "mesh/base/key.h"
#include "mesh/base/text.h"
#include "mesh/proto/control.h"
#include "mesh/proto/json.h"
#include "mesh/proto/json_memory.h"
#include <stdio.h>
#include <string.h>

static const char zero_time[] = "0001-01-01T00:00:00Z"; /* Go's, for "none" */

/* --- strings --- */
static void init_str(void *field, const struct json_row *row)
{
	(void)row;
	*(const char **)field = "";
}

static bool read_str(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	if (!json_is_string(v))
		return json_fail(in, "not a string");
	const char *s = arena_strndup(in->arena, json_string_value(v), json_string_length(v));
	if (s)
		*(const char **)field = s;
	return s != NULL;
}

static void write_str(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put_string(out, *(const char *const *)field);
}

static bool str_empty(const void *field)
{
	const char *s = *(const char *const *)field;
	return !s || !*s;
}

const struct json_codec json_str = { init_str, read_str, write_str, str_empty };

static bool pointer_empty(const void *field)
{
	return *(void *const *)field == NULL;
}

const struct json_codec json_str_or_null = { NULL, read_str, write_str, pointer_empty };

/* Raw text, kept as it is. */
static bool keep_text(struct json_in *in, const json_t *v, void *field)
{
	char *text = json_memory_dump(v, JSON_COMPACT);
	const char *s = text ? arena_strdup(in->arena, text) : NULL;
	json_text_free(text);
	if (s)
		*(const char **)field = s;
	return s != NULL;
}

static bool read_raw(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return json_is_object(v) ? keep_text(in, v, field) : json_fail(in, "not an object");
}

static bool read_raw_list(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return json_is_array(v) ? keep_text(in, v, field) : json_fail(in, "not a list");
}

static void write_raw(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put(out, *(const char *const *)field);
}

const struct json_codec json_raw = { NULL, read_raw, write_raw, pointer_empty };
const struct json_codec json_raw_list = { NULL, read_raw_list, write_raw, pointer_empty };

/* --- truth --- */
static bool read_bool(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	if (!json_is_boolean(v))
		return json_fail(in, "neither true nor false");
	*(bool *)field = json_is_true(v);
	return true;
}

static void write_bool(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put(out, *(const bool *)field ? "true" : "false");
}

static bool bool_empty(const void *field)
{
	return !*(const bool *)field;
}

const struct json_codec json_bool = { NULL, read_bool, write_bool, bool_empty };

static bool read_ended(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	if (read_bool(in, v, field, row))
		return true;
	if (!json_leave_out(in))
		return false;
	*(bool *)field = true;
	return true;
}

const struct json_codec json_ended = { NULL, read_ended, write_bool, bool_empty };

static bool read_opt(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	bool b = false;
	if (!read_bool(in, v, &b, row))
		return false;
	*(enum opt_bool *)field = b ? OPT_TRUE : OPT_FALSE;
	return true;
}

static void write_opt(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	enum opt_bool b = *(const enum opt_bool *)field;
	json_put(out, b == OPT_ABSENT ? "null" : b == OPT_TRUE ? "true" : "false");
}

static bool opt_empty(const void *field)
{
	return *(const enum opt_bool *)field == OPT_ABSENT;
}

const struct json_codec json_opt = { NULL, read_opt, write_opt, opt_empty };

/* --- numbers --- */
static bool read_integer(struct json_in *in, const json_t *v, int64_t min, int64_t max, int64_t *out)
{
	if (!json_is_integer(v))
		return json_fail(in, "not an integer");
	int64_t n = json_integer_value(v);
	if (n < min || n > max)
		return json_fail(in, "out of range");
	*out = n;
	return true;
}

static bool read_i64(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	return read_integer(in, v, INT64_MIN, INT64_MAX, field);
}

static void write_i64(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put_i64(out, *(const int64_t *)field);
}

static bool i64_empty(const void *field)
{
	return *(const int64_t *)field == 0;
}

const struct json_codec json_i64 = { NULL, read_i64, write_i64, i64_empty };

static bool read_u64(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	int64_t n = 0;
	(void)row;
	if (!read_integer(in, v, 0, INT64_MAX, &n))
		return false;
	*(uint64_t *)field = (uint64_t)n;
	return true;
}

static void write_u64(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	uint64_t n = *(const uint64_t *)field;
	json_put_i64(out, n > INT64_MAX ? INT64_MAX : (int64_t)n); /* readers elsewhere are signed */
}

const struct json_codec json_u64 = { NULL, read_u64, write_u64, i64_empty };

static bool read_i32(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	int64_t n = 0;
	(void)row;
	if (!read_integer(in, v, INT32_MIN, INT32_MAX, &n))
		return false;
	*(int32_t *)field = (int32_t)n;
	return true;
}

static void write_i32(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put_i64(out, *(const int32_t *)field);
}

static bool i32_empty(const void *field)
{
	return *(const int32_t *)field == 0;
}

const struct json_codec json_i32 = { NULL, read_i32, write_i32, i32_empty };

static bool read_u16(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	int64_t n = 0;
	(void)row;
	if (!read_integer(in, v, 0, UINT16_MAX, &n))
		return false;
	*(uint16_t *)field = (uint16_t)n;
	return true;
}

static void write_u16(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put_i64(out, *(const uint16_t *)field);
}

static bool u16_empty(const void *field)
{
	return *(const uint16_t *)field == 0;
}

const struct json_codec json_u16 = { NULL, read_u16, write_u16, u16_empty };

static bool read_f64(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	if (!json_is_number(v))
		return json_fail(in, "not a number");
	*(double *)field = json_number_value(v);
	return true;
}

static void write_f64(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	char text[40];
	double d = *(const double *)field;
	snprintf(text, sizeof(text), "%.9g", __builtin_isfinite(d) ? d : 0.0);
	json_put(out, text);
}

static bool f64_empty(const void *field)
{
	return !(*(const double *)field < 0 || *(const double *)field > 0);
}

const struct json_codec json_f64 = { NULL, read_f64, write_f64, f64_empty };

/* --- times: Unix milliseconds, INT64_MIN = Go's zero time --- */
static void init_time(void *field, const struct json_row *row)
{
	(void)row;
	*(int64_t *)field = INT64_MIN;
}

static bool read_time(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	if (!json_is_string(v))
		return json_fail(in, "not a time");
	const char *s = json_string_value(v);
	if (strncmp(s, zero_time, 10) == 0) {
		*(int64_t *)field = INT64_MIN;
		return true;
	}
	int64_t ms;
	if (!text_time_ms(s, &ms))
		return json_fail(in, "not an RFC 3339 time");
	*(int64_t *)field = ms;
	return true;
}

static void write_time(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	int64_t ms = *(const int64_t *)field;
	char text[40];
	json_put_string(out, ms == INT64_MIN ? zero_time : text_time_format(ms, text));
}

static bool time_empty(const void *field)
{
	return *(const int64_t *)field == INT64_MIN;
}

const struct json_codec json_time = { init_time, read_time, write_time, time_empty };

static bool read_until(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	if (read_time(in, v, field, row))
		return true;
	if (!json_leave_out(in))
		return false;
	*(int64_t *)field = 0;
	return true;
}

const struct json_codec json_until = { init_time, read_until, write_time, time_empty };

/* --- keys: row->arg is the prefix --- */
static bool read_key(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	uint8_t key[KEY_LEN];
	if (!json_is_string(v) || !key_parse(json_string_value(v), row->arg, key))
		return json_fail(in, "not a key of its kind");
	memcpy(field, key, KEY_LEN);
	return true;
}

static void write_key(struct json_out *out, const void *field, const struct json_row *row)
{
	char text[KEY_TEXT];
	json_put_string(out, key_format(field, row->arg, text));
}

static bool key_empty(const void *field)
{
	return key_is_zero(field);
}

const struct json_codec json_key = { NULL, read_key, write_key, key_empty };
