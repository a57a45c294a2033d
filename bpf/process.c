/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Writes one event to a ring buffer for each fork, exec, exit and free of a process.
 *
 * No kernel headers are used: the loader looks up every offset (OFF_...) in the running kernel's BTF and passes it as
 * a macro, so this source compiles unchanged for any kernel. recorder/kernel/btf.py lists the offsets.
 *
 * The loader also defines:
 *   CLOCK_OFFSET          ns from boot time to Unix time
 *   RING_BYTES            size of the ring buffer
 *   WAKE_BYTES            bytes that one CPU may write before it wakes the reader
 *   MAX_ARGS              bytes of argv that are kept of one exec
 *   CGROUP_ANCESTORS_ARE_IDS  1 where struct cgroup stores the ids of its ancestors, 0 where it stores pointers to
 *                         them (since Linux 6.1)
 *   EXIT_HAS_GROUP_DEAD   1 where sched_process_exit has the argument group_dead (since Linux 6.16)
 *   INTERRUPTIBLE         1 where another task can interrupt a BPF program of a tracepoint
 *   FOLLOWS               1: report only followed processes and their descendants; 0: report all processes
 *   FILTERS               1: report only processes that match all of the filters below at some time
 *   MATCHES_UID(uid)      true if this real user id matches
 *   MATCHES_COMM(a, b)    true if this name (16 bytes as two words) matches
 *   FILTERS_BY_COMM       1 if MATCHES_COMM depends on the name, which a process gets only after its fork
 *   FILTER_CGROUP         id of a cgroup v2: processes in it and below it match; 0: all processes match
 *   FILTER_CGROUP_LEVEL   depth of FILTER_CGROUP in the hierarchy
 */
#include <linux/types.h>

/* clang-format off */
#define BPF_LICENSE Dual BSD/GPL
/* clang-format on */
#define __always_inline inline __attribute__((always_inline))

#define SIGNAL_GROUP_EXIT 4   /* include/linux/sched/signal.h */
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

/* Space for the file name and argv of an exec. The verifier wants record sizes that are known at compile time, so
 * write_exec() has four combinations of these and MAX_ARGS.
 */
#define SHORT_NAME 256
#define LONG_NAME 4096 /* PATH_MAX */
#define SHORT_ARGS 256
#define MEDIUM_ARGS 2048

/* An event of any kind has this size, so that the reader can decode many of them in one step. After an exec's event
 * follow its file name and argv (struct exec_event). recorder/kernel/decoder.py reads this struct: change both
 * together. (clang-format would align the comments of each group of lines separately.)
 */
/* clang-format off */
struct event {
	u64 time;         /* Unix ns, as all times here */
	u64 start;        /* when the process was created; start and pid identify a process */
	union {
		u64 parent_start; /* fork: when the parent was created */
		u64 cwd_inode;    /* exec: inode number of the working directory */
	};
	u64 cgroup;       /* fork, exec: id in the cgroup v2 hierarchy */
	union {
		u64 cpu;       /* free: CPU time of all threads, in ns */
		u64 args_size; /* exec: bytes of argv that follow; 0 and args_total > 0: argv could not be read */
	};
	u64 max_rss_kib;  /* exit: peak memory; exec: peak memory of the image before, which the process keeps */
	u32 kind;
	u32 pid;          /* tgid, in the first pid namespace */
	union {
		u32 ppid;      /* fork: the parent; exit: the parent at the end */
		u32 name_room; /* exec: space for the file name, in bytes; argv begins after it */
	};
	u32 uid;          /* fork, exec, exit */
	u32 euid;         /* fork, exec */
	union {
		u32 status;    /* exit, free: as wait4() reports it */
		u32 name_size; /* exec: bytes of the file name, with its NUL; 0: it could not be read */
		u32 execs;     /* fork: number of execs, if the process matched a filter only at its end */
	};
	union {
		u32 kernel;     /* fork: 1 for a kernel thread */
		u32 cwd_device; /* exec: file system of the working directory, as the kernel's own dev_t */
	};
	union {
		u32 args_total; /* exec: the true length of argv, in bytes */
		u32 begun;      /* fork, exit: programs begun so far, see programs_begun() */
	};
	char comm[16];    /* fork, exec, exit */
};
/* clang-format on */

