/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bao I/O dispatcher: tracepoints
 *
 * "id" is what user space calls a request, "hv" what the hypervisor calls it;
 * the latter is reused as soon as the request is completed.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bao

#if !defined(_BAO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _BAO_TRACE_H

#include <linux/tracepoint.h>

#include "bao_private.h"

TRACE_DEFINE_ENUM(BAO_OP_WRITE);
TRACE_DEFINE_ENUM(BAO_OP_READ);

#define bao_show_op(op) \
	__print_symbolic(op, { BAO_OP_WRITE, "write" }, { BAO_OP_READ, "read" })

DECLARE_EVENT_CLASS(bao_access,

	TP_PROTO(u32 device, u64 id, const struct bao_ask *ask),

	TP_ARGS(device, id, ask),

	TP_STRUCT__entry(
		__field(u32, device)
		__field(u16, op)
		__field(u16, width)
		__field(u64, id)
		__field(u64, hv_id)
		__field(u64, addr)
		__field(u64, value)
	),

	TP_fast_assign(
		__entry->device = device;
		__entry->op = ask->op;
		__entry->width = ask->width;
		__entry->id = id;
		__entry->hv_id = ask->hv_id;
		__entry->addr = ask->addr;
		__entry->value = ask->value;
	),

	TP_printk("device=%u id=%llu hv=%llu %s addr=0x%llx width=%u value=0x%llx",
		  __entry->device, __entry->id, __entry->hv_id,
		  bao_show_op(__entry->op), __entry->addr, __entry->width,
		  __entry->value)
);

/* A request was popped from the hypervisor and waits for a VMM. */
DEFINE_EVENT(bao_access, bao_request_queued,

	TP_PROTO(u32 device, u64 id, const struct bao_ask *ask),

	TP_ARGS(device, id, ask)
);

/* A VMM has it. */
DEFINE_EVENT(bao_access, bao_request_fetched,

	TP_PROTO(u32 device, u64 id, const struct bao_ask *ask),

	TP_ARGS(device, id, ask)
);

/* It matched an ioeventfd; it never had an id. */
DEFINE_EVENT(bao_access, bao_kick,

	TP_PROTO(u32 device, u64 id, const struct bao_ask *ask),

	TP_ARGS(device, id, ask)
);

/* It was answered with an iovalue, which is its value here; it has no id. */
DEFINE_EVENT(bao_access, bao_load,

	TP_PROTO(u32 device, u64 id, const struct bao_ask *ask),

	TP_ARGS(device, id, ask)
);

TRACE_EVENT(bao_request_completed,

	TP_PROTO(u32 device, u64 id, const struct bao_ask *ask, u64 value,
		 s64 status),

	TP_ARGS(device, id, ask, value, status),

	TP_STRUCT__entry(
		__field(u32, device)
		__field(u16, op)
		__field(u64, id)
		__field(u64, hv_id)
		__field(u64, value)
		__field(s64, status)
	),

	TP_fast_assign(
		__entry->device = device;
		__entry->op = ask->op;
		__entry->id = id;
		__entry->hv_id = ask->hv_id;
		__entry->value = ask->op == BAO_OP_READ ?
				 bao_cut(value, ask->width) : 0;
		__entry->status = status;
	),

	TP_printk("device=%u id=%llu hv=%llu %s value=0x%llx status=%lld",
		  __entry->device, __entry->id, __entry->hv_id,
		  bao_show_op(__entry->op), __entry->value, __entry->status)
);

TRACE_EVENT(bao_notify,

	TP_PROTO(u32 device, s64 status),

	TP_ARGS(device, status),

	TP_STRUCT__entry(
		__field(u32, device)
		__field(s64, status)
	),

	TP_fast_assign(
		__entry->device = device;
		__entry->status = status;
	),

	TP_printk("device=%u status=%lld", __entry->device, __entry->status)
);

/* The hypervisor refused. Numbers are those of its interface. */
TRACE_EVENT(bao_hypercall_error,

	TP_PROTO(u32 device, u64 op, u64 hv_id, s64 status),

	TP_ARGS(device, op, hv_id, status),

	TP_STRUCT__entry(
		__field(u32, device)
		__field(u64, op)
		__field(u64, hv_id)
		__field(s64, status)
	),

	TP_fast_assign(
		__entry->device = device;
		__entry->op = op;
		__entry->hv_id = hv_id;
		__entry->status = status;
	),

	TP_printk("device=%u op=%llu hv=%llu status=%lld", __entry->device,
		  __entry->op, __entry->hv_id, __entry->status)
);

#endif /* _BAO_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
