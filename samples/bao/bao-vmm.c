// SPDX-License-Identifier: GPL-2.0
/*
 * bao-vmm - a small virtual machine monitor for Bao's Remote I/O
 *
 * It runs in a backend VM and serves virtio devices to frontend VMs, which the
 * Bao hypervisor and the bao driver connect it to. It is meant to be read by
 * whoever writes a VMM of their own, in this order:
 *
 *   backend.c      the interface of the driver, with the loop that serves it
 *   eventfd.c      the part of it that spares requests
 *   virtio-mmio.c  the registers that the frontend's driver accesses
 *   device.c       interrupts, reset, and the service of queues
 *   virtqueue.c    the rings in shared memory, and how not to trust them
 *   rng.c          a device of a few lines; blk.c and console.c are larger, and
 *                  vsock.c is one that the kernel's vhost serves
 *
 * and last this file, with options, a thread for each device, and signals.
 *
 * "make" builds it by itself, for another architecture with CROSS_COMPILE=; a
 * kernel with SAMPLE_BAO_VMM=y builds it among its samples.
 *
 * The frontend's device-tree node of a device is an ordinary virtio,mmio node
 * with a memory-region that is a restricted-dma-pool on the shared memory:
 *
 *   pool: memory@60000000 {
 *           compatible = "restricted-dma-pool";
 *           reg = <0 0x60000000 0 0x400000>;
 *   };
 *   virtio@a000000 {
 *           compatible = "virtio,mmio";
 *           reg = <0 0x0a000000 0 0x200>;
 *           interrupts = <0 16 1>;
 *           memory-region = <&pool>;
 *           dma-coherent;
 *   };
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/bao.h>

#include "bao-vmm.h"

/* The driver has at most so many backends at a node. */
#define BACKENDS_MAX	64

/* How long threads may take to finish what they are doing */
#define STOP_SECONDS	5

struct vmm;

/**
 * struct served - a device and the thread that serves it
 * @vmm: the program it belongs to
 * @thread: runs backend_serve()
 * @backend: the device
 */
struct served {
	struct vmm *vmm;
	pthread_t thread;
	struct backend backend;
};

/**
 * struct vmm - the whole program
 * @count: how many devices are served
 * @once: end when the drivers have let go of all devices
 * @verbose: print every request
 * @no_eventfd: do without ioeventfds and irqfds
 * @busy_poll_us: how long to poll for requests before sleeping
 * @main_thread: waits for signals, and for SIGUSR1 from threads that end
 * @running: threads that have not ended
 * @failed: threads that ended with an error
 * @device: the devices
 */
struct vmm {
	unsigned int count;
	bool once;
	bool verbose;
	bool no_eventfd;
	__u32 busy_poll_us;
	pthread_t main_thread;
	unsigned int running;
	unsigned int failed;
	struct served device[BACKENDS_MAX];
};

static const char usage[] =
"Usage: bao-vmm [OPTION]... --backend PATH DEVICE [--backend PATH DEVICE]...\n"
"Serve virtio devices to frontend VMs of the Bao hypervisor.\n"
"\n"
"  -b, --backend PATH    backend to serve the next device on\n"
"  -1, --once            end when the frontends have let go of all devices,\n"
"                        as they do when they are shut down\n"
"      --busy-poll US    poll so many microseconds for a register access before\n"
"                        sleeping\n"
"      --no-eventfd      use neither ioeventfds nor irqfds, for comparison\n"
"  -v, --verbose         print every register access\n"
"  -h, --help            print this text\n"
"\n"
"DEVICE is one of\n"
"  --blk FILE[,ro][,serial=NAME]\n"
"                        a disk in a file or on a block device\n"
"  --console [FILE]      a console that writes to FILE, or to standard output\n"
"  --rng                 a source of random numbers\n"
"  --vsock CID           sockets between this VM and the frontend, which has\n"
"                        context id CID (3 or more); the kernel carries the data\n"
"\n"
"Examples:\n"
"  bao-vmm --backend /dev/bao/backend0 --blk disk.img\n"
"  bao-vmm --backend /dev/bao/backend0 --blk /dev/sda,ro,serial=rescue \\\n"
"          --backend /dev/bao/backend1 --console frontend.log\n"
"\n"
"SIGTERM and SIGINT end it cleanly.\n";

