"""The least that any verifier must do: hash every byte, on all cores.

    python -m bench.hashing FILE      prints seconds, by each of two ways, without start-up

tree      one BLAKE3 of the mapped file, which the library spreads over the cores
pieces    a BLAKE3 of each MiB, read into one buffer per thread
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from blake3 import blake3

_PIECE_NBYTES = 1024 * 1024


def hash_tree(path: Path) -> None:
    """Hash the file as one message."""
    blake3(max_threads=blake3.AUTO).update_mmap(path).digest()


def hash_pieces(path: Path) -> None:
    """Hash each piece of the file by itself."""
    offsets = iter(range(0, path.stat().st_size, _PIECE_NBYTES))
    lock = threading.Lock()
    descriptor = os.open(path, os.O_RDONLY)

    def work() -> None:
        buffer = memoryview(bytearray(_PIECE_NBYTES))
        while True:
            with lock:
                offset = next(offsets, None)
            if offset is None:
                return
            count = os.preadv(descriptor, [buffer], offset)
            blake3(buffer[:count]).digest()

    threads = [threading.Thread(target=work) for _ in os.sched_getaffinity(0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(descriptor)


def main() -> None:
    """Time both ways."""
    path = Path(sys.argv[1])
    seconds = {}
    for way in (hash_tree, hash_pieces):
        start = time.perf_counter()
        way(path)
        seconds[way.__name__] = time.perf_counter() - start
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
