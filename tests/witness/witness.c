// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The second witness, user side: loads witness.bpf.o and prints each event as a line of JSON, until SIGINT or SIGTERM.
 *
 *     witness OBJECT
 *     {"event":"F","pid":4711,"comm":"bash"}
 *
 * "ready" on stderr says that it sees all events from now on. Exit code 1, with a line on stderr: it could not
 * start, or lost events. Needs libbpf 1.0 or newer, where a function that fails returns NULL and sets errno.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define POLL_MS 100
#define PROGRAMS 2

/* witness.bpf.c writes it: change both together. */
struct event {
	uint32_t pid;
	char comm[16];
	char type;
};

struct witness {
	struct bpf_object *object;
	struct bpf_link *links[PROGRAMS];
	struct ring_buffer *ring;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static int fail(const char *what)
{
	char reason[128];

	libbpf_strerror(errno, reason, sizeof(reason)); /* libbpf has error numbers of its own, too */
	fprintf(stderr, "witness: %s: %s\n", what, reason);
	return -1;
}

/* Returns the length of the UTF-8 character at text, or 0 if there is none. text ends with a NUL. */
static size_t character_size(const unsigned char *text)
{
	unsigned char first = text[0], low = 0x80, high = 0xbf;
	size_t size, i;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	/* Four leading bytes allow less: overlong forms, surrogates, and what lies beyond U+10FFFF. */
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (i = 2; i < size; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

/*
 * A name can hold any byte except NUL, and is cut after 15 bytes, even within a character. Bytes that are not UTF-8
 * are shown as \xff, as webpf shows them.
 */
static void print_json_string(const unsigned char *text)
{
	size_t size;

	putchar('"');
	for (; *text; text += size ? size : 1) {
		size = character_size(text);
		if (!size)
			printf("\\\\x%02x", *text);
		else if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if (*text < 0x20 || *text == 0x7f)
			printf("\\u%04x", *text);
		else
			fwrite(text, 1, size, stdout);
	}
	putchar('"');
}

static int print_event(void *context, void *data, size_t size)
{
	const struct event *event = data;
	unsigned char name[sizeof(event->comm) + 1] = ""; /* one more, so that a NUL ends it whatever it holds */

	(void)context;
	(void)size;
	memcpy(name, event->comm, sizeof(event->comm));
	printf("{\"event\":\"%c\",\"pid\":%u,\"comm\":", event->type, event->pid);
	print_json_string(name);
	puts("}");
	return 0;
}

static int set_up(struct witness *witness, const char *path)
{
	struct bpf_program *program;
	struct bpf_map *events;
	int n = 0;

	witness->object = bpf_object__open_file(path, NULL);
	if (!witness->object)
		return fail(path);
	if (bpf_object__load(witness->object))
		return fail("can't load the programs");
	events = bpf_object__find_map_by_name(witness->object, "events");
	if (!events)
		return fail("no ring buffer in the object");
	witness->ring = ring_buffer__new(bpf_map__fd(events), print_event, NULL, NULL);
	if (!witness->ring)
		return fail("can't map the ring buffer");
	bpf_object__for_each_program(program, witness->object) {
		if (n == PROGRAMS) {
			errno = E2BIG;
			return fail("more programs in the object than expected");
		}
		/* To the tracepoint that the program's section names. */
		witness->links[n] = bpf_program__attach(program);
		if (!witness->links[n++])
			return fail(bpf_program__section_name(program));
	}
	return 0;
}

/* Lines are flushed once a round, not one by one, so no line waits for the next round. */
static int flush_lines(void)
{
	return fflush(stdout) || ferror(stdout) ? fail("can't write") : 0;
}

static int follow(struct witness *witness)
{
	int n;

	while (!stopping) {
		n = ring_buffer__poll(witness->ring, POLL_MS);
		if (n < 0 && n != -EINTR) {
			errno = -n;
			return fail("can't read the ring buffer");
		}
		if (flush_lines())
			return -1;
	}
	return 0;
}

static void detach(struct witness *witness)
{
	int n;

	for (n = 0; n < PROGRAMS; n++) {
		bpf_link__destroy(witness->links[n]);
		witness->links[n] = NULL;
	}
}

/* Prints the events from before the signal, and says how many did not fit into the buffer. */
static int finish(struct witness *witness)
{
	uint32_t zero = 0;
	uint64_t lost = 0;
	int fd = bpf_object__find_map_fd_by_name(witness->object, "lost");

	detach(witness);
	ring_buffer__consume(witness->ring);
	if (flush_lines())
		return -1;
	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &lost))
		return fail("can't tell whether events were lost");
	if (lost) {
		fprintf(stderr, "witness: %llu events were lost\n", (unsigned long long)lost);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct witness witness = { 0 };
	bool failed;

	if (argc != 2) {
		fprintf(stderr, "usage: witness OBJECT\n");
		return 1;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);

	failed = set_up(&witness, argv[1]);
	if (!failed) {
		fprintf(stderr, "ready\n");
		failed = follow(&witness) || finish(&witness);
	}
	/* All three take NULL. */
	detach(&witness);
	ring_buffer__free(witness.ring);
	bpf_object__close(witness.object);
	return failed;
}
