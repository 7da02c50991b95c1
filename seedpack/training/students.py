"""Which student a teacher gets (spec: EXT-41, EXT-48).

    auto   ─┬─ no head, reads both ways ──> static: one vector per token, no layers
            └─ else                     ──> shallow: every k-th layer of the teacher
    CONFIG ──(a MobileBERT of no layers)──> static, of that rank
           ──(any other of transformers)──> shallow: layers copied where they fit

A static student is a MobileBERT without layers: token vectors of r numbers, a matrix (h, r) into
the teacher's space, and norms that only scale and shift. Its mean hidden state is that of
the tokens' vectors, and stock AutoModel loads it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from seedpack import limits
from seedpack.container.architecture import FRAMEWORK, check_architecture
from seedpack.container.manifest import Architecture
from seedpack.errors import AssemblyError, ExtractError, FormatError
from seedpack.files import read_small_file
from seedpack.frameworks.configs import normalise_config, parse_object
from seedpack.frameworks.packages import import_transformers
from seedpack.frameworks.transformers_models import check_assembly, default_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.frameworks import ModelSource, TensorInfo

AUTO: Final = "auto"
LAYER: Final = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.([0-9]+)\.")

_MAX_RANK: Final = 256  # beyond it, cosine hardly grows; see bench/student.py
_BITS_PER_WEIGHT: Final = 2.5  # below this a quantised layer keeps less than a layer fewer
_COUNT_KEYS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_STATIC_TYPE: Final = "mobilebert"


class Design(NamedTuple):
    """A student's architecture, and why it is that one."""

    kind: str  # static or shallow
    architecture: Architecture
    why: str

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as data."""
        config: dict[str, Any] = json.loads(self.architecture.config)
        return config


def choose_design(
    student: str | Path, teacher: ModelSource, nbytes: float, tokenizer_class: str
) -> Design:
    """Return the design that ``student`` asks for.

    Args:
        student: ``auto``, or the path of a transformers configuration.
        teacher: A model that reads text.
        nbytes: What the student's matrices may take.
        tokenizer_class: That of the teacher's tokenizer, which the student uses, too.

    Raises:
        ExtractError: EXT-41, EXT-48.
    """
    architecture = teacher.architecture
    if architecture is None:
        raise ValueError("no architecture")
    original = json.loads(architecture.config)
    if student != AUTO:
        config = _read_config(Path(student))
        _check_fits(config, original, has_head=not _is_bare(architecture))
        why = "as given"
    elif _is_bare(architecture) and _reads_both_ways(architecture, original):
        config = _static_config(original)
        why = "auto: of an encoder without head, token vectors keep most per byte"
    else:
        count = _affordable_layers(teacher.infos(), original, nbytes)
        config = _shallow_config(original, count)
        why = f"auto: {count} of its layers, what fits at {_BITS_PER_WEIGHT} bits per weight or 1"
    config.setdefault("tokenizer_class", tokenizer_class)
    return _as_design(config, architecture, why)


def layer_map(config: dict[str, Any], original: dict[str, Any]) -> dict[int, int]:
    """Return the teacher's layer that each layer of the student starts from."""
    n, m = _count_layers(config), _count_layers(original)
    return {i: (i + 1) * m // n - 1 for i in range(min(n, m))}


def _as_design(config: dict[str, Any], teacher: Architecture, why: str) -> Design:
    model_type = str(config.get("model_type"))
    is_static = model_type == _STATIC_TYPE and _count_layers(config) == 0
    try:
        if model_type == teacher.model_type:
            class_name = teacher.class_name
        else:
            class_name = default_class(model_type)
        config["architectures"] = [class_name]
        text = normalise_config(json.dumps(config, indent=2, sort_keys=True) + "\n")
        architecture = Architecture(
            class_name=class_name, config=text, framework=FRAMEWORK, model_type=model_type
        )
        check_architecture(architecture)
    except (AssemblyError, FormatError) as error:
        raise _wrong(f"{error.message} ({error.rule})", hint=error.hint) from error
    return Design("static" if is_static else "shallow", architecture, why)


def check_design(design: Design, infos: Sequence[TensorInfo]) -> None:
    """Refuse a design that transformers does not build, or not of these tensors.

    Args:
        design: Any.
        infos: All its tensors; none yet: only that it can be built is asked.

    Raises:
        ExtractError: EXT-41.
    """
    try:
        check_assembly(design.architecture, infos)
    except AssemblyError as error:
        is_built = not infos and error.where.startswith("parameter ")  # its first one is missing
        if not is_built:
            raise _wrong(f"{error.message} ({error.rule})", hint=error.hint) from error


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _wrong("no such file", where=str(path), hint="give auto or a config.json")
    data = read_small_file(path.resolve(), limit=limits.MAX_CONFIG_NBYTES, rule="EXT-41")
    try:
        return parse_object(data.decode(), where=path.name)
    except (UnicodeDecodeError, FormatError) as error:
        raise _wrong(str(error)[:200], where=str(path)) from error


def _check_fits(config: dict[str, Any], original: dict[str, Any], *, has_head: bool) -> None:
    """Refuse what cannot answer in the teacher's place."""
    vocabulary = _text_size(original, "vocab_size")
    if _text_size(config, "vocab_size") != vocabulary:
        raise _wrong(f"vocab_size must be the teacher's, {vocabulary}")
    width = _text_size(original, "hidden_size")
    if not has_head and _text_size(config, "hidden_size") != width:
        raise _wrong(f"hidden_size must be the teacher's, {width}: its space is what is learned")
    if has_head and config.get("model_type") != original.get("model_type"):
        raise _wrong("a student of a model with a head must be of the same model_type")


def _text_size(config: dict[str, Any], key: str) -> int:
    transformers = import_transformers()
    model_type = str(config.get("model_type"))
    if model_type not in transformers.CONFIG_MAPPING:
        raise _wrong(f"the installed transformers has no model type {model_type[:80]!a}")
    try:
        return int(getattr(transformers.CONFIG_MAPPING[model_type].from_dict(config), key))
    except (AttributeError, TypeError, ValueError) as error:
        raise _wrong(f"no {key}") from error


def _is_bare(architecture: Architecture) -> bool:
    return architecture.class_name == default_class(architecture.model_type)


def _reads_both_ways(architecture: Architecture, config: dict[str, Any]) -> bool:
    auto = import_transformers("models.auto.modeling_auto")
    is_masked = architecture.model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return is_masked and not config.get("is_decoder")


def _static_config(original: dict[str, Any]) -> dict[str, Any]:
    width = _text_size(original, "hidden_size")
    return {
        "model_type": _STATIC_TYPE,
        "vocab_size": _text_size(original, "vocab_size"),
        "hidden_size": width,
        "embedding_size": min(_MAX_RANK, width - 1),  # equal sizes would leave out the matrix
        "num_hidden_layers": 0,
        "num_attention_heads": 1,
        "intra_bottleneck_size": 1,
        "intermediate_size": 1,
        "trigram_input": False,
        "normalization_type": "no_norm",
        "classifier_activation": False,
        "hidden_dropout_prob": 0.0,
        "max_position_embeddings": _text_size(original, "max_position_embeddings"),
        "type_vocab_size": max(int(original.get("type_vocab_size", 2)), 1),
        "pad_token_id": original.get("pad_token_id", 0),
    }


def _count_key(config: dict[str, Any]) -> str:
    present = [key for key in _COUNT_KEYS if key in config]
    if present:
        return present[0]
    transformers = import_transformers()
    settings = transformers.CONFIG_MAPPING[str(config.get("model_type"))]
    return str(settings.attribute_map.get("num_hidden_layers", "num_hidden_layers"))


def _count_layers(config: dict[str, Any]) -> int:
    return _text_size(config, "num_hidden_layers")


def _shallow_config(original: dict[str, Any], count: int) -> dict[str, Any]:
    total = _count_layers(original)
    picked = [(i + 1) * total // count - 1 for i in range(count)]
    config = {
        # What is said of each layer is said of those that stay.
        key: [value[i] for i in picked]
        if key.endswith("layer_types") and isinstance(value, list)
        else value
        for key, value in original.items()
    }
    config[_count_key(original)] = count
    return config


def _affordable_layers(infos: Sequence[TensorInfo], original: dict[str, Any], nbytes: float) -> int:
    """Return how many layers fit into ``nbytes``, at most half of them and at least one."""
    total = _count_layers(original)
    in_layers = sum(_nvalues(info) for info in infos if LAYER.search(info.name))
    others = sum(_nvalues(info) for info in infos if not LAYER.search(info.name))
    spare = nbytes * 8 / _BITS_PER_WEIGHT - others
    fitting = int(spare * total / in_layers) if in_layers else 1
    return max(min(fitting, total // 2), 1)


def _nvalues(info: TensorInfo) -> int:
    return info.nbytes // info.dtype.itemsize


def _wrong(message: str, *, where: str = "student", hint: str = "") -> ExtractError:
    return ExtractError(
        message,
        rule="EXT-41",
        where=where,
        hint=hint or "a student is of a class of transformers, and reads what the teacher reads",
    )