struct exec_event {
	struct event head;
	char data[];
};

/* The loader defines FORK, EXEC, EXIT and FREE as 0 to 3, and EVENT_HEAD_BYTES as the size that its decoder reads. */
#define KINDS 4
_Static_assert(sizeof(struct event) == EVENT_HEAD_BYTES, "recorder/kernel/decoder.py reads another struct event");

BPF_RINGBUF_OUTPUT(ring, RING_BYTES / PAGE_SIZE);

/* Four values for each kind: events that were attempted; events that were lost; events that the second BPF program
 * wrote because the kernel skipped the first; 1 while the first BPF program runs. The last value is the number of
 * bytes that this CPU wrote since it last woke the reader.
 */
#define LOST KINDS
#define RESCUED (2 * KINDS)
#define UNDER_WAY (3 * KINDS)
#define UNREAD_BYTES (4 * KINDS)
BPF_PERCPU_ARRAY(counts, u64, 4 * KINDS + 1);

/* The four BPF programs are attached one after the other. The gate makes all of them begin and end at the same moment:
 * the reader opens and shuts it. At the end it lets frees through, which have the CPU time of processes that just
 * exited.
 */
enum { GATE_SHUT, GATE_OPEN, GATE_FREES_ONLY };
BPF_ARRAY(gate, u32, 1);

static __always_inline u64 read64(const void *base, u64 offset)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), base + offset);
	return value;
}

static __always_inline u32 read32(const void *base, u64 offset)
{
	u32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), base + offset);
	return value;
}

static __always_inline const void *read_pointer(const void *base, u64 offset)
{
	return (const void *)read64(base, offset);
}

static __always_inline u32 gate_state(void)
{
	int zero = 0;
	u32 *state = gate.lookup(&zero);

	return state ? *state : GATE_SHUT;
}

static __always_inline void count(int slot)
{
	u64 *cell = counts.lookup(&slot);

	/* Atomic, because another task may interrupt this one and run a BPF program on the same CPU. */
	if (cell)
		__sync_fetch_and_add(cell, 1);
}

/* Flags for submitting a record of this size. The reader polls by a timer, so a record wakes it only when this CPU has
 * written WAKE_BYTES since the last wake-up.
 */
static __always_inline u64 wake_up(u64 size)
{
	int slot = UNREAD_BYTES;
	u64 *unread = counts.lookup(&slot);

	if (!unread)
		return BPF_RB_NO_WAKEUP;
	*unread += size;
	if (*unread < WAKE_BYTES)
		return BPF_RB_NO_WAKEUP;
	*unread = 0;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline const void *cgroup_of(const void *task)
{
	return read_pointer(read_pointer(task, OFF_TASK_CGROUPS), OFF_CSS_SET_DFL_CGRP);
}

static __always_inline u64 cgroup_id(const void *cgroup)
{
	return read64(read_pointer(cgroup, OFF_CGROUP_KN), OFF_KERNFS_NODE_ID);
}

static __always_inline u64 start_of(const void *leader)
{
	return read64(leader, OFF_TASK_START) + CLOCK_OFFSET;
}

static __always_inline u64 max_rss_kib(const void *signal)
{
	return read64(signal, OFF_SIGNAL_MAXRSS) * (PAGE_SIZE / 1024);
}

/* FOLLOWS: report only the pids that the loader named and their descendants, even after reparenting.
 * FILTERS: report only the pids that the loader named and the processes that match the filters.
 */
#if FOLLOWS || FILTERS
#define MAX_FOLLOWED 65536

/* Processes that are followed. The key is the address of struct signal_struct, which all threads of a process share:
 * it stays the same until the process is freed, even if a thread other than the leader calls execve(). The value is
 * the start of the process: the kernel doesn't report every free, so another process may have the same address later.
 */
BPF_HASH(followed, u64, u64, MAX_FOLLOWED);

/* Pids of processes that were alive before the recording and are followed. */
BPF_HASH(followed_pids, u32, u8, MAX_FOLLOWED);

/* Pid of the process whose new children are followed; 0: none. */
BPF_ARRAY(parent_to_follow, u32, 1);

static __always_inline bool has_followed_pid(const void *leader)
{
	u32 pid = read32(leader, OFF_TASK_TGID);

	return followed_pids.lookup(&pid) != NULL;
}

static __always_inline bool is_parent_to_follow(const void *leader)
{
	int zero = 0;
	u32 *pid = parent_to_follow.lookup(&zero);

	return pid && *pid && *pid == read32(leader, OFF_TASK_TGID);
}

static __always_inline bool add_followed(const void *leader)
{
	u64 key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	u64 start = read64(leader, OFF_TASK_START);

	return followed.update(&key, &start) == 0;
}

static __always_inline bool is_followed(const void *leader)
{
	u64 key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	u64 *start = followed.lookup(&key);

	if (start && *start == read64(leader, OFF_TASK_START))
		return true;
	return has_followed_pid(leader) && add_followed(leader);
}

/* The process has ended, and its pid may be reused. */
static __always_inline void forget_followed_pid(const void *leader)
{
	u32 pid = read32(leader, OFF_TASK_TGID);

	followed_pids.delete(&pid);
}

static __always_inline void remove_followed(const void *leader)
{
	u64 key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);

	followed.delete(&key);
}
#else
#define add_followed(leader) true
#define is_followed(leader) true
#define forget_followed_pid(leader)
#define remove_followed(leader)
#endif

