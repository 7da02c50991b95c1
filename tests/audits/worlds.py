"""A small world to audit: digits, a network that knows them, and others that do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from seedpack.audits import PROFILES, Spec
from seedpack.audits.gates import conclude
from seedpack.audits.work import open_context
from tests.audits import small_network

if TYPE_CHECKING:
    from seedpack.audits import AuditResult, Profile
    from seedpack.audits.base import Audit

QUICK = msgspec.structs.replace(PROFILES["quick"], nsamples=30, sample_sizes=(0, 12, 30))
FACTORY = f"{Path(small_network.__file__)}:make"
BROKEN = f"{Path(__file__)}:make_broken"


class _Broken(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = small_network.make()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(x) / 0
        return logits


def make_broken() -> torch.nn.Module:
    """Return a network whose answers are no numbers."""
    return _Broken()


def write_data(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Write training and evaluation data; return the training half."""
    digits = load_digits()
    x, y = (digits.images / 16).astype(np.float32), digits.target
    np.savez(folder / "train.npz", x=x[:900], y=y[:900])
    np.savez(folder / "few.npz", x=x[:200], y=y[:200])
    np.savez(folder / "eval.npz", x=x[900:1150], y=y[900:1150])
    np.savez(folder / "tiny.npz", x=x[900:950], y=y[900:950])
    np.savez(folder / "numbers.npz", x=x[:900], y=x[:900, 3, 3] * 1.5)
    np.savez(folder / "other-numbers.npz", x=x[900:1150], y=x[900:1150, 3, 3] * 1.5)
    return torch.tensor(x[:900]), torch.tensor(y[:900])


def build_world(folder: Path) -> Spec:
    """Write data and models: one that knows digits, one that does not, one that is fragile."""
    known = small_network.trained(*write_data(folder))
    save_file(known.state_dict(), folder / "model.safetensors")
    torch.manual_seed(5)
    save_file(small_network.make().state_dict(), folder / "ignorant.safetensors")
    constant = {name: torch.zeros_like(v) for name, v in known.state_dict().items()}
    save_file(constant, folder / "constant.safetensors")
    save_file(make_fragile(known).state_dict(), folder / "fragile.safetensors")
    save_file(_Broken().state_dict(), folder / "broken.safetensors")
    return Spec(
        model=str(folder / "model.safetensors"),
        task="image-classification",
        train=str(folder / "train.npz"),
        evaluation=str(folder / "eval.npz"),
        factory=FACTORY,
    )


def make_fragile(known: torch.nn.Module) -> torch.nn.Module:
    """Return a network that is as good, until a corner that is always black is not."""
    fragile = small_network.make()
    state = {name: value.clone() for name, value in known.state_dict().items()}
    state["1.weight"][59], state["1.bias"][59] = 0.0, 0.0
    state["1.weight"][59, 0] = 100.0
    state["3.weight"][:, 59] = 0.0
    state["3.weight"][3, 59] = 100.0
    fragile.load_state_dict(state)
    return fragile


def beside(spec: Spec, name: str) -> str:
    """Return the path of another file of the world."""
    return str(Path(spec.train).with_name(name))


def run(audit: Audit, spec: Spec, folder: Path, profile: Profile = QUICK) -> AuditResult:
    """Run one audit as the runner does, without turning refusals into results."""
    with open_context(spec, profile, folder) as context:
        return conclude(audit.run(context))
