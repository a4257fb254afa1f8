/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where each field of each structure of linux/bao.h is, for ever, on every
 * machine. A field that is new at the end of a structure gets a line of its own
 * here, and the structure another size. Who includes this has static_assert().
 */
#ifndef BAO_UAPI_LAYOUT_H
#define BAO_UAPI_LAYOUT_H

#include <stddef.h>
#include <linux/bao.h>

#define BAO_STRUCT(type, bytes)						\
	static_assert(sizeof(struct type) == (bytes),			\
		      "struct " #type " has another size")

#define BAO_FIELD(type, field, offset, bytes)				\
	static_assert(offsetof(struct type, field) == (offset) &&	\
		      sizeof(((struct type *)0)->field) == (bytes),	\
		      #type "." #field " is elsewhere")

BAO_STRUCT(bao_info, 40);
BAO_FIELD(bao_info, size, 0, 4);
BAO_FIELD(bao_info, device_id, 4, 4);
BAO_FIELD(bao_info, shmem_addr, 8, 8);
BAO_FIELD(bao_info, shmem_size, 16, 8);
BAO_FIELD(bao_info, features, 24, 8);
BAO_FIELD(bao_info, max_requests, 32, 4);
BAO_FIELD(bao_info, reserved, 36, 4);

BAO_STRUCT(bao_request, 32);
BAO_FIELD(bao_request, id, 0, 8);
BAO_FIELD(bao_request, addr, 8, 8);
BAO_FIELD(bao_request, value, 16, 8);
BAO_FIELD(bao_request, op, 24, 2);
BAO_FIELD(bao_request, width, 26, 2);
BAO_FIELD(bao_request, flags, 28, 4);

BAO_STRUCT(bao_completion, 16);
BAO_FIELD(bao_completion, id, 0, 8);
BAO_FIELD(bao_completion, value, 8, 8);

BAO_STRUCT(bao_serve, 48);
BAO_FIELD(bao_serve, size, 0, 4);
BAO_FIELD(bao_serve, flags, 4, 4);
BAO_FIELD(bao_serve, completions, 8, 8);
BAO_FIELD(bao_serve, requests, 16, 8);
BAO_FIELD(bao_serve, nr_completions, 24, 4);
BAO_FIELD(bao_serve, nr_requests, 28, 4);
BAO_FIELD(bao_serve, nr_completed, 32, 4);
BAO_FIELD(bao_serve, nr_fetched, 36, 4);
BAO_FIELD(bao_serve, busy_poll_us, 40, 4);
BAO_FIELD(bao_serve, reserved, 44, 4);

BAO_STRUCT(bao_notify, 8);
BAO_FIELD(bao_notify, size, 0, 4);
BAO_FIELD(bao_notify, flags, 4, 4);

BAO_STRUCT(bao_ioeventfd, 32);
BAO_FIELD(bao_ioeventfd, size, 0, 4);
BAO_FIELD(bao_ioeventfd, flags, 4, 4);
BAO_FIELD(bao_ioeventfd, addr, 8, 8);
BAO_FIELD(bao_ioeventfd, data, 16, 8);
BAO_FIELD(bao_ioeventfd, len, 24, 4);
BAO_FIELD(bao_ioeventfd, fd, 28, 4);

BAO_STRUCT(bao_irqfd, 12);
BAO_FIELD(bao_irqfd, size, 0, 4);
BAO_FIELD(bao_irqfd, flags, 4, 4);
BAO_FIELD(bao_irqfd, fd, 8, 4);

BAO_STRUCT(bao_iovalue, 32);
BAO_FIELD(bao_iovalue, size, 0, 4);
BAO_FIELD(bao_iovalue, flags, 4, 4);
BAO_FIELD(bao_iovalue, addr, 8, 8);
BAO_FIELD(bao_iovalue, value, 16, 8);
BAO_FIELD(bao_iovalue, len, 24, 4);
BAO_FIELD(bao_iovalue, reserved, 28, 4);

#endif /* BAO_UAPI_LAYOUT_H */
