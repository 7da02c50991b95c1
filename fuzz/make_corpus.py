"""Write what each target begins with: ``python -m fuzz.make_corpus``.

What is there already stays as it is; to make it anew, delete it.
"""

from __future__ import annotations

from fuzz.harness import CORPUS, load_target, target_names


def main() -> None:
    """Write the corpora."""
    for name in target_names():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for start, data in load_target(name).starts().items():
            path = folder / f"start-{start}"
            if not path.exists():  # OpenSSH keys and ML-DSA signatures differ each time
                path.write_bytes(data)


if __name__ == "__main__":
    main()
