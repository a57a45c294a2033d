"""The requests that a recorder sends to its helpers, and the answers: both are packets of one socket.

Under sudo the recorder stops being root, and the helpers stay root. So a helper must not trust the recorder: whatever
arrives, it does nothing but what is listed here. A request is REQUEST (its id, its kind), then numbers of fixed sizes:
no path, no text. A request of another size or kind is refused: its answer is empty, and so is that of anything that
is unknown, such as a process that has ended.

| kind | numbers | answer |
|---|---|---|
| DIRECTORIES | up to MOST_DIRECTORIES times: device, inode, MOST_PIDS pids (0: none) | of each: device, inode, path |
| PROCESS | pid, bytes of arguments, clock offset in ns | fields of Seen, and the ids of its cgroups (marshal) |
| USAGE | pid, start and time in Unix ns | fields of Usage (marshal) |
| CGROUP | id of a cgroup | its path |
| ENTER, LEAVE | id of the cgroup that root made for this recording | DONE, or why not |
| REMOVE | the same | DONE, KEPT, or why not |
| HOLD | id of a BPF program | HELD: pid of the helper, and its descriptor of the program |

ENTER and LEAVE move the supervisor into that cgroup, and back into the one above it. If the supervisor has ended, they
and REMOVE are refused. A helper holds at most MOST_PROGRAMS programs. The recorder itself must not hold any, because it
could run it on any address. It reads in /proc/PID/fdinfo of the helper how often the kernel has skipped the program.

An answer is ANSWER (id of the request, and LAST, MORE or DIRECTORY), then at most ANSWER_BYTES of the answer. After
MORE the rest follows; DIRECTORY is a complete answer about one directory. A recorder trusts the answers, so they may be
read by `marshal`, which is not safe with data of an attacker.
"""

from __future__ import annotations

import struct

REQUEST = struct.Struct("=IB")
ANSWER = struct.Struct("=IB")

LAST, MORE, DIRECTORY = range(3)
DIRECTORIES, PROCESS, USAGE, CGROUP, ENTER, LEAVE, REMOVE, HOLD = range(1, 9)

MOST_PIDS = 8
ENTRY = struct.Struct(f"=Iq{MOST_PIDS}I")
DIRECTORY_ID = struct.Struct("=Iq")
MOST_DIRECTORIES = 32

NUMBERS = {
    PROCESS: struct.Struct("=IIq"),
    USAGE: struct.Struct("=Iqq"),
    CGROUP: struct.Struct("=Q"),
    ENTER: struct.Struct("=Q"),
    LEAVE: struct.Struct("=Q"),
    REMOVE: struct.Struct("=Q"),
    HOLD: struct.Struct("=I"),
}
"""The numbers of each kind of request that has a fixed size."""

HELD = struct.Struct("=II")
MOST_PROGRAMS = 8

DONE, KEPT = b"done", b"kept"

LONGEST_REQUEST = REQUEST.size + MOST_DIRECTORIES * ENTRY.size
ANSWER_BYTES = 1 << 15
LONGEST_ANSWER = ANSWER.size + ANSWER_BYTES
