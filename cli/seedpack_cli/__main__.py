"""``python -m seedpack_cli``: the same as ``seedpack``."""

from seedpack_cli.app import main

main()