/* Fills the fields that all kinds have. leader: leader of the thread group, as everywhere here. */
static __always_inline void fill_head(struct event *event, u32 kind, const void *leader)
{
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_boot_ns() + CLOCK_OFFSET;
	event->start = start_of(leader);
	event->kind = kind;
	event->pid = read32(leader, OFF_TASK_TGID);
}

static __always_inline void fill_comm(struct event *event, const void *leader)
{
	bpf_probe_read_kernel(event->comm, sizeof(event->comm), leader + OFF_TASK_COMM);
}

static __always_inline u32 uid_of(const void *leader)
{
	return read32(read_pointer(leader, OFF_TASK_CRED), OFF_CRED_UID);
}

/* The number of programs that the process has begun to run since its fork. It includes an exec that failed late and
 * killed the process: begin_new_exec() in fs/exec.c increments the number and sets the new name, and if a later step
 * fails, sched_process_exec is not reached. A new process begins with 0, but with CLONE_PARENT it begins with the
 * number of the process that called clone() (copy_process() in kernel/fork.c).
 */
static __always_inline u32 programs_begun(const void *leader)
{
	return read64(leader, OFF_TASK_SELF_EXEC_ID) - read64(leader, OFF_TASK_PARENT_EXEC_ID);
}

/* Fills the user ids, the cgroup and the name, which a fork and an exec have. */
static __always_inline void fill_owner(struct event *event, const void *leader)
{
	const void *cred = read_pointer(leader, OFF_TASK_CRED);

	event->uid = read32(cred, OFF_CRED_UID);
	event->euid = read32(cred, OFF_CRED_EUID);
	event->cgroup = cgroup_id(cgroup_of(leader));
	fill_comm(event, leader);
}

/* The status word as wait4() reports it (wait_task_zombie() in kernel/exit.c). */
static __always_inline u32 exit_status(const void *leader, const void *signal)
{
	if (read32(signal, OFF_SIGNAL_FLAGS) & SIGNAL_GROUP_EXIT)
		return read32(signal, OFF_SIGNAL_GROUP_EXIT_CODE);
	return read32(leader, OFF_TASK_EXIT_CODE);
}

static __always_inline void fill_fork(struct event *event, const void *child)
{
	/* Not always the process that called clone(): with CLONE_PARENT it is the parent of that process. */
	const void *parent = read_pointer(read_pointer(child, OFF_TASK_REAL_PARENT), OFF_TASK_GROUP_LEADER);

	fill_head(event, FORK, child);
	fill_owner(event, child);
	event->kernel = !!(read32(child, OFF_TASK_FLAGS) & PF_KTHREAD);
	event->begun = programs_begun(child);
	event->ppid = read32(parent, OFF_TASK_TGID);
	event->parent_start = start_of(parent);
}

