"""Trained models as signed `.seed` files: verify first, then rebuild.

The names below are the whole public interface. Each is imported when it is first
used, so that verifying a seed never pays for numpy or torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from seedpack.assemble import assemble as assemble_seed
    from seedpack.assemble import open_base
    from seedpack.crypto.keys import Algorithm, PublicKey, generate_private_key
    from seedpack.errors import SeedError
    from seedpack.extract import extract as extract_seed
    from seedpack.extract import extract_delta, train_delta
    from seedpack.frameworks.lazy_models import load_model
    from seedpack.seed.lazy import LazyTensors
    from seedpack.seed.opening import Seed, open_seed, open_unverified
    from seedpack.seed.partial import merge_seeds, split_seed
    from seedpack.seed.repair import repair_seed
    from seedpack.seed.signing import sign_seed
    from seedpack.seed.verify import verify_seed
    from seedpack.trust.store import TrustStore
    from seedpack.trust.storefile import load_trust_store
    from seedpack.tune import tune_model

__version__: Final = "0.1.0"

# Public name -> "module:attribute". The folders `extract` and `assemble` would hide functions
# of the same name as soon as they are imported; hence `extract_seed` and `assemble_seed`.
_HOMES: Final = {
    "Algorithm": "seedpack.crypto.keys:Algorithm",
    "LazyTensors": "seedpack.seed.lazy:LazyTensors",
    "PublicKey": "seedpack.crypto.keys:PublicKey",
    "Seed": "seedpack.seed.opening:Seed",
    "SeedError": "seedpack.errors:SeedError",
    "TrustStore": "seedpack.trust.store:TrustStore",
    "assemble_seed": "seedpack.assemble:assemble",
    "extract_delta": "seedpack.extract:extract_delta",
    "extract_seed": "seedpack.extract:extract",
    "generate_private_key": "seedpack.crypto.keys:generate_private_key",
    "load_model": "seedpack.frameworks.lazy_models:load_model",
    "load_trust_store": "seedpack.trust.storefile:load_trust_store",
    "merge_seeds": "seedpack.seed.partial:merge_seeds",
    "open_base": "seedpack.assemble:open_base",
    "open_seed": "seedpack.seed.opening:open_seed",
    "open_unverified": "seedpack.seed.opening:open_unverified",
    "repair_seed": "seedpack.seed.repair:repair_seed",
    "sign_seed": "seedpack.seed.signing:sign_seed",
    "split_seed": "seedpack.seed.partial:split_seed",
    "train_delta": "seedpack.extract:train_delta",
    "tune_model": "seedpack.tune:tune_model",
    "verify_seed": "seedpack.seed.verify:verify_seed",
}

__all__ = [
    "Algorithm",
    "LazyTensors",
    "PublicKey",
    "Seed",
    "SeedError",
    "TrustStore",
    "__version__",
    "assemble_seed",
    "extract_delta",
    "extract_seed",
    "generate_private_key",
    "load_model",
    "load_trust_store",
    "merge_seeds",
    "open_base",
    "open_seed",
    "open_unverified",
    "repair_seed",
    "sign_seed",
    "split_seed",
    "train_delta",
    "tune_model",
    "verify_seed",
]


def __getattr__(name: str) -> object:
    """Import the home of a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        msg = f"module 'seedpack' has no attribute {name!r}"
        raise AttributeError(msg)
    module, _, attribute = _HOMES[name].partition(":")
    value: object = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
