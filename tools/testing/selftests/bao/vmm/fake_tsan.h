/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts how often each byte of a range of memory is read
 *
 * Code compiled with -fsanitize=thread calls a function at each access. Linked
 * with these instead of the sanitizer's, it tells what it reads. memcpy() is
 * not among them and is replaced by the linker.
 */
#ifndef FAKE_TSAN_H
#define FAKE_TSAN_H

#include <stddef.h>
#include <stdint.h>

#define WATCH_MAX	0x20000

static const uint8_t *watched_start;
static size_t watched_size;
static uint8_t reads[WATCH_MAX];

static inline void watch(const uint8_t *start, size_t size)
{
	size_t i;

	for (i = 0; i < WATCH_MAX; i++)
		reads[i] = 0;
	watched_start = start;
	watched_size = size;
}

/* The counts stay. */
static inline void watch_end(void)
{
	watched_size = 0;
}

static inline unsigned int reads_of(const void *p)
{
	return reads[(const uint8_t *)p - watched_start];
}

/* Offset of the first byte that was read more than once, or -1 */
static inline long read_twice(void)
{
	size_t i;

	for (i = 0; i < WATCH_MAX; i++)
		if (reads[i] > 1)
			return i;
	return -1;
}

static inline void note_read(const void *p, size_t len)
{
	size_t i = (const uint8_t *)p - watched_start;

	for (; len && i < watched_size; i++, len--)
		if (reads[i] < UINT8_MAX)
			reads[i]++;
}

#define ACCESS(bytes)						\
void __tsan_read##bytes(void *p);				\
void __tsan_read##bytes(void *p)				\
{								\
	note_read(p, bytes);					\
}								\
void __tsan_write##bytes(void *p);				\
void __tsan_write##bytes(void *p)				\
{								\
	(void)p;						\
}

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void *p, unsigned long len);
void __tsan_read_range(void *p, unsigned long len)
{
	note_read(p, len);
}

void __tsan_write_range(void *p, unsigned long len);
void __tsan_write_range(void *p, unsigned long len)
{
	(void)p;
	(void)len;
}

void *__real_memcpy(void *to, const void *from, size_t len);
void *__wrap_memcpy(void *to, const void *from, size_t len);
void *__wrap_memcpy(void *to, const void *from, size_t len)
{
	note_read(from, len);
	return __real_memcpy(to, from, len);
}

uint16_t __tsan_atomic16_load(const uint16_t *p, int order);
uint16_t __tsan_atomic16_load(const uint16_t *p, int order)
{
	(void)order;
	note_read(p, sizeof(*p));
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

void __tsan_atomic16_store(uint16_t *p, uint16_t v, int order);
void __tsan_atomic16_store(uint16_t *p, uint16_t v, int order)
{
	(void)order;
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

uint32_t __tsan_atomic32_load(const uint32_t *p, int order);
uint32_t __tsan_atomic32_load(const uint32_t *p, int order)
{
	(void)order;
	note_read(p, sizeof(*p));
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

void __tsan_atomic32_store(uint32_t *p, uint32_t v, int order);
void __tsan_atomic32_store(uint32_t *p, uint32_t v, int order)
{
	(void)order;
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

uint32_t __tsan_atomic32_fetch_and(uint32_t *p, uint32_t v,
				   int order);
uint32_t __tsan_atomic32_fetch_and(uint32_t *p, uint32_t v,
				   int order)
{
	(void)order;
	note_read(p, sizeof(*p));
	return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
}

uint32_t __tsan_atomic32_fetch_or(uint32_t *p, uint32_t v,
				  int order);
uint32_t __tsan_atomic32_fetch_or(uint32_t *p, uint32_t v,
				  int order)
{
	(void)order;
	note_read(p, sizeof(*p));
	return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
}

uint32_t __tsan_atomic32_fetch_add(uint32_t *p, uint32_t v,
				   int order);
uint32_t __tsan_atomic32_fetch_add(uint32_t *p, uint32_t v,
				   int order)
{
	(void)order;
	note_read(p, sizeof(*p));
	return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}

uint64_t __tsan_atomic64_fetch_add(uint64_t *p, uint64_t v,
				   int order);
uint64_t __tsan_atomic64_fetch_add(uint64_t *p, uint64_t v,
				   int order)
{
	(void)order;
	note_read(p, sizeof(*p));
	return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	(void)order;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void *pc);
void __tsan_func_exit(void *pc)
{
	(void)pc;
}

#endif /* FAKE_TSAN_H */
