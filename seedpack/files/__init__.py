"""Input that cannot surprise, and output that appears whole or not at all (spec: FIL, OUT).

path --open once, regular file only--> InputFile --pread--> bytes, again and again
bytes --> temporary file in the same folder --fsync--> rename --> fsync of the folder
"""

from seedpack.files.inputs import InputFile, read_small_file
from seedpack.files.outputs import atomic_directory, atomic_output, sync_folder

__all__ = ["InputFile", "atomic_directory", "atomic_output", "read_small_file", "sync_folder"]
