"""Reads DATA, whatever it is, for a task (spec: TRN-1 to TRN-4, TRN-7, TRN-9, TRN-11).

DATA ─┬─ folder          one folder of images per class      images
├─ .npz            arrays x and y                      arrays
├─ .tsv .csv       text and label columns              tables
├─ .jsonl          objects with text and label, ...    tables
├─ .conll .txt     token TAB tag, or plain text        documents
├─ .json           SQuAD                               documents
└─ OWNER/NAME      of the `datasets` library           hub
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from seedpack.errors import TrainingError
from seedpack.training import documents, hub, tables
from seedpack.training.examples import (
    MAX_DATA_NBYTES,
    MAX_EXAMPLES,
    USUAL_COLUMNS,
    Columns,
    Examples,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.training.examples import Form

    Reader = Callable[[str, str, Columns], Examples]

# Which file holds which form, by the form that a task asks for.
_READERS: Final[dict[Form, dict[str, Reader]]] = {
    "texts": {
        ".tsv": tables.read_tsv,
        ".csv": tables.read_csv,
        ".jsonl": tables.read_jsonl,
    },
    "tokens": {
        ".conll": documents.read_conll,
        ".bio": documents.read_conll,
        ".txt": documents.read_conll,
        ".tsv": documents.read_conll,
        ".jsonl": tables.read_token_jsonl,
    },
    "questions": {".json": documents.read_squad},
    "lines": {
        ".txt": documents.read_lines,
        ".tsv": tables.read_unlabelled_tsv,
        ".csv": tables.read_unlabelled_csv,
        ".jsonl": tables.read_unlabelled_jsonl,
    },
}
_ARRAYS: Final = ".npz"
_KNOWN: Final = "tsv, csv, jsonl, conll, json (SQuAD), txt, npz, a folder of images, or OWNER/NAME"


def read_examples(
    data: str | Path, forms: tuple[Form, ...], *, columns: Columns = USUAL_COLUMNS
) -> Examples:
    """Read ``data`` as one of ``forms``.

    Args:
        data: A path, or the id of a data set (``OWNER/NAME[:CONFIG][@SPLIT]``).
        forms: What the task takes.
        columns: Names of columns where the usual names do not tell.

    Raises:
        TrainingError: TRN-1, no such data or not what its name says; TRN-2, too large; TRN-3,
            empty; TRN-4, labels missing; TRN-7, of another task; TRN-9, not numbers.
    """
    path = Path(data)
    if not path.exists():
        if isinstance(data, str) and hub.is_dataset_id(data):
            return _checked(hub.read_dataset(data, forms, columns))
        raise TrainingError("no such file", rule="TRN-1", where=str(data), hint=f"DATA is {_KNOWN}")
    if path.is_dir() or path.suffix == _ARRAYS:
        return _checked(_read_arrays(path, forms))
    for form in forms:
        reader = _READERS.get(form, {}).get(path.suffix.lower())
        if reader is not None:
            return _checked(reader(_read_text(path), str(path), columns))
    raise _unfit(path, forms)


def _read_arrays(path: Path, forms: tuple[Form, ...]) -> Examples:
    from seedpack.training import arrays  # noqa: PLC0415 -- numpy's zip reader, where asked for

    if path.is_dir():
        if "images" not in forms:
            raise _unfit(path, forms)
        return arrays.read_image_folder(path)
    if "arrays" not in forms:
        raise _unfit(path, forms)
    return arrays.read_npz(path)


def _unfit(path: Path, forms: tuple[Form, ...]) -> TrainingError:
    known = path.is_dir() or any(path.suffix.lower() in endings for endings in _READERS.values())
    if known or path.suffix == _ARRAYS:
        fitting = {ending for form in forms for ending in _READERS.get(form, {})}
        fitting |= {".npz"} & ({".npz"} if "arrays" in forms else set())
        fitting |= {"a folder of images"} if "images" in forms else set()
        return TrainingError(
            "the task does not take this kind of data",
            rule="TRN-7",
            where=str(path),
            hint=f"it takes {', '.join(sorted(fitting))}",
        )
    return TrainingError(
        f"unknown ending {path.suffix[:20]!a}",
        rule="TRN-1",
        where=str(path),
        hint=f"DATA is {_KNOWN}",
    )


def _read_text(path: Path) -> str:
    nbytes = path.stat().st_size
    if nbytes > MAX_DATA_NBYTES:
        raise TrainingError(
            f"{nbytes} bytes, at most {MAX_DATA_NBYTES} are read", rule="TRN-2", where=str(path)
        )
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrainingError(
            f"not UTF-8 at byte {error.start}", rule="TRN-1", where=str(path)
        ) from error
    except OSError as error:
        raise TrainingError(
            f"cannot read: {error.strerror}", rule="TRN-1", where=str(path)
        ) from error


def _checked(examples: Examples) -> Examples:
    if not len(examples):
        raise TrainingError("holds no examples", rule="TRN-3", where=examples.where)
    if len(examples) > MAX_EXAMPLES:
        raise TrainingError(
            f"{len(examples)} examples, at most {MAX_EXAMPLES} are read",
            rule="TRN-2",
            where=examples.where,
        )
    return examples