#if FILTERS
#define MAX_HELD_FORKS 32768

/* Fork events of processes that have not matched so far. The key is the address of the child's struct signal_struct.
 * An event is written when the process matches, at an exec or at its end, and else dropped at its end.
 */
BPF_HASH(held_forks, u64, struct event, MAX_HELD_FORKS);

static __always_inline bool is_in_cgroup(const void *leader)
{
#if FILTER_CGROUP
	const void *cgroup = cgroup_of(leader);
	/* The last of a cgroup's ancestors is the cgroup itself. */
	const u64 ancestor = OFF_CGROUP_ANCESTORS + 8 * FILTER_CGROUP_LEVEL;

	if (read32(cgroup, OFF_CGROUP_LEVEL) < FILTER_CGROUP_LEVEL)
		return false;
#if CGROUP_ANCESTORS_ARE_IDS
	return read64(cgroup, ancestor) == FILTER_CGROUP;
#else
	return cgroup_id(read_pointer(cgroup, ancestor)) == FILTER_CGROUP;
#endif
#else
	return true;
#endif
}

static __always_inline bool matches_filters(const void *leader)
{
	u32 uid = uid_of(leader);
	u64 a = read64(leader, OFF_TASK_COMM), b = read64(leader, OFF_TASK_COMM + 8);

	return MATCHES_UID(uid) && MATCHES_COMM(a, b) && is_in_cgroup(leader);
}

/* Holds the fork event of this child back if the child doesn't match yet. True if it was held back. */
static __always_inline bool hold_fork(const void *child)
{
	u64 key = (u64)read_pointer(child, OFF_TASK_SIGNAL);
	struct event event;

	if (!FILTERS_BY_COMM && matches_filters(child))
		return false;
	fill_fork(&event, child);
	if (held_forks.update(&key, &event)) {
		count(FORK);
		count(LOST + FORK);
	}
	return true;
}

/* Writes the fork event of a process that matches now. at_exec: whether this is an exec of it, or else its end.
 *
 * What a process ran before it matched is not recorded, so at an exec the earlier execs don't count. At the end all of
 * them count: with 0 the process would seem to have run no program.
 */
static __always_inline void report_held_fork(const void *leader, bool at_exec)
{
	u64 key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	struct event *before = held_forks.lookup(&key), *event;

	if (!before)
		return; /* the process is older than the recording */
	count(FORK);
	event = ring.ringbuf_reserve(sizeof(*event));
	if (event) {
		*event = *before;
		if (at_exec)
			event->execs = 0;
		ring.ringbuf_submit(event, wake_up(sizeof(*event)));
	} else {
		count(LOST + FORK);
	}
	held_forks.delete(&key);
}

/* True if a process that did not match so far matches now; it is then followed. */
static __always_inline bool starts_to_match(const void *leader, bool at_exec)
{
	if (!matches_filters(leader) || !add_followed(leader))
		return false;
	report_held_fork(leader, at_exec);
	return true;
}

/* Notes an exec in the fork event of a process that still doesn't match. */
static __always_inline void count_program(const void *leader)
{
	u64 key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	struct event *event = held_forks.lookup(&key);

	if (!event)
		return;
	event->execs++;
	event->begun = programs_begun(leader);
	fill_comm(event, leader);
}

static __always_inline void forget_held_fork(const void *leader)
{
	u64 key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);

	held_forks.delete(&key);
}
#else
#define hold_fork(child) false
#define starts_to_match(leader, at_exec) false
#define count_program(leader)
#define forget_held_fork(leader)
#endif

static __always_inline void on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const void *caller = read_pointer((const void *)ctx->args[0], OFF_TASK_GROUP_LEADER);
	const void *child = (const void *)ctx->args[1];
	struct event *event;

	if (read32(child, OFF_TASK_PID) != read32(child, OFF_TASK_TGID) || gate_state() != GATE_OPEN)
		return;
#if FOLLOWS
	if (!is_followed(caller) && !is_parent_to_follow(caller))
		return;
