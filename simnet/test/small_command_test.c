/* The verbs that measure, serve and compare, as people call them: what is wrong is said, with exit code 2. */
#include "simnet/test/command_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct command_line_file files[] = {
	{ "report.json", "{\"UDP\": true, \"MappingVariesByDestIP\": true}\n" },
	{ "none.json", "{\"up\": true}\n" },
};

static int write_reports(void **state)
{
	(void)state;
	return command_line_open(files, 2);
}

static int remove_reports(void **state)
{
	(void)state;
	return command_line_close();
}

static void test_punch(void **state)
{
	(void)state;
	command_line_expect("simnet punch", 2, "say --serve ADDRESS:PORT, --server ADDRESS:PORT --name NAME");
	command_line_expect("simnet punch --serve 1.2.3.4:0", 2, "it needs the next one too");
	command_line_expect("simnet punch --serve here", 2, "is not ADDRESS:PORT");
	command_line_expect(
		"simnet punch --serve 1.2.3.4:5 --name a", 2, "it has no --server, --name or --call");
	command_line_expect("simnet punch --server 127.0.0.1:1 --name 'B\"x'", 2, "a peer needs --name NAME");
	command_line_expect(
		"simnet punch --server 127.0.0.1:1 --name a --call a", 2, "--call a is --name itself");
	command_line_expect(
		"simnet punch --server 127.0.0.1:1 --name a --proto sctp", 2, "udp, tcp or both, not 'sctp'");
	command_line_expect(
		"simnet punch --server 127.0.0.1:1 --name a --port 70000", 2, "a port is at most 65535");
	command_line_expect("simnet punch --status nowhere.sock", 4, "nowhere.sock");
}

static void test_probe_and_service(void **state)
{
	(void)state;
	command_line_expect("simnet probe", 2, "say which two servers to ask, at two addresses");
	command_line_expect("simnet probe --servers 127.0.0.1:1,127.0.0.1:2", 2, "at two addresses");
	command_line_expect(
		"simnet probe --servers 127.0.0.1:1,127.0.0.2:1 --lifetime 10m", 2, "at most 128s");
	command_line_expect("simnet probe --server 0.0.0.0:1", 2, "ADDRESS:PORT");
	command_line_expect("simnet service", 2, "say which: dns, http");
	command_line_expect("simnet service dsn --listen 127.0.0.1:1", 2, "no service 'dsn'");
	command_line_expect("simnet service dns", 2, "say where it listens");
	command_line_expect(
		"simnet service dns --listen 127.0.0.1:1 --faults ded", 2, "did you mean 'dead'?");
	command_line_expect(
		"simnet service http --listen 127.0.0.1:1 --records x", 2, "--records are of dns alone");
	command_line_expect("simnet service portmap --listen 127.0.0.1:1", 2, "portmap alone takes --outer");
	command_line_expect("simnet service --tell nowhere.sock dead", 4, "nowhere.sock");
	command_line_expect("simnet service faults", 0, "silent=NAMES");
}

static void test_matrix_and_reports(void **state)
{
	(void)state;
	command_line_expect("simnet matrix --list", 0, "same-subnets");
	command_line_expect(
		"simnet matrix nosuch", 2, "no sheet 'nosuch'; 'simnet matrix --list' names them");
	command_line_expect(
		"simnet matrix palin", 2, "no sheet 'palin'; did you mean 'plain'? 'simnet matrix");
	command_line_expect("simnet matrix --file EIM/EIF:EIM/EIF palin", 2, "did you mean 'plain'?");
	command_line_expect("simnet doctor all", 2, "doctor takes no words");
	command_line_expect("simnet clean all", 2, "clean takes no words");
	command_line_expect("simnet matrix --all plain", 2, "--all or names, not both");
	command_line_expect("simnet matrix --proto sctp", 2, "--proto is udp, tcp or both");
	command_line_expect("simnet matrix --file EIM/APDF", 2, "--file takes two classes");
	command_line_expect("simnet matrix --file eim-apdf:ADM/EIF > c.yaml && simnet lint c.yaml", 0,
		"1 scenario: good");
	command_line_expect(
		"simnet from-report report.json > r.yaml && simnet lint r.yaml", 0, "1 scenario: good");
	command_line_expect("simnet from-report - < report.json", 0, "report: it varies by destination");
	command_line_expect("simnet from-report --class ADM/ADF report.json", 0, "filtering: ADF");
	command_line_expect(
		"simnet from-report --class hard report.json", 2, "--class is a mapping and a filtering");
	command_line_expect("simnet from-report --peer 'x}' report.json", 2, "--peer is no word for a NAT");
	command_line_expect("simnet from-report none.json", 2, "this JSON is no report");
	command_line_expect("simnet from-report", 2, "say which report");
	command_line_expect("simnet sweep --saw maybe report.json", 2, "--saw is direct, relay or none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_punch),
		cmocka_unit_test(test_probe_and_service),
		cmocka_unit_test(test_matrix_and_reports),
	};
	return cmocka_run_group_tests(tests, write_reports, remove_reports);
}
