/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
 *
 * Writes one event to a ring buffer for each fork, exec, exit and free of a process.
 *
 * No kernel headers are used, and nothing of the machine is known when this is compiled: the object is the same for every
 * kernel, every processor of the same byte order and all options. Numbers that differ are constants, which the loader
 * (recorder/kernel/loader.py) writes into the instructions before the kernel verifies them:
 *   OFF_...               offsets of struct members, from the running kernel's BTF; recorder/kernel/btf.py lists them.
 *                         ABSENT for a member that this kernel is built without (only for OPTIONAL_OFFSETS)
 *   CGROUP_ANCESTORS_ARE_IDS  1 where struct cgroup stores the ids of its ancestors, 0 where it stores pointers to
 *                         them (since Linux 6.1)
 *   UPID_BYTES            size of a struct upid
 *   EXIT_HAS_GROUP_DEAD   1 where sched_process_exit has the argument group_dead (since Linux 6.16)
 *   PAGE_KIB              size of a page, in KiB
 *   WAKE_BYTES            bytes that one CPU may write before it wakes the reader
 *   MAX_ARGS              bytes of argv that are kept of one exec
 *   MAX_ENVIRONMENT       bytes of the environment that webpf_exec_env reads of one exec
 *   INTERRUPTIBLE         1 where another task can interrupt a BPF program of a tracepoint
 *   SECOND                1 in the second BPF program of a tracepoint, which is loaded where INTERRUPTIBLE is 1
 *   FOLLOWS               1: report only followed processes and their descendants; 0: report all processes
 *   FILTERS               1: report only processes that match all of the filters below at some time
 *   SELECTS               1 if FOLLOWS or FILTERS is 1
 *   FILTERS_BY_UID        1: processes whose real user id is in the map filter_uids match; 0: all processes match
 *   FILTERS_BY_COMM       1: processes whose name is in the map filter_comms match; 0: all processes match
 *   FILTER_CGROUP         id of a cgroup v2: processes in it and below it match; 0: all processes match
 *   FILTER_CGROUP_LEVEL   depth of FILTER_CGROUP in the hierarchy
 * The verifier knows their values, and removes the branches that are not taken. The loader also sets the sizes of maps:
 * a map that is not used has one entry.
 */
#include <linux/types.h>

/* clang-format off */
#define BPF_LICENSE Dual BSD/GPL
/* clang-format on */
#define __always_inline inline __attribute__((always_inline))

/* The compiler defines each constant as CONSTANT(n), with a number n of its own by which the loader finds it. clang
 * can't know what the assembly does, so it keeps each use and both sides of each branch.
 */
