/* Sheets of the NAT matrix: each is one network in which hosts behind a router of every class (three mappings by
 * three filterings, RFC 4787) meet hosts behind as many others, so that 81 ordered pairs can be tried side by
 * side. Pairs do not disturb each other: every router has an address of its own, and what it learns about one
 * of them says nothing of another. (Behind one symmetric carrier that hairpins they would: what one pair opens in
 * an address-dependent filter is open for the carrier's address, and so for all.) A sheet beyond the plain one changes something for all: another NAT in
 * front, IPv6, how ports are chosen. */
#ifndef SIMNET_MATRIX_SHEET_H
#define SIMNET_MATRIX_SHEET_H

#include "mesh/base/buf.h"
#include "simnet/scenario/scenario.h"

enum { SHEET_CLASSES = NAT_MAPPINGS * NAT_FILTERINGS, SHEET_CELLS = SHEET_CLASSES * SHEET_CLASSES };
enum sheet_proto { SHEET_UDP, SHEET_TCP, SHEET_PROTOS };

struct sheet {
	const char *name, *about;
	const char *carrier_a, *carrier_b; /* `nat` of a router in front of all of that side; NULL = none */
	bool shared;			   /* carrier_a is in front of both sides */
	bool ipv6;
	const char *nat; /* more of the `nat` of every class, as "ports: preserve"; NULL = nothing */
	const char *lan; /* more of every router of a class; NULL = nothing */
};
extern const struct sheet sheets[];
extern const size_t n_sheets;
const struct sheet *sheet_find(const char *name);

const char *sheet_class_name(int class, char out[static 16]); /* "EIM/APDF" */
bool sheet_class_parse(const char *text, int *class);	      /* the same, any case, '-' for '/' too */
const char *sheet_proto_name(enum sheet_proto proto);
/* Names of the host of a class; side 'a' (calls) or 'b'. */
const char *sheet_host_name(char side, int class, char out[static 16]);

/* The scenario of the whole sheet. false: memory is short. */
bool sheet_write(const struct sheet *s, struct buf *out);
/* Of one cell alone, with steps that expect what the oracle says: a file to run, keep and change. */
bool sheet_write_cell(const struct sheet *s, int a, int b, enum sheet_proto proto, struct buf *out);

#endif
