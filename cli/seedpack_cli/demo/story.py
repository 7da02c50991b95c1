"""The demo's eight steps, told to somebody who has never heard of seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file

from seedpack.assemble import assemble
from seedpack.crypto.keyfiles import write_key_pair
from seedpack.crypto.keys import Algorithm, PrivateKey, generate_private_key
from seedpack.errors import SeedError
from seedpack.extract import extract
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.repair import repair_seed
from seedpack.seed.verify import verify_seed
from seedpack.trust.store import Principal, TrustedKey, TrustStore
from seedpack.trust.storefile import load_trust_store, record_seen, save_trust_store
from seedpack_cli.demo import attacks, figures, network, training
from seedpack_cli.output import format_nbytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_SEEDS: Final = (0, 1, 2)  # random starts; the first one is published
_CODECS: Final = ("raw", "q8", "ecq")
_PARITY_PERCENT: Final = 30
_DAMAGE: Final = 0.2  # share of the chunks that is destroyed
_CREATED: Final = 1_767_225_600  # 2026-01-01, so that the demo writes the same seed every time
_NAME: Final = "demo/digits"


class _Cast(NamedTuple):
    """Who plays: folder, keys, and what the consumer trusts."""

    folder: Path
    publisher: PrivateKey
    stranger: PrivateKey
    store_path: Path

    def store(self) -> TrustStore:
        return load_trust_store(self.store_path)


def tell(folder: Path, say: Callable[[str], None]) -> None:
    """Run the story in ``folder``.

    Args:
        folder: Empty; keeps every file that the story mentions.
        say: Prints one line.

    Raises:
        SeedError: Something was refused that should not be.
        RuntimeError: An attack was not refused, or a repair is not exact: a bug.
    """
    digits = network.load_images()
    say("1. A model. We train a small network to read handwritten digits (real images,")
    say("   1,797 of them, half kept for testing), from three random starts.")
    networks = [network.train_network(digits, seed) for seed in _SEEDS]
    models = [
        _save(folder, f"digits-{seed}", net) for seed, net in zip(_SEEDS, networks, strict=True)
    ]
    count = network.count_parameters(networks[0])
    say(f"   {count:,} parameters, {format_nbytes(models[0].stat().st_size)} as a state dict.\n")

    cast = _meet(folder, say)
    seed, older = _publish(cast, models, say)
    _consume(cast, seed, say)
    _attack(cast, seed, older, say)
    _damage_and_repair(cast, seed, say)
    _rebuild(cast, digits, networks, models, say)
    training.tell(folder, digits, models, cast.publisher, say)


def _save(folder: Path, name: str, net: torch.nn.Module) -> Path:
    path = folder / f"{name}.pt"
    torch.save(net.state_dict(), path)
    return path


def _meet(folder: Path, say: Callable[[str], None]) -> _Cast:
    publisher = generate_private_key(Algorithm.ED25519)
    stranger = generate_private_key(Algorithm.ED25519)
    for name, key in (("publisher", publisher), ("stranger", stranger)):
        write_key_pair(key, folder, name, None)
    store = TrustStore().with_principal(
        Principal(name="publisher", keys=(TrustedKey(publisher.public),), may_sign=("demo/*",))
    )
    save_trust_store(folder / "trust.json", store)
    say("2. Keys. The publisher makes a key pair. The consumer writes the public half into a")
    say(f"   trust store: key {publisher.public.key_id.hex()[:16]} may sign demo/*.\n")
    return _Cast(folder, publisher, stranger, folder / "trust.json")


def _publish(cast: _Cast, models: list[Path], say: Callable[[str], None]) -> tuple[Path, Path]:
    """Return the published seed, and an older version of it with other weights."""
    seed = _extract(cast, models[0], "digits", version=2)
    older = _extract(cast, models[1], "digits-older", version=1)
    with open_unverified(seed) as contents:
        say("3. A seed. One file holds every tensor, lossless, with a digest of each piece and")
        say(f"   {_PARITY_PERCENT} % of repair parity; the publisher signs the list of digests.")
        say(f"   {seed.name}: {format_nbytes(seed.stat().st_size)}, {len(contents.chunks)} chunks,")
        say(f"   seed id {contents.id[:32]}...\n")
    return seed, older


def _extract(
    cast: _Cast,
    model: Path,
    name: str,
    *,
    version: int,
    key: PrivateKey | None = None,
    **more: object,
) -> Path:
    path = cast.folder / f"{name}.seed"
    options = {"parity_percent": _PARITY_PERCENT, "codec": "raw", **more}
    extract(
        model,
        path,
        name=_NAME,
        version=version,
        created=_CREATED,
        key=key or cast.publisher,
        **options,  # type: ignore[arg-type]
    )
    return path


def _consume(cast: _Cast, seed: Path, say: Callable[[str], None]) -> None:
    with open_seed(seed, store=cast.store()) as opened:
        report = verify_seed(opened, decode=True)
        record_seen(cast.store_path, opened.facts, now=_CREATED)
    say("4. Verify. The consumer proves who signed it and checks every byte, before any of it")
    say("   is decoded, and every decoded tensor after that.")
    say(f"   VERIFIED: {report.layers} of {report.layers_total} layers, signed by publisher.\n")


def _attack(cast: _Cast, seed: Path, older: Path, say: Callable[[str], None]) -> None:
    say("5. Attacks. Somebody between publisher and consumer tries six things:")
    files = {name: cast.folder / f"attack-{name}.seed" for name in ("bit", "cut", "splice", "bomb")}
    attacks.flip_bit(seed, files["bit"])
    attacks.truncate(seed, files["cut"])
    layer = attacks.splice_layer(seed, older, files["splice"])
    attacks.bomb(seed, cast.publisher, files["bomb"])
    model = cast.folder / f"digits-{_SEEDS[0]}.pt"
    forged = _extract(cast, model, "attack-key", version=3, key=cast.stranger)
    for what, path in (
        ("one bit of the weights flipped", files["bit"]),
        ("the file cut short", files["cut"]),
        (f"layer {layer} from another seed of the same publisher", files["splice"]),
        ("signed with somebody else's key", forged),
        ("version 1 delivered after version 2 was seen", older),
        ("64 KiB that unpack to 1 GiB, even validly signed", files["bomb"]),
    ):
        refusal = _refusal_of(cast, path)
        say(f"   - {what}")
        say(f"     REFUSED {refusal.code}: {refusal}")
    say("")


def _refusal_of(cast: _Cast, path: Path) -> SeedError:
    try:
        with open_seed(path, store=cast.store()) as opened:
            verify_seed(opened, decode=True)
    except SeedError as refusal:
        return refusal
    raise RuntimeError(f"{path} was accepted")


def _damage_and_repair(cast: _Cast, seed: Path, say: Callable[[str], None]) -> None:
    damaged = cast.folder / "damaged.seed"
    fixed = cast.folder / "fixed.seed"
    data = bytearray(seed.read_bytes())
    with open_unverified(seed) as contents:
        chunks = contents.chunks
        first = len(chunks) // 4
        hit = chunks[first : first + int(_DAMAGE * len(chunks))]
        start, nbytes = hit[0].offset or 0, sum(chunk.stored_nbytes for chunk in hit)
        data[start : start + nbytes] = np.random.default_rng(0).bytes(nbytes)
    damaged.write_bytes(data)
    with open_seed(damaged, store=cast.store(), damaged=True) as opened:
        report = repair_seed(opened, fixed)
    if fixed.read_bytes() != seed.read_bytes():
        raise RuntimeError("the repaired seed is not the original")
    say("6. Repair. A bad disk overwrites a fifth of the seed's chunks with noise.")
    say(f"   {len(report.lost)} of {report.chunks_total} chunks destroyed, restored from parity:")
    say("   REPAIRED, equal to the published file bit for bit.\n")


def _rebuild(
    cast: _Cast,
    digits: network.Digits,
    networks: Sequence[torch.nn.Module],
    models: list[Path],
    say: Callable[[str], None],
) -> None:
    right: dict[str, list[np.ndarray]] = {arm: [] for arm in ("original", *_CODECS, "random")}
    sizes = dict.fromkeys(_CODECS, 0)
    for number, (net, model) in enumerate(zip(networks, models, strict=True)):
        right["original"].append(network.is_right(net, digits))
        right["random"].append(network.is_right(network.make_network(1000 + number), digits))
        for codec in _CODECS:
            path = _extract(
                cast,
                model,
                f"rebuild-{codec}-{number}",
                version=2,
                codec=codec,
                parity_percent=None,
            )
            sizes[codec] = path.stat().st_size
            weights = cast.folder / f"rebuild-{codec}-{number}.safetensors"
            # These are other seeds under the name of the published one, so no versions are judged.
            with open_seed(path, store=TrustStore.of_keys([cast.publisher.public])) as opened:
                assemble(opened, weights)
            rebuilt = network.network_of(load_file(weights))
            right[codec].append(network.is_right(rebuilt, digits))
    _print_table({arm: np.stack(found) for arm, found in right.items()}, sizes, models[0], say)


def _print_table(
    right: dict[str, np.ndarray], sizes: dict[str, int], model: Path, say: Callable[[str], None]
) -> None:
    original = model.stat().st_size
    nimages = right["original"].shape[-1]
    say("7. Assemble. The consumer rebuilds the networks from verified seeds and tests them.")
    say(f"   Test accuracy, 95 % interval ({len(_SEEDS)} networks on {nimages} images):")
    say(f"   original            {figures.show(figures.rate(right['original']))}")
    for codec in _CODECS:
        kept = figures.retention(right["original"], right[codec], network.CHANCE)
        accuracy = figures.show(figures.rate(right[codec]))
        say(f"   seed, {codec:3} {original / sizes[codec]:6.2f}x   {accuracy}")
        say(f"     knowledge kept    {figures.show(kept)}")
    say(f"   control: random     {figures.show(figures.rate(right['random']))}")
    say(f"   chance              {100 * network.CHANCE:5.1f} %")
    if not np.array_equal(right["original"], right["raw"]):
        raise RuntimeError("a network from a lossless seed answers differently")
    say("   Every answer of the lossless seeds is the original's.")
