"""One thread at a time in loops of short calls.

Each numpy call on a row lets go of the interpreter lock and takes it back. Two threads that do so
ten times a microsecond spend more on handing it over than they gain: they are slower together than
one alone, by up to three times. Whoever waits here leaves its core to work of longer calls:
digests, reading, rounding.
"""

from __future__ import annotations

import threading
from typing import Final

ROWS: Final = threading.Lock()
