"""From an open seed to a folder that ``AutoModel`` loads, or to one ``.safetensors`` file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from seedpack.dtypes import DTYPES
from seedpack.errors import AssemblyError, ExtractError
from seedpack.files import atomic_directory, atomic_output
from seedpack.frameworks import NamedTensor, TensorInfo
from seedpack.frameworks.attachments import is_reserved
from seedpack.frameworks.configs import find_pointer_in_file
from seedpack.frameworks.safetensors_writer import write_safetensors
from seedpack.seed.base import shared_files
from seedpack.seed.opening import check_vouched
from seedpack.seed.tensors import check_base, decode_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from seedpack.container.manifest import Architecture
    from seedpack.seed.base import Base
    from seedpack.seed.contents import Contents

_CONFIG: Final = "config.json"
_WEIGHTS: Final = "model.safetensors"


@dataclass(frozen=True)
class AssemblyReport:
    """What was made.

    Attributes:
        output: Folder or file.
        layers: Number of tensors taken from the seed.
        layers_total: Number of layers of the seed.
        attachments: Names of the files written beside the weights.
        nbytes: Size of the weights file.
        unused: Layers that no parameter of the architecture takes; written all the same.
        filled: Layers NOT taken from the seed: they have random initial values.
        lacking: Files that a delta seed leaves to its base, and that base has not as they were.
    """

    output: Path
    layers: int
    layers_total: int
    attachments: tuple[str, ...]
    nbytes: int
    unused: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()


def assemble(  # noqa: PLR0913 -- each is an option of the command
    seed: Contents,
    output: Path,
    *,
    layers: str | None = None,
    overwrite: bool = False,
    insecure: bool = False,
    base: Base | None = None,
    fill_missing: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AssemblyReport:
    """Write the model that ``seed`` holds.

    Args:
        seed: Open; every chunk and tensor is checked on its way.
        output: A folder, which must not exist; or a file, when it ends with ``.safetensors`` or
            the seed has no architecture.
        layers: Glob over layer names; a file with only these is written.
        overwrite: Replace an existing file; a folder is never replaced.
        insecure: Accept contents that nobody vouches for, because the user said so.
        base: What a delta seed refers to, as ``open_base`` opens it.
        fill_missing: With ``layers`` and a folder: give all other layers the initial values of
            the class, drawn with this random seed; the report names them.
        progress: Called with bytes done and bytes in all.

    Raises:
        AssemblyError: ASM-1 to ASM-4, ASM-7, BAS-1; nothing has been written.
        IntegrityError, CodecError: Steps 6 to 8, BAS-2 to BAS-4; nothing stays.
        StoreError: OUT.
        ValueError: No layer matches.
    """
    check_vouched(seed, insecure=insecure)
    check_base(seed.manifest, (layer for layer, _ in seed.layers(layers)), base)
    weights = _Weights(seed, layers, base, progress)
    architecture = seed.manifest.architecture
    if fill_missing is not None:
        if architecture is None or layers is None or output.suffix == ".safetensors":
            raise ValueError("to fill is for some layers of a seed with architecture, to a folder")
        weights.fill(architecture, fill_missing)
    if output.suffix == ".safetensors" or architecture is None:
        with atomic_output(output, overwrite=overwrite) as file:
            nbytes = weights.write(file)
        return weights.report(output, nbytes)
    unused = _check_architecture(architecture, weights.infos)
    shared, lacking = shared_files(seed.manifest, base)
    report = _write_folder(seed, output, weights, unused, shared)
    return replace(
        report, lacking=tuple(lacking), filled=tuple(tensor.name for tensor in weights.filled)
    )


class _Weights:
    """The chosen layers of a seed, on their way out."""

    def __init__(
        self,
        seed: Contents,
        layers: str | None,
        base: Base | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._seed = seed
        self._layers = layers
        self._base = base
        self._progress = progress
        self.infos = [
            TensorInfo(layer.name, DTYPES[layer.dtype], tuple(layer.shape))
            for layer, _ in seed.layers(layers)
        ]
        self.filled: list[NamedTensor] = []

    def fill(self, architecture: Architecture, random_seed: int) -> None:
        """Add initial values for all layers that were not chosen (ASM-7)."""
        from seedpack.frameworks.initial import initial_tensors  # noqa: PLC0415 -- lazy

        chosen = {info.name for info in self.infos}
        every = [
            TensorInfo(layer.name, DTYPES[layer.dtype], tuple(layer.shape))
            for layer, _ in self._seed.layers()
        ]
        _check_architecture(architecture, every)
        others = [info for info in every if info.name not in chosen]
        self.filled = initial_tensors(architecture, others, random_seed)
        self.infos = every

    def write(self, file: BinaryIO) -> int:
        """Write all of them to ``file``; return its size."""
        nbytes = write_safetensors(file, self.infos, self._tensors())
        self._seed.file.check_unchanged()
        return nbytes

    def report(
        self,
        output: Path,
        nbytes: int,
        attachments: tuple[str, ...] = (),
        unused: tuple[str, ...] = (),
    ) -> AssemblyReport:
        """Return the report of a finished assembly."""
        total = len(self._seed.manifest.layers)
        taken = len(self.infos) - len(self.filled)
        return AssemblyReport(output, taken, total, attachments, nbytes, unused)

    def _tensors(self) -> Iterator[NamedTensor]:
        yield from self.filled
        total = sum(info.nbytes for info in self.infos)
        done = 0
        for tensor in decode_layers(self._seed, layers=self._layers, base=self._base):
            data = tensor.array.reshape(-1).view("u1").data
            done += len(data)
            yield NamedTensor(tensor.name, tensor.dtype, tensor.array.shape, data)
            del tensor, data  # before the next one is decoded
            if self._progress is not None:
                self._progress(done, total)


def _check_architecture(architecture: Architecture, infos: Sequence[TensorInfo]) -> tuple[str, ...]:
    """Ask the framework before anything is written; return the unused tensors."""
    from seedpack.frameworks.transformers_models import check_assembly  # noqa: PLC0415 -- lazy

    try:
        return check_assembly(architecture, infos)
    except ExtractError as error:  # EXT-12: the framework is not installed
        raise AssemblyError(
            f"the class cannot be checked: {error.message}",
            rule="ASM-2",
            where="architecture",
            hint="pip install 'seedpack[torch]', or assemble to OUT.safetensors",
        ) from error


def _write_folder(
    seed: Contents,
    output: Path,
    weights: _Weights,
    unused: tuple[str, ...],
    shared: Mapping[str, bytes],
) -> AssemblyReport:
    architecture = seed.manifest.architecture
    config = architecture.config if architecture else ""
    attachments = seed.attachments()
    for name in (*shared, *(attachment.name for attachment, _ in attachments)):
        if is_reserved(name):
            raise _misleading(name, "has a name by which loaders take something else")
    with atomic_directory(output) as folder:
        # One after another, never all in memory; and before the layers: they are small, and one
        # that is refused spares the decoding.
        for name, content in shared.items():
            _write_file(folder, name, _checked_file(name, content))
        for attachment, chunks in attachments:
            content = seed.read_attachment(attachment, chunks)
            _write_file(folder, attachment.name, _checked_file(attachment.name, content))
        _write_file(folder, _CONFIG, config.encode())
        with (folder / _WEIGHTS).open("xb") as file:
            nbytes = weights.write(file)
    names = (*shared, *(attachment.name for attachment, _ in attachments))
    return weights.report(output, nbytes, names, unused)


def _write_file(folder: Path, name: str, content: bytes) -> None:
    path = folder / name  # ATT-1: a plain relative path on every system
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _checked_file(name: str, content: bytes) -> bytes:
    key = find_pointer_in_file(name, content.decode(errors="replace"))
    if key is not None:
        raise _misleading(name, f"points outside of the seed with {key!a}")
    return content


def _misleading(name: str, what: str) -> AssemblyError:
    return AssemblyError(
        f"attachment {what}",
        rule="ASM-4",
        where=f"attachment {name}",
        hint="assemble to OUT.safetensors, which takes the weights only",
    )
