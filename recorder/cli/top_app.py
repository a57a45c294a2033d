"""The screen of `webpf top`, made with Textual."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Footer, Input, Static

from ..analysis.activity import KEYS, LONGEST_SECONDS, Activity, Figures, Name
from ..output import units
from ..output.text_width import cut
from .live_options import looks

if TYPE_CHECKING:
    from ..analysis.follow import Follower, Look

_WINDOWS = (10, 60, LONGEST_SECONDS)  # seconds
_MOST_ROWS = 500
_SCROLLBAR = 2  # columns of the terminal
_LEAST_NAME = 12
_COLUMNS: dict[str, tuple[int, Callable[[Figures, float], float]]] = {
    "starts/s": (10, lambda each, seconds: each.starts / seconds),
    "alive": (7, lambda each, _: each.alive),
    "ended": (8, lambda each, _: each.ends),
    "failed": (8, lambda each, _: each.failed),
    "CPU": (10, lambda each, _: each.cpu_ns),
    "peak": (9, lambda each, _: each.max_rss_kib),
    "run delay": (11, lambda each, _: each.run_delay_ns),
}
"""The columns after the name: their width, and the number by which they are sorted."""


class TopApp(App[None]):
    """Shows what a follower finds. names_user: returns the name of a user."""

    CSS = """
    #about { height: 1; background: $boost; }
    #table { height: 1fr; }
    #losses { height: 1; }
    #filter { display: none; dock: bottom; height: 3; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("c", "group('command')", "cmd"),
        Binding("n", "group('unit')", "unit"),
        Binding("u", "group('user')", "user"),
        Binding("d", "group('container')", "ctr"),
        Binding("s", "sort", "sort"),
        Binding("r", "reverse", "rev"),
        Binding("w", "window", "time"),
        Binding("slash", "filter", "find", key_display="/"),
        Binding("escape", "no_filter", show=False),
        Binding("p", "pause", "pause"),
        Binding("q", "quit", "quit"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        follower: Follower,
        names_user: Callable[[int], str],
        zone: Callable[[], tzinfo | None] = lambda: None,
    ) -> None:
        super().__init__()
        self.activity = Activity()
        self.key = "command"
        self.sorted_by = "starts/s"
        self.is_reversed = False
        self.window_seconds = _WINDOWS[1]
        self.is_paused = False
        self.text = ""
        self._follower = follower
        self._names_user = names_user
        self._zone = zone
        self._lost = 0
        self._end: str | None = None
        self._stop = threading.Event()

    def compose(self) -> ComposeResult:
        """Yields the widgets."""
        yield Static(id="about")
        yield DataTable(id="table", cursor_type="row", cell_padding=0)
        yield Static(id="losses")
        yield Input(placeholder="only names that contain this; Enter", id="filter")
        yield Footer()

    def on_mount(self) -> None:
        """Starts to follow, in a thread of its own: a look must not stop the keys."""
        self.query_one(DataTable).focus()
        self.run_worker(self._follow, thread=True, exit_on_error=True)

    def on_unmount(self) -> None:
        """Lets the thread end."""
        self._stop.set()

    def _follow(self) -> None:
        for look in looks(self._follower, lambda seconds: self._stop.wait(max(seconds, 1.0))):
            if self._stop.is_set():
                return
            self.call_from_thread(self.take, look)

    def take(self, look: Look) -> None:
        """Adds what a look has found, and shows it."""
        self.activity.add(
            look.at_ns,
            (each for each in look.started if each.is_start_shown),
            (each for each in look.ended if each.is_shown),
            (each for each in self._follower.alive.values() if each.is_start_shown),
        )
        self._lost, self._end = look.lost, look.end
        if not self.is_paused:
            self.show()

    def show(self) -> None:
        """Writes the table and the lines around it."""
        seconds = self.activity.length_seconds(self.window_seconds)
        rows = [(self._shown_name(name), each) for name, each in self._figures().items()]
        rows = [row for row in rows if self.text.lower() in row[0].lower()]
        rows.sort(key=lambda row: row[0])
        number = _COLUMNS[self.sorted_by][1]
        rows.sort(key=lambda row: number(row[1], seconds), reverse=not self.is_reversed)
        self._write_table(rows, seconds)
        moment = units.time_of_day(self.activity.now_ns, self._zone(), False) if self.activity.now_ns else ""
        paused = "  PAUSED" if self.is_paused else ""
        found = f"  filter: {self.text}" if self.text else ""
        about = f"{moment}  last {units.duration(seconds * 1e9)} by {self.key}, {len(rows):,} rows{found}{paused}"
        self.query_one("#about", Static).update(Text(cut(about, None)))
        lost = f"LOST {self._lost:,} events: all numbers are a lower bound" if self._lost else "no event was lost"
        text = f"{lost}{f'; {self._end}' if self._end else ''}"
        self.query_one("#losses", Static).update(Text(text, style="bold red" if self._lost else ""))

    def _figures(self) -> dict[Name, Figures]:
        return self.activity.figures(self.key, self.window_seconds)

    def _shown_name(self, name: Name) -> str:
        if isinstance(name, int):
            return self._names_user(name)
        return name or "-"

    def _write_table(self, rows: list[tuple[str, Figures]], seconds: float) -> None:
        table = self.query_one(DataTable)
        cursor, top = table.cursor_row, table.scroll_y
        others = sum(width for width, _ in _COLUMNS.values())
        name_width = max(_LEAST_NAME, table.size.width - others - _SCROLLBAR)
        table.clear(columns=True)
        table.add_column(self.key, key=self.key, width=name_width)
        for column, (width, _) in _COLUMNS.items():
            mark = ("▲" if self.is_reversed else "▼") if column == self.sorted_by else ""
            table.add_column(Text(f"{column}{mark}", justify="right"), key=column, width=width)
        for name, each in rows[:_MOST_ROWS]:
            cells = [
                f"{each.starts / seconds:,.1f}",
                f"{each.alive:,}",
                f"{each.ends:,}",
                f"{each.failed:,}",
                units.duration(each.cpu_ns),
                units.size(each.max_rss_kib),
                units.duration(each.run_delay_ns),
            ]
            styles = ["bold red" if column == "failed" and each.failed else "" for column in _COLUMNS]
            shown = [Text(cell, style, justify="right") for cell, style in zip(cells, styles, strict=True)]
            table.add_row(Text(cut(name, name_width)), *shown)
        if rows:
            table.move_cursor(row=min(cursor, len(rows) - 1), scroll=False)
            table.scroll_to(y=top, animate=False)

    def action_group(self, key: str) -> None:
        """Groups by command, unit, user or container."""
        assert key in KEYS
        self.key = key
        self.show()

    def action_sort(self) -> None:
        """Sorts by the next column."""
        columns = list(_COLUMNS)
        self.sorted_by = columns[(columns.index(self.sorted_by) + 1) % len(columns)]
        self.show()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sorts by the column whose header was clicked; a second click reverses the order."""
        column = str(event.column_key.value)
        if column in _COLUMNS:
            self.is_reversed = column == self.sorted_by and not self.is_reversed
            self.sorted_by = column
            self.show()

    def action_reverse(self) -> None:
        """Reverses the order."""
        self.is_reversed = not self.is_reversed
        self.show()

    def action_window(self) -> None:
        """Goes on to the next length of the window."""
        self.window_seconds = _WINDOWS[(_WINDOWS.index(self.window_seconds) + 1) % len(_WINDOWS)]
        self.show()

    def action_pause(self) -> None:
        """Stops or goes on to show what is new."""
        self.is_paused = not self.is_paused
        self.show()

    def action_filter(self) -> None:
        """Asks for a text that names must contain."""
        line = self.query_one(Input)
        line.display = True
        line.value = self.text
        line.focus()

    def action_no_filter(self) -> None:
        """Shows all names again."""
        self._set_filter("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Filters by the text."""
        self._set_filter(event.value)

    def _set_filter(self, text: str) -> None:
        self.text = text
        self.query_one(Input).display = False
        self.query_one(DataTable).focus()
        self.show()
