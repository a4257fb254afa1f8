// SPDX-License-Identifier: GPL-2.0
/*
 * The watch over a run: when it is over, and why
 *
 * A guest that crashed or hangs must end the run with a reason and with the
 * end of its log; a run that just times out would tell nobody anything.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "bed.h"

/* How often consoles are drained and clocks looked at when nothing happens */
#define TICK_MS		20
/* A panicking kernel gets this long to print the rest and to reset */
#define PANIC_MS	2000

u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

/* End the run. The first reason wins. */
void bed_end(struct bed *bed, enum bed_exit status, struct guest *culprit,
	     const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&bed->end.lock);
	if (!bed->end.over) {
		bed->end.over = true;
		bed->end.status = status;
		bed->end.culprit = culprit;
		va_start(args, fmt);
		vsnprintf(bed->end.reason, sizeof(bed->end.reason), fmt, args);
		va_end(args);
		pthread_cond_signal(&bed->end.changed);
	}
	pthread_mutex_unlock(&bed->end.lock);
}

bool guest_is_on(const struct guest *guest)
{
	return atomic_load(&guest->running);
}

void guest_off(struct guest *guest)
{
	struct bed *bed = guest->bed;

	atomic_store(&guest->running, false);
	console_drain(guest);
	log_finish(&guest->log);
	say("the %s powered off", guest->name);
	if (!guest_is_on(&bed->backend) && !guest_is_on(&bed->frontend))
		bed_end(bed, BED_OK, NULL, "done");
}

static bool silent_for(const struct guest *guest, u64 ms)
{
	/* Read first: a vCPU may set it to a later time than ours now. */
	u64 last = atomic_load(&guest->sign_of_life);

	return guest_is_on(guest) && now_ms() - last > ms;
}

/*
 * A server may be idle while its client is busy with something else, but not
 * while a request waits for it.
 */
static bool backend_may_idle(struct bed *bed, u64 ms)
{
	u64 since;

	if (!guest_is_on(&bed->frontend))
		return false;
	return !bao_oldest(bed, &since) || now_ms() - since <= ms;
}

static void watch_hang(struct bed *bed)
{
	u64 ms = bed->timeout * 1000ULL;
	struct guest *culprit = NULL;

	if (!ms)
		return;
	if (silent_for(&bed->backend, ms) && !backend_may_idle(bed, ms))
		culprit = &bed->backend;
	else if (silent_for(&bed->frontend, ms))
		culprit = &bed->frontend;
	if (culprit)
		bed_end(bed, BED_HUNG, culprit,
			"nothing heard from it for %u seconds", bed->timeout);
}

static void watch_panic(struct bed *bed, struct guest *guest)
{
	if (atomic_load(&guest->panicked) && silent_for(guest, PANIC_MS))
		bed_end(bed, BED_CRASHED, guest, "its kernel panicked");
}

static void tick(struct bed *bed)
{
	if (guest_is_on(&bed->backend))
		console_drain(&bed->backend);
	if (guest_is_on(&bed->frontend))
		console_drain(&bed->frontend);
	if (bed->scripted)
		script_tick(bed);
	watch_panic(bed, &bed->backend);
	watch_panic(bed, &bed->frontend);
	watch_hang(bed);
}

static bool wait_tick(struct bed *bed)
{
	struct timespec until;
	bool over;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&bed->end.lock);
	if (!bed->end.over)
		pthread_cond_timedwait(&bed->end.changed, &bed->end.lock,
				       &until);
	over = bed->end.over;
	pthread_mutex_unlock(&bed->end.lock);
	return !over;
}

static void print_end(struct bed *bed)
{
	struct guest *culprit = bed->end.culprit;

	if (!culprit) {
		if (bed->bao.followed)
			bao_print_outstanding(bed);
		return;
	}
	console_drain(culprit);
	log_finish(&culprit->log);
	say("error: the %s %s: %s", culprit->name,
	    bed->end.status == BED_HUNG ? "hangs" : "crashed",
	    bed->end.reason);
	bao_print_outstanding(bed);
	log_tail(&culprit->log);
}

static void print_summary(struct bed *bed)
{
	const struct totals *t = &bed->bao.totals;
	const struct {
		const char *name;
		u64 value;
	} items[] = {
		{ "requests", t->requests },
		{ "kicks", t->kicks },
		{ "irqs", t->irqs },
		{ "notifies", t->notifies },
		{ "hypercalls", t->hypercalls },
		{ "asks", t->asks },
		{ "empty-asks", t->empty_asks },
		{ "refused", t->refused },
		{ "violations", t->violations },
	};
	char text[LINE_MAX_LEN];
	unsigned int i, len = 0;

	for (i = 0; i < ARRAY_SIZE(items); i++)
		len += sprintf(text + len, " %s=%llu", items[i].name,
			       items[i].value);
	say("summary:%s", text);
}

static void init_end(struct bed *bed)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&bed->end.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&bed->end.changed, &attr);
}

/* Start the guests and see them to their end */
enum bed_exit bed_run(struct bed *bed)
{
	init_end(bed);
	/* Both count as running before either can say that all is over */
	atomic_store(&bed->frontend.running, !bed->scripted);
	vm_start(&bed->backend);
	if (!bed->scripted)
		vm_start(&bed->frontend);
	while (wait_tick(bed))
		tick(bed);
	print_end(bed);
	pthread_mutex_lock(&bed->bao.lock);
	print_summary(bed);
	pthread_mutex_unlock(&bed->bao.lock);
	return bed->end.status;
}
