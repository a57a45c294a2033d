"""`--no-args` and `--redact`: removes arguments, or hides what patterns match, before anything is written.

`--redact` holds for the environment variables of `--env` too; `--no-args` doesn't, because each of them was asked for.

A recorder does this before pairing, so no later step ever has what was hidden. Without these options, events don't pass
through this module. `webpf extract` does it while it copies rows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import TypeVar

from ..errors import UsageError
from . import argv as arguments
from .environment import Variable
from .events import Event, Exec, Seen, decode_exact

HIDDEN = "***"

_WithArguments = TypeVar("_WithArguments", Exec, Seen)
_Spans = list[tuple[int, int]]


class Redaction:
    """Hides arguments. Raises UsageError for an invalid regular expression.

    A pattern is searched for in each argument, and in all arguments joined by spaces. The number of arguments stays
    the same: if a match continues in the next argument, that argument is hidden as a whole.
    """

    def __init__(self, no_args: bool = False, patterns: Iterable[str] = ()) -> None:
        self.no_args = no_args
        self._patterns: list[re.Pattern[str]] = []
        for pattern in patterns:
            self._patterns.append(_compile(pattern))
            # A pattern can be a secret, and the command lines of webpf and sudo are recorded too. So the text of the
            # pattern is hidden as well, plain or quoted (as in the argument of `sh -c`).
            self._patterns += (re.compile(re.escape(text)) for text in (pattern, shlex.quote(pattern)))

    @property
    def active(self) -> bool:
        """Whether anything is hidden."""
        return self.no_args or bool(self._patterns)

    @property
    def hides_text(self) -> bool:
        """Whether it has patterns."""
        return bool(self._patterns)

    def events(self, events: Iterable[Event]) -> list[Event]:
        """Returns the events with their arguments redacted."""
        return [
            self.redact(event) if isinstance(event, Exec) else self.redact(event) if isinstance(event, Seen) else event
            for event in events
        ]

    def redact(self, event: _WithArguments) -> _WithArguments:
        """Returns an event with its arguments and environment variables redacted."""
        if isinstance(event, Exec) and event.environment is not None:
            event = event._replace(environment=tuple(map(self.redact_variable, event.environment)))
        if event.argv is None or event.argv_bytes is None:
            return event
        if self.no_args:
            return event._replace(argv=None)
        argv, argv_bytes = self.argv(event.argv, event.argv_bytes)
        return event._replace(argv=argv, argv_bytes=argv_bytes)

    def argv(self, argv: bytes, argv_bytes: int) -> tuple[bytes, int]:
        """Returns argv with *** for what is hidden, and its length plus the bytes that had been cut.

        So a length that is greater than len(argv) still means that argv was cut, and it doesn't show how long the
        hidden text was.
        """
        cut_bytes = max(argv_bytes - len(argv), 0)
        ended = argv.endswith(b"\0")
        texts = [part.decode("utf-8", "surrogateescape") for part in arguments.split(argv)]
        hidden = self._hide(texts)
        if cut_bytes and not ended and hidden:
            hidden[-1] = HIDDEN  # this argument was cut: a pattern could match it as a whole
        redacted = b"\0".join(text.encode("utf-8", "surrogateescape") for text in hidden) + b"\0" * ended
        return redacted, len(redacted) + cut_bytes

    def redact_variable(self, variable: Variable) -> Variable:
        """Returns the variable with *** for what patterns match in NAME=value. Its name stays, whatever they match."""
        if variable.value is None:
            return variable
        raw = variable.value if isinstance(variable.value, bytes) else variable.value.encode()
        value = raw.decode("utf-8", "surrogateescape")
        line, begin = f"{variable.name}={value}", len(variable.name) + 1
        matches = [match.span() for pattern in self._patterns for match in pattern.finditer(line)]
        hidden = _mask(value, [(max(first - begin, 0), last - begin) for first, last in matches if last > begin])
        return variable._replace(value=decode_exact(hidden.encode("utf-8", "surrogateescape")))

    def command(self, command: Sequence[str]) -> list[str]:
        """Returns the recorder's own command line, redacted like other arguments; with no_args only the program."""
        return list(command[:1]) if self.no_args else self._hide(command)

    def text(self, text: str) -> str:
        """Returns a text with *** for what is hidden."""
        return self._hide([text])[0]

    def _hide(self, texts: Sequence[str]) -> list[str]:
        spans: list[_Spans] = [[] for _ in texts]
        line = " ".join(texts)
        for pattern in self._patterns:
            for found, text in zip(spans, texts, strict=True):
                found += (match.span() for match in pattern.finditer(text))
            matches = [match.span() for match in pattern.finditer(line)]
            begin = 0
            for found, text in zip(spans, texts, strict=True):
                end = begin + len(text)
                for first, last in matches:
                    if first < begin < last:
                        found.append((0, len(text)))
                    elif begin <= first < end:
                        found.append((first - begin, min(last, end) - begin))
                begin = end + 1
        return [_mask(text, found) for text, found in zip(texts, spans, strict=True)]


def _compile(pattern: str) -> re.Pattern[str]:
    example = "webpf record --redact '--token[= ]\\S+'"
    if not pattern:
        raise UsageError("--redact needs a regular expression, not an empty text", example)
    try:
        return re.compile(pattern, re.DOTALL)  # an argument can have line breaks
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"--redact {pattern!r} is not a regular expression: {error}", example) from None


def _mask(text: str, spans: _Spans) -> str:
    """Returns the text with *** in place of each span. Spans that touch or overlap get one ***, empty spans none."""
    kept = []
    shown_from = 0
    hidden = False
    for first, last in sorted(span for span in spans if span[0] < span[1]):
        if first > shown_from or not hidden:
            kept += [text[shown_from:first], HIDDEN]
        hidden = True
        shown_from = max(shown_from, last)
    return "".join([*kept, text[shown_from:]])
