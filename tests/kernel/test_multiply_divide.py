"""The arithmetic of CPU times in bpf/process.c, compiled for this processor, against Python's."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from webpf.kernel import bpf_source

_PROGRAM = r"""
#include <stdint.h>
#include <stdio.h>
#define __always_inline inline __attribute__((always_inline))
typedef uint64_t u64;
typedef uint32_t u32;
%s
int main(void)
{
	unsigned long long a, b, c;

	while (scanf("%%llu %%llu %%llu", &a, &b, &c) == 3)
		printf("%%llu\n", (unsigned long long)multiply_divide(a, b, c));
	return 0;
}
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
def test_products_of_any_size(tmp_path: Path) -> None:
    """a is the time that was sampled in one mode, c that in both, and b the time that was measured."""
    text = bpf_source.source().decode()
    begin = text.index("static __always_inline u64 multiply_divide(")
    function = text[begin : text.index("/* end of multiply_divide() */")]
    (tmp_path / "a.c").write_text(_PROGRAM % function)
    subprocess.run(["gcc", "-O2", "-o", tmp_path / "a", tmp_path / "a.c"], check=True)
    dice = random.Random(1)
    cases = [(1, 1, 1), (2**62 - 1, 2**62 - 1, 2**62 - 1), (1, 2**64 - 1, 2**62 - 1), (2**32, 2**32, 2**32)]
    for _ in range(20_000):
        c = dice.getrandbits(dice.randrange(1, 63)) or 1
        cases.append((dice.randrange(c + 1), dice.getrandbits(dice.randrange(1, 65)), c))
    lines = "".join(f"{a} {b} {c}\n" for a, b, c in cases)
    printed = subprocess.run([tmp_path / "a"], input=lines, capture_output=True, text=True, check=True).stdout
    results = [a * b // c for a, b, c in cases]
    assert sum(a * b >= 2**64 for a, b, c in cases) > 5000
    assert [int(line) for line in printed.split()] == results