static const struct option options[] = {
	{ "backend", required_argument, NULL, 'b' },
	{ "blk", required_argument, NULL, 'd' },
	{ "console", optional_argument, NULL, 'c' },
	{ "rng", no_argument, NULL, 'r' },
	{ "vsock", required_argument, NULL, 's' },
	{ "busy-poll", required_argument, NULL, 'p' },
	{ "no-eventfd", no_argument, NULL, 'n' },
	{ "once", no_argument, NULL, '1' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static void bad_usage(const char *what)
{
	vmm_err("%s; 'bao-vmm --help' shows examples", what);
	exit(EXIT_FAILURE);
}

static struct backend *last_backend(struct vmm *vmm)
{
	return vmm->count ? &vmm->device[vmm->count - 1].backend : NULL;
}

static void add_backend(struct vmm *vmm, const char *path)
{
	struct backend *last = last_backend(vmm);

	if (last && !last->dev.ops)
		bad_usage("a --backend is without a device");
	if (vmm->count == BACKENDS_MAX)
		bad_usage("too many backends for one VMM: start a second one");
	vmm->device[vmm->count].vmm = vmm;
	vmm->device[vmm->count++].backend.path = path;
}

static void add_device(struct vmm *vmm, int kind, const char *arg)
{
	struct backend *b = last_backend(vmm);
	bool ok;

	if (!b || b->dev.ops)
		bad_usage("each device needs its own --backend before it");
	switch (kind) {
	case 'd':
		ok = blk_create(&b->dev, arg);
		break;
	case 'c':
		ok = console_create(&b->dev, arg);
		break;
	case 's':
		ok = vsock_create(&b->dev, arg);
		break;
	default:
		ok = rng_create(&b->dev);
	}
	if (!ok)
		exit(EXIT_FAILURE);
}

/* getopt knows an optional argument only as --console=FILE. */
static const char *console_file(int argc, char **argv)
{
	if (!optarg && optind < argc && argv[optind][0] != '-')
		return argv[optind++];
	return optarg;
}

static __u32 microseconds(const char *text)
{
	unsigned long us;
	char *end;

	us = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || us > BAO_BUSY_POLL_MAX_US)
		bad_usage("--busy-poll needs a number from 0 to 1000000");
	return us;
}

static void take_option(struct vmm *vmm, int opt, const char *arg)
{
	switch (opt) {
	case 'b':
		add_backend(vmm, arg);
		break;
	case 'v':
		vmm->verbose = true;
		break;
	case '1':
		vmm->once = true;
		break;
	case 'n':
		vmm->no_eventfd = true;
		break;
	case 'p':
		vmm->busy_poll_us = microseconds(arg);
		break;
	default:
		add_device(vmm, opt, arg);
	}
}

static void parse(struct vmm *vmm, int argc, char **argv)
{
	struct backend *last;
	int opt;

	while ((opt = getopt_long(argc, argv, "+b:1vh", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		}
		if (opt == '?')
			bad_usage("that option cannot be used so");
		take_option(vmm, opt, opt == 'c' ? console_file(argc, argv) :
						   optarg);
	}
	last = last_backend(vmm);
	if (optind < argc)
		bad_usage("there is an argument too many");
	if (!last)
		bad_usage("nothing to serve: give a --backend and a device");
	if (!last->dev.ops)
		bad_usage("the last --backend is without a device");
}

static void ignore(int sig)
{
	(void)sig;
}

/*
 * SIGTERM and SIGINT go to the main thread only, which waits for them and does
 * nothing else, so that none can be lost. SIGUSR1 has no effect but to
 * interrupt a system call, hence no SA_RESTART.
 */
static void set_up_signals(sigset_t *set)
{
	struct sigaction action = { .sa_handler = ignore };

	sigaction(SIGUSR1, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void say_why(const struct backend *b, int err)
{
	if (err == -ENODEV)
		vmm_err("%s: the backend went away: its driver was unbound or removed",
			b->path);
	else
		vmm_err("%s: cannot go on serving: %s", b->path,
			strerror(-err));
}

static void *serve_thread(void *arg)
{
	struct served *device = arg;
	struct vmm *vmm = device->vmm;
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);

	ret = backend_serve(&device->backend);
	if (ret) {
		say_why(&device->backend, ret);
		__atomic_fetch_add(&vmm->failed, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_sub(&vmm->running, 1, __ATOMIC_RELEASE);
	pthread_kill(vmm->main_thread, SIGUSR1);
	return NULL;
}

static void open_all(struct vmm *vmm)
{
	struct backend *b;
	unsigned int i;

	for (i = 0; i < vmm->count; i++) {
		b = &vmm->device[i].backend;
		b->once = vmm->once;
		b->verbose = vmm->verbose;
		b->no_eventfd = vmm->no_eventfd;
		b->busy_poll_us = vmm->busy_poll_us;
		if (!backend_open(b))
			exit(EXIT_FAILURE);
		printf("bao-vmm: %s: %s\n", b->path, b->dev.name);
	}
	fflush(stdout);
}

static void start_all(struct vmm *vmm)
{
	unsigned int i;
	int err;

	vmm->main_thread = pthread_self();
	vmm->running = vmm->count;
	for (i = 0; i < vmm->count; i++) {
		err = pthread_create(&vmm->device[i].thread, NULL, serve_thread,
				     &vmm->device[i]);
		if (err) {
			vmm_err("cannot start a thread: %s", strerror(err));
			exit(EXIT_FAILURE);
		}
	}
}

static void stop_all(struct vmm *vmm)
{
	unsigned int i;

	for (i = 0; i < vmm->count; i++) {
		backend_stop(&vmm->device[i].backend);
		pthread_kill(vmm->device[i].thread, SIGUSR1);
	}
}

/* Returns false if a thread is stuck, for example in a disk that hangs. */
static bool wait_for_all(struct vmm *vmm, const sigset_t *set)
{
	const struct timespec limit = { .tv_sec = STOP_SECONDS };
	bool stopping = false;
	int sig;

	while (__atomic_load_n(&vmm->running, __ATOMIC_ACQUIRE)) {
		sig = stopping ? sigtimedwait(set, NULL, &limit) :
				 sigwaitinfo(set, NULL);
		if (sig < 0 && errno == EAGAIN)
			return false;
		if ((sig == SIGTERM || sig == SIGINT) && !stopping) {
			stopping = true;
			stop_all(vmm);
		}
	}
	return true;
}

static void print_statistics(struct vmm *vmm)
{
	unsigned long requests = 0, kicks = 0, notifies = 0;
	struct backend *b;
	unsigned int i;

	for (i = 0; i < vmm->count; i++) {
		b = &vmm->device[i].backend;
		requests += b->requests;
		kicks += b->dev.kicks;
		notifies += b->notifies;
	}
	printf("bao-vmm: %lu requests, %lu kicks, %lu notifies\n", requests,
	       kicks, notifies);
	fflush(stdout);
}

static void close_all(struct vmm *vmm)
{
	unsigned int i;

	for (i = 0; i < vmm->count; i++) {
		pthread_join(vmm->device[i].thread, NULL);
		backend_close(&vmm->device[i].backend);
	}
}

int main(int argc, char **argv)
{
	struct vmm *vmm = calloc(1, sizeof(*vmm));
	bool failed, ended;
	sigset_t set;

	if (!vmm) {
		vmm_err("out of memory");
		return EXIT_FAILURE;
	}
	parse(vmm, argc, argv);
	set_up_signals(&set);
	open_all(vmm);
	start_all(vmm);
	ended = wait_for_all(vmm, &set);
	print_statistics(vmm);
	if (!ended) {
		/* Leaving ends the thread; the driver keeps its requests. */
		vmm_err("a device did not finish within %d s; leaving it",
			STOP_SECONDS);
		return EXIT_FAILURE;
	}
	close_all(vmm);
	failed = vmm->failed;
	free(vmm);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
