"""A model whose weights are computed from a few numbers, and what they are stored as.

    numbers (d,) ──nearest level, straight-through gradient──> levels ──the codec's mixing──> (v,)
    value = spread * unit + step * mixed levels    as the codec decodes it

Levels are mixed by the reader's own code; the gradient comes back by the adjoint map.

What the forward pass computes is, operation by operation, what a reader will compute: float32,
elementwise, in the same order; so the model that was trained is the model that is assembled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn

from seedpack.codecs.base import Encoded
from seedpack.codecs.numbers.form import Form, count_numbers, join_chunk, random_units
from seedpack.codecs.registry import TRAINED_IDS, get_codec
from seedpack.training.numbers.budget import count_chunks
from seedpack.training.pooling import quicken_pools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.codecs.numbers.form import MakeMixing, Mixing
    from seedpack.training.numbers.budget import Budget, Share

_FIRST_NUMBERS: Final = 0.3  # their spread at the start, beside the random part's 1
_LEAST: Final = 2.0**-40  # far above what a chunk's field can hold
_ROOT_3: Final = 3**0.5  # half-width over standard deviation of what is uniform


class _Quantised(torch.autograd.Function):
    """step * the nearest levels, mixed; the gradient passes where the number is in range."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 -- torch's
        numbers: torch.Tensor,
        step: torch.Tensor,
        bits: int,
        mixing: Mixing | None,
        gain: float,
    ) -> torch.Tensor:
        steps = numbers / (step * gain)
        levels = nearest_levels(steps, bits)
        ctx.save_for_backward(steps, levels)
        ctx.rest = bits, mixing, gain
        if mixing is None:
            return levels * step
        mixed = mixing.mix(levels.numpy().astype(np.int32))
        return torch.from_numpy(mixed.astype(np.float32)) * step

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401 -- torch's
        *grads: torch.Tensor,
    ) -> tuple[torch.Tensor | None, ...]:
        steps, levels = ctx.saved_tensors
        bits, mixing, gain = ctx.rest
        grad = grads[0]  # (v,)
        if mixing is not None:
            grad = torch.from_numpy(mixing.gather(grad.contiguous().numpy()))  # (d,)
        inside = (steps.abs() <= (1 << bits)).to(steps.dtype)
        # One bit has no finer position that a step could fit; more have (LSQ, arXiv:1902.08153).
        slope = levels if bits == 1 else levels - inside * steps
        return grad * inside / gain, (grad * slope).sum(), None, None, None


