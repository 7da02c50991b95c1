"""From a seed that lost more than can be repaired to a model that says so (spec: SLV).

Salvage ──tensors──> weights: what is left, the class's initial values where nothing is
└─ losses ─> SALVAGED.json, the weights' metadata, and the report
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.codecs.registry import PARTIAL_IDS
from seedpack.dtypes import DTYPES
from seedpack.errors import AssemblyError
from seedpack.files import atomic_directory, atomic_output
from seedpack.frameworks import NamedTensor, TensorInfo
from seedpack.frameworks.attachments import is_reserved
from seedpack.frameworks.configs import find_pointer_in_file
from seedpack.frameworks.safetensors_writer import write_safetensors
from seedpack.seed.opening import check_vouched
from seedpack.seed.salvage import Gain, LayerLoss, Salvage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from seedpack.frameworks.factories import Factory
    from seedpack.seed.base import Base
    from seedpack.seed.contents import Contents

MARK: Final = "salvaged"  # in every output's name and notes (SLV-6)
NOTE: Final = "SALVAGED.json"
_WARNING: Final = "salvaged from a damaged seed; NOT the model that was signed"
_WEIGHTS: Final = "model.safetensors"


@dataclass(frozen=True)
class SalvageReport:
    """What was made of a damaged seed: NOT the signed model.

    Attributes:
        output: Folder or file.
        seed_id: Of the seed whose manifest was verified.
        chunks: Number of chunks of the seed.
        damaged: How many were absent or not what was signed.
        lost: How many of those neither a copy nor parity restored.
        values: Number of values of all layers.
        missing: Values of which nothing is known.
        coarse: Values of which only the top bits are known.
        layers: The layers that lost something.
        filled: Layers of which nothing is left, and which have the class's initial values.
        lacking: Attachments that are not whole, and left out.
        gain: What was done to the rest of rows that lost values.
    """

    output: Path
    seed_id: str
    chunks: int
    damaged: int
    lost: int
    values: int
    missing: int
    coarse: int
    layers: tuple[LayerLoss, ...]
    filled: tuple[str, ...]
    lacking: tuple[str, ...]
    gain: Gain


def assemble_salvaged(  # noqa: PLR0913 -- each is an option of the command
    seed: Contents,
    output: Path,
    *,
    overwrite: bool = False,
    insecure: bool = False,
    base: Base | None = None,
    gain: Gain = Gain.RESPONSE,
    random_seed: int = 0,
    factory: Factory | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SalvageReport:
    """Write what is left of the model that ``seed`` holds.

    Args:
        seed: Opened with ``damaged=True``.
        output: A folder, which must not exist, or a file that ends with ``.safetensors``; its
            name must say ``salvaged``.
        overwrite: Replace an existing file; a folder is never replaced.
        insecure: Accept contents that nobody vouches for, because the user said so.
        base: What a delta seed refers to.
        gain: What makes up for lost values of matrices.
        random_seed: Of the initial values of layers of which nothing is left.
        factory: Builds the module whose initial values these are, in a seed without architecture;
            without it they are 0.
        progress: Called with layers done and layers in all.

    Raises:
        AssemblyError: SLV-5, nothing is lost for good; SLV-6, a name that does not say it;
            ASM-1 to ASM-4, ASM-7.
        IntegrityError, CodecError: As of ``Salvage``.
        StoreError: OUT.
    """
    check_vouched(seed, insecure=insecure)
    if MARK not in output.name.lower():
        raise AssemblyError(
            f"{output.name[:80]!a} would be mistaken for the signed model",
            rule="SLV-6",
            where="output",
            hint=f"call it something with {MARK!r} in its name",
        )
    salvage = Salvage(seed)
    if salvage.is_whole:
        raise _refuse_whole(salvage)
    work = _Work(salvage, base, gain, random_seed, progress)
    architecture = seed.manifest.architecture
    from seedpack.frameworks.initial import drawn_tensors, initial_tensors  # noqa: PLC0415 -- lazy
    from seedpack.frameworks.transformers_models import check_assembly  # noqa: PLC0415

    if output.suffix == ".safetensors" or architecture is None:
        if factory is not None:
            work.fill(partial(drawn_tensors, factory))
        with atomic_output(output, overwrite=overwrite) as file:
            work.write(file)
        return work.report(output)
    check_assembly(architecture, work.infos)
    # A head of its own may lie beside what the class knows: no reason to give up all the rest.
    work.fill(partial(initial_tensors, architecture, lenient=True))
    with atomic_directory(output) as folder:
        (folder / "config.json").write_bytes(architecture.config.encode())
        _write_attachments(folder, work)
        with (folder / _WEIGHTS).open("xb") as file:
            work.write(file)
        report = work.report(output)
        (folder / NOTE).write_bytes(describe(report))
    return report


def describe(report: SalvageReport) -> bytes:
    """Return the note that lies beside salvaged weights, as JSON."""
    layers = [layer._asdict() for layer in report.layers]
    row = asdict(report) | {"warning": _WARNING, "layers": layers, "output": report.output.name}
    return msgspec.json.format(msgspec.json.encode(row)) + b"\n"


def _refuse_whole(salvage: Salvage) -> AssemblyError:
    how = "repair it, exactly" if salvage.damaged else "assemble it"
    return AssemblyError(
        "no chunk is lost for good, so there is nothing to salvage",
        rule="SLV-5",
        where="seed",
        hint=how,
    )


class _Work:
    """The layers of one salvage on their way out, and what was seen of them."""

    def __init__(
        self,
        salvage: Salvage,
        base: Base | None,
        gain: Gain,
        random_seed: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.salvage, self.lacking = salvage, list[str]()
        self._base, self._gain, self._random_seed = base, gain, random_seed
        self._progress = progress
        self._losses: list[LayerLoss] = []
        self._initial: dict[str, NamedTensor] = {}
        self.infos = [
            TensorInfo(layer.name, DTYPES[layer.dtype], tuple(layer.shape))
            for layer in salvage.seed.manifest.layers
        ]

    def fill(self, draw: Callable[[list[TensorInfo], int], list[NamedTensor]]) -> None:
        """Draw initial values for layers of which nothing is left (SLV-3, SLV-4)."""
        lost = self.salvage.lost
        gone = {
            layer.name
            for layer, chunks in self.salvage.seed.layers()
            if (chunks and all(chunk.index in lost for chunk in chunks))
            or (layer.codec not in PARTIAL_IDS and any(chunk.index in lost for chunk in chunks))
        }
        wanted = [info for info in self.infos if info.name in gone]
        if wanted:
            drawn = draw(wanted, self._random_seed)
            self._initial = {tensor.name: tensor for tensor in drawn}

    def write(self, file: BinaryIO) -> None:
        """Write all layers, and notes that say what they are (SLV-6)."""
        notes = {MARK: _WARNING, "seed_id": self.salvage.seed.id}
        write_safetensors(file, self.infos, self._tensors(), notes)
        self.salvage.seed.file.check_unchanged()

    def report(self, output: Path) -> SalvageReport:
        """Return what was done, once it was."""
        losses = self._losses
        return SalvageReport(
            output=output,
            seed_id=self.salvage.seed.id,
            chunks=len(self.salvage.seed.chunks),
            damaged=len(self.salvage.damaged),
            lost=len(self.salvage.lost),
            values=sum(loss.values for loss in losses),
            missing=sum(loss.missing for loss in losses),
            coarse=sum(loss.coarse for loss in losses),
            layers=tuple(loss for loss in losses if loss.missing or loss.coarse),
            filled=tuple(self._initial),
            lacking=tuple(self.lacking),
            gain=self._gain,
        )

    def _tensors(self) -> Iterator[NamedTensor]:
        for tensor in self.salvage.tensors(base=self._base, gain=self._gain):
            self._losses.append(tensor.loss)
            data = tensor.array.reshape(-1).view("u1").data
            found = NamedTensor(tensor.name, tensor.dtype, tensor.array.shape, data)
            yield self._initial.get(tensor.name, found)
            if self._progress is not None:
                self._progress(len(self._losses), len(self.infos))


def _write_attachments(folder: Path, work: _Work) -> None:
    """Write the attachments that are whole, under the rules of any assembly (ASM-4)."""
    whole, lacking = work.salvage.attachments()
    work.lacking.extend(lacking)
    for name, content in whole.items():
        pointer = find_pointer_in_file(name, content.decode(errors="replace"))
        if is_reserved(name) or name.lower() == NOTE.lower() or pointer is not None:
            work.lacking.append(name)  # a loader would take something else than the weights
            continue
        path = folder / name  # ATT-1: a plain relative path on every system
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
