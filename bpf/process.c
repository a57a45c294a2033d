/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * One record in one ring buffer for each fork, exec, exit and free of a process.
 *
 * Nothing of the kernel's own headers is used: every offset (OFF_...) is looked up in the running kernel's BTF and
 * passed by the loader, so this source compiles unchanged for any kernel. recorder/kernel/btf.py has the list.
 *
 * Passed by the loader beside the offsets:
 *   CLOCK_OFFSET          ns from boot time to Unix time
 *   RING_BYTES            size of the ring buffer
 *   WAKE_BYTES            how much one CPU may write before it wakes the reader
 *   MAX_ARGS              bytes of argv kept of one exec
 *   CGROUP_ANCESTORS_ARE_IDS  1 where a cgroup knows its ancestors' ids, 0 where themselves (since Linux 6.1)
 *   EXIT_HAS_GROUP_DEAD   1 where sched_process_exit says whether the last thread leaves (since Linux 6.16)
 *   INTERRUPTIBLE         1 where another task can interrupt a program of a tracepoint
 *   FOLLOWS               1 to report followed processes and their descendants only, 0 for all
 *   FILTERS               1 to report only processes that are, at some time, what is wanted:
 *   WANTED_UID(uid)       whether this real user id is
 *   WANTED_COMM(a, b)     whether the name of these 16 bytes is, as two words
 *   BY_COMM               1 where that depends on the name, which a process gets only after its fork
 *   WANTED_CGROUP         id of the cgroup v2 that they are in, or below; 0: any
 *   WANTED_LEVEL          how deep that cgroup is in the hierarchy
 */
#include <linux/types.h>

/* clang-format off */
#define BPF_LICENSE Dual BSD/GPL
/* clang-format on */
#define __always_inline inline __attribute__((always_inline))

#define SIGNAL_GROUP_EXIT 4   /* include/linux/sched/signal.h */
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

/* Room for what varies in size at an exec. A record's size must be known when it is compiled, so there are four. */
#define SHORT_NAME 256
#define LONG_NAME 4096 /* PATH_MAX */
#define SHORT_ARGS 256
#define MEDIUM_ARGS 2048

/* The head of every record. Its size is the same for all kinds, so that the reader can walk many of them in one
 * step; only an exec has more behind it. recorder/kernel/decoder.py reads it: change both together.
 * (clang-format would align the comments of each run of lines for itself.)
 */
/* clang-format off */
struct fact {
	u64 time;         /* Unix ns, as all times here */
	u64 start;        /* when the process was created: with pid, its identity */
	union {
		u64 parent_start; /* fork: the same of the parent */
		u64 cwd_inode;    /* exec: number of the working directory, on its file system */
	};
	u64 cgroup;       /* fork, exec: id in the cgroup v2 hierarchy */
	union {
		u64 cpu;       /* free: ns that all its threads ran */
		u64 args_size; /* exec: bytes of argv that follow; 0 with args_total > 0: could not be read */
	};
	u64 max_rss_kib;  /* exit: the peak; exec: the peak that the old image leaves behind */
	u32 kind;
	u32 pid;          /* tgid, in the first pid namespace */
	union {
		u32 ppid;      /* fork: the parent; exit: the parent at the end */
		u32 name_room; /* exec: argv begins this many bytes behind the head */
	};
	u32 uid;          /* fork, exec, exit */
	u32 euid;         /* fork, exec */
	union {
		u32 status;    /* exit, free: as wait4() reports it */
		u32 name_size; /* exec: of the file name, with its NUL; 0: could not be read */
		u32 execs;     /* fork: programs that it had taken on, if it is reported at its end only */
	};
	union {
		u32 kernel;     /* fork: 1 for a thread of the kernel */
		u32 cwd_device; /* exec: the file system's number, as the kernel writes it (dev_t) */
	};
	union {
		u32 args_total; /* exec: the true length of argv, in bytes */
		u32 begun;      /* fork, exit: programs begun by then; see programs_begun() */
	};
	char comm[16];    /* not at free */
};
/* clang-format on */

struct exec_fact {
	struct fact head;
	char data[];
};

