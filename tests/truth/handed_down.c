/* What a program inherits over an exec, according to the kernel. Tests compare a command under webpf with the same
 * command without it. `show` prints the values; `run` sets values that shells can't set, and executes the rest.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int show(void)
{
	char line[4096];
	FILE *status = fopen("/proc/self/status", "r");
	DIR *open_files;
	struct dirent *entry;
	int numbers[64] = { 0 };

	for (char **each = environ; *each; each++)
		printf("environment [%s]\n", *each);
	while (fgets(line, sizeof(line), status))
		if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6))
			fputs(line, stdout);
	fclose(status);
	open_files = opendir("/proc/self/fd");
	while ((entry = readdir(open_files)))
		if (atoi(entry->d_name) < 64 && entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(open_files))
			numbers[atoi(entry->d_name)] = 1;
	closedir(open_files);
	for (int number = 0; number < 64; number++)
		if (numbers[number])
			printf("descriptor %d\n", number);
	return 5;
}

static int run(char **command)
{
	char *odd[] = { "A=1", "A=2", "NO_PAIR", "=nameless", "B=\xff\x01", "LC_ALL=C", "PATH=/usr/bin:/bin", NULL };
	sigset_t blocked;
	int status;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigaddset(&blocked, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGRTMIN + 3, SIG_IGN);
	/* A child executes it, for what Python changes before its first line is taken from the process that called. */
	if (fork() == 0) {
		signal(SIGCHLD, SIG_IGN);
		close(0);
		execve(command[0], command, odd);
		_exit(99);
	}
	wait(&status);
	return WEXITSTATUS(status);
}

int main(int count, char **arguments)
{
	if (count > 2 && !strcmp(arguments[1], "run"))
		return run(arguments + 2);
	return show();
}
