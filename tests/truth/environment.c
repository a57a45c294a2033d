/* Prints what getenv(3) returns: for each argument a line with the name, and the value in hexadecimal after a `=` if the
 * variable is set. -t: a second thread executes this program anew. -o: overwrites the environment at first, and at the
 * end waits for the end of the input.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static void *execute(void *argv)
{
	((char **)argv)[1] = ((char **)argv)[0];
	execve("/proc/self/exe", (char **)argv + 1, environ);
	_exit(99);
}

static void print(const char *name)
{
	const char *value = getenv(name);

	printf("%s%s", name, value ? "=" : "");
	for (; value && *value; value++)
		printf("%02x", (unsigned char)*value);
	putchar('\n');
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc > 1 && !strcmp(argv[1], "-t")) {
		pthread_create(&thread, NULL, execute, argv);
		pthread_join(thread, NULL);
		return 98;
	}
	if (argc > 1 && !strcmp(argv[1], "-o")) {
		for (char **each = environ; *each; each++)
			memset(*each, 'X', strlen(*each));
		puts("overwritten");
		fflush(stdout);
		return getchar() == EOF ? 0 : 97;
	}
	for (int number = 1; number < argc; number++)
		print(argv[number]);
	return 0;
}