/* The loader numbers the kinds from 0 on: FORK, EXEC, EXIT, FREE. HEAD_BYTES is the size that its decoder reads. */
#define KINDS 4
_Static_assert(sizeof(struct fact) == HEAD_BYTES, "recorder/kernel/decoder.py reads another struct fact");

BPF_RINGBUF_OUTPUT(ring, RING_BYTES / PAGE_SIZE);

/* By kind: attempts, failures, events that the first program was passed over for but the second wrote down, whether
 * the first is under way. Then the bytes written since this CPU last woke the reader.
 */
#define LOST KINDS
#define RESCUED (2 * KINDS)
#define UNDER_WAY (3 * KINDS)
#define UNREAD_BYTES (4 * KINDS)
BPF_PERCPU_ARRAY(counts, u64, 4 * KINDS + 1);

/* The four programs are attached one after the other, but begin and end together: when the reader turns this. At the
 * end frees still pass, for they bring the CPU time of what has just exited.
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

static __always_inline const void *follow(const void *base, u64 offset)
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

	/* Atomic, for another task may run a program on this CPU in between. */
	if (cell)
		__sync_fetch_and_add(cell, 1);
}

/* The reader comes by timer, so a record wakes nobody, unless much has been written since the last wake-up. */
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
	return follow(follow(task, OFF_TASK_CGROUPS), OFF_CSS_SET_DFL_CGRP);
}

static __always_inline u64 cgroup_id(const void *cgroup)
{
	return read64(follow(cgroup, OFF_CGROUP_KN), OFF_KERNFS_NODE_ID);
}

static __always_inline u64 start_of(const void *leader)
{
	return read64(leader, OFF_TASK_START) + CLOCK_OFFSET;
}

static __always_inline u64 max_rss_kib(const void *signal)
{
	return read64(signal, OFF_SIGNAL_MAXRSS) * (PAGE_SIZE / 1024);
}

/* Who is reported. With FOLLOWS, those that the reader names, and all that they start from then on, whoever their
 * parent is by now. With FILTERS, those that the reader names, and all that are wanted.
 */
#if FOLLOWS || FILTERS
#define MOST_FOLLOWED 65536

/* By the address of what the threads of a process share (struct signal_struct): its own until it is freed, also when a
 * thread that isn't the leader takes on a new program. The value is its start, for the kernel doesn't report every
 * free, and so an address may come again.
 */
BPF_HASH(followed, u64, u64, MOST_FOLLOWED);

/* By pid, who is followed though he was there before. */
BPF_HASH(named, u32, u8, MOST_FOLLOWED);

/* Whose children are followed: a pid, 0 for nobody. */
BPF_ARRAY(adopter, u32, 1);

static __always_inline bool is_named(const void *leader)
{
	u32 pid = read32(leader, OFF_TASK_TGID);

	return named.lookup(&pid) != NULL;
}

static __always_inline bool is_adopter(const void *leader)
{
	int zero = 0;
	u32 *pid = adopter.lookup(&zero);

	return pid && *pid && *pid == read32(leader, OFF_TASK_TGID);
}

static __always_inline bool follow_too(const void *leader)
{
	u64 key = (u64)follow(leader, OFF_TASK_SIGNAL);
	u64 start = read64(leader, OFF_TASK_START);

	return followed.update(&key, &start) == 0;
}

static __always_inline bool is_followed(const void *leader)
{
	u64 key = (u64)follow(leader, OFF_TASK_SIGNAL);
	u64 *start = followed.lookup(&key);

	if (start && *start == read64(leader, OFF_TASK_START))
		return true;
	return is_named(leader) && follow_too(leader);
}

/* A pid whose owner has ended may get another. */
static __always_inline void forget_name(const void *leader)
{
	u32 pid = read32(leader, OFF_TASK_TGID);

	named.delete(&pid);
}

static __always_inline void unfollow(const void *leader)
{
	u64 key = (u64)follow(leader, OFF_TASK_SIGNAL);

	followed.delete(&key);
}
#else
#define follow_too(leader) true
#define is_followed(leader) true
#define forget_name(leader)
#define unfollow(leader)
#endif

