"""Delta seeds are decoded over exactly the base that their publisher named (spec: BAS)."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seedpack.assemble import assemble, open_base
from seedpack.errors import AssemblyError, CodecError, FormatError, IntegrityError, TrustError
from seedpack.frameworks.bases import ModelBase
from seedpack.seed.base import SeedBase, share_files, shared_files
from seedpack.seed.opening import open_seed
from seedpack.seed.tensors import decode_layers
from seedpack.seed.verify import verify_seed
from seedpack.trust.storefile import load_trust_store
from spec.vectors.builders.codec_delta import FILE, OTHER, TINY, base_digest
from tests.builders import NOW, FileData, TensorData, make_key, make_seed, replace, trusting
from tests.refusals import refused_by
from tests.vectors.readers import FOLDER

VECTOR_NOW = 1_700_000_000
LAYERS = [TensorData(name, t.elements, t.dtype, tuple(t.shape)) for name, t in sorted(TINY.items())]


def say_that_one_is_not_finite(manifest):
    layers = [replace(la, finite=la.name != "nan") for la in manifest.layers]
    return {"layers": layers}


@pytest.fixture
def delta():
    store = load_trust_store(FOLDER / "trust" / "default.json")
    path = FOLDER / "codecs" / "delta-lowrank-float32.seed"
    with open_seed(path, store=store, now=VECTOR_NOW) as seed:
        yield seed


@pytest.fixture
def base_seed(opened, tmp_path):
    def build(**fields):
        fields |= {"layers": LAYERS, "attachments": [], "patch": say_that_one_is_not_finite}
        return opened(tmp_path / "base.seed", **fields)[1]

    return build


@pytest.mark.spec("BAS-2")
@pytest.mark.parametrize("algorithm", ["blake3-256", "sha2-256"])
@pytest.mark.parametrize("own", ["blake3-256", "sha2-256"])
def test_a_file_and_a_seed_of_the_same_tensors_are_the_same_base(base_seed, algorithm, own):
    expected = base_digest(algorithm)
    assert ModelBase(FOLDER / FILE).digest(algorithm) == expected
    assert SeedBase(base_seed(digest_algorithm=own)).digest(algorithm) == expected


def test_a_base_that_is_a_seed_goes_by_the_name_that_was_signed(base_seed):
    assert SeedBase(base_seed(name="acme/base")).name == "acme/base"


@pytest.mark.spec("BAS-2")
def test_a_folder_of_shards_is_the_same_base_as_one_file(tmp_path):
    tensors = {"a": np.arange(6, dtype="<f4"), "b": np.ones((2, 3), "<f2")}
    save_file(tensors, tmp_path / "one.safetensors")
    folder = tmp_path / "sharded"
    folder.mkdir()
    for number, name in enumerate(tensors, 1):
        save_file({name: tensors[name]}, folder / f"model-{number}.safetensors")
    index = '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(index)
    one, sharded = ModelBase(tmp_path / "one.safetensors"), ModelBase(folder)
    assert one.digest("blake3-256") == sharded.digest("blake3-256")
    assert sharded.read("b").tobytes() == tensors["b"].tobytes()


@pytest.mark.spec("BAS-2")
def test_a_delta_over_a_seed_is_the_delta_over_the_file(delta, base_seed):
    over_file = [t.array.tobytes() for t in decode_layers(delta, base=ModelBase(FOLDER / FILE))]
    over_seed = [t.array.tobytes() for t in decode_layers(delta, base=SeedBase(base_seed()))]
    assert over_file == over_seed


def test_verification_without_decoding_needs_no_base(delta):
    assert verify_seed(delta).is_whole
    with refused_by(AssemblyError, "BAS-1") as caught:
        verify_seed(delta, decode=True)
    assert "'acme/tiny-base'" in caught.value.message
    assert base_digest().hex()[:16] in caught.value.message
    assert verify_seed(delta, decode=True, base=ModelBase(FOLDER / FILE)).decoded


@pytest.mark.spec("BAS-4")
def test_a_delta_in_a_seed_that_names_no_base_is_refused_whatever_base_is_given():
    store = load_trust_store(FOLDER / "trust" / "default.json")
    path = FOLDER / "codecs" / "delta-unnamed.seed"
    with open_seed(path, store=store, now=VECTOR_NOW) as seed, refused_by(CodecError, "BAS-4"):
        list(decode_layers(seed, base=ModelBase(FOLDER / FILE)))


class Unread(ModelBase):
    """A base that must not be read."""

    def read(self, name):
        pytest.fail(f"{name} was read before the digest held")


@pytest.mark.spec("BAS-2")
def test_another_base_is_refused_before_anything_is_decoded(delta, tmp_path):
    with refused_by(IntegrityError, "BAS-2") as caught:
        assemble(delta, tmp_path / "out.safetensors", base=Unread(FOLDER / OTHER))
    assert base_digest().hex()[:16] in caught.value.message
    assert ModelBase(FOLDER / OTHER).digest("blake3-256").hex()[:16] in caught.value.message
    assert "acme/tiny-base" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("BAS-1")
def test_assembly_without_the_base_writes_nothing(delta, tmp_path):
    with refused_by(AssemblyError, "BAS-1"):
        assemble(delta, tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("BAS-2")
def test_a_base_that_changes_after_its_digest_is_refused(delta, tmp_path):
    path = tmp_path / "base.safetensors"
    path.write_bytes((FOLDER / FILE).read_bytes())
    base = ModelBase(path)
    assert base.digest("blake3-256") == base_digest()
    path.write_bytes((FOLDER / OTHER).read_bytes())
    with refused_by(IntegrityError, "BAS-2"):
        list(decode_layers(delta, base=base))


@pytest.mark.spec("BAS-5")
def test_a_delta_is_no_base(delta):
    with refused_by(AssemblyError, "BAS-5"):
        SeedBase(delta)


@pytest.mark.spec("BAS-6")
def test_a_base_that_is_a_seed_is_verified_too(tmp_path):
    path = tmp_path / "base.seed"
    make_seed(path, layers=LAYERS, attachments=[])

    def by(*keys):
        return open_base(path, lambda p: open_seed(p, store=trusting(*keys), now=NOW))

    with pytest.raises(TrustError), by(make_key(2)):
        pass
    with by(make_key()) as base:
        assert base.digest("blake3-256") == base_digest()
        assert base.describe("float16") is not None
        assert base.describe("nothing") is None


def test_a_delta_becomes_a_file_over_a_path(delta, tmp_path):
    with open_base(FOLDER / FILE, open_seed) as base:
        report = assemble(delta, tmp_path / "out.safetensors", base=base)
    assert report.layers == 1
    (tensor,) = load_file(tmp_path / "out.safetensors").values()
    assert tensor.shape == (4, 6)


def test_a_state_dict_is_a_base(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.arange(4.0)}, tmp_path / "m.pt")
    save_file({"a": np.arange(4, dtype="<f4")}, tmp_path / "m.safetensors")
    state, file = ModelBase(tmp_path / "m.pt"), ModelBase(tmp_path / "m.safetensors")
    assert state.digest("sha2-256") == file.digest("sha2-256")
    assert state.read("a").tobytes() == file.read("a").tobytes()


FILES = {"vocab.txt": b"a\nb\n", "spiece.model": bytes(range(9)), "own.txt": b"of the base alone"}


@pytest.fixture
def sharing(delta):
    """Return a delta's manifest that leaves two of a base's files to it, and such a base."""

    def build(algorithm="blake3-256", **changes):
        recipe = share_files(algorithm, FILES, ["vocab.txt", "spiece.model"])
        manifest = replace(delta.manifest, recipe=recipe, digest_algorithm=algorithm)
        content = {name: text for name, text in (FILES | changes).items() if text is not None}
        return manifest, Files(content)

    return build


class Files:
    """A base of which only files are asked."""

    def __init__(self, content):
        self._content = content

    def files(self):
        return self._content


@pytest.mark.spec("BAS-7")
@pytest.mark.parametrize("algorithm", ["blake3-256", "sha2-256"])
def test_shared_files_are_those_that_were_named_when_all_are_as_signed(sharing, algorithm):
    expected = {name: FILES[name] for name in ("vocab.txt", "spiece.model")}
    assert shared_files(*sharing(algorithm, **{"own.txt": b"else"})) == (expected, [])


@pytest.mark.spec("BAS-7")
@pytest.mark.parametrize("content", [b"a\nB\n", b"", None])
def test_one_file_that_is_not_as_signed_keeps_all_from_being_taken(sharing, content):
    found, lacking = shared_files(*sharing(**{"vocab.txt": content}))
    assert found == {}
    assert lacking == ["spiece.model", "vocab.txt"]


@pytest.mark.spec("BAS-7")
def test_without_a_base_its_files_are_said_to_be_lacking(sharing, delta):
    manifest, _ = sharing()
    assert shared_files(manifest, None) == ({}, ["spiece.model", "vocab.txt"])
    assert shared_files(delta.manifest, None) == ({}, [])


def test_a_seed_hands_out_its_attachments_as_files(opened, tmp_path):
    seed = opened(tmp_path / "base.seed", attachments=[FileData("README.md", b"# Base\n")])[1]
    assert SeedBase(seed).files() == {"README.md": b"# Base\n"}


@pytest.mark.spec("BAS-7", "ATT-1", "ATT-2", "ATT-4")
@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ("../card.txt", "ATT-1"),
        ("/etc/passwd", "ATT-1"),
        ("a.txt model.py", "ATT-4"),
        ("a.txt A.txt", "ATT-2"),
        ("vocab.txt vocab.txt/b.txt", "ATT-2"),
    ],
)
def test_recipe_makes_no_path_that_an_attachment_could_not(delta, names, rule):
    manifest = replace(delta.manifest, recipe={"base_files": names, "base_files_digest": ""})
    with refused_by(FormatError, rule):
        shared_files(manifest, None)
