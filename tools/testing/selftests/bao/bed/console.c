// SPDX-License-Identifier: GPL-2.0
/*
 * The guests' consoles and the log
 *
 * A guest has a 16550A without input. Under emulation an exit to user space
 * is dear, so its registers lie a page apart: the line status, always "ready",
 * is a read-only page that costs no exit at all, and the bytes written to the
 * transmit register pile up in KVM's coalescing ring. What remains are the
 * exits of the interrupt-driven path.
 *
 * Early output, before a kernel has its UART driver, goes to a second UART
 * whose registers lie in one page, since that is all that earlycon maps.
 */
#include <errno.h>
#include <linux/serial_reg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bed.h"

#define LSR_READY	(UART_LSR_THRE | UART_LSR_TEMT)
#define IIR_FIFO	0xc0
#define PANIC_TEXT	"Kernel panic - not syncing"
#define PREFIX_BED	"bed"

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void print_line(const char *prefix, const char *text)
{
	printf("[%-8s] %s\n", prefix, text);
	fflush(stdout);
}

static void end_line(struct log *log)
{
	log->line[log->len] = '\0';
	print_line(log->prefix, log->line);
	memcpy(log->tail[log->lines++ % TAIL_LINES], log->line, log->len + 1);
	log->len = 0;
}

/* Add output to a guest's log; each line is printed when it is complete */
void log_write(struct log *log, const char *text, size_t len)
{
	pthread_mutex_lock(&log_lock);
	for (; len; text++, len--) {
		if (*text == '\r')
			continue;
		if (*text == '\n' || log->len == LINE_MAX_LEN - 1)
			end_line(log);
		if (*text != '\n')
			log->line[log->len++] = *text;
	}
	pthread_mutex_unlock(&log_lock);
}

/* Print a last line that lacks its end */
void log_finish(struct log *log)
{
	pthread_mutex_lock(&log_lock);
	if (log->len)
		end_line(log);
	pthread_mutex_unlock(&log_lock);
}

void log_tail(struct log *log)
{
	unsigned int n = log->lines < TAIL_LINES ? log->lines : TAIL_LINES;
	unsigned int i;

	pthread_mutex_lock(&log_lock);
	printf("[%-8s] last %u lines of the %s's log:\n", PREFIX_BED, n,
	       log->prefix);
	for (i = log->lines - n; i != log->lines; i++)
		printf("[%-8s] | %s\n", PREFIX_BED, log->tail[i % TAIL_LINES]);
	fflush(stdout);
	pthread_mutex_unlock(&log_lock);
}

static void vsay(const char *fmt, va_list args)
{
	char text[LINE_MAX_LEN];

	vsnprintf(text, sizeof(text), fmt, args);
	pthread_mutex_lock(&log_lock);
	print_line(PREFIX_BED, text);
	pthread_mutex_unlock(&log_lock);
}

/* A line of the bed's own */
void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsay(fmt, args);
	va_end(args);
}

/* The bed itself cannot go on */
void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsay(fmt, args);
	va_end(args);
	_exit(BED_SETUP);
}

static void uart_put(struct guest *guest, char c)
{
	struct log *log = &guest->log;

	log_write(log, &c, 1);
	if (c != '\n' || atomic_load(&guest->panicked))
		return;
	if (strstr(log->tail[(log->lines - 1) % TAIL_LINES], PANIC_TEXT))
		atomic_store(&guest->panicked, true);
}

static void uart_update_interrupt(struct guest *guest)
{
	struct uart *uart = &guest->uart;
	bool interrupt = uart->ier & UART_IER_THRI;

	if (interrupt == uart->interrupt)
		return;
	uart->interrupt = interrupt;
	vm_set_spi(guest, UART_SPI, interrupt);
}

static void uart_write(struct guest *guest, unsigned int reg, u8 value)
{
	struct uart *uart = &guest->uart;
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (!divisor)
			uart_put(guest, value);
		break;
	case UART_IER:
		if (!divisor)
			uart->ier = value;
		uart_update_interrupt(guest);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value;
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	}
}

