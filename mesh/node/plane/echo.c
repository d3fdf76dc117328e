/* The mark is random and long, so that an answer to a program of this machine, whatever identifier it chose, is never
 * taken for ours: those go on to the TUN. */
#include "mesh/node/plane/echo.h"
#include "mesh/base/wire.h"
#include <string.h>

enum {
	ECHO_REQUEST4 = 8,
	ECHO_REPLY4 = 0,
	ECHO_REQUEST6 = 128,
	ECHO_REPLY6 = 129,
	HEAD_LEN = 8,
	SUM_AT = 2,
	BODY_LEN = HEAD_LEN + 2 * sizeof(uint64_t)
};

void echo_write(struct pkt *p, const struct addr *us, const struct addr *peer, uint64_t mark, uint64_t token)
{
	bool v4 = addr_is_v4(us);
	uint8_t body[BODY_LEN];
	struct wr w = wr_of(body, sizeof(body));
	wr_u8(&w, v4 ? ECHO_REQUEST4 : ECHO_REQUEST6);
	wr_u8(&w, 0);
	wr_u16(&w, 0);
	wr_u16(&w, (uint16_t)mark);
	wr_u16(&w, (uint16_t)token);
	wr_bytes(&w, (const uint8_t *)&mark, sizeof(mark));
	wr_bytes(&w, (const uint8_t *)&token, sizeof(token));
	uint16_t sum = v4 ? ip_checksum(body, sizeof(body), 0)
			  : ip_l4_checksum(us, peer, IP_ICMP6, body, sizeof(body));
	body[SUM_AT] = (uint8_t)(sum >> 8);
	body[SUM_AT + 1] = (uint8_t)sum;
	pkt_reset(p);
	memcpy(pkt_data(p) + (v4 ? 20 : 40), body, sizeof(body));
	p->len = (uint16_t)ip_write_header(pkt_data(p), us, peer, v4 ? IP_ICMP : IP_ICMP6, sizeof(body));
}

bool echo_is_answer(const struct ip_view *v, const uint8_t *p, uint64_t mark, uint64_t *token)
{
	bool reply = (v->proto == IP_ICMP && v->icmp_type == ECHO_REPLY4) ||
		     (v->proto == IP_ICMP6 && v->icmp_type == ECHO_REPLY6);
	uint64_t theirs = 0, tok = 0;
	if (!reply || v->later_fragment || v->total_len < v->l4_at + BODY_LEN)
		return false;
	struct rd r = rd_of(p + v->l4_at + HEAD_LEN, BODY_LEN - HEAD_LEN);
	rd_copy(&r, &theirs, sizeof(theirs));
	rd_copy(&r, &tok, sizeof(tok));
	if (theirs != mark)
		return false;
	*token = tok;
	return true;
}
