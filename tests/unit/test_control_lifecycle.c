/*
 * The life-cycle table itself: no contradiction, no dead end, nothing held where it may not be; and
 * its documentation is its print.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/str.h"
#include "control/lifecycle.h"
#include "unit.h"

static void no_event_leads_two_ways(void **state)
{
	(void)state;
	for (unsigned i = 0; i < move_rules_n; i++)
		for (unsigned k = i + 1; k < move_rules_n; k++)
			if (move_rules[i].from == move_rules[k].from)
				assert_int_not_equal(move_rules[i].ev, move_rules[k].ev);
}

static void mark_from(enum vm_state s, bool seen[VM_STATE_N_ + 1])
{
	if (seen[s])
		return;
	seen[s] = true;
	for (unsigned i = 0; i < move_rules_n; i++)
		if (move_rules[i].from == s)
			mark_from(move_rules[i].to, seen);
}

static void every_state_is_reached_from_creating_or_stopped(void **state)
{
	bool seen[VM_STATE_N_ + 1] = {false};

	(void)state;
	mark_from(VM_CREATING, seen);
	for (unsigned s = 0; s <= VM_STATE_N_; s++)
		assert_true(seen[s]);
}

static void every_state_can_end(void **state)
{
	(void)state;
	for (unsigned s = 0; s < VM_STATE_N_; s++) {
		bool seen[VM_STATE_N_ + 1] = {false};

		mark_from((enum vm_state)s, seen);
		assert_true(seen[VM_GONE]);
		assert_non_null(lifecycle_move((enum vm_state)s, EV_DELETE));
	}
}

static void a_state_with_a_process_handles_its_end(void **state)
{
	(void)state;
	for (unsigned s = 0; s < VM_STATE_N_; s++) {
		if (!(state_rules[s].holds & HOLD_PROC))
			continue;
		assert_non_null(lifecycle_move((enum vm_state)s, EV_EXITED));
		assert_non_null(lifecycle_move((enum vm_state)s, EV_DIED));
		assert_non_null(lifecycle_move((enum vm_state)s, EV_FAILED));
	}
}

/* Leaving a state that holds a process for one that does not takes the process's end (or the
 * release of all). */
static void no_move_loses_a_process(void **state)
{
	(void)state;
	for (unsigned i = 0; i < move_rules_n; i++) {
		const struct move_rule *m = &move_rules[i];
		unsigned after = m->to == VM_GONE ? 0 : state_rules[m->to].holds;

		if ((state_rules[m->from].holds & HOLD_PROC) && !(after & HOLD_PROC))
			assert_true(m->ev == EV_EXITED || m->ev == EV_DIED || m->ev == EV_RELEASED);
		assert_true(m->why && m->why[0]);
	}
}

static void a_limit_has_an_answer(void **state)
{
	(void)state;
	for (unsigned s = 0; s < VM_STATE_N_; s++)
		if (state_rules[s].limit_ms)
			assert_non_null(lifecycle_move((enum vm_state)s, state_rules[s].on_limit));
}

static void model_and_table_agree_on_processes(void **state)
{
	(void)state;
	for (unsigned s = 0; s < VM_STATE_N_; s++)
		if (vm_state_has_process((enum vm_state)s))
			assert_true(state_rules[s].holds & HOLD_PROC);
}

static void says_what_is_possible(void **state)
{
	char text[64], small[8];

	(void)state;
	lifecycle_possible(VM_STOPPED, text, sizeof(text));
	assert_string_equal(text, "start, delete");
	lifecycle_possible(VM_READY, text, sizeof(text));
	assert_string_equal(text, "stop, delete");
	lifecycle_possible(VM_CREATING, text, sizeof(text));
	assert_string_equal(text, "delete");
	lifecycle_possible(VM_STOPPED, small, sizeof(small));
	assert_string_equal(small, "start, ");
}

static void the_document_is_the_table(void **state)
{
	static const char begin[] = "<!-- begin: printed from host/control/lifecycle.def -->\n";
	auto_buf file = {0}, table = {0};
	char path[1024];
	const char *at, *slash = strrchr(__FILE__, '/');

	(void)state;
	assert_non_null(slash);
	(void)snprintf(path, sizeof(path), "%.*s/../../docs/lifecycle.md", (int)(slash - __FILE__),
		       __FILE__);
	assert_int_equal(fd_read_file(path, 1u << 20, &file, NULL), 0);
	assert_int_equal(lifecycle_print(&table), 0);
	at = strstr(buf_text(&file), begin);
	assert_non_null(at);
	if (strncmp(at + strlen(begin), buf_text(&table), table.len) != 0)
		fail_msg("docs/lifecycle.md differs from lifecycle.def; it must hold:\n%s",
			 buf_text(&table));
	assert_true(str_starts(at + strlen(begin) + table.len, "<!-- end -->"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_event_leads_two_ways),
		cmocka_unit_test(every_state_is_reached_from_creating_or_stopped),
		cmocka_unit_test(every_state_can_end),
		cmocka_unit_test(a_state_with_a_process_handles_its_end),
		cmocka_unit_test(no_move_loses_a_process),
		cmocka_unit_test(a_limit_has_an_answer),
		cmocka_unit_test(model_and_table_agree_on_processes),
		cmocka_unit_test(says_what_is_possible),
		cmocka_unit_test(the_document_is_the_table),
	};

	return RUN_TESTS(tests);
}
