/* A machine for tests of who owns its names: namespaces with a /run, an /etc and a /var of their own, over which the
 * real programs are laid (ci/peers/owners), with interfaces rope0 (the mesh's: 100.100.100.100, 100.64.0.1) and eth0
 * (192.0.2.2), on which a nameserver at 192.0.2.53 answers every name with 192.0.2.99, and one at 192.0.2.54 with
 * 192.0.2.98. What is started here ends with the test, however that ends. */
#ifndef RW_NODE_TEST_MACHINE_H
#define RW_NODE_TEST_MACHINE_H

#include "mesh/os/loop.h"
#include <stdbool.h>
#include <sys/types.h>

/* owner: folder of ci/peers/owners. false, and said: this kernel gives no namespaces, or the program is not here. Once
 * in a process. */
bool machine_open(const char *owner);

struct machine_server;
struct machine_server *machine_server(struct loop *l, const char *at, uint8_t last); /* 192.0.2.`last` */
void machine_server_free(struct machine_server *s);
int machine_asked(const struct machine_server *s);

/* A shell line, beside the loop: its exit code is 0. */
bool machine_try(struct loop *l, const char *line);
/* Again and again until it is; fails the test after a time that only a machine that hangs needs. */
void machine_await(struct loop *l, const char *line);
void machine_run(struct loop *l, const char *line); /* fails the test where it fails */

pid_t machine_start(const char *line);		       /* a program */
void machine_stop(pid_t pid);			       /* with SIGKILL */
pid_t machine_bus(struct loop *l, const char *policy); /* a system bus, with lines of policy besides */

#endif
