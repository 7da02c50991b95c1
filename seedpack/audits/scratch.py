"""The folder that one audit works in, which is gone however the audit ends (AUD-8).

    signals held ──> folder made ──signals heard again──> the audit ──held──> folder removed
                                                            └ a signal raises here, or at the end

Between making a folder and entering the block that removes it there is a moment, and one more
while it is removed. A signal that comes then waits for the end.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in ``parent``; it is removed with all that is in it."""
    with _HeldSignals() as held:
        path = Path(tempfile.mkdtemp(prefix="scratch-", dir=parent))
        try:
            with held.heard():
                yield path
        finally:
            shutil.rmtree(path)


class _HeldSignals:
    """Signals whose handlers, which may raise, are called at the end of the block.

    What is ignored, or ends the process at once, stays so. Threads are not told of signals.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._waiting: list[int] = []

    def __enter__(self) -> Self:
        self._hold()
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hear them as usual within this block, those at once that have waited."""
        try:
            self._release()
            yield
        finally:
            # Asked anew: a handler may have seen to it that no second signal is heard.
            self._hold()

    def _hold(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, lambda number, _: self._waiting.append(number))

    def _release(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())
        while self._waiting:
            signal.raise_signal(self._waiting.pop())