#endif
	if (hold_fork(child))
		return;
	count(FORK);
	/* The child is followed even if the ring buffer is full, so that its descendants are reported. */
	event = add_followed(child) ? ring.ringbuf_reserve(sizeof(*event)) : NULL;
	if (!event) {
		count(LOST + FORK);
		return;
	}
	fill_fork(event, child);
	ring.ringbuf_submit(event, wake_up(sizeof(*event)));
}

/* Limits n to `limit`. This is assembly so that the register with the bound that the verifier saw is the one in use.
 */
#define BOUND(n, limit) asm volatile("if %0 <= %1 goto +1\n%0 = %1" : "+r"(n) : "i"(limit))

/* Writes one exec, with space for name_room bytes of the file name and args_room bytes of argv (both are constants).
 * False if the ring buffer is full.
 */
static __always_inline bool write_exec(const void *task, const void *name, const u32 name_room, const u32 args_room)
{
	struct exec_event *event = ring.ringbuf_reserve(sizeof(*event) + name_room + args_room);
	const void *mm = read_pointer(task, OFF_TASK_MM);
	const void *args = read_pointer(mm, OFF_MM_ARG_START);
	const void *cwd_dentry = read_pointer(read_pointer(task, OFF_TASK_FS), OFF_FS_PWD + OFF_PATH_DENTRY);
	const void *cwd = read_pointer(cwd_dentry, OFF_DENTRY_INODE);
	u64 size = read64(mm, OFF_MM_ARG_END) - (u64)args;
	int name_size;

	if (!event)
		return false;
	fill_head(&event->head, EXEC, task);
	fill_owner(&event->head, task);
	event->head.max_rss_kib = max_rss_kib(read_pointer(task, OFF_TASK_SIGNAL));
	event->head.cwd_inode = read64(cwd, OFF_INODE_NUMBER);
	event->head.cwd_device = read32(read_pointer(cwd, OFF_INODE_SUPER), OFF_SUPER_DEVICE);
	event->head.args_total = size;
	event->head.name_room = name_room;
	name_size = bpf_probe_read_kernel_str(event->data, name_room, name);
	event->head.name_size = name_size < 0 ? 0 : name_size;
	BOUND(size, MAX_ARGS);
	BOUND(size, args_room);
	event->head.args_size = bpf_probe_read_user(event->data + name_room, size, args) ? 0 : size;
	ring.ringbuf_submit(event, wake_up(sizeof(*event) + name_room + args_room));
	return true;
}

static __always_inline void on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	const void *name = read_pointer((const void *)ctx->args[2], OFF_BINPRM_FILENAME);
	const void *mm = read_pointer(task, OFF_TASK_MM);
	u64 args_size = read64(mm, OFF_MM_ARG_END) - read64(mm, OFF_MM_ARG_START);
	const void *leader;
	char start_of_name[SHORT_NAME];
	bool written;

	if (gate_state() != GATE_OPEN)
		return;
	leader = read_pointer(task, OFF_TASK_GROUP_LEADER);
	if (!is_followed(leader) && !starts_to_match(leader, true)) {
		count_program(leader);
		return;
	}
	count(EXEC);
	if (bpf_probe_read_kernel_str(start_of_name, SHORT_NAME, name) == SHORT_NAME)
		written = write_exec(task, name, LONG_NAME, MAX_ARGS);
	else if (args_size <= SHORT_ARGS)
		written = write_exec(task, name, SHORT_NAME, SHORT_ARGS);
	else if (args_size <= MEDIUM_ARGS)
		written = write_exec(task, name, SHORT_NAME, MEDIUM_ARGS);
	else
		written = write_exec(task, name, SHORT_NAME, MAX_ARGS);
	if (!written)
		count(LOST + EXEC);
}

static __always_inline void on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	const void *leader = read_pointer(task, OFF_TASK_GROUP_LEADER);
	const void *signal = read_pointer(task, OFF_TASK_SIGNAL);
	struct event *event;
	bool reported;

	/* A process ends with its last thread, which may be another than its leader. */
