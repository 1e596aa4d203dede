"""A progress bar for the long commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress(what: str, total: int, done: Callable[[], int]) -> Iterator[None]:
    """A progress bar on standard error that follows `done()` while the block runs."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _Following(done, *columns, console=Console(stderr=True)) as bar:
        bar.add_task(what, total=total)
        yield


class _Following(Progress):
    def __init__(self, done: Callable[[], int], *columns: object, console: Console) -> None:
        self._done = done
        # Elsewhere than on a terminal all that would come of it is an empty line at the end.
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal)  # type: ignore[arg-type]

    def get_renderables(self) -> Iterator[object]:  # type: ignore[override]
        for task in self.tasks:
            task.completed = self._done()
        yield from super().get_renderables()


@contextmanager
def counting() -> Iterator[Callable[[str, int], None]]:
    """Says on standard error what is being done and how much of it is done, where nobody knows how much there is."""
    console = Console(stderr=True)
    with console.status("") as status:
        yield lambda what, count: status.update(escape(f"{what}：{count}"))
