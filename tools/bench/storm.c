/* storm forks N CORES: CORES processes, each forking N children that exit at once, one after the other.
 * storm execs N: N times posix_spawn of /bin/true, one after the other.
 * Prints the wall time in seconds.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void forks(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

static void execs(long count)
{
	char *argv[] = { "true", NULL }, *env[] = { NULL };

	for (long i = 0; i < count; i++) {
		pid_t child;

		if (posix_spawn(&child, "/bin/true", NULL, NULL, argv, env) == 0)
			waitpid(child, NULL, 0);
	}
}

/* So many a second, as evenly as can be. If it can't keep up, it says so by what it prints. */
static void steady(long rate, long seconds)
{
	double start = now();

	for (long i = 0; i < rate * seconds; i++) {
		double early = start + (double)i / rate - now();

		if (early > 0.001)
			usleep(early * 1e6);
		execs(1);
	}
}

int main(int argc, char **argv)
{
	double start = now();

	if (argc == 4 && strcmp(argv[1], "forks") == 0) {
		for (long core = atol(argv[3]); core > 0; core--) {
			if (fork() == 0) {
				forks(atol(argv[2]));
				_exit(0);
			}
		}
		while (wait(NULL) > 0)
			;
	} else if (argc == 3 && strcmp(argv[1], "execs") == 0) {
		execs(atol(argv[2]));
	} else if (argc == 4 && strcmp(argv[1], "steady") == 0) {
		steady(atol(argv[2]), atol(argv[3]));
	} else {
		fprintf(stderr, "usage: storm forks N CORES | storm execs N | storm steady RATE SECONDS\n");
		return 64;
	}
	printf("%.6f\n", now() - start);
	return 0;
}
