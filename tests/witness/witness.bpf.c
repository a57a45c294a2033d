// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The second witness, kernel side: one event in a ring buffer for each fork, and one for the end of each process.
 *
 * It differs from bpf/process.c wherever it can: clang and libbpf instead of BCC, tracepoints instead of raw
 * tracepoints, CO-RE relocations instead of looked-up offsets. So both are unlikely to make the same mistake.
 *
 * Outside its own structs it uses only fields that every kernel has: vmlinux.h can be that of any kernel.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* witness.c reads it: change both together. */
struct event {
	__u32 pid;
	char comm[16];
	char type; /* 'F': forked, 'E': ended */
};

/*
 * The two layouts of the fork event. libbpf ignores what follows the three underscores when it looks for a struct in
 * the running kernel, so each of these stands for the kernel's own, whichever it has.
 */
struct trace_event_raw_sched_process_fork___array { /* before Linux 6.16 */
	char child_comm[16];
} __attribute__((preserve_access_index));

struct trace_event_raw_sched_process_fork___data_loc { /* since */
	__u32 __data_loc_child_comm;
} __attribute__((preserve_access_index));

/* Before Linux 6.16, the exit event shared its struct with two others, and had no field for thread groups. */
struct trace_event_raw_sched_process_exit___group_dead {
	bool group_dead;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} events SEC(".maps");

/* How many events did not fit into the buffer: the witness must report them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline struct event *new_event(char type, __u32 pid)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u32 zero = 0;
	__u64 *count;

	if (!event) {
		count = bpf_map_lookup_elem(&lost, &zero);
		if (count)
			__sync_fetch_and_add(count, 1);
		return NULL;
	}
	event->type = type;
	event->pid = pid;
	event->comm[0] = '\0'; /* the ring holds old bytes, and reading a name could fail */
	return event;
}

/*
 * A new process still has the name of its parent: it is a copy of the parent until its first exec. The witness doesn't
 * report execs (webpf does: its X events).
 *
 * Threads are reported too, with their thread id as pid: the event doesn't distinguish them from processes, and a
 * tracepoint doesn't get the new task, which would. No end is ever reported for such an id, so a reader can drop it.
 */
SEC("tracepoint/sched/sched_process_fork")
int on_fork(struct trace_event_raw_sched_process_fork *ctx)
{
	struct trace_event_raw_sched_process_fork___data_loc *located = (void *)ctx;
	struct trace_event_raw_sched_process_fork___array *array = (void *)ctx;
	struct event *event = new_event('F', ctx->child_pid);
	const void *name;

	if (!event)
		return 0;
	/*
	 * Which layout it is, libbpf decides when it loads the program; the verifier drops the other branch. A located
	 * name lies behind the fixed part of the event: the lower half of its field is the place, the upper the length.
	 */
	if (bpf_core_field_exists(located->__data_loc_child_comm))
		name = (const void *)ctx + (located->__data_loc_child_comm & 0xffff);
	else
		name = array->child_comm;
	/* The event lies in the kernel's memory. On some machines a user's string can have the same address. */
	bpf_probe_read_kernel_str(event->comm, sizeof(event->comm), name);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/*
 * This runs for every thread, and a process ends with its last one. The last one need not be the leader: if the leader
 * exits first, main() has called pthread_exit().
 */
static __always_inline bool is_last_thread(void *ctx, struct task_struct *task)
{
	struct trace_event_raw_sched_process_exit___group_dead *exit = ctx;

	/* Since Linux 6.16, the event has this flag: it is set for exactly one thread of a group. */
	if (bpf_core_field_exists(exit->group_dead))
		return exit->group_dead;
	/*
	 * Before, the number of living threads does: it has been lowered already. Two that leave together on two CPUs
	 * may both find 0, and then such a process has two ends. The leader's exit instead would be reported once, but
	 * too early, or long before the end.
	 */
	return BPF_CORE_READ(task, signal, live.counter) == 0;
}

/* The context has no type here, for its struct's name depends on the kernel. */
SEC("tracepoint/sched/sched_process_exit")
int on_exit(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event *event;

	if (!is_last_thread(ctx, task))
		return 0;
	/* The upper half is the process, the lower the thread. */
	event = new_event('E', bpf_get_current_pid_tgid() >> 32);
	if (!event)
		return 0;
	/* A process has its leader's name. bpf_get_current_comm() would give that of the thread that is last. */
	BPF_CORE_READ_STR_INTO(&event->comm, task, group_leader, comm);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
