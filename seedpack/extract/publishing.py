"""From "which layers, coded how" to a file: the second half of every extraction.

    a way to make a seed                          Builder: records, chunks,
      opens or makes a ModelSource                parity, manifest, signature
      decides on a Coding, by layer ──publish──────────> once ─────────────┐
        or: on one after another    ──publish_as───────> as often as asked ┴─> S.seed
      Publication: name, term, key ──┘

A new way to make a seed is a new module beside ``extraction``: it opens or makes a
``ModelSource`` (names, shapes, dtypes, files), decides on a ``Coding`` (a codec by layer, or bytes
that are already encoded), says in the recipe how it came about, and calls ``publish``.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

import msgspec

from seedpack import __version__
from seedpack.container.manifest import Manifest
from seedpack.container.rules import SCHEMA
from seedpack.container.writer import write_container
from seedpack.errors import ExtractError
from seedpack.extract.building import Plan, build_seed, checked_bytes
from seedpack.extract.coding import Scattering, Storage
from seedpack.extract.redundancy import default_chunk_nbytes
from seedpack.extract.scattering import check_scattering, fit_chunks, with_chunks
from seedpack.extract.spill import Spill
from seedpack.files import atomic_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from seedpack.container.manifest import Base
    from seedpack.extract.building import Built
    from seedpack.extract.coding import Coding
    from seedpack.extract.publication import Publication
    from seedpack.extract.report import ExtractReport
    from seedpack.frameworks import ModelSource

    Recipe: TypeAlias = Mapping[str, int | str]
    Progress: TypeAlias = Callable[[int, int], None]


class Builder:
    """Builds the seed of one source, as often as needed, in one temporary file."""

    def __init__(self, plan: Plan, temporary: BinaryIO, progress: Progress | None) -> None:
        """Use ``temporary``; nothing is built yet."""
        self.plan = plan
        self.spill = Spill(temporary)  # of the last seed that was built
        self._temporary = temporary
        self._progress = progress

    def build(self, coding: Coding, recipe: Recipe | None = None) -> Built:
        """Build the seed with this coding and these more entries of the recipe.

        Raises:
            ExtractError: EXT-6, EXT-14.
            ValueError: No such codec or setting (wrong call).
        """
        coding.check()
        draft = self.plan.draft
        recipe = {**draft.recipe, "codec": coding.codec, **(recipe or {})}
        plan = self.plan._replace(draft=msgspec.structs.replace(draft, recipe=recipe))
        check_scattering(coding, plan.storage)
        built = self._build(plan, coding)
        fitting = _fitting_storage(plan, built)
        if fitting == plan.storage:
            return built
        # Fitted to this seed alone: a level that is built again must come out as before (EXT-17).
        return self._build(plan._replace(storage=fitting), coding)

    def _build(self, plan: Plan, coding: Coding) -> Built:
        self._temporary.truncate(0)
        self.spill = Spill(self._temporary)
        return build_seed(plan, coding, self.spill, self._progress)


def _fitting_storage(plan: Plan, built: Built) -> Storage:
    """Return the storage with which the parity would have all chunks in one stripe (EXT-68)."""
    if plan.storage.scattering is None or plan.parity_percent is None:
        return plan.storage
    nbytes = [layer.stored_nbytes for layer in built.report.layers]
    return with_chunks(plan.storage, fit_chunks(nbytes, plan.parity_percent))


def publish(  # noqa: PLR0913 -- the last three are rarely given
    source: ModelSource,
    output: Path,
    publication: Publication,
    coding: Coding,
    *,
    recipe: Recipe | None = None,
    base: Base | None = None,
    progress: Progress | None = None,
) -> ExtractReport:
    """Write the seed of ``source``, its layers coded as ``coding`` says.

    Args:
        source: Layers (names, dtypes, shapes, order) and files; where ``coding`` has bytes that
            are already encoded, the values of ``source`` are not looked at.
        output: The container; it appears when it is complete.
        publication: Name, term, chunks, parity, key.
        coding: By layer.
        recipe: What the manifest says of how the layers came about.
        base: What a delta seed refers to.
        progress: Called with bytes done and bytes in all.

    Raises:
        ExtractError: EXT; another rule where no reader would accept the result.
        StoreError: OUT, the output cannot be written; FIL, an input cannot be read.
        ValueError: No such codec, setting or chunk size (wrong call).
    """
    coding.check()
    return publish_as(
        source,
        output,
        publication,
        lambda builder: builder.build(coding, recipe),
        base=base,
        progress=progress,
    )


def publish_as(
    source: ModelSource,
    output: Path,
    publication: Publication,
    build: Callable[[Builder], Built],
    *,
    base: Base | None = None,
    progress: Progress | None = None,
) -> ExtractReport:
    """Write the seed that ``build`` returns, the last one that it had built.

    Args:
        source: See ``publish``; so are the others.
        output: See ``publish``.
        publication: See ``publish``.
        build: Called once; it builds as often as it needs to find the coding.
        base: See ``publish``.
        progress: Called anew for each seed that is built.

    Raises:
        ExtractError: See ``publish``; so are the others.
        StoreError: See ``publish``.
        ValueError: See ``publish``.
    """
    draft = _draft(source, publication, base)
    checked_bytes(draft)  # a wrong name is refused now, not after an hour of encoding
    chunk_nbytes = publication.chunk_nbytes or default_chunk_nbytes(
        source.infos(), publication.parity_percent
    )
    top_bits = publication.protect_top_bits
    scattering = Scattering(top_bits) if publication.interleave or top_bits else None
    plan = Plan(
        source,
        Storage(chunk_nbytes, publication.digest_algorithm, scattering),
        draft,
        publication.parity_percent,
        publication.key,
    )
    with (
        atomic_output(output, overwrite=publication.overwrite) as out,
        tempfile.TemporaryFile(dir=output.parent) as temporary,
    ):
        builder = Builder(plan, cast("BinaryIO", temporary), progress)
        built = build(builder)
        write_container(out, built.header, builder.spill.pieces())
        return built.report


def _draft(source: ModelSource, publication: Publication, base: Base | None) -> Manifest:
    """Return the manifest without layers, attachments and parity."""
    created = publication.created
    return Manifest(
        architecture=source.architecture,
        attachments=[],
        base=base,
        claims=list(publication.claims),
        created=_default_created() if created is None else created,
        decoded_nbytes=0,
        digest_algorithm=publication.digest_algorithm,
        expires=publication.expires,
        layers=[],
        name=publication.name,
        parity=None,
        producer=f"seedpack {__version__}",
        recipe=source.describe(),
        schema=SCHEMA,
        version=publication.version,
    )


def _default_created() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return int(time.time())
    if not text.isascii() or not text.isdigit():
        raise ExtractError(
            f"SOURCE_DATE_EPOCH is {text[:40]!a}, not a number of seconds",
            rule="EXT-15",
            where="environment",
        )
    return int(text)