static u8 uart_read(struct uart *uart, unsigned int reg)
{
	switch (reg) {
	case UART_IER:
		return uart->lcr & UART_LCR_DLAB ? 0 : uart->ier;
	case UART_IIR:
		return IIR_FIFO | (uart->interrupt ? UART_IIR_THRI :
						     UART_IIR_NO_INT);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_MSR:
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	case UART_SCR:
		return uart->scr;
	}
	return 0;
}

static int uart_reg(u64 addr)
{
	if (addr >= UART_ADDR && addr < UART_ADDR + UART_SIZE)
		return (addr - UART_ADDR) >> UART_SHIFT;
	if (addr >= EARLY_ADDR && addr < EARLY_ADDR + 8)
		return addr - EARLY_ADDR;
	return -1;
}

static void drain_locked(struct guest *guest)
{
	struct kvm_coalesced_mmio_ring *ring = guest->uart.ring;
	const unsigned int max = (sysconf(_SC_PAGESIZE) - sizeof(*ring)) /
				 sizeof(struct kvm_coalesced_mmio);
	u32 first = ring->first;

	while (first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
		struct kvm_coalesced_mmio *entry = &ring->coalesced_mmio[first];

		uart_write(guest, uart_reg(entry->phys_addr), entry->data[0]);
		first = (first + 1) % max;
		__atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
	}
}

/* Print what has piled up. Any thread may call it at any time. */
void console_drain(struct guest *guest)
{
	struct kvm_coalesced_mmio_ring *ring = guest->uart.ring;

	if (ring->first == __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&guest->uart.lock);
	atomic_store(&guest->sign_of_life, now_ms());
	drain_locked(guest);
	pthread_mutex_unlock(&guest->uart.lock);
}

/* Return: whether the exit was an access to the UART */
bool console_mmio(struct guest *guest, struct kvm_run *run)
{
	int reg = uart_reg(run->mmio.phys_addr);

	if (reg < 0)
		return false;
	pthread_mutex_lock(&guest->uart.lock);
	drain_locked(guest);
	if (run->mmio.is_write) {
		uart_write(guest, reg, run->mmio.data[0]);
	} else {
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
		run->mmio.data[0] = uart_read(&guest->uart, reg);
	}
	pthread_mutex_unlock(&guest->uart.lock);
	return true;
}

static void coalesce_byte(struct guest *guest, u64 addr)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = addr, .size = 1 };

	if (ioctl(guest->fd, KVM_REGISTER_COALESCED_MMIO, &zone))
		die("KVM refuses to coalesce console output: %s",
		    strerror(errno));
}

void console_init(struct guest *guest)
{
	guest->log.prefix = guest->name;
	pthread_mutex_init(&guest->uart.lock, NULL);
}

/* Give the VM its UARTs */
void console_attach(struct guest *guest)
{
	int ring_page = ioctl(guest->bed->kvm, KVM_CHECK_EXTENSION,
			      KVM_CAP_COALESCED_MMIO);
	u8 *ready = vm_memory(GUEST_PAGE_MAX);
	u8 *early = vm_memory(GUEST_PAGE_MAX);

	if (ring_page <= 0)
		die("this machine's KVM cannot coalesce MMIO");
	guest->uart.ring = (void *)((char *)guest->vcpus[0].run +
				    ring_page * sysconf(_SC_PAGESIZE));
	coalesce_byte(guest, UART_ADDR + UART_TX);
	coalesce_byte(guest, EARLY_ADDR + UART_TX);

	ready[0] = LSR_READY;
	early[UART_LSR] = LSR_READY;
	vm_map(guest, UART_ADDR + (UART_LSR << UART_SHIFT), ready,
	       GUEST_PAGE_MAX, KVM_MEM_READONLY);
	vm_map(guest, EARLY_ADDR, early, GUEST_PAGE_MAX, KVM_MEM_READONLY);
}
