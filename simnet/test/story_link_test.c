/* Broken runs of links at their extremes: what the story gives must name the link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/test/story_rows.h"

#define ASK \
	"[python3, -c, \"import socket; s=socket.socket(2,2); s.settimeout(.5); " \
	"[s.sendto(b'x'*900,('{s.ip}',3478)) for i in (1,2,3)]; s.recv(999)\"]"
#define ECHO \
	"[python3, -c, \"import socket\\ns=socket.socket(2,2); s.bind(('',3478)); print('up',flush=True)\\n" \
	"while 1: d,a=s.recvfrom(999); s.sendto(d,a)\"]"
#define UP "  - run: {at: s, argv: [sh, -c, \"until grep -q ':0D96 ' /proc/net/udp; do sleep .02; done\"]}\n"
/* The link of the server, of the client, or of the client's router. */
#define AT_S(link) \
	HEAD "routers: {home: {nat: home}}\nservices: {s: {link: {" link "}, run: " ECHO \
	     "}}\nnodes: {c: {at: home}}\nsteps:\n" UP "  - run: {at: c, argv: " ASK "}\n"
#define AT_C(link) \
	HEAD "routers: {home: {nat: home}}\nservices: {s: {run: " ECHO \
	     "}}\nnodes: {c: {at: home, link: {" link "}}}\nsteps:\n" UP "  - run: {at: c, argv: " ASK "}\n"
#define AT_HOME(link) \
	HEAD "routers: {home: {nat: home, link: {" link "}}}\nservices: {s: {run: " ECHO \
	     "}}\nnodes: {c: {at: home}}\nsteps:\n" UP "  - run: {at: c, argv: " ASK "}\n"
#define SET_S(link) \
	HEAD "routers: {home: {nat: home}}\nservices: {s: {link: {delay: 1ms}, run: " ECHO \
	     "}}\nnodes: {c: {at: home}}\nsteps:\n" UP "  - set: {at: s, link: {" link \
	     "}}\n  - run: {at: c, argv: " ASK "}\n"

#define CUT(what) \
	HEAD "routers: {home: {nat: home}}\nservices: {s: {run: " ECHO \
	     "}}\nnodes: {c: {at: home}}\nsteps:\n" UP "  - cut: " what "\n  - run: {at: c, argv: " ASK \
	     "}\n"
/* Who gives up, and is there when the answer comes. */
#define LATE(call) "[sh, -c, \"python3 -c '" call "' 2>/dev/null || sleep 1.5; exit 1\"]"

static const struct story_row rows[] = {
	{ "corruption at the server", AT_S("corrupt: 100%"), "dropped at s: the link damages it", NULL },
	{ "corruption of answers", AT_S("up: {corrupt: 100%}"), "dropped at s: the link damages it", NULL },
	{ "corruption at the client", AT_C("corrupt: 100%"), "dropped at c: the link damages it", NULL },
	{ "corruption at the router", AT_HOME("corrupt: 100%"), "dropped at home: the link damages it",
		NULL },
	{ "loss", AT_S("loss: 100%"), "dropped at s: the link loses it", NULL },
	{ "loss of answers", AT_HOME("down: {loss: 100%}"), "dropped at home: the link loses it", NULL },
	{ "loss of a kind", AT_S("class-loss: {other: 100%}"),
		"dropped at s: the link loses packets of this kind", NULL },
	{ "loss of big packets", AT_C("big: {over: 600, loss: 100%}"),
		"dropped at c: the link loses big packets", NULL },
	{ "loss in bursts", AT_S("burst: {enter: 100%, leave: 1%}"),
		"dropped at s: the link loses it in a burst", NULL },
	{ "loss of the first", AT_S("nth: [1, 2, 3]"),
		"dropped at s: the link loses this packet of every flow", NULL },
	{ "a link that is dead", AT_HOME("up: {dead: true}"),
		"dropped at home: the link carries nothing this way", NULL },
	{ "too many routers", AT_S("hops: 64"), "dropped at s: it passes no more routers", NULL },
	{ "a queue that is full", AT_S("rate: 8kbit, queue: 1500"), "dropped at s: the link's queue is full",
		NULL },
	{ "packets that do not fit, and nobody is told", AT_S("mtu: 600, mtu-silent: true"),
		"dropped at s: larger than the link's MTU", NULL },
	{ "the carrier of the server", CUT("s.carrier"), "s has no carrier: it was cut", NULL },
	{ "the carrier of the client", CUT("c.carrier"), "c has no carrier: it was cut", NULL },
	{ "the carrier of the router", CUT("home.carrier"), "home has no carrier: it was cut", NULL },
	{ "a program that answers too late",
		HEAD "services: {s: {run: [python3, -c, \"import socket,time\\ns=socket.socket(2,2); "
		     "s.bind(('',3478))\\nwhile 1: d,a=s.recvfrom(999); time.sleep(.7); s.sendto(d,a)\"]}}\n"
		     "nodes: {c: {at: internet}}\nsteps:\n" UP "  - run: {at: c, argv: " LATE(
			     "import socket; s=socket.socket(2,2); s.settimeout(.2); "
			     "s.sendto(bytes(9),(\\\"{s.ip}\\\",3478)); s.recv(9)") "}\n",
		"the answer of s came 0.", NULL },
	{ "a connection that is answered too late",
		HEAD "services: {s: {link: {delay: 350ms}, run: http}}\nnodes: {c: {at: internet}}\nsteps:\n"
		     "  - run: {at: c, argv: " LATE(
			     "import socket; socket.create_connection((\\\"{s.ip}\\\",80),timeout=.3)") "}\n",
		"after c had asked, which did not wait so long: the link of s takes 0.3 s", NULL },
	{ "a delay", AT_S("delay: 10s"), "the link of s takes 10.0 s", NULL },
	{ "a delay of answers", AT_C("down: {delay: 10s}"), "the link of c takes 10.0 s", NULL },
	{ "a delay at the router", AT_HOME("delay: 10s"), "the link of home takes 10.0 s", NULL },
	{ "a delay by a step", SET_S("delay: 10s"), "the link of s takes 10.0 s", NULL },
	{ "a rate", AT_S("rate: 1kbit"), "the link of s carries 1000 bit/s", NULL },
	{ "a wait that reorders", AT_S("reorder: 100%, reorder-by: 10s"),
		"the link of s holds packets back for 10.0 s", NULL },
};

static void test_links(void **state)
{
	(void)state;
	story_rows_check(rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
