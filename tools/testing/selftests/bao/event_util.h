/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of eventfds, busy-polling, counters and bad pointers share, on
 * top of bao_test_util.h, whose rules about threads and errors hold here as well
 */
#ifndef EVENT_UTIL_H
#define EVENT_UTIL_H

#include "bao_test_util.h"

/* Ioeventfds that a backend takes, and irqfds */
#define BAO_EVENTFDS	128

int bao_eventfd(unsigned int flags);
bool bao_eventfds(int *evs, unsigned int nr);
int bao_ioeventfd(int fd, int ev, u32 flags, u64 addr, u32 len, u64 data);
int bao_irqfd(int fd, int ev, u32 flags);
int bao_iovalue(int fd, u32 flags, u64 addr, u32 len, u64 value);
u64 bao_signals(int ev, u64 nr);
long bao_eventfd_id(int ev);
bool bao_reaches_vmm(unsigned int device, int fd, u64 handle);
bool frontend_wrote(u64 handle);
bool frontend_got(u64 handle, u64 value);
void bed_stop(void);
bool bed_settled(void);
bool bed_finished(u64 accesses);
s64 bao_stat(unsigned int device, const char *name);
u64 bao_seed(void);
u64 bao_random(u64 *state);
char *bao_edge_map(void);
void bao_edge_unmap(char *edge);
bool bao_pin(unsigned int cpu);

/* A thread that keeps a CPU for itself */
struct bao_hog {
	unsigned int device;
	pthread_t thread;
	atomic_bool runs;
	atomic_bool stop;
};

bool bao_hog_begin(struct bao_hog *hog, unsigned int device);
bool bao_is_done_beside_hog(u64 handle);
void bao_hog_end(struct bao_hog *hog);

#endif /* EVENT_UTIL_H */
