/* Programs whose end their parent knows. A test runs one, and compares it with what webpf recorded.
 *
 *   act ACT [NUMBER...]; the act can also be named by $ACT, for a program without any argument
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_BOOTTIME, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Waits for a child that was made at `before` or later, and prints what wait4() reports. */
static void tell(pid_t pid, long long before)
{
	struct rusage usage;
	int status;

	wait4(pid, &status, 0, &usage);
	printf("%d %lld %lld %d %lld %ld\n", pid, before, now(), status,
	       (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec +
		       usage.ru_stime.tv_usec,
	       usage.ru_maxrss);
}

static void die_of(int number, int core)
{
	struct rlimit limit = { core ? RLIM_INFINITY : 0, RLIM_INFINITY };

	setrlimit(RLIMIT_CORE, &limit);
	signal(number, SIG_DFL);
	kill(getpid(), number);
	pause();
}

static void family(int children)
{
	setvbuf(stdout, NULL, _IOLBF, 0); /* lines are written at once, whatever happens to this process */
	for (int i = 0; i < children; i++) {
		long long before = now();
		pid_t pid = fork();

		if (!pid) {
			usleep(i % 5 * 1000);
			_exit(i);
		}
		tell(pid, before);
	}
}

static void spawn_by_vfork(void)
{
	long long before = now();
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/true", "true", "by vfork", NULL);
		_exit(127);
	}
	tell(pid, before);
}

/* With CLONE_PARENT, the parent of the child is the parent of this process: the caller must wait for both. */
static void give_away(void)
{
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);

	if (!pid)
		_exit(21);
	printf("%ld\n", pid);
}

static pthread_barrier_t barrier;

static void *leave(void *unused)
{
	pthread_barrier_wait(&barrier);
	syscall(SYS_exit, 0);
	return unused;
}

/* All threads exit at the same time, each by itself, so that any of them can be the last. */
static void leave_together(int threads)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, threads);
	for (int i = 1; i < threads; i++)
		pthread_create(&thread, NULL, leave, NULL);
	leave(NULL);
}

static void *name_yourself(void *unused)
{
	printf("%ld\n", syscall(SYS_gettid));
	return unused;
}

static void thread_by_thread(int threads)
{
	for (int i = 0; i < threads; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, name_yourself, NULL);
		pthread_join(thread, NULL);
	}
}

/* Uses CPU time in user mode and in the kernel, in turns, for some ms, and gives the CPU away in between. It asks only
 * for its time by the clock of threads: times() or getrusage() would change what the parent is told.
 */
static void work(int milliseconds)
{
	static __thread char buffer[65536];
	int zeros = open("/dev/zero", O_RDONLY);
	struct timespec used;

	do {
		for (volatile int i = 0; i < 100000; i++)
			;
		for (int i = 0; i < 20; i++)
			if (read(zeros, buffer, sizeof(buffer)) < 0)
				exit(1);
		usleep(100);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	} while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < milliseconds);
	close(zeros);
}

/* Works, and prints how long this thread has waited for a CPU, in ns. */
static void *work_as_thread(void *unused)
{
	unsigned long long ran, waited;
	FILE *file;

	work(20);
	file = fopen("/proc/thread-self/schedstat", "r");
	if (fscanf(file, "%llu %llu", &ran, &waited) != 2)
		exit(1);
	fclose(file);
	dprintf(1, "%llu\n", waited);
	return unused;
}

static void *work_and_leave(void *unused)
{
	work_as_thread(unused);
	return leave(unused);
}

/* All threads exit at the same time, on all CPUs, and have printed how long they have waited. */
static void work_together(int threads)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, threads);
	for (int i = 1; i < threads; i++)
		pthread_create(&thread, NULL, work_and_leave, NULL);
	work_and_leave(NULL);
}

static void *exec_as_thread(void *unused)
{
	work(20);
	execl("/proc/self/exe", "act", "work", "20", NULL);
	return unused;
}

/* The threads work after their leader has exited; or one of them calls execve() when the others have exited. */
static void work_in_threads(int threads, int executes)
{
	pthread_t thread[threads];

	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, work_as_thread, NULL);
	if (!executes) {
		work_as_thread(NULL);
		syscall(SYS_exit, 0);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	work_as_thread(NULL);
	pthread_create(&thread[0], NULL, exec_as_thread, NULL);
	pause();
}

static void eat(size_t mib)
{
	char *memory = malloc(mib << 20);

	memset(memory, 1, mib << 20);
	printf("%d\n", memory[mib]); /* otherwise the compiler removes the unused memory */
}

static void show_arguments(void)
{
	static char buffer[4 << 20];
	FILE *file = fopen("/proc/self/cmdline", "r");

	fwrite(buffer, 1, fread(buffer, 1, sizeof(buffer), file), stdout);
}

/* Executes itself so many times, every 20 ms, and exits 7. */
static int execute_again(const char *program, int times)
{
	char number[16];

	if (!times)
		return 7;
	usleep(20000);
	snprintf(number, sizeof(number), "%d", times - 1);
	execl(program, "act", "again", number, NULL);
	return 1;
}

static void lose_arguments(const char *program)
{
	char *arguments[] = { NULL }, *environment[] = { "ACT=arguments", NULL };

	execve(program, arguments, environment);
}

int main(int argc, char **argv)
{
	const char *act = getenv("ACT") ? getenv("ACT") : argv[1];
	int number = argc > 2 ? atoi(argv[2]) : 0;

	if (!strcmp(act, "die"))
		die_of(number, argc > 3);
	else if (!strcmp(act, "family"))
		family(number);
	else if (!strcmp(act, "vfork"))
		spawn_by_vfork();
	else if (!strcmp(act, "give-away"))
		give_away();
	else if (!strcmp(act, "together"))
		leave_together(number);
	else if (!strcmp(act, "threads"))
		thread_by_thread(number);
	else if (!strcmp(act, "thread-and-pause")) {
		thread_by_thread(1);
		fflush(stdout);
		pause();
	} else if (!strcmp(act, "work"))
		work(number);
	else if (!strcmp(act, "leader-exits-first"))
		work_in_threads(number, 0);
	else if (!strcmp(act, "thread-executes"))
		work_in_threads(number, 1);
	else if (!strcmp(act, "work-together"))
		work_together(number);
	else if (!strcmp(act, "eat"))
		eat(number);
	else if (!strcmp(act, "eat-and-execute")) {
		eat(number);
		execlp("cat", "cat", NULL);
	} else if (!strcmp(act, "arguments"))
		show_arguments();
	else if (!strcmp(act, "again"))
		return execute_again("/proc/self/exe", number);
	else if (!strcmp(act, "no-arguments"))
		lose_arguments(argv[0]);
	else
		return 64;
	return 0;
}
