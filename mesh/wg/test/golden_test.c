/* Handshakes recorded against wireguard-go (0.0.20260522) by interop/run here with CHECKS="record_ours
 * record_theirs". Keys: ours 0x0b x 32, theirs 0x0c x 32, psk 0x0d x 32; our core draws 0x42 only and starts
 * at unix 1700000000. */
#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include "mesh/wg/core.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const char we_initiation[] =
	"0100000042424242132c442be010fbd57e72603328aa76e71fccc1503aae219327d14d9c9993f472ca7dbd0de50ce300"
	"2728875a587d76557fcf473c2a48dc1ece316659675a4054bbfa281bc67711f2533caa79f886ce7510d9a8a1148be8c8"
	"e69c0819c98b949e1da7c6b3943627937a635b4f9138076f7ae9e43213d83e121601e75f000000000000000000000000"
	"00000000";
static const char we_response[] =
	"0200000020f544a642424242e856565191dac629d69e709b772c46537a5d7f6665393729a304f28ad5844b3145a78d0d"
	"310b1689fe956f0ec910a4c07ccbfdc8880350fd2dbe939420425ffb00000000000000000000000000000000";
static const char we_data[] =
	"0400000020f544a60000000000000000363d4e037aa6618789651b628e407af0476ba85263ca59754af79b0d39e9bf59"
	"a0689dd24b5118ebaf8e5a27adbde15b619cda1a7c7c5992d3bc227f485f67d5cd330112b7e520756ab14b2f82d74574"
	"2d114457a3588a671dc489a31bb654ef23a1073fc3756158cbb359b0cd99be822a144b8648ff95000ce6e503a17a754f";
static const char we_data_back[] =
	"040000004242424200000000000000000b2181b8dc9947de34492874149898f6ea5392d1570632a4d75426facfd31cda"
	"4c2331727f09290709d5b773c03060462aad7d28e170a7a1adac13ff515b2d6ef71fcb737874ccf2501c0b84db561ad8"
	"3e74ec5f2a1f8bf96d59f85ccb973d02d46a60b03635f429e60f971065d3d22771627dc99181ee9451efb26b241db0e6";

static const char they_initiation[] =
	"0100000019a163d17095b67129f949c5092f67b8e0a9027106bc8a64b24c7033ae385fe24eb8c535770644f1ff787825"
	"0124c5dc9d0c277b103ae025fa3d601722bfea5a65c194a9d94be7aecc2000c5782efc7aecec695c9bec3205b8cc5f49"
	"8a14375061179b4d48d22934ec05c707f18616cc5db450c2d325353d013f6e371f5963da000000000000000000000000"
	"00000000";
static const char they_response[] =
	"020000004242424219a163d1132c442be010fbd57e72603328aa76e71fccc1503aae219327d14d9c9993f472b2629554"
	"c91029f4ea77c9a0775693e410981c36a63cbada35f4692acf8868e600000000000000000000000000000000";
static const char they_data[] =
	"040000004242424200000000000000006dbe8eb459f03e9befec65fde9d2fde65b4815fcc2715908be1ef736b768eeb5"
	"ce7dec9a5426764478b72b62601600e2421a7935a50d2dadc1b3fa67dc1311030b8a8a3f829ae54a2c74e9d50d0dd558"
	"66271448e236c8e2923a931ca1697fa7610feabaf512f23da4119638b0e6f3fffd178493dec72c1f4b7ee0fd675fddd5";
static const char they_data_more[] =
	"04000000424242420100000000000000575b50a2e7f08f428e61d7f49ed8ad96ae88a9571621db39d92b90583ae3e526"
	"f0f5350e050f56e1bed87f68ff375f872a10944677767bdce7e44c7842d2c280d804a13dd4bd38037ed42d48f90d4dda"
	"08a38928cee3bbccdaa7b791e45be887c6b3059ac2e2280f83f6c91f193d3d99a76ab7446ef415a8673d6ca1a964398d";

struct sink {
	struct wg *wg;
	uint8_t b[PKT_SIZE]; /* the last datagram sent */
	size_t len;
};

