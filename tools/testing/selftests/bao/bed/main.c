// SPDX-License-Identifier: GPL-2.0
/*
 * bao-bed: boots a backend VM and a frontend, and stands between them in Bao's
 * place
 *
 * This file reads the command line and puts the guests together.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bed.h"

#define SHARED_MAX	(RAM_ADDR - SHARED_ADDR)
#define RAM_MAX		(PMEM_ADDR - RAM_ADDR)

enum {
	OPT_BACKEND_KERNEL = 256,
	OPT_BACKEND_INITRD,
	OPT_BACKEND_CMDLINE,
	OPT_BACKEND_VCPUS,
	OPT_BACKEND_MEM,
	OPT_FRONTEND_KERNEL,
	OPT_FRONTEND_INITRD,
	OPT_FRONTEND_CMDLINE,
	OPT_FRONTEND_VCPUS,
	OPT_FRONTEND_MEM,
	OPT_SCRIPTED,
	OPT_DEVICES,
	OPT_REGION_SIZE,
	OPT_DISK,
	OPT_BAD_NODES,
	OPT_TIMEOUT,
	OPT_VERBOSE,
	OPT_HELP,
};

static const struct option options[] = {
	{ "backend-kernel", required_argument, NULL, OPT_BACKEND_KERNEL },
	{ "backend-initrd", required_argument, NULL, OPT_BACKEND_INITRD },
	{ "backend-cmdline", required_argument, NULL, OPT_BACKEND_CMDLINE },
	{ "backend-vcpus", required_argument, NULL, OPT_BACKEND_VCPUS },
	{ "backend-mem", required_argument, NULL, OPT_BACKEND_MEM },
	{ "frontend-kernel", required_argument, NULL, OPT_FRONTEND_KERNEL },
	{ "frontend-initrd", required_argument, NULL, OPT_FRONTEND_INITRD },
	{ "frontend-cmdline", required_argument, NULL, OPT_FRONTEND_CMDLINE },
	{ "frontend-vcpus", required_argument, NULL, OPT_FRONTEND_VCPUS },
	{ "frontend-mem", required_argument, NULL, OPT_FRONTEND_MEM },
	{ "scripted", no_argument, NULL, OPT_SCRIPTED },
	{ "devices", required_argument, NULL, OPT_DEVICES },
	{ "region-size", required_argument, NULL, OPT_REGION_SIZE },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "bad-nodes", no_argument, NULL, OPT_BAD_NODES },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ }
};

static const char usage_text[] =
"usage: bao-bed --backend-kernel IMAGE [options]\n"
"  --backend-kernel IMAGE    arm64 Image of the backend VM\n"
"  --backend-initrd FILE     its initramfs\n"
"  --backend-cmdline TEXT    added to its command line\n"
"  --backend-vcpus N         its vCPUs (2)\n"
"  --backend-mem MIB         its memory (256)\n"
"  --frontend-kernel IMAGE, --frontend-initrd, --frontend-cmdline,\n"
"  --frontend-vcpus (1), --frontend-mem (256)\n"
"                            likewise, for a real frontend VM\n"
"  --scripted                instead of a frontend VM: a frontend that tests in\n"
"                            the backend command through the control page\n"
"  --devices N               Remote I/O devices, 1 to 64 (1)\n"
"  --region-size BYTES       shared memory of each (0x400000)\n"
"  --disk PATH               file or block device that the backend sees as\n"
"                            /dev/pmem0\n"
"  --bad-nodes               add malformed dispatcher nodes to the backend's tree\n"
"  --timeout SECONDS         a guest that is silent for so long hangs (60; 0: never)\n"
"  --verbose                 say more\n"
"exit status: 0 both guests powered off, 1 bad usage or setup, 2 a guest\n"
"crashed, 3 a guest hangs\n";

static unsigned long parse_number(const char *what, const char *text,
				  unsigned long min, unsigned long max)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || end == text || *end || value < min || value > max)
		die("--%s must be a number from %lu to %lu, not \"%s\"", what,
		    min, max, text);
	return value;
}

static bool parse_guest(struct guest *guest, int opt, const char *name,
			const char *arg)
{
	switch (opt) {
	case OPT_BACKEND_KERNEL:
		guest->kernel = arg;
		return true;
	case OPT_BACKEND_INITRD:
		guest->initrd = arg;
		return true;
	case OPT_BACKEND_CMDLINE:
		guest->cmdline = arg;
		return true;
	case OPT_BACKEND_VCPUS:
		guest->nr_vcpus = parse_number(name, arg, 1, VCPUS_MAX);
		return true;
	case OPT_BACKEND_MEM:
		guest->ram_size = MIB(parse_number(name, arg, 8,
						   RAM_MAX >> 20));
		return true;
	}
	return false;
}

static void parse_option(struct bed *bed, int opt, const char *name,
			 const char *arg)
{
	const int to_frontend = OPT_FRONTEND_KERNEL - OPT_BACKEND_KERNEL;

	if (parse_guest(&bed->backend, opt, name, arg) ||
	    parse_guest(&bed->frontend, opt - to_frontend, name, arg))
		return;
	switch (opt) {
	case OPT_SCRIPTED:
		bed->scripted = true;
		break;
	case OPT_DEVICES:
		bed->bao.nr_devices = parse_number(name, arg, 1, DEVICES_MAX);
		break;
	case OPT_REGION_SIZE:
		bed->region_size = parse_number(name, arg, 0x1000, SHARED_MAX);
		break;
	case OPT_DISK:
		bed->disk = arg;
		break;
	case OPT_BAD_NODES:
		bed->bad_nodes = true;
		break;
	case OPT_TIMEOUT:
		bed->timeout = parse_number(name, arg, 0, 1000000);
		break;
	case OPT_VERBOSE:
		bed->verbose = true;
		break;
	case OPT_HELP:
		fputs(usage_text, stdout);
		exit(BED_OK);
	default:
		fputs(usage_text, stderr);
		exit(BED_SETUP);
	}
}

static void check_options(struct bed *bed)
{
	if (!bed->backend.kernel)
		die("--backend-kernel is missing (--help lists the options)");
	if (bed->scripted == !!bed->frontend.kernel)
		die("give either --frontend-kernel or --scripted");
	if (bed->region_size % 0x1000)
		die("--region-size must be a multiple of 4096");
	if (bed->bao.nr_devices * bed->region_size > SHARED_MAX)
		die("%u regions of 0x%llx bytes exceed the %llu MiB there is room for",
		    bed->bao.nr_devices, bed->region_size,
		    (SHARED_MAX >> 20));
}

static void parse_options(struct bed *bed, int argc, char **argv)
{
	int opt, index;

	while ((opt = getopt_long(argc, argv, "", options, &index)) != -1)
		parse_option(bed, opt, opt == '?' ? "" : options[index].name,
			     optarg);
	if (optind < argc)
		die("\"%s\" is not an option (--help lists them)",
		    argv[optind]);
	check_options(bed);
}

static void init_guest(struct bed *bed, struct guest *guest, const char *name,
		       unsigned int nr_vcpus)
{
	guest->bed = bed;
	guest->name = name;
	guest->nr_vcpus = nr_vcpus;
	guest->ram_size = MIB(256);
	console_init(guest);
}

static void build_guest(struct bed *bed, struct guest *guest)
{
	u64 shared = bed->bao.nr_devices * bed->region_size;

	vm_create(guest);
	guest->ram = vm_memory(guest->ram_size);
	vm_map(guest, RAM_ADDR, guest->ram, guest->ram_size, 0);
	vm_map(guest, SHARED_ADDR, bed->shared, shared, 0);
	load_guest(guest);
}

static void open_kvm(struct bed *bed)
{
	bed->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (bed->kvm < 0)
		die("cannot open /dev/kvm: %s. Run this on an arm64 machine with KVM",
		    strerror(errno));
}

static void build(struct bed *bed)
{
	open_kvm(bed);
	bed->shared = vm_memory(bed->bao.nr_devices * bed->region_size);
	if (bed->disk)
		load_disk(bed);
	build_guest(bed, &bed->backend);
	bed->backend.mmio = control_mmio;
	if (bed->pmem)
		vm_map(&bed->backend, PMEM_ADDR, bed->pmem, bed->pmem_size, 0);
	if (bed->scripted) {
		bao_init(bed, BED_POOL_DEFAULT);
		script_init(bed);
		return;
	}
	build_guest(bed, &bed->frontend);
	bed->frontend.mmio = frontend_mmio;
	bao_init(bed, bed->frontend.nr_vcpus);
	bed->bao.notified = &bed->frontend;
}

int main(int argc, char **argv)
{
	static struct bed bed = {
		.timeout = 60,
		.region_size = MIB(4),
		.bao.nr_devices = 1,
	};
	enum bed_exit status;

	init_guest(&bed, &bed.backend, "backend", 2);
	init_guest(&bed, &bed.frontend, "frontend", 1);
	parse_options(&bed, argc, argv);
	build(&bed);
	status = bed_run(&bed);
	save_disk(&bed);
	fflush(stdout);
	/* vCPU threads may still run: leave without tearing down under them */
	_exit(status);
}