/* What every record says: when, what, and of which process; leader is the leader of its thread group. */
static __always_inline void begin(struct fact *fact, u32 kind, const void *leader)
{
	__builtin_memset(fact, 0, sizeof(*fact));
	fact->time = bpf_ktime_get_boot_ns() + CLOCK_OFFSET;
	fact->start = start_of(leader);
	fact->kind = kind;
	fact->pid = read32(leader, OFF_TASK_TGID);
}

static __always_inline void add_name(struct fact *fact, const void *leader)
{
	bpf_probe_read_kernel(fact->comm, sizeof(fact->comm), leader + OFF_TASK_COMM);
}

static __always_inline u32 uid_of(const void *leader)
{
	return read32(follow(leader, OFF_TASK_CRED), OFF_CRED_UID);
}

/* How many programs it has begun to run since its fork, also one that killed it: begin_new_exec() in fs/exec.c counts
 * (and gives it the new name), and if anything fails after that, sched_process_exec is not reached. What clone() makes
 * with CLONE_PARENT begins with the number of its maker, all others with 0 (copy_process() in kernel/fork.c).
 */
static __always_inline u32 programs_begun(const void *leader)
{
	return read64(leader, OFF_TASK_SELF_EXEC_ID) - read64(leader, OFF_TASK_PARENT_EXEC_ID);
}

/* Fork and exec: whose process it is, where, and under which name. */
static __always_inline void describe(struct fact *fact, const void *leader)
{
	const void *cred = follow(leader, OFF_TASK_CRED);

	fact->uid = read32(cred, OFF_CRED_UID);
	fact->euid = read32(cred, OFF_CRED_EUID);
	fact->cgroup = cgroup_id(cgroup_of(leader));
	add_name(fact, leader);
}

/* As wait4() computes it (kernel/exit.c, wait_task_zombie). */
static __always_inline u32 exit_status(const void *leader, const void *signal)
{
	if (read32(signal, OFF_SIGNAL_FLAGS) & SIGNAL_GROUP_EXIT)
		return read32(signal, OFF_SIGNAL_GROUP_EXIT_CODE);
	return read32(leader, OFF_TASK_EXIT_CODE);
}

static __always_inline void describe_fork(struct fact *fact, const void *child)
{
	/* Not the caller of clone(): with CLONE_PARENT it is the caller's parent. */
	const void *parent = follow(follow(child, OFF_TASK_REAL_PARENT), OFF_TASK_GROUP_LEADER);

	begin(fact, FORK, child);
	describe(fact, child);
	fact->kernel = !!(read32(child, OFF_TASK_FLAGS) & PF_KTHREAD);
	fact->begun = programs_begun(child);
	fact->ppid = read32(parent, OFF_TASK_TGID);
	fact->parent_start = start_of(parent);
}

#if FILTERS
#define MOST_HELD 32768

/* Facts of forks, by the address of the child's struct signal_struct, until it is known whether it is wanted: at an
 * exec, or at its end if it never was.
 */
BPF_HASH(held, u64, struct fact, MOST_HELD);

static __always_inline bool is_in_cgroup(const void *leader)
{
#if WANTED_CGROUP
	const void *cgroup = cgroup_of(leader);
	const u64 ancestor = OFF_CGROUP_ANCESTORS + 8 * WANTED_LEVEL; /* a cgroup is its own last ancestor */

	if (read32(cgroup, OFF_CGROUP_LEVEL) < WANTED_LEVEL)
		return false;
#if CGROUP_ANCESTORS_ARE_IDS
	return read64(cgroup, ancestor) == WANTED_CGROUP;
#else
	return cgroup_id(follow(cgroup, ancestor)) == WANTED_CGROUP;
#endif
#else
	return true;
#endif
}

static __always_inline bool is_wanted(const void *leader)
{
	u32 uid = uid_of(leader);
	u64 a = read64(leader, OFF_TASK_COMM), b = read64(leader, OFF_TASK_COMM + 8);

	return WANTED_UID(uid) && WANTED_COMM(a, b) && is_in_cgroup(leader);
}

