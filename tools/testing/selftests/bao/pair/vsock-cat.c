// SPDX-License-Identifier: GPL-2.0
/*
 * Sends data through AF_VSOCK in both directions and checks every byte
 *
 *   vsock-cat listen PORT COUNT [DIRECTORY]
 *	serves COUNT connections, one after the other. With the DIRECTORY of a
 *	backend's counters it prints by how much they rose during each.
 *   vsock-cat connect CID PORT SEED TO FROM ROUNDS
 *	in each of ROUNDS rounds sends TO bytes and receives FROM bytes
 *
 * What is sent is a matter of the seed, so each side knows what it has to
 * receive. Both print checksums of the two streams. The exit status is 0 if all
 * was as expected.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

#define CHUNK	65536

/* What the client announces at the start of a connection */
struct plan {
	uint64_t seed;
	uint64_t to_server;	/* bytes in each round */
	uint64_t to_client;
	uint64_t rounds;
};

/* One direction of a connection */
struct stream {
	uint64_t state;
	uint64_t bytes;
	uint64_t sum;
};

struct counters {
	unsigned long queued;
	unsigned long kicks;
	unsigned long loads;
	unsigned long notifies;
};

static void die(const char *fmt, ...)
{
	va_list args;

	printf("vsock-cat: FAIL: ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	exit(EXIT_FAILURE);
}

static void stream_init(struct stream *s, uint64_t seed)
{
	*s = (struct stream){ .state = seed, .sum = 0xcbf29ce484222325 };
}

/* The next bytes of the stream. The generator is that of Knuth's MMIX. */
static void generate(struct stream *s, uint8_t *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		s->state = s->state * 6364136223846793005 + 1442695040888963407;
		buf[i] = s->state >> 56;
	}
	s->bytes += len;
}

/* FNV-1a */
static void add_to_sum(struct stream *s, const uint8_t *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		s->sum = (s->sum ^ buf[i]) * 0x100000001b3;
}

static void send_all(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	ssize_t n;

	for (; len; p += n, len -= n) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0)
			die("cannot send: %s", strerror(errno));
	}
}

static void receive_all(int fd, void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	for (; len; p += n, len -= n) {
		n = recv(fd, p, len, 0);
		if (n < 0)
			die("cannot receive: %s", strerror(errno));
		if (!n)
			die("the other side has closed the connection");
	}
}

static void send_part(int fd, struct stream *s, uint64_t len)
{
	static uint8_t buf[CHUNK];
	size_t n;

	for (; len; len -= n) {
		n = len < CHUNK ? len : CHUNK;
		generate(s, buf, n);
		add_to_sum(s, buf, n);
		send_all(fd, buf, n);
	}
}

static void receive_part(int fd, struct stream *s, uint64_t len)
{
	static uint8_t buf[CHUNK], expected[CHUNK];
	uint64_t at = s->bytes;
	size_t n;

	for (; len; len -= n, at += n) {
		n = len < CHUNK ? len : CHUNK;
		receive_all(fd, buf, n);
		generate(s, expected, n);
		add_to_sum(s, buf, n);
		if (memcmp(buf, expected, n))
			die("wrong data in the %zu bytes from %llu on", n,
			    (unsigned long long)at);
	}
}

static void report(const char *who, const struct stream *to,
		   const struct stream *from)
{
	printf("vsock-cat: %s: %llu bytes %016llx to server, %llu bytes %016llx to client\n",
	       who, (unsigned long long)to->bytes, (unsigned long long)to->sum,
	       (unsigned long long)from->bytes, (unsigned long long)from->sum);
}

static int new_socket(void)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0)
		die("no AF_VSOCK sockets: %s", strerror(errno));
	return fd;
}

static void run_client(unsigned int cid, unsigned int port,
		       const struct plan *plan)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK, .svm_cid = cid,
				    .svm_port = port };
	struct stream to, from;
	int fd = new_socket();
	uint64_t i;

	if (connect(fd, (void *)&addr, sizeof(addr)))
		die("cannot connect to port %u of %u: %s", port, cid,
		    strerror(errno));
	send_all(fd, plan, sizeof(*plan));
	stream_init(&to, plan->seed);
	stream_init(&from, ~plan->seed);
	for (i = 0; i < plan->rounds; i++) {
		send_part(fd, &to, plan->to_server);
		receive_part(fd, &from, plan->to_client);
	}
	report("client", &to, &from);
	close(fd);
}

static unsigned long read_counter(const char *directory, const char *name)
{
	unsigned long value;
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%lu", &value) != 1)
		die("cannot read %s", path);
	fclose(f);
	return value;
}

static struct counters read_counters(const char *directory)
{
	struct counters c = { };

	if (directory) {
		c.queued = read_counter(directory, "queued");
		c.kicks = read_counter(directory, "kicks");
		c.loads = read_counter(directory, "loads");
		c.notifies = read_counter(directory, "notifies");
	}
	return c;
}

static void serve_connection(int fd, const char *directory)
{
	struct counters before, after;
	struct stream to, from;
	struct plan plan;
	uint64_t i;

	receive_all(fd, &plan, sizeof(plan));
	before = read_counters(directory);
	stream_init(&to, plan.seed);
	stream_init(&from, ~plan.seed);
	for (i = 0; i < plan.rounds; i++) {
		receive_part(fd, &to, plan.to_server);
		send_part(fd, &from, plan.to_client);
	}
	after = read_counters(directory);
	report("server", &to, &from);
	if (directory)
		printf("vsock-cat: requests to the VMM %lu, kicks %lu, loads %lu, notifies %lu\n",
		       after.queued - before.queued,
		       after.kicks - before.kicks,
		       after.loads - before.loads,
		       after.notifies - before.notifies);
}

static void run_server(unsigned int port, unsigned int count,
		       const char *directory)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK,
				    .svm_cid = VMADDR_CID_ANY,
				    .svm_port = port };
	int fd = new_socket(), peer;

	if (bind(fd, (void *)&addr, sizeof(addr)) || listen(fd, 4))
		die("cannot listen at port %u: %s", port, strerror(errno));
	printf("vsock-cat: listening\n");
	while (count--) {
		peer = accept(fd, NULL, NULL);
		if (peer < 0)
			die("cannot accept a connection: %s", strerror(errno));
		serve_connection(peer, directory);
		close(peer);
	}
	close(fd);
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
	struct plan plan;

	setlinebuf(stdout);
	if (argc >= 4 && !strcmp(argv[1], "listen")) {
		run_server(number(argv[2]), number(argv[3]), argv[4]);
	} else if (argc == 8 && !strcmp(argv[1], "connect")) {
		plan = (struct plan){ number(argv[4]), number(argv[5]),
				      number(argv[6]), number(argv[7]) };
		run_client(number(argv[2]), number(argv[3]), &plan);
	} else {
		die("see the comment at the top of vsock-cat.c");
	}
	return EXIT_SUCCESS;
}
