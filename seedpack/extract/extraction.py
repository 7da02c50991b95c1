"""From a path to a signed container (spec: extract.md)."""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING, BinaryIO, cast

from seedpack import __version__
from seedpack.codecs import CODEC_IDS
from seedpack.codecs.registry import FALLBACK_ID
from seedpack.container.manifest import Manifest
from seedpack.container.rules import SCHEMA
from seedpack.container.writer import write_container
from seedpack.errors import ExtractError
from seedpack.extract.building import Plan, checked_bytes
from seedpack.extract.layers import Coding
from seedpack.extract.redundancy import check_percent, default_chunk_nbytes
from seedpack.extract.rounds import Builder, build_to_target
from seedpack.extract.targets import TARGET_CODEC, check_target, make_target
from seedpack.files import atomic_output
from seedpack.frameworks import open_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from seedpack.container.manifest import Claim
    from seedpack.crypto.keys import PrivateKey
    from seedpack.extract.report import ExtractReport


def extract(  # noqa: PLR0913 -- each is an option of the command
    model: Path,
    output: Path,
    *,
    name: str,
    version: int = 1,
    codec: str | None = None,
    ratio: float | None = None,
    max_nbytes: int | None = None,
    created: int | None = None,
    expires: int | None = None,
    digest_algorithm: str = "blake3-256",
    chunk_nbytes: int | None = None,
    parity_percent: int | None = None,
    claims: Sequence[Claim] = (),
    key: PrivateKey | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExtractReport:
    """Write the seed of ``model``, signed by ``key`` if there is one.

    Args:
        model: A transformers folder, a ``.safetensors`` file or a state dict.
        output: The container; it appears when it is complete.
        name: Seed name (MAN-11).
        version: Counted up by the publisher.
        codec: For float tensors of two and more dimensions; all others are stored ``raw``.
            Default: ``ecq`` with a target, else ``raw``.
        ratio: Bytes of all tensors over bytes of the file, hit within 2 %; for ``ecq``.
        max_nbytes: Size that the file never exceeds; for ``ecq``, and not with ``ratio``.
        created: Seconds since 1970; default: ``SOURCE_DATE_EPOCH``, else the clock.
        expires: Seconds since 1970 from which the seed is no longer valid.
        digest_algorithm: ``blake3-256`` or ``sha2-256``.
        chunk_nbytes: Raw bytes per chunk, 16 to 4 MiB; default: 1 MiB, less with parity for
            a small model, so that there are at least 128 chunks where 1 KiB allows it.
        parity_percent: Parity chunks per hundred data chunks, 1 to 1000.
        claims: The publisher's figures.
        key: The publisher's.
        overwrite: Replace an existing file.
        progress: Called with bytes done and bytes in all; anew in each round where there is a
            target.

    Returns:
        Sizes, and what the seed does not carry.

    Raises:
        ExtractError: EXT; another rule where no reader would accept the result.
        StoreError: OUT, the output cannot be written; FIL, an input cannot be read.
        ValueError: No such codec, chunk size, parity or target (wrong call).
    """
    has_target = ratio is not None or max_nbytes is not None
    codec = codec or (TARGET_CODEC if has_target else FALLBACK_ID)
    if codec not in CODEC_IDS:
        raise ValueError(f"unknown codec {codec!r}, known are {sorted(CODEC_IDS)}")
    if parity_percent is not None:
        check_percent(parity_percent)
    check_target(codec, ratio, max_nbytes)
    source = open_model(model)
    coding = Coding(
        codec,
        chunk_nbytes or default_chunk_nbytes(source.infos(), parity_percent),
        digest_algorithm,
    )
    target = make_target(ratio, max_nbytes, sum(info.nbytes for info in source.infos()))
    draft = Manifest(
        architecture=source.architecture,
        attachments=[],
        base=None,
        claims=list(claims),
        created=_default_created() if created is None else created,
        decoded_nbytes=0,
        digest_algorithm=digest_algorithm,
        expires=expires,
        layers=[],
        name=name,
        parity=None,
        producer=f"seedpack {__version__}",
        recipe={**source.describe(), "codec": codec},
        schema=SCHEMA,
        version=version,
    )
    checked_bytes(draft)  # a wrong name is refused now, not after an hour of encoding
    plan = Plan(source, coding, draft, parity_percent)
    with (
        atomic_output(output, overwrite=overwrite) as out,
        tempfile.TemporaryFile(dir=output.parent) as temporary,
    ):
        builder = Builder(plan, cast("BinaryIO", temporary), key, progress)
        built = builder.build() if target is None else build_to_target(builder, target)
        write_container(out, built.header, builder.spill.pieces())
        return built.report


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