#define CONSTANT(n)                                                                                                    \
	({                                                                                                             \
		u64 value;                                                                                             \
		asm volatile("%0 = " #n " ll" : "=r"(value));                                                          \
		value;                                                                                                 \
	})

#define SIGNAL_GROUP_EXIT 4   /* include/linux/sched/signal.h */
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

/* Space for the file name and argv of an exec. The verifier wants record sizes that it knows, so write_exec() has some
 * combinations of these and MAX_ARGS.
 */
#define SHORT_NAME 256
#define LONG_NAME 4096 /* PATH_MAX */
#define SHORT_ARGS 256
#define MEDIUM_ARGS 2048

/* Space for the environment: one of these, or MAX_ENVIRONMENT. */
#define SHORT_ENVIRONMENT 4096
#define MEDIUM_ENVIRONMENT 16384

#define INTERPRETER_ROOM 256 /* that of a script is shorter: BINPRM_BUF_SIZE */

/* An event of any kind has this size, so that the reader can decode many of them in one step. After an exec's event
 * follow more numbers, its file name and argv (struct exec_event). recorder/kernel/decoder.py reads this struct: change both
 * together. (clang-format would align the comments of each group of lines separately.)
 */
/* clang-format off */
struct event {
	u64 time;         /* Unix ns, as all times here */
	u64 start;        /* when the process was created; start and pid identify a process */
	union {
		u64 parent_start; /* fork: when the parent was created */
		u64 cwd_inode;    /* exec: inode number of the working directory */
		u64 user;         /* free: CPU time in user mode, in ns */
	};
	union {
		u64 cgroup;    /* fork, exec: id in the cgroup v2 hierarchy */
		u64 system;    /* free: CPU time in the kernel, in ns */
	};
	union {
		u64 session;   /* fork, exit: see session_of() */
		u64 cpu;       /* free: CPU time of all threads, in ns */
		u64 args_size; /* exec: bytes of argv that follow; 0 and args_total > 0: argv could not be read */
	};
	union {
		u64 ns_pid;      /* fork: pid in its own pid namespace */
		u64 max_rss_kib; /* exit: peak memory; exec: peak memory of the image before, which the process keeps */
		u64 read_bytes;  /* free: bytes read from storage, or UNKNOWN */
	};
	u32 kind;         /* and CLOCK_BIT, if the second of the gate's offsets was used */
	u32 pid;          /* tgid, in the first pid namespace */
	union {
		u32 ppid;      /* fork: the parent; exit: the parent at the end */
		u32 name_room; /* exec: space for the file name, in bytes; argv begins after it */
		u32 minor_faults; /* free; this and the next three are at most 2^32 - 1 */
	};
	union {
		u32 uid;       /* fork, exec, exit */
		u32 major_faults; /* free */
	};
	union {
		u32 euid;      /* fork, exec */
		u32 voluntary; /* free: context switches in which it waited */
	};
	union {
		u32 status;    /* exit, free: as wait4() reports it */
		u32 name_size; /* exec: bytes of the file name, with its NUL; 0: it could not be read */
		u32 execs;     /* fork: number of execs, if the process matched a filter only at its end */
	};
	union {
		u32 kernel;     /* fork: 1 for a kernel thread */
		u32 cwd_device; /* exec: file system of the working directory, as the kernel's own dev_t */
		u32 involuntary; /* free: context switches in which it was preempted */
	};
	union {
		u32 args_total; /* exec: the true length of argv, in bytes */
		u32 begun;      /* fork, exit: programs begun so far, see programs_begun() */
	};
	union {
		char comm[16]; /* fork, exec, exit */
		struct {
			u64 write_bytes; /* free: bytes caused to be written to storage, or UNKNOWN */
			u64 run_delay;   /* free: time for which its threads waited for a CPU, in ns, or UNKNOWN */
		};
	};
};
/* clang-format on */

struct exec_event {
	struct event head;
	u64 session;          /* see session_of() */
	u64 exe_inode;        /* the executable that runs: of a script, that of its interpreter */
	u32 exe_device;       /* its file system, as the kernel's own dev_t */
	u32 interpreter_size; /* bytes of the interpreter's path, with its NUL; 0: there is none */
	char data[];          /* the file name and argv; at the end the interpreter, in INTERPRETER_ROOM bytes */
};

/* In a record of webpf_exec_env, this follows the file name, and name_room includes it. The record has INTERPRETER_ROOM
 * bytes for an interpreter even if there is none, and the environment is at its end.
 */
struct environment {
	u64 total; /* its length in bytes */
	u32 size;  /* bytes of it that are here: less than total if it is too long, 0 if it could not be read */
	u32 room;  /* space for it, in bytes */
};

/* The compiler defines FORK, EXEC, EXIT and FREE as 0 to 3, EVENT_HEAD_BYTES as the size that the decoder reads,
 * EXEC_HEAD_BYTES as that of a struct exec_event without data, and ENVIRONMENT_HEAD_BYTES as that of a struct
 * environment; ABSENT as the offset of a member that the kernel doesn't have, and UNKNOWN as the number for what can't
 * be known.
 */
#define KINDS 4
_Static_assert(sizeof(struct event) == EVENT_HEAD_BYTES, "recorder/kernel/decoder.py reads another struct event");
_Static_assert(sizeof(struct exec_event) == EXEC_HEAD_BYTES, "recorder/kernel/decoder.py reads another exec_event");
_Static_assert(sizeof(struct environment) == ENVIRONMENT_HEAD_BYTES,
	       "recorder/kernel/decoder.py reads another environment");

BPF_RINGBUF_OUTPUT(ring, 1); /* the loader sets its size */

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
 * exited. The clock offset is here and not a constant, because the clock may be set while the programs are attached.
 * There are two offsets, and each event says which one it was made with. So the reader can set the one that is not in
 * use, and then switch to it with one write.
 */
enum { GATE_SHUT, GATE_OPEN, GATE_FREES_ONLY };
struct gate {
	u64 state;
	u64 opened;     /* ns since boot when the recording began; a greater number until it has */
	u64 clock;      /* 0 or 1: which offset is in use */
	u64 offsets[2]; /* ns from boot time to Unix time */
};
BPF_ARRAY(gate, struct gate, 1);

#define CLOCK_BIT 256

/* An offset of the gate, and its number. */
struct clock {
	u64 offset;
	u64 number;
};

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

/* Bytes, from a number of blocks of 512 bytes; UNKNOWN if the kernel doesn't count them. It has the bytes in
 * signal->ioac too, but there wait_task_zombie() in kernel/exit.c adds those of children that were waited for.
 */
static __always_inline u64 read_storage_bytes(const void *signal, u64 offset)
{
	return OFF_SIGNAL_READ_BYTES == ABSENT ? UNKNOWN : read64(signal, offset) << 9;
}

/* A 64-bit number that is at most 2^32 - 1, or else that. */
static __always_inline u32 read_saturated(const void *base, u64 offset)
{
	u64 value = read64(base, offset);

	return value > 0xffffffff ? 0xffffffff : value;
}

static __always_inline const void *read_pointer(const void *base, u64 offset)
{
	return (const void *)read64(base, offset);
}

static __always_inline u64 gate_state(void)
{
	int zero = 0;
	struct gate *found = gate.lookup(&zero);

	return found ? found->state : GATE_SHUT;
}

/* The clock that is in use. It is read once for an event, for it may change at any time. */
static __always_inline struct clock current_clock(void)
{
	int zero = 0;
	struct gate *found = gate.lookup(&zero);
	struct clock clock = {};

	if (found) {
		clock.number = *(volatile u64 *)&found->clock & 1;
		clock.offset = clock.number ? found->offsets[1] : found->offsets[0];
	}
	return clock;
}

/* Whether the process was created after the recording began, so that all of its life is seen. start: since boot */
static __always_inline bool is_new(u64 start)
{
	int zero = 0;
	struct gate *found = gate.lookup(&zero);

	return found && start >= found->opened;
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

#define PIDTYPE_SID 3 /* include/linux/pid_types.h */
#define NO_LOGINUID 0xffffffff

/* The id of the session, and in the upper half the user id with which the user logged in, as in /proc/PID/loginuid. */
static __always_inline u64 session_of(const void *leader, const void *signal)
{
	const void *session = read_pointer(signal, OFF_SIGNAL_PIDS + PIDTYPE_SID * sizeof(void *));
	u64 sid = read32(session, OFF_PID_NUMBERS + OFF_UPID_NR), loginuid = NO_LOGINUID;

	if (OFF_TASK_LOGINUID != ABSENT)
		loginuid = read32(leader, OFF_TASK_LOGINUID);
	return loginuid << 32 | sid;
}

/* The pid of a process in the innermost of the pid namespaces that it is in. */
static __always_inline u32 ns_pid_of(const void *leader)
{
	const void *pid = read_pointer(leader, OFF_TASK_THREAD_PID);

	return read32(pid, OFF_PID_NUMBERS + read32(pid, OFF_PID_LEVEL) * UPID_BYTES + OFF_UPID_NR);
}

/* When a process was created, in ns since boot. */
static __always_inline u64 start_of(const void *leader)
{
	return read64(leader, OFF_TASK_START);
}

static __always_inline u64 max_rss_kib(const void *signal)
{
	return read64(signal, OFF_SIGNAL_MAXRSS) * PAGE_KIB;
}

/* FOLLOWS: report only the pids that the loader named and their descendants, even after reparenting.
 * FILTERS: report only the pids that the loader named and the processes that match the filters.
 */
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

/* False if the map is full. */
static __always_inline bool add_followed(const void *leader)
{
	u64 key, start;

	if (!SELECTS)
		return true;
	key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	start = start_of(leader);
	return followed.update(&key, &start) == 0;
}

static __always_inline bool is_followed(const void *leader)
{
	u64 key, *start;

	if (!SELECTS)
		return true;
	key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	start = followed.lookup(&key);
	if (start && *start == start_of(leader))
		return true;
	return has_followed_pid(leader) && add_followed(leader);
}

/* The process has ended, and its pid may be reused. */
static __always_inline void forget_followed_pid(const void *leader)
{
	u32 pid;

	if (!SELECTS)
		return;
	pid = read32(leader, OFF_TASK_TGID);
	followed_pids.delete(&pid);
}

static __always_inline void remove_followed(const void *leader)
{
	u64 key;

	if (!SELECTS)
		return;
	key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	followed.delete(&key);
}

/* Fills the fields that all kinds have. leader: leader of the thread group, as everywhere here.
 *
 * Read the clock after space in the ring buffer is reserved: then all events that are reserved after the reader switched
 * to another offset have that one.
 */
static __always_inline void fill_head(struct event *event, u32 kind, const void *leader, struct clock clock)
{
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_boot_ns() + clock.offset;
	event->start = start_of(leader) + clock.offset;
	event->kind = kind | clock.number * CLOCK_BIT;
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

static __always_inline void fill_fork(struct event *event, const void *child, struct clock clock)
{
	/* Not always the process that called clone(): with CLONE_PARENT it is the parent of that process. */
	const void *parent = read_pointer(read_pointer(child, OFF_TASK_REAL_PARENT), OFF_TASK_GROUP_LEADER);

	fill_head(event, FORK, child, clock);
	fill_owner(event, child);
	event->kernel = !!(read32(child, OFF_TASK_FLAGS) & PF_KTHREAD);
	event->begun = programs_begun(child);
	event->ppid = read32(parent, OFF_TASK_TGID);
	event->parent_start = start_of(parent) + clock.offset;
	event->session = session_of(child, read_pointer(child, OFF_TASK_SIGNAL));
	event->ns_pid = ns_pid_of(child);
}

#define MAX_HELD_FORKS 32768

/* Fork events of processes that have not matched so far. The key is the address of the child's struct signal_struct.
 * An event is written when the process matches, at an exec or at its end, and else dropped at its end. Its times are
 * since boot until then.
 */
BPF_HASH(held_forks, u64, struct event, MAX_HELD_FORKS);

/* Values of the filters; the loader sets the sizes. A name ends at its first NUL, and is padded with more of them. */
struct comm {
	u64 words[2];
};
BPF_HASH(filter_uids, u32, u8, 1);
BPF_HASH(filter_comms, struct comm, u8, 1);

static __always_inline bool matches_uid(const void *leader)
{
	u32 uid;

	if (!FILTERS_BY_UID)
		return true;
	uid = uid_of(leader);
	return filter_uids.lookup(&uid) != NULL;
}

static __always_inline bool matches_comm(const void *leader)
{
	struct comm comm = {};

	if (!FILTERS_BY_COMM)
		return true;
	/* As a string, up to the NUL: before Linux 5.16 the bytes after it may be left from a longer name. */
	bpf_probe_read_kernel_str(&comm, sizeof(comm), leader + OFF_TASK_COMM);
	return filter_comms.lookup(&comm) != NULL;
}

static __always_inline bool matches_cgroup(const void *leader)
{
	const void *cgroup;
	u64 ancestor;

	if (!FILTER_CGROUP)
		return true;
	cgroup = cgroup_of(leader);
	if (read32(cgroup, OFF_CGROUP_LEVEL) < FILTER_CGROUP_LEVEL)
		return false;
	/* The last of a cgroup's ancestors is the cgroup itself. */
	ancestor = OFF_CGROUP_ANCESTORS + 8 * FILTER_CGROUP_LEVEL;
	if (CGROUP_ANCESTORS_ARE_IDS)
		return read64(cgroup, ancestor) == FILTER_CGROUP;
	return cgroup_id(read_pointer(cgroup, ancestor)) == FILTER_CGROUP;
}

static __always_inline bool matches_filters(const void *leader)
{
	return matches_uid(leader) && matches_comm(leader) && matches_cgroup(leader);
}

/* Holds the fork event of this child back if the child doesn't match yet. True if it was held back. */
static __always_inline bool hold_fork(const void *child)
{
	struct clock since_boot = {};
	struct event event;
	u64 key;

	/* A process gets its name only after its fork. */
	if (!FILTERS || (!FILTERS_BY_COMM && matches_filters(child)))
		return false;
	key = (u64)read_pointer(child, OFF_TASK_SIGNAL);
	fill_fork(&event, child, since_boot);
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
	struct clock clock;

	if (!before)
		return; /* the process is older than the recording */
	count(FORK);
	event = ring.ringbuf_reserve(sizeof(*event));
	if (event) {
		*event = *before;
		clock = current_clock();
		event->time += clock.offset;
		event->start += clock.offset;
		event->parent_start += clock.offset;
		event->kind |= clock.number * CLOCK_BIT;
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
	if (!FILTERS || !matches_filters(leader) || !add_followed(leader))
		return false;
	report_held_fork(leader, at_exec);
	return true;
}

/* Notes an exec in the fork event of a process that still doesn't match. */
static __always_inline void count_program(const void *leader)
{
	struct event *event;
	u64 key;

	if (!FILTERS)
		return;
	key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	event = held_forks.lookup(&key);
	if (!event)
		return;
	event->execs++;
	event->begun = programs_begun(leader);
	fill_comm(event, leader);
}

static __always_inline void forget_held_fork(const void *leader)
{
	u64 key;

	if (!FILTERS)
		return;
	key = (u64)read_pointer(leader, OFF_TASK_SIGNAL);
	held_forks.delete(&key);
}

static __always_inline void on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const void *caller = read_pointer((const void *)ctx->args[0], OFF_TASK_GROUP_LEADER);
	const void *child = (const void *)ctx->args[1];
	struct event *event;

	if (read32(child, OFF_TASK_PID) != read32(child, OFF_TASK_TGID) || gate_state() != GATE_OPEN)
		return;
	if (FOLLOWS && !is_followed(caller) && !is_parent_to_follow(caller))
		return;
	if (hold_fork(child))
		return;
	count(FORK);
	/* The child is followed even if the ring buffer is full, so that its descendants are reported. */
	event = add_followed(child) ? ring.ringbuf_reserve(sizeof(*event)) : NULL;
	if (!event) {
		count(LOST + FORK);
		return;
	}
	fill_fork(event, child, current_clock());
	ring.ringbuf_submit(event, wake_up(sizeof(*event)));
}

/* Limits n to `limit`. This is assembly so that the register with the bound that the verifier saw is the one in use.
 */
#define BOUND(n, limit) asm volatile("if %0 <= %1 goto +1\n%0 = %1" : "+r"(n) : "r"(limit))

static __always_inline void fill_executable(struct exec_event *event, const void *mm)
{
	const void *inode = read_pointer(read_pointer(mm, OFF_MM_EXE_FILE), OFF_FILE_INODE);

	event->exe_inode = read64(inode, OFF_INODE_NUMBER);
	event->exe_device = read32(read_pointer(inode, OFF_INODE_SUPER), OFF_SUPER_DEVICE);
}

/* Whether an interpreter runs the file: it is a script. */
static __always_inline bool has_interpreter(const void *bprm)
{
	return read_pointer(bprm, OFF_BINPRM_INTERP) != read_pointer(bprm, OFF_BINPRM_FILENAME);
}

/* Fills a part of the environment, up to `room` bytes, as it is right after the exec: env points to the space. */
static __always_inline void fill_environment(struct environment *head, void *env, const void *mm, const u64 room)
{
	const void *start = read_pointer(mm, OFF_MM_ENV_START);
	u64 size = read64(mm, OFF_MM_ENV_END) - (u64)start;

	head->total = size;
	head->room = room;
	BOUND(size, MAX_ENVIRONMENT);
	BOUND(size, room);
	head->size = bpf_probe_read_user(env, size, start) ? 0 : size;
}

/* Writes one exec, with space for name_room bytes of the file name, args_room bytes of argv, interpreter_room bytes
 * of the interpreter, or 0, and environment_room bytes of the environment. head_room is 0 without an environment, and
 * else the size of its struct. They are constants, of 64 bits, for older verifiers forget what they know of a smaller
 * one that clang keeps on the stack.
 * False if the ring buffer is full.
 */
static __always_inline bool write_exec(const void *task, const void *bprm, const u64 name_room, const u64 args_room,
				       const u64 interpreter_room, const u64 head_room, const u64 environment_room)
{
	const u64 room = name_room + head_room + args_room + interpreter_room + environment_room;
	struct exec_event *event = ring.ringbuf_reserve(sizeof(*event) + room);
	const void *signal = read_pointer(task, OFF_TASK_SIGNAL);
	const void *mm = read_pointer(task, OFF_TASK_MM);
	const void *args = read_pointer(mm, OFF_MM_ARG_START);
	const void *cwd_dentry = read_pointer(read_pointer(task, OFF_TASK_FS), OFF_FS_PWD + OFF_PATH_DENTRY);
	const void *cwd = read_pointer(cwd_dentry, OFF_DENTRY_INODE);
	u64 size = read64(mm, OFF_MM_ARG_END) - (u64)args;
	int name_size;

	if (!event)
		return false;
	fill_head(&event->head, EXEC, task, current_clock());
	fill_owner(&event->head, task);
	event->head.max_rss_kib = max_rss_kib(signal);
	event->head.cwd_inode = read64(cwd, OFF_INODE_NUMBER);
	event->head.cwd_device = read32(read_pointer(cwd, OFF_INODE_SUPER), OFF_SUPER_DEVICE);
	event->head.args_total = size;
	event->head.name_room = name_room + head_room;
	event->session = session_of(task, signal);
	fill_executable(event, mm);
	name_size = bpf_probe_read_kernel_str(event->data, name_room, read_pointer(bprm, OFF_BINPRM_FILENAME));
	event->head.name_size = name_size < 0 ? 0 : name_size;
	event->interpreter_size = 0;
	if (interpreter_room && (!head_room || has_interpreter(bprm))) {
		name_size = bpf_probe_read_kernel_str(event->data + name_room + head_room + args_room, interpreter_room,
						      read_pointer(bprm, OFF_BINPRM_INTERP));
		event->interpreter_size = name_size < 0 ? 0 : name_size;
	}
	BOUND(size, MAX_ARGS);
	BOUND(size, args_room);
	event->head.args_size = bpf_probe_read_user(event->data + name_room + head_room, size, args) ? 0 : size;
	if (head_room)
		fill_environment((void *)event->data + name_room, event->data + room - environment_room, mm,
				 environment_room);
	ring.ringbuf_submit(event, wake_up(sizeof(*event) + room));
	return true;
}

/* Writes one exec with its environment. It has few combinations, because most records are large here anyway. */
static __always_inline bool write_exec_and_environment(const void *task, const void *bprm, bool is_short)
{
	const u64 head = sizeof(struct environment);
	const void *mm = read_pointer(task, OFF_TASK_MM);
	u64 size = read64(mm, OFF_MM_ENV_END) - read64(mm, OFF_MM_ENV_START);

	if (!is_short)
		return write_exec(task, bprm, LONG_NAME, MAX_ARGS, INTERPRETER_ROOM, head, MAX_ENVIRONMENT);
	if (size <= SHORT_ENVIRONMENT)
		return write_exec(task, bprm, SHORT_NAME, MEDIUM_ARGS, INTERPRETER_ROOM, head, SHORT_ENVIRONMENT);
	if (size <= MEDIUM_ENVIRONMENT)
		return write_exec(task, bprm, SHORT_NAME, MEDIUM_ARGS, INTERPRETER_ROOM, head, MEDIUM_ENVIRONMENT);
	return write_exec(task, bprm, SHORT_NAME, MEDIUM_ARGS, INTERPRETER_ROOM, head, MAX_ENVIRONMENT);
}

static __always_inline void report_exec(struct bpf_raw_tracepoint_args *ctx, const bool has_environment)
{
	const void *task = (const void *)ctx->args[0];
	const void *bprm = (const void *)ctx->args[2];
	const void *name = read_pointer(bprm, OFF_BINPRM_FILENAME);
	const void *mm = read_pointer(task, OFF_TASK_MM);
	u64 args_size = read64(mm, OFF_MM_ARG_END) - read64(mm, OFF_MM_ARG_START);
	const void *leader;
	char start_of_name[SHORT_NAME];
	bool written, is_long, is_script = read_pointer(bprm, OFF_BINPRM_INTERP) != name;

	if (gate_state() != GATE_OPEN)
		return;
	leader = read_pointer(task, OFF_TASK_GROUP_LEADER);
	if (!is_followed(leader) && !starts_to_match(leader, true)) {
		count_program(leader);
		return;
	}
	count(EXEC);
	is_long = bpf_probe_read_kernel_str(start_of_name, SHORT_NAME, name) == SHORT_NAME;
	if (has_environment)
		written = write_exec_and_environment(task, bprm, !is_long && args_size <= MEDIUM_ARGS);
	else if (is_script && (is_long || args_size > MEDIUM_ARGS))
		written = write_exec(task, bprm, LONG_NAME, MAX_ARGS, INTERPRETER_ROOM, 0, 0);
	else if (is_script)
		written = write_exec(task, bprm, SHORT_NAME, MEDIUM_ARGS, INTERPRETER_ROOM, 0, 0);
	else if (is_long)
		written = write_exec(task, bprm, LONG_NAME, MAX_ARGS, 0, 0, 0);
	else if (args_size <= SHORT_ARGS)
		written = write_exec(task, bprm, SHORT_NAME, SHORT_ARGS, 0, 0, 0);
	else if (args_size <= MEDIUM_ARGS)
		written = write_exec(task, bprm, SHORT_NAME, MEDIUM_ARGS, 0, 0, 0);
	else
		written = write_exec(task, bprm, SHORT_NAME, MAX_ARGS, 0, 0, 0);
	if (!written)
		count(LOST + EXEC);
}

static __always_inline void on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	report_exec(ctx, false);
}

/* The loader takes this in place of on_exec() if environments are asked for. on_exec() has no branch for it. */
static __always_inline void on_exec_env(struct bpf_raw_tracepoint_args *ctx)
{
	report_exec(ctx, true);
}

/* A process ends with its last thread, which may be another than its leader. */
static __always_inline bool is_last_thread(struct bpf_raw_tracepoint_args *ctx, const void *signal)
{
	if (EXIT_HAS_GROUP_DEAD)
		return ctx->args[1] & 0xff;
	/* Two threads that exit at the same time can both read 0 here: the reader drops the second event. */
	return !read32(signal, OFF_SIGNAL_LIVE);
}

#define MAX_THREADED 16384

/* How long the threads that have ended waited for a CPU, for processes with such threads. A thread's own number is gone
 * with it. The key is the address of struct signal_struct, as in `followed`.
 *
 * A leader that ended before other threads is kept separately: if it is still the leader at the end, its number is
 * read then, with what it waited after its exit. If another thread called execve(), that is the leader.
 */
struct threads {
	u64 start; /* of the process, since boot: another may have had this address before */
	u64 run_delay;
	u64 leader; /* address of the task */
	u64 run_delay_of_leader;
};
BPF_HASH(ended_threads, u64, struct threads, MAX_THREADED);

/* When, since boot, the map was last full: of processes that were alive then, threads may be missing. */
BPF_ARRAY(threads_missed, u64, 1);

/* Notes what a thread waited, unless it is the last of a process and its leader, whose number is there at the free. */
static __always_inline void note_ended_thread(const void *task, const void *leader, const void *signal, bool is_last)
{
	u64 key = (u64)signal, start, run_delay;
	struct threads *threads, fresh = {};
	u64 *missed;
	int zero = 0;

	if (OFF_TASK_RUN_DELAY == ABSENT || (task == leader && is_last))
		return;
	start = start_of(leader);
	if (!is_new(start))
		return;
	run_delay = read64(task, OFF_TASK_RUN_DELAY);
	threads = ended_threads.lookup(&key);
	if (threads && threads->start != start) {
		ended_threads.delete(&key);
		threads = NULL;
	}
	if (!threads) {
		fresh.start = start;
		ended_threads.insert(&key, &fresh); /* it fails if another thread of the process has just done it */
		threads = ended_threads.lookup(&key);
	}
	if (!threads) {
		missed = threads_missed.lookup(&zero);
		if (missed)
			*missed = bpf_ktime_get_boot_ns();
	} else if (task != leader) {
		__sync_fetch_and_add(&threads->run_delay, run_delay);
	} else {
		if (threads->leader != (u64)task)
			__sync_fetch_and_add(&threads->run_delay, threads->run_delay_of_leader);
		threads->leader = (u64)task;
		threads->run_delay_of_leader = run_delay;
	}
}

/* How long all threads of a freed process waited for a CPU; UNKNOWN if some of them are not known. */
static __always_inline u64 run_delay_of(const void *leader, const void *signal, u64 start)
{
	u64 key = (u64)signal, run_delay, *missed;
	struct threads *threads;
	int zero = 0;

	if (OFF_TASK_RUN_DELAY == ABSENT || !is_new(start))
		return UNKNOWN;
	missed = threads_missed.lookup(&zero);
	if (!missed || start <= *missed)
		return UNKNOWN;
	run_delay = read64(leader, OFF_TASK_RUN_DELAY);
	threads = ended_threads.lookup(&key);
	if (!threads || threads->start != start)
		return run_delay;
	run_delay += threads->run_delay;
	if (threads->leader != (u64)leader)
		run_delay += threads->run_delay_of_leader;
	return run_delay;
}

static __always_inline void forget_ended_threads(const void *signal)
{
	u64 key = (u64)signal;

	if (OFF_TASK_RUN_DELAY != ABSENT)
		ended_threads.delete(&key);
}

static __always_inline void on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	const void *leader = read_pointer(task, OFF_TASK_GROUP_LEADER);
	const void *signal = read_pointer(task, OFF_TASK_SIGNAL);
	struct event *event;
	bool reported, is_last = is_last_thread(ctx, signal);

	if (gate_state() != GATE_OPEN)
		return;
	/* With filters, a process may match later. */
	if (FILTERS || !FOLLOWS || is_followed(leader))
		note_ended_thread(task, leader, signal, is_last);
	if (!is_last)
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
	fill_head(event, EXIT, leader, current_clock());
	fill_comm(event, leader);
	event->ppid = read32(read_pointer(leader, OFF_TASK_REAL_PARENT), OFF_TASK_TGID);
	event->status = exit_status(leader, signal);
	event->max_rss_kib = max_rss_kib(signal);
	event->uid = uid_of(leader);
	event->begun = programs_begun(leader);
	event->session = session_of(leader, signal);
	ring.ringbuf_submit(event, wake_up(sizeof(*event)));
}

/* a * b / c for a <= c, without losing bits of a * b, as mul_u64_u64_div_u64() of the kernel. c is less than 2^62.
 * tests/kernel/test_multiply_divide.py compiles this for the processor too.
 */
static __always_inline u64 multiply_divide(u64 a, u64 b, u64 c)
{
	u64 low = (u64)(u32)a * (u32)b, middle_a = (a >> 32) * (u32)b, middle_b = (u64)(u32)a * (b >> 32);
	u64 middle = (low >> 32) + (u32)middle_a + (u32)middle_b;
	u64 rest = (a >> 32) * (b >> 32) + (middle_a >> 32) + (middle_b >> 32) + (middle >> 32);
	u64 quotient = 0, fits;

	low = middle << 32 | (u32)low;
	if (!rest)
		return low / c;
	/* Long division of rest:low, a bit at a time. rest is always less than c. There is no branch in it, for the
	 * verifier of the kernel follows both sides of each branch in each round.
	 */
	for (u64 bit = 0; bit < 64; bit++) {
		rest = rest << 1 | low >> 63;
		low <<= 1;
		fits = ((rest - c) >> 63) - 1; /* all bits are 1 if rest >= c, and else 0 */
		asm volatile("" : "+r"(fits));
		rest -= c & fits;
		quotient = quotient << 1 | (fits & 1);
	}
	return quotient;
}
/* end of multiply_divide() */

/* Fills the CPU times in user mode and in the kernel as wait4() reports them: cputime_adjust() in kernel/sched/cputime.c.
 *
 * The kernel samples the two modes (utime, stime), but measures their sum (cpu). So it divides the sum in the ratio of
 * the samples. It stores what it has told, because neither of the two times may ever decrease. If a process waited for
 * this one, what it was told is stored here.
 */
static __always_inline void fill_cpu_times(struct event *event, const void *signal)
{
	u64 cpu = event->cpu, user = read64(signal, OFF_SIGNAL_UTIME), system = read64(signal, OFF_SIGNAL_STIME);
	u64 told_user, told_system;

	if (OFF_SIGNAL_PREV_UTIME == ABSENT) { /* CONFIG_VIRT_CPU_ACCOUNTING_NATIVE: the kernel measures both */
		event->user = user;
		event->system = system;
		return;
	}
	told_user = read64(signal, OFF_SIGNAL_PREV_UTIME);
	told_system = read64(signal, OFF_SIGNAL_PREV_STIME);
	if (told_user + told_system < cpu) {
		if (!system)
			system = 0;
		else if (!user)
			system = cpu;
		else
			system = multiply_divide(system, cpu, user + system);
		if (system < told_system)
			system = told_system;
		if (cpu - system < told_user)
			system = cpu - told_user;
		told_system = system;
		told_user = cpu - system;
	}
	event->user = told_user;
	event->system = told_system;
}

/* Fills what the process has cost. The kernel adds what each thread has cost to the signal_struct (__exit_signal() in
 * kernel/exit.c) before it frees the leader.
 */
static __always_inline void fill_costs(struct event *event, const void *leader, const void *signal)
{
	event->cpu = read64(signal, OFF_SIGNAL_SUM_SCHED_RUNTIME);
	fill_cpu_times(event, signal);
	event->minor_faults = read_saturated(signal, OFF_SIGNAL_MIN_FLT);
	event->major_faults = read_saturated(signal, OFF_SIGNAL_MAJ_FLT);
	event->voluntary = read_saturated(signal, OFF_SIGNAL_NVCSW);
	event->involuntary = read_saturated(signal, OFF_SIGNAL_NIVCSW);
	event->read_bytes = read_storage_bytes(signal, OFF_SIGNAL_INBLOCK);
	event->write_bytes = read_storage_bytes(signal, OFF_SIGNAL_OUBLOCK);
	event->run_delay = run_delay_of(leader, signal, start_of(leader));
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
	if (!is_followed(task)) {
		forget_ended_threads(signal);
		return;
	}
	remove_followed(task);
	count(FREE);
	event = ring.ringbuf_reserve(sizeof(*event));
	if (!event) {
		count(LOST + FREE);
		forget_ended_threads(signal);
		return;
	}
	fill_head(event, FREE, task, current_clock());
	event->status = exit_status(task, signal);
	fill_costs(event, task, signal);
	forget_ended_threads(signal);
	ring.ringbuf_submit(event, wake_up(sizeof(*event)));
}

/* BPF programs of tracepoints don't nest: if a task interrupts a BPF program and reaches the same tracepoint on the
 * same CPU, the kernel skips the BPF program for it (__bpf_trace_run() in kernel/trace/bpf_trace.c). So each
 * tracepoint has a second BPF program, which runs after the first. If it finds that the first is interrupted, it
 * writes the event. If the kernel skips the second too, the reader knows from the kernel's count of misses. (A task
 * that is interrupted between the two, and continues while another is in the first, writes its event twice. The only
 * effect on pairing is one program too many for that process.)
 */
static __always_inline void set_under_way(u32 kind, u64 value)
{
	int slot = UNDER_WAY + kind;
	u64 *cell;

	if (!INTERRUPTIBLE)
		return;
	cell = counts.lookup(&slot);
	if (cell)
		*(volatile u64 *)cell = value;
}

static __always_inline bool is_under_way(u32 kind)
{
	int slot = UNDER_WAY + kind;
	u64 *cell = counts.lookup(&slot);

	return cell && *(volatile u64 *)cell;
}

/* One program for each tracepoint, and another for an exec with its environment. The loader loads it once, and where
 * tasks can interrupt it a second time, with SECOND as 1.
 */
#define PROGRAM(name, KIND)                                                                                            \
	int webpf_##name(struct bpf_raw_tracepoint_args *ctx)                                                          \
	{                                                                                                              \
		if (SECOND) {                                                                                          \
			if (!is_under_way(KIND))                                                                       \
				return 0;                                                                              \
			count(RESCUED + KIND);                                                                         \
		} else {                                                                                               \
			set_under_way(KIND, 1);                                                                        \
		}                                                                                                      \
		on_##name(ctx);                                                                                        \
		if (!SECOND)                                                                                           \
			set_under_way(KIND, 0);                                                                        \
		return 0;                                                                                              \
	}

PROGRAM(fork, FORK)
PROGRAM(exec, EXEC)
PROGRAM(exec_env, EXEC)
PROGRAM(exit, EXIT)
PROGRAM(free, FREE)
