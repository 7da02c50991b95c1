"""Do these tensors make this architecture? Asked of transformers itself (spec: ASM-1, ASM-2).

    config ──model_type, class──> in transformers' own mappings?     no code from elsewhere
           ──class(config) on the meta device──> parameters, no memory
    names, shapes ──dry load, meta tensors──> missing, mismatched, unused

The dry load is the very function behind ``from_pretrained``, so that renamed, merged and
tied parameters are judged as the stock loader will treat them. It touches no data.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from seedpack.errors import AssemblyError
from seedpack.frameworks.configs import find_pointer
from seedpack.frameworks.packages import import_hub, import_torch, import_transformers
from seedpack.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.container.manifest import Architecture
    from seedpack.frameworks.sources import TensorInfo

_COUNTED: Final = re.compile(r"layer|block|depth|expert")
_MAX_COUNT: Final = 4096  # of layers and the like; the largest public models have hundreds
_MAX_BUFFERS_NBYTES: Final = 256 * MIB  # ASM-8

# What a class of models raises on a configuration that it was not made for.
_BUILD_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def default_class(model_type: str) -> str:
    """Return the class that ``AutoModel`` builds for ``model_type``.

    Raises:
        AssemblyError: ASM-2, transformers knows no such type.
    """
    auto = import_transformers("models.auto.modeling_auto")
    names = _as_names(auto.MODEL_MAPPING_NAMES.get(model_type, ()))
    if not names:
        raise _unknown(f"model type {model_type[:80]!a}")
    return names[0]


def check_assembly(architecture: Architecture, infos: Sequence[TensorInfo]) -> tuple[str, ...]:
    """Refuse tensors that do not make ``architecture``; nothing is read or written.

    Args:
        architecture: From a config.json or a verified seed.
        infos: All tensors there are.

    Returns:
        Names of tensors that no parameter takes (old buffers, heads of another task).

    Raises:
        AssemblyError: ASM-1, a parameter is missing, given twice or of another shape; ASM-2,
            the class is not transformers' own for this model type.
        ExtractError: EXT-12, torch or transformers is not installed.
    """
    config = _checked_config(architecture)
    with isolated():
        model = _build(architecture, config)
        _check_given_once(model, infos)
        loaded = _dry_load(model, infos)
    shape_errors = sorted(loaded.mismatched_keys)
    if shape_errors:
        name, actual, expected = shape_errors[0]
        raise AssemblyError(
            f"shape {list(actual)}, the architecture has {list(expected)}",
            rule="ASM-1",
            where=f"parameter {name}",
        )
    failed = sorted(loaded.conversion_errors) + sorted(_missing(model, loaded.missing_keys))
    if failed:
        raise AssemblyError(
            f"no tensor for this parameter, nor for {len(failed) - 1} more",
            rule="ASM-1",
            where=f"parameter {failed[0]}",
            hint="the weights are of another architecture or size than the configuration",
        )
    return tuple(sorted(loaded.unexpected_keys))


def build_model(architecture: Architecture) -> Any:  # noqa: ANN401 -- a model
    """Return the model of ``architecture`` as its class makes it, with random parameters.

    Raises:
        AssemblyError: ASM-2; ASM-8, its buffers would take much more than its parameters.
        ExtractError: EXT-12.
    """
    config = _checked_config(architecture)
    with isolated():
        _check_buffers(_build(architecture, config))  # without memory
        return _build(architecture, config, to_run=True)


def _check_buffers(model: Any) -> None:  # noqa: ANN401 -- a model
    """Refuse what a class computes by its config alone: no layer of a seed bounds its size."""
    nbytes = sum(buffer.nbytes for buffer in model.buffers())
    most = _MAX_BUFFERS_NBYTES + sum(parameter.nbytes for parameter in model.parameters())
    if nbytes > most:
        message = f"buffers of {nbytes} bytes, at most {most} are computed"
        raise AssemblyError(message, rule="ASM-8", where="config.json")


def _checked_config(architecture: Architecture) -> dict[str, Any]:
    """Return the config once nothing in it points outside of transformers."""
    config: dict[str, Any] = json.loads(architecture.config)  # plain: ARC-2, ARC-3
    name, model_type = architecture.class_name, architecture.model_type
    key = find_pointer(config)
    if key is not None:
        raise AssemblyError(
            f"key {key!a} points outside of the framework", rule="ASM-2", where="config.json"
        )
    if config.get("model_type") != model_type:
        raise AssemblyError(
            "model_type of the seed and of its config differ", rule="ASM-2", where="config.json"
        )
    auto = import_transformers("models.auto.modeling_auto")
    mappings = [m for key, m in vars(auto).items() if key.endswith("_MAPPING_NAMES")]
    if not any(name in _as_names(mapping.get(model_type, ())) for mapping in mappings):
        raise _unknown(f"class {name[:80]!a} of model type {model_type[:80]!a}")
    _check_counts(config)
    return config


def _unknown(what: str) -> AssemblyError:
    return AssemblyError(
        f"the installed transformers has no {what}",
        rule="ASM-2",
        where="architecture",
        hint="a newer transformers may have it; classes from elsewhere are never loaded",
    )


def _as_names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _check_counts(config: dict[str, Any]) -> None:
    # Building ten million layers, even without memory for weights, is a denial of service.
    for key, value in config.items():
        if isinstance(value, dict):
            _check_counts(value)
        elif _COUNTED.search(key) and isinstance(value, int) and value > _MAX_COUNT:
            raise AssemblyError(f"{key[:80]!a} is {value}", rule="ASM-1", where="config.json")


def _build(architecture: Architecture, config: dict[str, Any], *, to_run: bool = False) -> Any:  # noqa: ANN401 -- a model
    torch, transformers = import_torch(), import_transformers()
    try:
        settings = transformers.CONFIG_MAPPING[architecture.model_type].from_dict(config)
        if not to_run:
            # Which kernels compute attention changes no parameter; eager needs no other package.
            settings._attn_implementation = "eager"  # noqa: SLF001 -- has no public setter
        with torch.device("cpu" if to_run else "meta"):
            return getattr(transformers, architecture.class_name)(settings)
    except (*_BUILD_ERRORS, _strict_dataclass_error()) as error:
        raise AssemblyError(
            f"transformers cannot build it: {type(error).__name__}: {error}"[:300],
            rule="ASM-2",
            where="architecture",
        ) from error


def _strict_dataclass_error() -> type[Exception]:
    """Return what a configuration class raises on a value of a wrong type."""
    error: type[Exception] = import_hub("errors").StrictDataclassError
    return error


def _dry_load(model: Any, infos: Sequence[TensorInfo]) -> Any:  # noqa: ANN401 -- transformers' own
    torch = import_torch()
    loading = import_transformers("core_model_loading")
    utils = import_transformers("modeling_utils")
    state = {
        info.name: torch.empty(info.shape, dtype=getattr(torch, info.dtype.name), device="meta")
        for info in infos
    }
    settings = utils.LoadStateDictConfig(
        device_map={"": "meta"}, weight_mapping=_mapping(model), ignore_mismatched_sizes=True
    )
    try:
        loaded, _ = loading.convert_and_load_state_dict_in_model(model, state, settings)
        model._adjust_missing_and_unexpected_keys(loaded)  # noqa: SLF001 -- as from_pretrained
    except _BUILD_ERRORS as error:
        raise AssemblyError(
            f"transformers cannot load it: {type(error).__name__}: {error}"[:300],
            rule="ASM-1",
            where="architecture",
        ) from error
    return loaded


def _mapping(model: Any) -> list[Any]:  # noqa: ANN401 -- transformers' own
    mapping: list[Any] = import_transformers("conversion_mapping").get_model_conversion_mapping(
        model
    )
    return mapping


def _check_given_once(model: Any, infos: Sequence[TensorInfo]) -> None:  # noqa: ANN401
    """Refuse two tensors for one parameter, of which the loader would silently drop one."""
    givers: dict[str, str] = {}
    for name, target in map_parameters(model, [info.name for info in infos]).items():
        other = givers.setdefault(target, name)
        if other != name:
            raise AssemblyError(
                f"given by both {other!a} and {name!a}",
                rule="ASM-1",
                where=f"parameter {target}",
            )


def map_parameters(model: Any, names: Sequence[str]) -> dict[str, str]:  # noqa: ANN401 -- a model
    """Return the parameter that each tensor becomes, without those merged, split or unused."""
    loading = import_transformers("core_model_loading")
    mapping = _mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, loading.WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, loading.WeightConverter)]
    parameters = model.state_dict()
    prefix = model.base_model_prefix
    targets: dict[str, str] = {}
    for name in names:
        target, merged = loading.rename_source_key(name, renamings, converters, prefix, parameters)
        if target not in parameters and name in parameters:
            target, merged = name, None
        if merged is None and target in parameters:
            targets[name] = target
    return targets


def _missing(model: Any, names: set[str]) -> set[str]:  # noqa: ANN401 -- a model
    """Return the missing parameters that are not tied to one that is there."""
    sources: dict[str, str] = model.all_tied_weights_keys

    def tied_with(name: str) -> set[str]:
        source = sources.get(name, name)
        return {source} | {other for other, its in sources.items() if its == source}

    return {name for name in names if tied_with(name) <= names}


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Keep a model that exists only for a check off the terminal and off the network.

    A configuration may name a backbone on the hub, which its class would look up.
    """
    constants = import_hub("constants")
    logging = import_transformers("utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
