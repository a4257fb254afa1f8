// SPDX-License-Identifier: GPL-2.0
/*
 * The scripted frontend with a clock: accesses at a pace, and how long each
 * takes (../bed_ctl.h: BED_CMD_PACE, BED_CMD_TIMES)
 *
 * A vCPU that pauses between two accesses is the pacing thread's to continue.
 * Without a pause it goes on in the thread that completed its access, like a
 * storm's. Everything runs with bao.lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bed.h"

#define SAMPLES_MAX	BIT(20)
#define NS_PER_SEC	1000000000ULL

/* A vCPU of the frontend */
struct pacer {
	unsigned int device;			/* of its next access */
	bool pausing;
	u64 due;				/* ns, if it pauses */
	u64 since;				/* ns, if it waits */
};

struct pace {
	struct bed *bed;
	pthread_cond_t changed;
	struct access access;
	unsigned int first_device, nr_devices, nr_pacers;
	struct pacer pacers[DEVICES_MAX];
	u64 pause;				/* ns */
	u64 total, made, completed;
	u64 begin, end;				/* ns */
	u32 *samples;				/* ns, of each completed access */
};

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static bool is_running(const struct pace *pace)
{
	return pace->completed < pace->total;
}

static void make_access(struct pace *pace, struct pacer *pacer)
{
	unsigned int step = pacer->device - pace->first_device;
	struct access access = pace->access;

	if (pace->made == pace->total)
		return;
	pace->made++;
	access.device = pacer->device;
	access.ctx = pacer;
	step = (step + pace->nr_pacers) % pace->nr_devices;
	pacer->device = pace->first_device + step;
	pacer->since = now_ns();
	if (bao_access(pace->bed, &access, NULL))
		die("the pool of requests is exhausted by paced accesses");
}

static void pace_completed(struct bed *bed, const struct request *req)
{
	struct pace *pace = bed->pace;
	struct pacer *pacer = req->access.ctx;

	pace->end = now_ns();
	pace->samples[pace->completed++] = pace->end - pacer->since;
	if (!pace->pause) {
		make_access(pace, pacer);
		return;
	}
	pacer->due = pace->end + pace->pause;
	pacer->pausing = true;
	pthread_cond_signal(&pace->changed);
}

/* Return: when the next pause is over, or 0 if nobody pauses */
static u64 continue_due(struct pace *pace)
{
	u64 next = 0, now = now_ns();
	unsigned int i;

	for (i = 0; i < pace->nr_pacers; i++) {
		struct pacer *pacer = &pace->pacers[i];

		if (!pacer->pausing)
			continue;
		if (pacer->due <= now) {
			pacer->pausing = false;
			make_access(pace, pacer);
		} else if (!next || pacer->due < next) {
			next = pacer->due;
		}
	}
	return next;
}

static void wait_until(struct pace *pace, u64 due)
{
	struct timespec until = {
		.tv_sec = due / NS_PER_SEC,
		.tv_nsec = due % NS_PER_SEC,
	};
	pthread_mutex_t *lock = &pace->bed->bao.lock;

	if (due)
		pthread_cond_timedwait(&pace->changed, lock, &until);
	else
		pthread_cond_wait(&pace->changed, lock);
}

static void *pace_thread(void *arg)
{
	struct pace *pace = arg;

	pthread_mutex_lock(&pace->bed->bao.lock);
	for (;;)
		wait_until(pace, continue_due(pace));
	return NULL;
}

/* What has been asked for, or an error */
static int parse(struct pace *pace, const u64 *arg)
{
	u64 n = pace->bed->bao.nr_devices, vcpus = arg[4], total = arg[5];

	if (arg[0] >= n || !arg[1] || arg[1] > n - arg[0] ||
	    arg[2] > BED_OP_READ || !vcpus || vcpus > DEVICES_MAX ||
	    total < vcpus || total > SAMPLES_MAX ||
	    arg[6] > BED_PAUSE_MAX_US)
		return -EINVAL;
	pace->first_device = arg[0];
	pace->nr_devices = arg[1];
	pace->access = (struct access) {
		.op = arg[2],
		.addr = arg[3],
		.width = 4,
		.done = pace_completed,
	};
	pace->nr_pacers = vcpus;
	pace->total = total;
	pace->pause = arg[6] * 1000;
	return 0;
}

static void start(struct pace *pace)
{
	unsigned int i;

	pace->made = 0;
	pace->completed = 0;
	pace->begin = now_ns();
	for (i = 0; i < pace->nr_pacers; i++) {
		pace->pacers[i] = (struct pacer) {
			.device = pace->first_device + i % pace->nr_devices,
		};
		make_access(pace, &pace->pacers[i]);
	}
}

int pace_start(struct bed *bed, const u64 *arg)
{
	struct pace *pace = bed->pace;
	int err;

	if (is_running(pace))
		return -EBUSY;
	if (!script_has_room(bed, arg[4] < DEVICES_MAX ? arg[4] : DEVICES_MAX))
		return -ENOSPC;
	err = parse(pace, arg);
	if (!err)
		start(pace);
	return err;
}

static int compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return (x > y) - (x < y);
}

int pace_times(struct bed *bed, u64 *ret)
{
	struct pace *pace = bed->pace;
	u64 n = pace->completed, sum = 0, i;
	u32 *t = pace->samples;

	ret[0] = n;
	if (is_running(pace) || !n)
		return 0;
	qsort(t, n, sizeof(*t), compare);
	for (i = 0; i < n; i++)
		sum += t[i];
	ret[1] = t[(n - 1) * 50 / 100];
	ret[2] = t[(n - 1) * 99 / 100];
	ret[3] = t[n - 1];
	ret[4] = sum / n;
	ret[5] = pace->end - pace->begin;
	return 0;
}

/* Make no further accesses */
void pace_stop(struct bed *bed)
{
	bed->pace->total = bed->pace->made;
}

/* The requests are forgotten, and nobody will complete them */
void pace_reset(struct bed *bed)
{
	struct pace *pace = bed->pace;

	pace->total = 0;
	pace->made = 0;
	pace->completed = 0;
	pace->nr_pacers = 0;
}

void pace_init(struct bed *bed)
{
	struct pace *pace = calloc(1, sizeof(*pace));
	pthread_condattr_t attr;
	pthread_t thread;

	bed->pace = pace;
	if (pace)
		pace->samples = calloc(SAMPLES_MAX, sizeof(*pace->samples));
	if (!pace || !pace->samples)
		die("no memory for the paced frontend");
	pace->bed = bed;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pace->changed, &attr);
	if (pthread_create(&thread, NULL, pace_thread, pace))
		die("cannot start the pacing thread");
}