static void fill_same(void *arg, void *dst, size_t len)
{
	(void)arg;
	memset(dst, 0x42, len);
}

static void keep(void *arg, uint64_t peer, const uint8_t *p, size_t len)
{
	struct sink *s = arg;
	assert_int_equal(peer, 1);
	memcpy(s->b, p, s->len = len);
}

static void take_staged(void *arg, uint64_t peer)
{
	struct sink *s = arg;
	struct pkt p;
	while (wg_staged_take(s->wg, peer, &p)) {
		assert_int_equal(wg_seal(s->wg, 1000, peer, &p), WG_OK);
		keep(s, peer, pkt_data(&p), p.len);
	}
}

static void start(struct sink *s)
{
	struct wg_ops ops = { .send = keep, .session_ready = take_staged, .arg = s };
	struct random same = { fill_same, NULL };
	struct node_private ours, theirs;
	struct node_key key;
	struct prefix ip = { addr_v4(0x0a090001), 32 };
	uint8_t psk[KEY_LEN];
	memset(ours.b, 0x0b, KEY_LEN);
	memset(theirs.b, 0x0c, KEY_LEN);
	memset(psk, 0x0d, KEY_LEN);
	key_clamp(ours.b);
	key_public(theirs.b, key.b);
	s->wg = wg_new(&ours, &ops, &same);
	assert_non_null(s->wg);
	wg_clock_set(s->wg, 1000, UINT64_C(1700000000000));
	assert_true(wg_peer_set(s->wg, 1, &key, psk, &ip, 1));
}

static size_t decode(const char *hex, uint8_t *out)
{
	assert_true(hex_decode(hex, strlen(hex), out, strlen(hex) / 2));
	return strlen(hex) / 2;
}

static void receive(struct sink *s, const char *hex, uint32_t seq)
{
	uint8_t b[PKT_SIZE];
	struct wg_span span = { b, decode(hex, b) };
	struct wg_origin from = { "x", 1, false };
	struct wg_received r;
	struct ip_view v = { 0 };
	assert_int_equal(wg_receive_span(s->wg, 1000, &span, &from, &r), WG_OK);
	assert_true(r.authenticated);
	if (!seq)
		return;
	assert_true(r.is_data);
	assert_true(ip_parse(span.p, span.len, &v));
	assert_int_equal(v.proto, IP_UDP);
	assert_int_equal(be_get(span.p + v.payload_at, 4), seq);
}

static void expect_sent(const struct sink *s, const char *hex)
{
	uint8_t want[PKT_SIZE];
	size_t len = decode(hex, want);
	assert_int_equal(s->len, len);
	assert_memory_equal(s->b, want, len);
}

static void send_first(struct sink *s)
{
	struct pkt p;
	struct endpoint src = { .ip = addr_v4(0x0a090002), .port = 9999 },
			dst = { .ip = addr_v4(0x0a090001), .port = 9999 };
	pkt_reset(&p);
	memset(pkt_data(&p) + 28, 0, 72);
	be_put(pkt_data(&p) + 28, 4, 1);
	p.len = (uint16_t)ip_write_udp(pkt_data(&p), &src, &dst, 72);
	assert_int_equal(wg_seal(s->wg, 1000, 1, &p), WG_STAGED);
}

static void test_we_begin(void **state)
{
	(void)state;
	struct sink s = { 0 };
	start(&s);
	send_first(&s);
	expect_sent(&s, we_initiation);
	receive(&s, we_response, 0);
	expect_sent(&s, we_data);
	receive(&s, we_data_back, 2);
	wg_free(s.wg);
}

static void test_they_begin(void **state)
{
	(void)state;
	struct sink s = { 0 };
	start(&s);
	receive(&s, they_initiation, 0);
	expect_sent(&s, they_response);
	receive(&s, they_data, 1);
	receive(&s, they_data_more, 2);
	wg_free(s.wg);
}

int main(void)
{
	if (!key_setup())
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_we_begin),
		cmocka_unit_test(test_they_begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