/* Whether this child is left for later. */
static __always_inline bool is_held(const void *child)
{
	u64 key = (u64)follow(child, OFF_TASK_SIGNAL);
	struct fact fact;

	if (!BY_COMM && is_wanted(child))
		return false;
	describe_fork(&fact, child);
	if (held.update(&key, &fact)) {
		count(FORK);
		count(LOST + FORK);
	}
	return true;
}

/* executes: because of the program that it takes on now. Then that is the first one that counts: what a process was
 * before it was wanted is not recorded. At its end all count, for else it would seem to have run none.
 */
static __always_inline void report_held(const void *leader, bool executes)
{
	u64 key = (u64)follow(leader, OFF_TASK_SIGNAL);
	struct fact *before = held.lookup(&key), *fact;

	if (!before)
		return; /* it was there before the recording */
	count(FORK);
	fact = ring.ringbuf_reserve(sizeof(*fact));
	if (fact) {
		*fact = *before;
		if (executes)
			fact->execs = 0;
		ring.ringbuf_submit(fact, wake_up(sizeof(*fact)));
	} else {
		count(LOST + FORK);
	}
	held.delete(&key);
}

/* Whether this process, which nobody was interested in, is wanted by now. */
static __always_inline bool joins(const void *leader, bool executes)
{
	if (!is_wanted(leader) || !follow_too(leader))
		return false;
	report_held(leader, executes);
	return true;
}

/* This process, which is still left for later, has taken on a program. */
static __always_inline void note_program(const void *leader)
{
	u64 key = (u64)follow(leader, OFF_TASK_SIGNAL);
	struct fact *fact = held.lookup(&key);

	if (!fact)
		return;
	fact->execs++;
	fact->begun = programs_begun(leader);
	add_name(fact, leader);
}

static __always_inline void forget_held(const void *leader)
{
	u64 key = (u64)follow(leader, OFF_TASK_SIGNAL);

	held.delete(&key);
}
#else
#define is_held(child) false
#define joins(leader, executes) false
#define note_program(leader)
#define forget_held(leader)
#endif

static __always_inline void on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const void *caller = follow((const void *)ctx->args[0], OFF_TASK_GROUP_LEADER);
	const void *child = (const void *)ctx->args[1];
	struct fact *fact;

	if (read32(child, OFF_TASK_PID) != read32(child, OFF_TASK_TGID) || gate_state() != GATE_OPEN)
		return;
#if FOLLOWS
	if (!is_followed(caller) && !is_adopter(caller))
		return;
#endif
	if (is_held(child))
		return;
	count(FORK);
	/* Also where there is no room for the record: what this one starts is reported all the same. */
	fact = follow_too(child) ? ring.ringbuf_reserve(sizeof(*fact)) : NULL;
	if (!fact) {
		count(LOST + FORK);
		return;
	}
	describe_fork(fact, child);
	ring.ringbuf_submit(fact, wake_up(sizeof(*fact)));
}

/* n, at most limit. In assembly, so that the register which the verifier sees bounded is the one that is used. */
#define BOUND(n, limit) asm volatile("if %0 <= %1 goto +1\n%0 = %1" : "+r"(n) : "i"(limit))

/* Writes one exec with room for name_room bytes of file name and args_room of argv, both constants. False if the
 * ring buffer has no room for it.
 */
static __always_inline bool write_exec(const void *task, const void *name, const u32 name_room, const u32 args_room)
{
	struct exec_fact *fact = ring.ringbuf_reserve(sizeof(*fact) + name_room + args_room);
	const void *mm = follow(task, OFF_TASK_MM);
	const void *args = follow(mm, OFF_MM_ARG_START);
	const void *cwd = follow(follow(follow(task, OFF_TASK_FS), OFF_FS_PWD + OFF_PATH_DENTRY), OFF_DENTRY_INODE);
	u64 size = read64(mm, OFF_MM_ARG_END) - (u64)args;
	int name_size;

	if (!fact)
		return false;
	begin(&fact->head, EXEC, task);
	describe(&fact->head, task);
	fact->head.max_rss_kib = max_rss_kib(follow(task, OFF_TASK_SIGNAL));
	fact->head.cwd_inode = read64(cwd, OFF_INODE_NUMBER);
	fact->head.cwd_device = read32(follow(cwd, OFF_INODE_SUPER), OFF_SUPER_DEVICE);
	fact->head.args_total = size;
	fact->head.name_room = name_room;
	name_size = bpf_probe_read_kernel_str(fact->data, name_room, name);
	fact->head.name_size = name_size < 0 ? 0 : name_size;
	BOUND(size, MAX_ARGS);
	BOUND(size, args_room);
	fact->head.args_size = bpf_probe_read_user(fact->data + name_room, size, args) ? 0 : size;
	ring.ringbuf_submit(fact, wake_up(sizeof(*fact) + name_room + args_room));
	return true;
}

