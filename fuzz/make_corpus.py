"""Write what each target begins with: ``python -m fuzz.make_corpus``.

Files of other names, found by the fuzzer or kept from findings, stay as they are.
"""

from __future__ import annotations

from fuzz.harness import CORPUS, load_target, target_names


def main() -> None:
    """Write the corpora."""
    for name in target_names():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for start, data in load_target(name).starts().items():
            (folder / f"start-{start}").write_bytes(data)


if __name__ == "__main__":
    main()
