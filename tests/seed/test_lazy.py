"""Tensors that are read, checked and decoded when they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from seedpack.errors import IntegrityError
from seedpack.seed.lazy import LazyTensors
from seedpack.seed.tensors import decode_layers
from tests.builders import LAYERS, damage


def count_reads(seed):
    """Count the chunks that are read from here on."""
    read = seed.read_chunk
    counted = []

    def reading(chunk, buffer):
        counted.append(chunk.index)
        return read(chunk, buffer)

    seed.read_chunk = reading
    return counted


@pytest.mark.spec("LAY-8")
def test_mapping_holds_what_decoding_all_layers_gives(opened):
    _, seed = opened()
    lazy = LazyTensors(seed)
    assert list(lazy) == [layer.name for layer in LAYERS]
    assert len(lazy) == len(LAYERS)
    assert "nothing of that name" not in lazy
    for tensor in decode_layers(seed):
        assert tensor.name in lazy
        assert lazy[tensor.name].dtype is tensor.dtype
        assert lazy[tensor.name].array.shape == tensor.array.shape
        assert lazy[tensor.name].array.tobytes() == tensor.array.tobytes()
    with pytest.raises(KeyError):
        lazy["nothing of that name"]


def test_layer_is_read_when_asked_for_and_kept_while_there_is_room(opened):
    _, seed = opened()
    reads = count_reads(seed)
    first, second = [layer.name for layer in LAYERS][:2]
    sizes = {tensor.name: tensor.array.nbytes for tensor in decode_layers(seed)}
    lazy = LazyTensors(seed, cache_nbytes=max(sizes[first], sizes[second]))
    reads.clear()
    kept = lazy[first]
    once = len(reads)
    assert lazy[first] is kept
    assert len(reads) == once
    lazy[second]  # takes the place of the first
    reads.clear()
    lazy[first]
    assert len(reads) == once


def test_what_is_handed_out_twice_cannot_be_written_to(opened):
    _, seed = opened()
    array = LazyTensors(seed)[LAYERS[0].name].array
    with pytest.raises(ValueError, match="read-only"):
        array[...] = np.zeros_like(array)


@pytest.mark.spec("CHK-2")
def test_damaged_layer_shows_when_it_is_asked_for_and_only_then(opened, reopened, path):
    _, seed = opened()
    damage(path, seed, 0)
    lazy = LazyTensors(reopened(path))
    bad, *good = [layer.name for layer in LAYERS]
    assert all(lazy[name].name == name for name in good)
    with pytest.raises(IntegrityError) as caught:
        lazy[bad]
    assert caught.value.rule == "CHK-2"


@pytest.mark.spec("FIL-2")
def test_file_that_changes_meanwhile_yields_nothing_more(opened, path):
    _, seed = opened()
    lazy = LazyTensors(seed)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(IntegrityError):
        lazy[LAYERS[0].name]