#if EXIT_HAS_GROUP_DEAD
	if (!(ctx->args[1] & 0xff))
		return;
#else
	/* Two threads that exit at the same time can both read 0 here: the reader drops the second event. */
	if (read32(signal, OFF_SIGNAL_LIVE))
		return;
#endif
	if (gate_state() != GATE_OPEN)
		return;
	reported = is_followed(leader) || starts_to_match(leader, false);
	forget_held_fork(leader);
	forget_followed_pid(leader);
	if (!reported)
		return;
	count(EXIT);
	event = ring.ringbuf_reserve(sizeof(*event));
	if (!event) {
		count(LOST + EXIT);
		return;
	}
	fill_head(event, EXIT, leader);
	fill_comm(event, leader);
	event->ppid = read32(read_pointer(leader, OFF_TASK_REAL_PARENT), OFF_TASK_TGID);
	event->status = exit_status(leader, signal);
	event->max_rss_kib = max_rss_kib(signal);
	event->uid = uid_of(leader);
	event->begun = programs_begun(leader);
	ring.ringbuf_submit(event, wake_up(sizeof(*event)));
}

/* The kernel frees a task some time after it was reaped. CPU time is complete only here: at the exit, the time since
 * the task was last scheduled is not yet added.
 */
static __always_inline void on_free(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	const void *signal = read_pointer(task, OFF_TASK_SIGNAL);
	struct event *event;

	if (read32(task, OFF_TASK_PID) != read32(task, OFF_TASK_TGID) || gate_state() == GATE_SHUT)
		return;
	if (!is_followed(task))
		return;
	remove_followed(task);
	count(FREE);
	event = ring.ringbuf_reserve(sizeof(*event));
	if (!event) {
		count(LOST + FREE);
		return;
	}
	fill_head(event, FREE, task);
	event->status = exit_status(task, signal);
	event->cpu = read64(signal, OFF_SIGNAL_SUM_SCHED_RUNTIME);
	ring.ringbuf_submit(event, wake_up(sizeof(*event)));
}

/* BPF programs of tracepoints don't nest: if a task interrupts a BPF program and reaches the same tracepoint on the
 * same CPU, the kernel skips the BPF program for it (__bpf_trace_run() in kernel/trace/bpf_trace.c). So each
 * tracepoint has a second BPF program, which runs after the first. If it finds that the first is interrupted, it
 * writes the event. If the kernel skips the second too, the reader knows from the kernel's count of misses. (A task
 * that is interrupted between the two, and continues while another is in the first, writes its event twice. The only
 * effect on pairing is one program too many for that process.)
 */
#if INTERRUPTIBLE
static __always_inline void set_under_way(u32 kind, u64 value)
{
	int slot = UNDER_WAY + kind;
	u64 *cell = counts.lookup(&slot);

	if (cell)
		*(volatile u64 *)cell = value;
}

static __always_inline bool is_under_way(u32 kind)
{
	int slot = UNDER_WAY + kind;
	u64 *cell = counts.lookup(&slot);

	return cell && *(volatile u64 *)cell;
}

#define SECOND_PROGRAM(name, KIND)                                                                                     \
	int second_##name(struct bpf_raw_tracepoint_args *ctx)                                                         \
	{                                                                                                              \
		if (is_under_way(KIND)) {                                                                              \
			count(RESCUED + KIND);                                                                         \
			on_##name(ctx);                                                                                \
		}                                                                                                      \
		return 0;                                                                                              \
	}
#else
#define set_under_way(kind, value)
#define SECOND_PROGRAM(name, KIND)
#endif

#define PROGRAMS(name, KIND)                                                                                           \
	RAW_TRACEPOINT_PROBE(sched_process_##name)                                                                     \
	{                                                                                                              \
		set_under_way(KIND, 1);                                                                                \
		on_##name(ctx);                                                                                        \
		set_under_way(KIND, 0);                                                                                \
		return 0;                                                                                              \
	}                                                                                                              \
	SECOND_PROGRAM(name, KIND)

PROGRAMS(fork, FORK)
PROGRAMS(exec, EXEC)
PROGRAMS(exit, EXIT)
PROGRAMS(free, FREE)
