#!/bin/sh
# A small build that `make record` records: it compiles with gcc (or pretends to, if gcc is not installed), and two of its
# checks fail. It repeats the build for about SECONDS seconds, in a temporary folder that it removes.
#
#     tools/example/build.sh [SECONDS]

seconds=${1:-1}
began=$(date +%s)
folder=$(mktemp -d 2> /dev/null || mktemp -d /var/tmp/webpf-example.XXXXXX) || exit
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder" || exit

compile() { # NAME: NAME.c becomes NAME.o
	if command -v gcc > /dev/null; then
		gcc -O2 -c "$1.c" -o "$1.o"
	else
		sort "$1.c" > "$1.o"
	fi
}

link() { # all objects become the program
	if command -v gcc > /dev/null; then
		gcc -o program ./*.o
	else
		printf '#!/bin/sh\nexit 0\n' > program && chmod +x program
	fi
}

build() {
	sh -c 'sleep 0.2; uname -a' > config.log
	echo 'int main(void) { return 0; }' > main.c
	for part in one two three; do
		echo "int $part(int n) { return n * ${#part}; }" > $part.c
	done
	compile one &
	compile two &
	wait
	compile three
	compile main
	link
	./program # passes
	sh -c 'sleep 0.3; exit 3' # fails
	timeout 0.5 sleep 5 # takes too long, and is ended
	rm -f ./*
}

while :; do
	build
	# One build takes some two seconds: the last one has ended when the time is over.
	[ $(($(date +%s) - began + 3)) -lt "${seconds%%.*}" ] || break
done
exit 1
