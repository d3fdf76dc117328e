#include "simnet/matrix/grid.h"

static char letter(enum scn_path path)
{
	switch (path) {
	case PATH_DIRECT: return 'D';
	case PATH_RELAY: return 'r';
	case PATH_NONE: return '-';
	case PATH_ANY: break;
	}
	return '?';
}

struct grid_count grid_count(const struct matrix_job *j, const struct matrix_result *r)
{
	struct grid_count n = { 0 };

	for (int i = 0; i < SHEET_CELLS; i++)
		for (int proto = 0; proto < SHEET_PROTOS; proto++) {
			const struct matrix_verdict *v = &r->cells[i][proto];
			if (!j->protos[proto])
				continue;
			n.cells++;
			n.direct += v->got == PATH_DIRECT;
			n.relay += v->got == PATH_RELAY;
			n.none += v->got == PATH_NONE;
			n.wrong += matrix_find(r, v) == MATRIX_WRONG;
			n.unsure += matrix_find(r, v) == MATRIX_UNSURE;
		}
	return n;
}

static void print_table(const struct matrix_result *r, enum sheet_proto proto, FILE *out)
{
	static const char marks[] = { [MATRIX_RIGHT] = ' ', [MATRIX_UNSURE] = '~', [MATRIX_WRONG] = '!' };
	char name[16];

	fprintf(out, "  %-10s", sheet_proto_name(proto));
	for (int b = 0; b < SHEET_CLASSES; b++)
		fprintf(out, " %-9s", sheet_class_name(b, name));
	fprintf(out, "\n");
	for (int a = 0; a < SHEET_CLASSES; a++) {
		fprintf(out, "  %-10s", sheet_class_name(a, name));
		for (int b = 0; b < SHEET_CLASSES; b++) {
			const struct matrix_verdict *v = &r->cells[a * SHEET_CLASSES + b][proto];
			fprintf(out, " %c%c       ", letter(v->got), marks[matrix_find(r, v)]);
		}
		fprintf(out, "\n");
	}
}

static void print_wrong(const struct matrix_job *j, const struct matrix_result *r, int cell,
	enum sheet_proto proto, FILE *out)
{
	const struct matrix_verdict *v = &r->cells[cell][proto];
	char a[16], b[16];

	sheet_class_name(cell / SHEET_CLASSES, a);
	sheet_class_name(cell % SHEET_CLASSES, b);
	fprintf(out, "  %s calls %s by %s: %s expected (%s), but the caller says %s and the called %s\n", a,
		b, sheet_proto_name(proto), scenario_path_name(v->expected), r->reason[cell][proto],
		scenario_path_name(v->ends[0]), scenario_path_name(v->ends[1]));
	fprintf(out,
		"    alone: simnet matrix %s --file %s:%s --proto %s > cell.yaml; simnet run --seed %llu "
		"cell.yaml\n",
		j->sheet->name, a, b, sheet_proto_name(proto), (unsigned long long)j->seed);
}

void grid_print(const struct matrix_job *j, const struct matrix_result *r, FILE *out)
{
	struct grid_count n = grid_count(j, r);

	for (int proto = 0; proto < SHEET_PROTOS; proto++)
		if (j->protos[proto])
			print_table(r, (enum sheet_proto)proto, out);
	for (int i = 0; i < SHEET_CELLS; i++)
		for (int proto = 0; proto < SHEET_PROTOS; proto++)
			if (j->protos[proto] && matrix_find(r, &r->cells[i][proto]) == MATRIX_WRONG)
				print_wrong(j, r, i, (enum sheet_proto)proto, out);
	fprintf(out,
		"  %u cells: %u direct (D), %u by relay (r); %u not as the oracle says (!)   built in %u ms, "
		"probed in %u "
		"ms, tried in %u ms\n",
		n.cells, n.direct, n.relay, n.wrong, r->build_ms, r->probe_ms, r->punch_ms);
	if (n.unsure)
		fprintf(out,
			"  %u inconclusive (~): what they wait for had not come, and the machine was %.1f "
			"times slower "
			"than an idle one; again with --seed %llu\n",
			n.unsure, r->slow, (unsigned long long)j->seed);
}

void grid_print_json(const struct matrix_job *j, const struct matrix_result *r, FILE *out)
{
	for (int i = 0; i < SHEET_CELLS; i++)
		for (int proto = 0; proto < SHEET_PROTOS; proto++) {
			const struct matrix_verdict *v = &r->cells[i][proto];
			char a[16], b[16];
			if (!j->protos[proto])
				continue;
			fprintf(out,
				"{\"sheet\":\"%s\",\"engine\":\"%s\",\"seed\":%llu,\"from\":\"%s\",\"to\":\"%"
				"s\",\"proto\":\"%s\","
				"\"expected\":\"%s\",\"caller\":\"%s\",\"called\":\"%s\",\"ok\":%s,"
				"\"unsure\":%s,\"direct_"
				"ms\":%u,\"why\":\"%s\"}\n",
				j->sheet->name, j->engine->name, (unsigned long long)j->seed,
				sheet_class_name(i / SHEET_CLASSES, a),
				sheet_class_name(i % SHEET_CLASSES, b),
				sheet_proto_name((enum sheet_proto)proto), scenario_path_name(v->expected),
				scenario_path_name(v->ends[0]), scenario_path_name(v->ends[1]),
				matrix_agrees(v) ? "true" : "false",
				matrix_find(r, v) == MATRIX_UNSURE ? "true" : "false", v->direct_ms,
				r->reason[i][proto]);
		}
}
