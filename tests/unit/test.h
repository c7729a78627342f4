/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_H
#define TIER_TEST_H

/*
 * Unit tests: include this once per program, define tests, and that is all; main() is here.
 *
 *	TEST(crc_of_nothing)
 *	{
 *		CHECK_EQ(crc32c(0, NULL, 0), 0);
 *	}
 *
 * Every test runs, in the order of definition, also after one has failed. Output is TAP; the exit
 * status is 0, 1 (a test failed) or 77 (none failed, one was skipped), so meson's default protocol
 * is the right one. TIER_NO_SKIP=1 (CI) turns a skip into a failure. Arguments name the tests to
 * run.
 */

#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
	const char *name;
	void (*run)(void);
};

static struct test_case test_cases[256];
static size_t test_case_count;
static jmp_buf test_end;
static volatile bool test_failed_now, test_skipped_now;

#define TEST(test_name)                                                                            \
	static void test_##test_name(void);                                                        \
	__attribute__((constructor)) static void test_register_##test_name(void)                   \
	{                                                                                          \
		if (test_case_count == sizeof(test_cases) / sizeof(test_cases[0]))                 \
			abort();                                                                   \
		test_cases[test_case_count++] = (struct test_case){#test_name, test_##test_name};  \
	}                                                                                          \
	static void test_##test_name(void)

/* Ends the running test as failed; the text is a printf format. */
#define FAIL(...)                                                                                  \
	do {                                                                                       \
		printf("# %s:%d: ", __FILE__, __LINE__);                                           \
		printf(__VA_ARGS__);                                                               \
		putchar('\n');                                                                     \
		test_failed_now = true;                                                            \
		longjmp(test_end, 1);                                                              \
	} while (0)

/* Ends the running test as skipped; in CI that fails. */
#define SKIP(...)                                                                                  \
	do {                                                                                       \
		printf("# %s:%d: skipped: ", __FILE__, __LINE__);                                  \
		printf(__VA_ARGS__);                                                               \
		putchar('\n');                                                                     \
		test_skipped_now = true;                                                           \
		longjmp(test_end, 1);                                                              \
	} while (0)

#define CHECK(expression)                                                                          \
	do {                                                                                       \
		if (!(expression))                                                                 \
			FAIL("%s", #expression);                                                   \
	} while (0)

/* Integers of any width and sign; both values are printed. */
#define CHECK_EQ(left, right)                                                                      \
	do {                                                                                       \
		__auto_type check_l_ = (left);                                                     \
		__auto_type check_r_ = (right);                                                    \
		if (check_l_ != (__typeof__(check_l_))check_r_)                                    \
			FAIL("%s == %s: %" PRId64 " (0x%" PRIx64 ") against %" PRId64              \
			     " (0x%" PRIx64 ")",                                                   \
			     #left, #right, (int64_t)check_l_, (uint64_t)check_l_,                 \
			     (int64_t)check_r_, (uint64_t)check_r_);                               \
	} while (0)

#define CHECK_STR(left, right)                                                                     \
	do {                                                                                       \
		const char *check_l_ = (left);                                                     \
		const char *check_r_ = (right);                                                    \
		if (!check_l_ || !check_r_ || strcmp(check_l_, check_r_) != 0)                     \
			FAIL("%s: \"%s\" against \"%s\"", #left, check_l_ ? check_l_ : "(null)",   \
			     check_r_ ? check_r_ : "(null)");                                      \
	} while (0)

/* Does @left contain @right? */
#define CHECK_HAS(left, right)                                                                     \
	do {                                                                                       \
		const char *check_l_ = (left);                                                     \
		const char *check_r_ = (right);                                                    \
		if (!check_l_ || !strstr(check_l_, check_r_))                                      \
			FAIL("%s: \"%s\" lacks \"%s\"", #left, check_l_ ? check_l_ : "(null)",     \
			     check_r_);                                                            \
	} while (0)

static inline bool test_wanted(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	const char *no_skip = getenv("TIER_NO_SKIP");
	/* Static: a longjmp() must not lose them. */
	static size_t number, failed, skipped;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (volatile size_t i = 0; i < test_case_count; i++) {
		if (!test_wanted(argc, argv, test_cases[i].name))
			continue;
		number++;
		test_failed_now = test_skipped_now = false;
		if (setjmp(test_end) == 0)
			test_cases[i].run();
		if (test_skipped_now && no_skip && no_skip[0] == '1')
			test_skipped_now = false, test_failed_now = true;
		failed += test_failed_now;
		skipped += test_skipped_now;
		printf("%sok %zu - %s%s\n", test_failed_now ? "not " : "", number,
		       test_cases[i].name, test_skipped_now ? " # SKIP" : "");
	}
	printf("1..%zu\n# %zu passed, %zu failed, %zu skipped\n", number, number - failed - skipped,
	       failed, skipped);
	if (number == 0 || failed)
		return 1;
	return skipped ? 77 : 0;
}

#endif
