"""Text that shows as what it is: names in a trust store, and messages that quote a file."""

from __future__ import annotations

import unicodedata
from typing import Final

from seedpack.errors import StoreError
from seedpack.limits import MAX_NAME_NBYTES

_MAX_QUOTED: Final = 200  # characters: enough to find the place, too few to flood a terminal


def check_text(text: str, where: str) -> None:
    """Refuse text that is empty, long, or does not show as what it is.

    Raises:
        StoreError: TRU-1.
    """
    shows = text.isprintable() and unicodedata.is_normalized("NFC", text)
    if not shows or not 1 <= len(text.encode()) <= MAX_NAME_NBYTES:
        raise StoreError(
            f"not a text of 1 to {MAX_NAME_NBYTES} printable bytes: {text!a:.60}",
            rule="TRU-1",
            where=where,
        )


def quotable(error: Exception) -> str:
    """Return a library's message, which may repeat a key of the file, escaped and cut."""
    return ascii(str(error))[1:-1][:_MAX_QUOTED]
