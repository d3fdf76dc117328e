/* A reload is whole or nothing: while it is read the door shows what it showed, wherever memory ends, and what nodes are to be
 * told is of the certificate that comes into force with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/fleet/test/place.h"
#include "mesh/control/http/derp.h"
#include "mesh/control/renewal.h"
#include "mesh/transport/stream.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct renewed {
	struct place place;
	struct control_config cfg;
	struct api api;
	struct web web;
	struct buf dns, wrong;
	struct renewal_sources from;
	char cert[256], key[256];
};

static void make_certificate(struct renewed *x)
{
	static const char *const hosts[] = { "hs.test" };
	struct errbuf eb;
	(void)unlink(x->cert);
	(void)unlink(x->key);
	assert_int_equal(tls_self_signed(x->cert, x->key, hosts, 1, &eb), 0);
}

static int setup(void **state)
{
	struct renewed *x = *state = calloc(1, sizeof(*x));
	char path[256], text[1024];
	struct errbuf eb;
	struct web_certificate shown;
	place_make(&x->place);
	place_path(&x->place, "own.crt", x->cert);
	place_path(&x->place, "own.pem", x->key);
	make_certificate(x);
	snprintf(text, sizeof(text),
		"server_url: http://hs.test\nlisten_addr: 127.0.0.1:0\ntls_listen_addr: 127.0.0.1:8443\n"
		"tls_cert_path: %s\ntls_key_path: %s\ndns: { base_domain: mesh.test }\n"
		"noise: { private_key_path: noise.key }\ndatabase: { sqlite: { path: db.sqlite } }\n"
		"derp: { server: { enabled: true, stun_listen_addr: 127.0.0.1:0 } }\n",
		x->cert, x->key);
	FILE *f = fopen(place_path(&x->place, "c.yaml", path), "w");
	assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
	if (config_read(path, &x->cfg, &eb))
		fail_msg("%s", eb.text);
	x->api.cfg = &x->cfg;
	x->from = (struct renewal_sources) { .cfg = &x->cfg, .dns = &x->dns };
	x->web = (struct web) { .loop = loop_new(), .api = &x->api };
	assert_int_equal(web_certificate_read(&x->web, &shown, &eb), 0);
	x->web.doors[1].at = x->cfg.tls_listen; /* no door is opened */
	web_certificate_use(&x->web, &shown);
	assert_true(*x->web.pin);
	return derp_open(&x->web, &eb);
}

static int teardown(void **state)
{
	struct renewed *x = *state;
	derp_close(&x->web);
	tls_free(x->web.doors[1].tls);
	loop_free(x->web.loop);
	config_free(&x->cfg);
	buf_free(&x->wrong);
	place_remove(&x->place);
	free(x);
	return 0;
}

static const char *told_pin(const struct settings *s)
{
	assert_int_equal(s->derp.n_regions, 1);
	return s->derp.regions[0].nodes[0].cert_name;
}

static void test_short_of_memory(void **state)
{
	struct renewed *x = *state;
	const struct tls *before = x->web.doors[1].tls;
	char pin[sizeof(x->web.pin)];
	struct renewal r;
	struct errbuf eb;
	bool failed = true;
	memcpy(pin, x->web.pin, sizeof(pin));
	make_certificate(x);
	for (unsigned nth = 1; failed; nth++) {
		trouble_memory(nth);
		int err = renewal_read(&x->web, &x->from, &r, &x->wrong, &eb);
		failed = trouble_happened();
		trouble_memory(0);
		assert_true(failed || !err);
		assert_ptr_equal(x->web.doors[1].tls, before);
		assert_string_equal(x->web.pin, pin);
		if (!err) {
			assert_string_equal(told_pin(r.set), r.certificate.pin);
			assert_true(*r.certificate.pin && strcmp(r.certificate.pin, pin) != 0);
		}
		if (failed)
			renewal_drop(&r);
	}
	struct settings *set = renewal_use(&r, &x->web);
	assert_ptr_not_equal(x->web.doors[1].tls, before);
	assert_string_equal(told_pin(set), x->web.pin);
	settings_put(set);
	renewal_drop(&r);
}

/* Neither a certificate nor DNS settings that cannot be read are in force, and both are said. */
static void test_both_wrong(void **state)
{
	struct renewed *x = *state;
	static const char no_dns[] = "{\"nameservers\":{\"global\":[\"nobody\"]}}";
	char pin[sizeof(x->web.pin)];
	struct renewal r;
	struct errbuf eb;
	memcpy(pin, x->web.pin, sizeof(pin));
	FILE *f = fopen(x->cert, "w");
	assert_true(f && fputs("none\n", f) >= 0 && fclose(f) == 0);
	assert_true(buf_append(&x->dns, no_dns, strlen(no_dns)));
	assert_true(renewal_read(&x->web, &x->from, &r, &x->wrong, &eb) < 0);
	renewal_drop(&r);
	buf_free(&x->dns);
	const char *said = buf_cstr(&x->wrong), *end = strchr(said, '\n');
	assert_non_null(strstr(eb.text, "own.crt"));
	assert_int_equal(strncmp(said, eb.text, (size_t)(end - said)), 0);
	assert_non_null(strstr(end, "nobody"));
	assert_string_equal(x->web.pin, pin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_short_of_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both_wrong, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