class _AsBfloat16(torch.autograd.Function):
    """The magnitude as it is stored; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        ctx.save_for_backward(value)
        return value.abs().clamp(min=_LEAST).to(torch.bfloat16).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        (value,) = ctx.saved_tensors
        return grads[0] * torch.where(value < 0, -1.0, 1.0)


class NumbersChunk(nn.Module):
    """One chunk of a matrix.

    Shapes:
        d: numbers, v: values.
    """

    units: torch.Tensor

    def __init__(
        self, nvalues: int, nbytes: int, bits: int, key: int, deviation: float, codec: str | None
    ) -> None:
        """Start at random, every value with about the standard deviation given.

        Without a codec to mix by: a number per value and no random part.
        """
        super().__init__()
        count = count_numbers(nbytes, bits, nvalues)
        self.bits, self.key, self.is_plain = bits, key, codec is None
        self.deviation = deviation  # numbers are trained in units of it
        generator = np.random.Generator(np.random.PCG64([key, nvalues]))
        scale = 1.0 if codec is None else _FIRST_NUMBERS
        first = generator.standard_normal(count) * scale
        self.numbers = nn.Parameter(torch.tensor(first, dtype=torch.float32))  # (d,)
        # Levels are 1 to 2^bits - 1 steps; the mean magnitude of a normal variable is 0.8.
        self.step = nn.Parameter(torch.tensor(scale * 0.8 * 2 / (1 << bits)))
        self.spread = nn.Parameter(torch.tensor(_ROOT_3))
        self.register_buffer("units", torch.from_numpy(random_units(key, nvalues)))
        self.mixing: Mixing | None = None
        if codec is not None and count < nvalues:
            make: MakeMixing = get_codec(codec).make_mixing  # type: ignore[attr-defined]
            self.mixing = make(key, count, nvalues)
        # A sum of t numbers is about sqrt(t) times as large as each; a power of 2, so that
        # the step is the same bfloat16 but for its exponent.
        terms = self.mixing.terms if self.mixing else 1
        self.gain = 2.0 ** round(math.log2(terms) / 2)

    def stored_fields(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spread and step, as bfloat16 holds them."""
        spread: torch.Tensor = _AsBfloat16.apply(self.spread * self.deviation)  # type: ignore[no-untyped-call]
        step: torch.Tensor = _AsBfloat16.apply(self.step * self.deviation / self.gain)  # type: ignore[no-untyped-call]
        return spread, step

    def forward(self) -> torch.Tensor:
        """Return the values (v,)."""
        spread, step = self.stored_fields()
        scaled = self.numbers * self.deviation
        values: torch.Tensor = _Quantised.apply(  # type: ignore[no-untyped-call]
            scaled, step, self.bits, self.mixing, self.gain
        )
        return values if self.is_plain else spread * self.units + values

    def export(self) -> bytes:
        """Return the stored bytes of the chunk, which decode to ``forward``, bit for bit."""
        with torch.no_grad():
            spread, step = (float(field) for field in self.stored_fields())
            levels = nearest_levels(self.numbers * self.deviation / (step * self.gain), self.bits)
        highest = (1 << self.bits) - 1
        codes = ((levels.numpy().astype(np.int32) + highest) // 2).astype(np.int32)
        form = (
            Form(self.bits, step) if self.is_plain else Form(self.bits, step, 0.0, spread, self.key)
        )
        return join_chunk(form, codes)


class NumbersTensor(nn.Module):
    """One tensor: chunks of a matrix, or a vector of one value."""

    def __init__(
        self, share: Share, *, constant: float, key: int, deviation: float, codec: str
    ) -> None:
        """Lay out ``share``; ``constant`` is what a vector is filled with."""
        super().__init__()
        self.share = share
        self.constant = constant
        self.codec = codec
        counts = count_chunks(share.info)
        used = None if share.is_plain else codec
        self.chunks = nn.ModuleList(
            NumbersChunk(v, nbytes, share.bits, (key + i) % (1 << 16), deviation, used)
            for i, (v, nbytes) in enumerate(zip(counts, share.code_nbytes, strict=True))
            if share.bits
        )

    def forward(self) -> torch.Tensor:
        """Return the tensor in its dtype."""
        shape, dtype = self.share.info.shape, getattr(torch, self.share.info.dtype.name)
        if not self.share.bits:
            return torch.full(shape, self.constant, dtype=dtype)
        values = torch.cat([chunk() for chunk in self.chunks])
        return values.reshape(shape).to(dtype)

    def export(self) -> Encoded:
        """Return what is stored."""
        if self.share.bits:
            return Encoded(self.codec, {}, [chunk.export() for chunk in self.chunks])  # type: ignore[operator]
        head = Form(0, mean=self.constant).head()
        return Encoded(self.codec, {}, [head for _ in self.share.code_nbytes])


class VirtualModel(nn.Module):
    """A model that computes with virtual weights; its own parameters are not used."""

    def __init__(
        self,
        module: nn.Module,
        budget: Budget,
        *,
        seed: int,
        codec: str = "hash",
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Start at random.

        Args:
            module: The model, with the values of the original, which it keeps; its pooling layers
                take the quickest way to the same results.
            budget: From ``make_budget`` of its tensors.
            seed: Of the random part and of the first numbers.
            codec: One of ``TRAINED_IDS``.
            names: What the module calls the budget's tensors, where not by their own names.
        """
        if codec not in TRAINED_IDS:
            raise ValueError(f"codec {codec} has no numbers to train")
        super().__init__()
        self.codec = codec
        quicken_pools(module)
        self._module = [module.eval()]  # in a list, so that torch does not count its parameters
        state = module.state_dict()
        self._stored = [share.info.name for share in budget.shares]
        self.names = [(names or {}).get(name, name) for name in self._stored]
        self.tensors = nn.ModuleList(
            NumbersTensor(
                share,
                constant=_constant_of(state[name]),
                key=_key_of(seed, index),
                deviation=_deviation_of(share.info.shape),
                codec=codec,
            )
            for index, (share, name) in enumerate(zip(budget.shares, self.names, strict=True))
        )

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the virtual weights by name."""
        return {name: tensor() for name, tensor in zip(self.names, self.tensors, strict=True)}

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> Any:  # noqa: ANN401
        """Return the scores that virtual weights give; of named inputs, all that the model says."""
        answer = torch.func.functional_call(self._module[0], self.weights(), inputs, named)
        return answer if named else answer_of(answer)

    def describe(self) -> str:
        """Return what a checkpoint must agree with."""
        shares = [tensor.share for tensor in self.tensors]
        laid = (f"{s.info.name} {s.bits} {s.code_nbytes} {s.is_plain}" for s in shares)  # type: ignore[union-attr]
        return f"{self.codec} {' '.join(laid)}"

    def export(self) -> dict[str, Encoded]:
        """Return all trained tensors as they are stored, by name."""
        pairs = zip(self._stored, self.tensors, strict=True)
        return {name: tensor.export() for name, tensor in pairs}  # type: ignore[operator]


def nearest_levels(steps: torch.Tensor, bits: int) -> torch.Tensor:
    """Return the levels nearest to numbers given in steps: odd integers below 2^bits."""
    highest = (1 << bits) - 1
    return (2 * torch.floor(steps / 2) + 1).clamp(-highest, highest)


def answer_of(answer: Any) -> torch.Tensor:  # noqa: ANN401 -- what a model returns
    """Return the scores in a model's answer: a tensor, or what has ``logits``."""
    scores = getattr(answer, "logits", answer)
    if not isinstance(scores, torch.Tensor):
        raise TypeError(f"a model that answers with {type(answer).__name__}")
    return scores


def _key_of(seed: int, index: int) -> int:
    return (seed * 8191 + index * 64) % (1 << 16)


def _deviation_of(shape: Sequence[int]) -> float:
    """Return 1 / sqrt(inputs), which keeps the size of activations; 0.2 for tables of positions.

    A table is recognised by nothing in its shape, so everything is taken for a matrix.
    """
    inputs = 1
    for size in shape[1:]:
        inputs *= size
    return float(inputs**-0.5)


def _constant_of(original: torch.Tensor) -> float:
    """Return 1 for a vector that is nearer to ones than to zeros, else 0."""
    values = original.detach().float()
    return float((values - 1).abs().mean() < values.abs().mean())


def fixed_state(module: nn.Module, names: Sequence[str]) -> Mapping[str, torch.Tensor]:
    """Return the tensors of ``module`` that are stored as they are."""
    return {name: value for name, value in module.state_dict().items() if name not in names}