static __always_inline void on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	const void *name = follow((const void *)ctx->args[2], OFF_BINPRM_FILENAME);
	const void *mm = follow(task, OFF_TASK_MM);
	u64 args_size = read64(mm, OFF_MM_ARG_END) - read64(mm, OFF_MM_ARG_START);
	const void *leader;
	char start_of_name[SHORT_NAME];
	bool written;

	if (gate_state() != GATE_OPEN)
		return;
	leader = follow(task, OFF_TASK_GROUP_LEADER);
	if (!is_followed(leader) && !joins(leader, true)) {
		note_program(leader);
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
	const void *leader = follow(task, OFF_TASK_GROUP_LEADER);
	const void *signal = follow(task, OFF_TASK_SIGNAL);
	struct fact *fact;
	bool reported;

	/* A process ends with its last thread, which need not be its leader. */
#if EXIT_HAS_GROUP_DEAD
	if (!(ctx->args[1] & 0xff))
		return;
#else
	/* Two threads that leave together can both see 0 here: the reader drops the second. */
	if (read32(signal, OFF_SIGNAL_LIVE))
		return;
#endif
	if (gate_state() != GATE_OPEN)
		return;
	reported = is_followed(leader) || joins(leader, false);
	forget_held(leader);
	forget_name(leader);
	if (!reported)
		return;
	count(EXIT);
	fact = ring.ringbuf_reserve(sizeof(*fact));
	if (!fact) {
		count(LOST + EXIT);
		return;
	}
	begin(fact, EXIT, leader);
	add_name(fact, leader);
	fact->ppid = read32(follow(leader, OFF_TASK_REAL_PARENT), OFF_TASK_TGID);
	fact->status = exit_status(leader, signal);
	fact->max_rss_kib = max_rss_kib(signal);
	fact->uid = uid_of(leader);
	fact->begun = programs_begun(leader);
	ring.ringbuf_submit(fact, wake_up(sizeof(*fact)));
}

/* The kernel frees a task some time after it was reaped. Only here is its CPU time whole: at the exit its last
 * stretch on a CPU is still running.
 */
static __always_inline void on_free(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	const void *signal = follow(task, OFF_TASK_SIGNAL);
	struct fact *fact;

	if (read32(task, OFF_TASK_PID) != read32(task, OFF_TASK_TGID) || gate_state() == GATE_SHUT)
		return;
	if (!is_followed(task))
		return;
	unfollow(task);
	count(FREE);
	fact = ring.ringbuf_reserve(sizeof(*fact));
	if (!fact) {
		count(LOST + FREE);
		return;
	}
	begin(fact, FREE, task);
	fact->status = exit_status(task, signal);
	fact->cpu = read64(signal, OFF_SIGNAL_SUM_SCHED_RUNTIME);
	ring.ringbuf_submit(fact, wake_up(sizeof(*fact)));
}

/* Where a program can be interrupted by another task, and that one comes to the same tracepoint on the same CPU, the
 * kernel passes over the program there: it doesn't nest (__bpf_trace_run() in kernel/trace/bpf_trace.c). So there is a
 * second program behind it, which finds the first under way and takes its place. Were it passed over too, the reader
 * would know from the kernel's own count. (A task that is interrupted between the two, and comes back while another is
 * in the first, would be written down twice. Pairing stands that, but for one program more in the chain.)
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
