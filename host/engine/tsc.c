/*
 * Measures the TSC against CLOCK_MONOTONIC_RAW.  Called by cmdline.c and by the probe; any thread.
 *
 * The guest's kernel takes tsc_early_khz= as it is (Linux arch/x86/kernel/tsc.c), so an error of
 * 1:10,000 here becomes a guest clock that drifts by as much; 25 ms with the tightest of several
 * readings at each end gives about 1:100,000.
 */
#include "engine/tsc.h"

#include <cpuid.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <x86intrin.h>

#include "base/clock.h"

#define WINDOW_NS (25 * NS_PER_MS)
#define READINGS  16

struct reading {
	uint64_t tsc, ns;
};

static uint64_t raw_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC_RAW, &ts); /* exists since Linux 2.6.28 */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The reading whose two TSC values around the clock lie closest: no interrupt came between. */
static struct reading read_both(void)
{
	struct reading best = {0, 0};
	uint64_t width = UINT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		uint64_t before = __rdtsc(), ns = raw_ns(), after = __rdtsc();

		if (after - before >= width)
			continue;
		width = after - before;
		best = (struct reading){before + width / 2, ns};
	}
	return best;
}

/* Intel SDM vol. 3B 18.17.1: CPUID 80000007h EDX bit 8, the TSC's rate never changes. */
static bool tsc_is_invariant(void)
{
	unsigned a, b, c, d = 0;

	return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & (1u << 8));
}

static uint32_t khz;

static void measure(void)
{
	struct timespec window = {0, WINDOW_NS};
	struct reading from, to;

	if (!tsc_is_invariant())
		return;
	from = read_both();
	(void)nanosleep(&window, NULL); /* a shorter window is only less exact */
	to = read_both();
	if (to.ns > from.ns && to.tsc > from.tsc)
		khz = (uint32_t)((double)(to.tsc - from.tsc) * 1e6 / (double)(to.ns - from.ns));
}

uint32_t tsc_khz(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, measure); /* can't fail with a static control */
	return khz;
}
