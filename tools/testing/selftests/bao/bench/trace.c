// SPDX-License-Identifier: GPL-2.0
/*
 * Counts what the kernel did in a window of time, from its tracepoints
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define DRIVER		"bao-backend"	/* its interrupts and its threads */

static int switch_fd = -1;

static void write_to(const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), TRACEFS "%s", name);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail("%s cannot be written: is this a kernel with tracepoints?",
		     path);
	close(fd);
}

/* Makes ready to count. */
void trace_open(void)
{
	static const char * const events[] = {
		"raw_syscalls/sys_enter",
		"sched/sched_switch",
		"sched/sched_waking",
		"kmem/kmalloc",
		"kmem/kmem_cache_alloc",
		"kmem/mm_page_alloc",
		"irq/irq_handler_entry",
		"irq/irq_handler_exit",
		"bao/bao_kick",
		"bao/bao_load",
	};
	char name[64];

	write_to("tracing_on", "0");
	write_to("buffer_size_kb", "4096");
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		snprintf(name, sizeof(name), "events/%s/enable", events[i]);
		write_to(name, "1");
	}
	switch_fd = open(TRACEFS "tracing_on", O_WRONLY | O_CLOEXEC);
	if (switch_fd < 0)
		fail("no " TRACEFS "tracing_on");
}

static void turn(const char *on)
{
	if (write(switch_fd, on, 1) != 1)
		fail("tracing cannot be switched");
}

void trace_begin(void)
{
	write_to("trace", "");
	turn("1");
}

/* An event costs time even while nothing is recorded. */
void trace_close(void)
{
	write_to("set_event", "");
	close(switch_fd);
}

/* A line of the trace */
struct event {
	char *task;		/* comm-pid */
	int pid;
	char *name;
	char *args;
};

/* "  comm-pid     [cpu] flags  time: name: args" */
static bool parse(char *line, struct event *e)
{
	char *cpu = strstr(line, " ["), *dash, *at;

	if (line[0] == '#' || !cpu)
		return false;
	*cpu = 0;
	e->task = line + strspn(line, " ");
	dash = strrchr(e->task, '-');
	at = strstr(cpu + 1, ": ");
	if (!dash || !at)
		return false;
	e->pid = atoi(dash + 1);
	e->name = at + 2 + strspn(at + 2, " ");
	at = strchr(e->name, ':');
	if (!at)
		return false;
	*at = 0;
	e->args = at + 1;
	return true;
}

/* What is being added up */
struct count {
	const int *tids;
	unsigned int nr;
	struct tally *tally;
	bool in_handler;	/* of the driver's interrupt */
	bool due;		/* it came, and no request has been completed */
	u64 switches;		/* since then */
};

static bool is_watched(const struct count *c, int pid)
{
	for (unsigned int i = 0; i < c->nr; i++)
		if (c->tids[i] == pid)
			return true;
	return false;
}

static bool is_driver(const char *comm)
{
	return !strncmp(comm, DRIVER, strlen(DRIVER));
}

static int number_after(const char *args, const char *key)
{
	const char *at = strstr(args, key);

	return at ? atoi(at + strlen(key)) : -1;
}

static void on_syscall(struct count *c, const struct event *e)
{
	char own[32];

	/* The one that ends the window is no part of it. */
	snprintf(own, sizeof(own), "(%x,", switch_fd);
	if (is_watched(c, e->pid) && !strstr(e->args, own))
		c->tally->syscalls++;
}

static void on_switch(struct count *c, const struct event *e)
{
	c->switches++;
	if (is_watched(c, number_after(e->args, "prev_pid=")))
		c->tally->switches++;
}

static void on_waking(struct count *c, const struct event *e)
{
	const char *comm = strstr(e->args, "comm=");

	if (is_watched(c, number_after(e->args, " pid=")) ||
	    (comm && is_driver(comm + 5)))
		c->tally->wakeups++;
}

static void on_alloc(struct count *c, const struct event *e)
{
	if (c->in_handler || is_watched(c, e->pid) || is_driver(e->task))
		c->tally->allocs++;
}

static void on_entry(struct count *c, const struct event *e)
{
	if (!strstr(e->args, "name=" DRIVER))
		return;
	c->in_handler = true;
	c->tally->interrupts++;
	if (!c->due)
		c->switches = 0;
	c->due = true;
}

static void on_exit_handler(struct count *c, const struct event *e)
{
	(void)e;
	c->in_handler = false;
}

static void on_direct(struct count *c, const struct event *e)
{
	(void)e;
	c->tally->direct++;
	c->tally->early_switches += c->switches;
	c->switches = 0;
	c->due = false;
}

static void add(struct count *c, const struct event *e)
{
	static const struct {
		const char *name;
		void (*fn)(struct count *c, const struct event *e);
	} table[] = {
		{ "sys_enter", on_syscall },
		{ "sched_switch", on_switch },
		{ "sched_waking", on_waking },
		{ "kmalloc", on_alloc },
		{ "kmem_cache_alloc", on_alloc },
		{ "mm_page_alloc", on_alloc },
		{ "irq_handler_entry", on_entry },
		{ "irq_handler_exit", on_exit_handler },
		{ "bao_kick", on_direct },
		{ "bao_load", on_direct },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (!strcmp(table[i].name, e->name))
			table[i].fn(c, e);
}

/* The header says how many events there are and how many there were. */
static void check_complete(const char *line)
{
	unsigned long have, had;

	if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu",
		   &have, &had) == 2 && have != had)
		fail("the trace has lost %lu events", had - have);
}

/**
 * trace_end() - end the window and say what was in it
 * @tids: the threads to watch
 * @nr: how many
 * @tally: filled in
 *
 * The driver's part can only be told from what it interrupts if the machine has
 * one CPU.
 */
void trace_end(const int *tids, unsigned int nr, struct tally *tally)
{
	struct count c = { .tids = tids, .nr = nr, .tally = tally };
	struct event e;
	char line[1024];
	FILE *file;

	turn("0");
	*tally = (struct tally) {};
	file = fopen(TRACEFS "trace", "r");
	if (!file)
		fail("there is no trace");
	while (fgets(line, sizeof(line), file)) {
		check_complete(line);
		if (parse(line, &e))
			add(&c, &e);
	}
	fclose(file);
}
