"""What types cannot say: names, sums, limits (spec: MAN, LAY, CHK, ATT, ARC, PAR)."""

from __future__ import annotations

import pytest

from seedpack import limits
from seedpack.container.manifest import Base
from seedpack.container.rules import (
    attachment_piece_sizes,
    layer_nbytes,
    validate_manifest,
)
from seedpack.errors import FormatError
from tests.builders import (
    CREATED,
    bare_manifest,
    make_architecture,
    make_attachment,
    make_chunk,
    make_claim,
    make_layer,
    make_manifest,
    make_parity,
    replace,
)
from tests.refusals import refused, refused_by

CODECS = frozenset({"q8", "raw"})
KIB, MIB = 1 << 10, 1 << 20
MAX_TIME = 253_402_300_799
MAX_STORED = 4 * MIB + 64 * KIB
LAYER_HINT = "letters, digits, _ . : - and at most 255 of them"


def validate(**changes: object) -> None:
    validate_manifest(make_manifest(**changes), codecs=CODECS)


def refuses(rule: str, where: str, message: str, **changes: object) -> None:
    with refused(FormatError, rule, where, message):
        validate(**changes)


def layer_refuses(rule: str, where: str, message: str, **changes: object) -> None:
    """Expect the refusal of the second of two layers, so that the place counts."""
    layers = [make_layer(), make_layer(**({"name": "second"} | changes))]
    with refused(FormatError, rule, f"layers[1].{where}", message):
        validate(layers=layers, decoded_nbytes=32)


def attachment_refuses(rule: str, where: str, message: str, **changes: object) -> None:
    attachments = [make_attachment(), make_attachment(**({"name": "second"} | changes))]
    with refused(FormatError, rule, f"attachments[1].{where}", message):
        validate(attachments=attachments)


def claim_refuses(rule: str, where: str, message: str, **changes: object) -> None:
    with refused(FormatError, rule, f"claims[1].{where}", message):
        validate(claims=[make_claim(), make_claim(**changes)])


def parity_refuses(rule: str, where: str, message: str, **changes: object) -> None:
    manifest = make_manifest()
    with refused(FormatError, rule, where, message):
        validate(parity=replace(manifest.parity, **changes))


def test_a_full_and_a_bare_manifest_are_valid():
    validate()
    validate_manifest(bare_manifest(), codecs=CODECS)


# ---------------------------------------------------------------- header


@pytest.mark.spec("MAN-8")
@pytest.mark.parametrize("schema", [0, 2])
def test_only_schema_1_is_known(schema):
    refuses("MAN-8", "schema", f"unknown manifest schema {schema}", schema=schema)


@pytest.mark.spec("MAN-8")
def test_versions_are_exact_in_every_language():
    validate(version=0)
    validate(version=2**53 - 1)
    refuses("MAN-8", "version", f"version {2**53}", version=2**53)


@pytest.mark.spec("MAN-13")
@pytest.mark.parametrize("algorithm", ["", "md5", "BLAKE3-256", "sha2-256\n", "none"])
def test_only_two_digests_are_known(algorithm):
    validate(digest_algorithm="sha2-256")
    validate(digest_algorithm="blake3-256")
    message = "unknown digest algorithm"
    refuses("MAN-13", "digest_algorithm", message, digest_algorithm=algorithm)


@pytest.mark.spec("MAN-7")
def test_times_end_with_the_year_9999():
    validate(created=MAX_TIME, expires=None)
    validate(created=MAX_TIME - 1, expires=MAX_TIME)
    message = f"time {MAX_TIME + 1}"
    refuses("MAN-7", "created", message, created=MAX_TIME + 1, expires=None)
    message = f"time {MAX_TIME + 1}, created {CREATED}"
    refuses("MAN-7", "expires", message, expires=MAX_TIME + 1)


@pytest.mark.spec("MAN-7")
def test_a_seed_expires_after_it_was_created():
    validate(expires=CREATED + 1)
    for expires in (CREATED, 0):
        message = f"time {expires}, created {CREATED}"
        refuses("MAN-7", "expires", message, expires=expires)


@pytest.mark.spec("MAN-11")
def test_the_seed_name_is_checked():
    hint = "lower-case letters, digits, . _ - and up to 3 slashes: acme/minilm-l6"
    with refused(FormatError, "MAN-11", "name", "seed name 'Acme'", hint):
        validate(name="Acme")


@pytest.mark.spec("MAN-6")
def test_every_text_of_the_header_is_checked():
    bad, message = "a\u202eb", "text holds U+202E"
    refuses("MAN-6", "producer", message, producer=bad)
    refuses("MAN-6", "recipe", message, recipe={"a": 1, bad: 1})
    refuses("MAN-6", "recipe[k]", message, recipe={"a": "b", "k": bad})
    refuses("MAN-6", "base.name", message, base=Base(digest=bytes(32), name=bad))


@pytest.mark.spec("MAN-12")
@pytest.mark.parametrize("nbytes", [0, 16, 31, 33, 64])
def test_every_digest_has_32_bytes(nbytes):
    short, message = bytes(nbytes), f"digest of {nbytes} bytes"
    chunks = [make_chunk(), replace(make_chunk(), digest=short)]
    refuses("MAN-12", "base.digest", message, base=Base(digest=short, name="x"))
    layer_refuses("MAN-12", "digest", message, digest=short)
    layer_refuses("MAN-12", "chunks[1].digest", message, chunks=chunks)
    attachment_refuses("MAN-12", "digest", message, digest=short)
    attachment_refuses("MAN-12", "chunks[1].digest", message, chunks=chunks)
    parity_refuses("MAN-12", "parity.chunks[1].digest", message, chunks=chunks)


# ---------------------------------------------------------------- counts


@pytest.mark.spec("MAN-9")
def test_counts_end_where_the_specification_says():
    assert limits.MAX_LAYERS == 65_536
    assert limits.MAX_CHUNKS == 524_288
    attachments = [make_attachment(name=f"f{i}", nbytes=0, chunks=[]) for i in range(256)]
    validate(attachments=attachments)
    validate(claims=[make_claim()] * 256)
    validate(recipe={str(i): i for i in range(64)})


@pytest.mark.spec("MAN-9")
@pytest.mark.parametrize(
    "field, items, count, limit",
    [
        ("attachments", [make_attachment()] * 257, 257, 256),
        ("claims", [make_claim()] * 257, 257, 256),
        ("recipe", {str(i): i for i in range(65)}, 65, 64),
        ("layers", [make_layer(chunks=[])] * 65_537, 65_537, 65_536),
    ],
    ids=["attachments", "claims", "recipe", "layers"],
)
def test_one_more_than_the_limit_is_refused(field, items, count, limit):
    message = f"{count} {field}, at most {limit} are allowed"
    refuses("MAN-9", field, message, parity=None, **{field: items})


@pytest.mark.spec("MAN-9")
def test_layers_and_chunks_up_to_the_limit_are_counted_as_accepted():
    # 65,536 equal layers pass the count and fail at the next rule that they break
    layers = [make_layer(chunks=[make_chunk()] * 8)] * 65_536
    with refused_by(FormatError, "LAY-1"):
        validate(layers=layers, attachments=[], parity=None)


@pytest.mark.spec("MAN-9")
def test_chunks_of_all_owners_are_counted_together():
    layers = [make_layer(chunks=[make_chunk()] * 524_288)]
    message = "524289 chunks, at most 524288 are allowed"
    parity = make_parity([], chunks=[make_chunk()])
    refuses("MAN-9", "chunks", message, layers=layers, attachments=[], parity=parity)


# ---------------------------------------------------------------- layers


@pytest.mark.spec("LAY-1")
def test_layer_names_are_checked_and_unique():
    with refused(FormatError, "LAY-1", "layers[1].name", "layer name 'a b'", LAYER_HINT):
        validate(layers=[make_layer(), make_layer(name="a b")])
    twice = [make_layer(), make_layer(dtype="int32")]
    refuses("LAY-1", "layers", "two layers with one name", layers=twice)
    validate(layers=[make_layer(name="a"), make_layer(name="A")])


DTYPES = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4,
    "uint64": 8, "int64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1, "float16": 2, "bfloat16": 2,
    "float32": 4, "float64": 8,
}  # fmt: skip


@pytest.mark.spec("LAY-2")
@pytest.mark.parametrize("dtype", DTYPES)
def test_known_dtypes_have_their_size(dtype):
    layer = make_layer(dtype=dtype, shape=[3, 5])
    assert layer_nbytes(layer) == 15 * DTYPES[dtype]
    validate(layers=[layer])


@pytest.mark.spec("LAY-2")
@pytest.mark.parametrize("dtype", ["", "object", "float", ">f4", "Float32", "x" * 50])
def test_unknown_dtypes_are_refused(dtype):
    layer_refuses("LAY-2", "dtype", f"unknown dtype {dtype[:40]!a}", dtype=dtype)


@pytest.mark.spec("LAY-3")
def test_eight_dimensions_are_accepted_and_nine_refused():
    validate(layers=[make_layer(shape=[1] * 8)])
    validate(layers=[make_layer(shape=[])])
    layer_refuses("LAY-3", "shape", "9 dimensions", shape=[1] * 9)


@pytest.mark.spec("LAY-4")
@pytest.mark.parametrize(
    "dtype, shape, nbytes",
    [
        ("uint8", [2**40 + 1], 2**40 + 1),
        ("uint16", [2**39 + 1], 2**40 + 2),
        ("float64", [2**19, 2**18 + 1], (2**37 + 2**19) * 8),
        ("uint8", [2**33, 2**33], 2**66),
        ("uint8", [0, 2**63 - 1], 2**63 - 1),
        ("uint8", [2**63 - 1] * 8, (2**63 - 1) ** 8),
    ],
)
def test_a_shape_is_bounded_without_overflow(dtype, shape, nbytes):
    layer_refuses("LAY-4", "shape", f"tensor of {nbytes} bytes", dtype=dtype, shape=shape)


@pytest.mark.spec("LAY-4")
@pytest.mark.parametrize(
    "dtype, shape",
    [("uint8", [2**40]), ("float64", [2**19, 2**18]), ("uint8", [0, 2**40]), ("uint8", [0, 0])],
)
def test_a_shape_up_to_one_tebibyte_is_accepted(dtype, shape):
    validate(layers=[make_layer(dtype=dtype, shape=shape)])


@pytest.mark.spec("LAY-5")
@pytest.mark.parametrize("codec", ["", "q9", "RAW", "raw\n", "\x1b" * 50])
def test_an_unknown_codec_is_refused(codec):
    message = f"unknown codec {codec[:40]!a}"
    layers = [make_layer(codec="q8"), make_layer(name="b", codec=codec)]
    with refused(FormatError, "LAY-5", "layers[1].codec", message, "a newer seedpack may know it"):
        validate(layers=layers)


@pytest.mark.spec("LAY-6")
def test_params_end_where_the_specification_says():
    validate(layers=[make_layer(params={str(i): i for i in range(32)})])
    validate(layers=[make_layer(params={"a": bytes(4_096), "b": "x" * 4_096, "c": 2**63 - 1})])
    many = {str(i): i for i in range(33)}
    layer_refuses("LAY-6", "params", "33 params", params=many)
    large = {"a": 1, "b": bytes(4_097)}
    layer_refuses("LAY-6", "params", "param of 4097 bytes", params=large)


@pytest.mark.spec("LAY-6", "MAN-6")
def test_text_in_params_is_checked():
    message = "text holds U+0007"
    layer_refuses("MAN-6", "params", message, params={"a": 1, "\a": 1})
    layer_refuses("MAN-6", "params", message, params={"a": "b", "b": "\a"})


@pytest.mark.spec("LAY-7")
def test_only_floats_may_hold_what_is_not_finite():
    for dtype in ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float32", "float64"):
        validate(layers=[make_layer(dtype=dtype, finite=False)])
    for dtype in ("bool", "uint8", "int64"):
        message = f"{dtype} is always finite"
        layer_refuses("LAY-7", "finite", message, dtype=dtype, finite=False)


# ---------------------------------------------------------------- chunks


@pytest.mark.spec("CHK-1")
def test_a_chunk_has_1_byte_to_4_mebibytes_and_64_kibibytes():
    validate(layers=[make_layer(chunks=[make_chunk(1), make_chunk(MAX_STORED)])])
    for nbytes in (0, MAX_STORED + 1):
        chunks = [make_chunk(1), make_chunk(nbytes)]
        message = f"chunk of {nbytes} bytes"
        layer_refuses("CHK-1", "chunks[1]", message, chunks=chunks)
        attachment_refuses("CHK-1", "chunks[1]", message, chunks=chunks)
        parity_refuses("CHK-1", "parity.chunks[1]", message, chunks=chunks)


# ---------------------------------------------------------------- attachments


@pytest.mark.spec("ATT-1", "ATT-2")
def test_attachment_names_are_checked_and_do_not_collide():
    attachment_refuses("ATT-1", "name", "attachment name '../x'", name="../x")
    apart = [make_attachment(), make_attachment(name="DOCS/LICENCE")]
    validate(attachments=apart)
    twice = [make_attachment(), make_attachment(name="DOCS/license")]
    refuses("ATT-2", "attachments", "attachment names collide", attachments=twice)


@pytest.mark.spec("ATT-5")
def test_the_kinds_are_a_closed_set():
    for kind in ("card", "config", "licence", "other", "tokenizer"):
        validate(attachments=[make_attachment(kind=kind)])
    for kind in ("", "license", "Card", "program"):
        attachment_refuses("ATT-5", "kind", "unknown kind of attachment", kind=kind)


@pytest.mark.spec("ATT-3")
def test_an_attachment_has_at_most_256_mebibytes():
    chunks = [make_chunk(1)] * 64
    size = {"nbytes": 256 * MIB, "chunk_nbytes": 4 * MIB}
    validate(attachments=[make_attachment(chunks=chunks, **size)], parity=None)
    nbytes = 256 * MIB + 1
    message = f"attachment of {nbytes} bytes"
    attachment_refuses("ATT-3", "nbytes", message, nbytes=nbytes)


@pytest.mark.spec("ATT-3")
def test_a_piece_has_1_byte_to_4_mebibytes():
    validate(attachments=[make_attachment(nbytes=2, chunk_nbytes=1, chunks=[make_chunk(1)] * 2)])
    validate(attachments=[make_attachment(chunk_nbytes=4 * MIB, chunks=[make_chunk(24)])])
    for nbytes in (0, 4 * MIB + 1):
        message = f"pieces of {nbytes} bytes"
        attachment_refuses("ATT-3", "chunk_nbytes", message, chunk_nbytes=nbytes)


@pytest.mark.spec("ATT-3")
@pytest.mark.parametrize("nbytes, nchunks", [(0, 0), (1, 1), (16, 1), (17, 2), (32, 2)])
def test_an_attachment_has_as_many_chunks_as_pieces(nbytes, nchunks):
    chunks = [make_chunk(1)] * nchunks
    validate(attachments=[make_attachment(nbytes=nbytes, chunks=chunks)])
    more = [*chunks, make_chunk(1)]
    attachment_refuses("ATT-3", "chunks", f"{len(more)} chunks", nbytes=nbytes, chunks=more)
    if chunks:
        fewer = chunks[1:]
        attachment_refuses("ATT-3", "chunks", f"{len(fewer)} chunks", nbytes=nbytes, chunks=fewer)


@pytest.mark.spec("ATT-3")
def test_no_chunk_is_larger_than_its_raw_bytes():
    message = "chunk is larger than its raw bytes"
    for chunks in ([make_chunk(17), make_chunk(8)], [make_chunk(16), make_chunk(9)]):
        attachment_refuses("ATT-3", "chunks", message, chunks=chunks)


def test_pieces_are_full_but_for_the_last():
    assert attachment_piece_sizes(make_attachment(nbytes=0)) == []
    assert attachment_piece_sizes(make_attachment(nbytes=16)) == [16]
    assert attachment_piece_sizes(make_attachment(nbytes=40)) == [16, 16, 8]


# ---------------------------------------------------------------- claims, architecture


@pytest.mark.spec("MAN-15")
@pytest.mark.parametrize(
    "field", ["chance", "control_value", "interval_high", "interval_low", "original", "value"]
)
def test_figures_are_decimal_numbers(field):
    for figure in ("0", "-0", "007", "999999999.999999999", "-1.5"):
        validate(claims=[make_claim(**{field: figure})])
    message = "figure is not a decimal number"
    for figure in ("", ".5", "5.", "+1", "1e3", "nan", "1\n", " 1", "1" * 10, "0." + "1" * 10, "٣"):
        claim_refuses("MAN-15", field, message, **{field: figure})


@pytest.mark.spec("MAN-6")
@pytest.mark.parametrize("field", ["control", "dataset", "metric"])
def test_text_of_claims_is_checked(field):
    claim_refuses("MAN-6", field, "text holds U+0000", **{field: "\0"})


@pytest.mark.spec("ARC-1")
def test_the_architecture_is_checked():
    architecture = make_architecture(framework="pickle")
    message = "unknown framework"
    refuses("ARC-1", "architecture.framework", message, architecture=architecture)
    validate(architecture=None)


# ---------------------------------------------------------------- parity


@pytest.mark.spec("PAR-1")
@pytest.mark.parametrize("scheme", ["", "xor", "RS-vandermonde-gf256"])
def test_an_unknown_parity_scheme_is_refused(scheme):
    parity_refuses("PAR-1", "parity.scheme", "unknown parity scheme", scheme=scheme)


@pytest.mark.spec("PAR-2")
@pytest.mark.parametrize(
    "stripe_nchunks, percent", [(1, 1), (253, 1), (252, 1), (1, 1_000), (23, 1_000), (128, 100)]
)
def test_stripes_up_to_256_shards_are_accepted(stripe_nchunks, percent):
    data = make_manifest().data_chunks
    validate(parity=make_parity(data, stripe_nchunks=stripe_nchunks, percent=percent))


@pytest.mark.spec("PAR-2")
@pytest.mark.parametrize(
    "stripe_nchunks, percent",
    [(0, 50), (1, 0), (1, 1_001), (256, 1), (255, 2 * 51), (24, 1_000), (128, 101), (254, 1),
     (2**62, 2**62)],
)  # fmt: skip
def test_stripes_out_of_range_are_refused(stripe_nchunks, percent):
    message = f"stripes of {stripe_nchunks} chunks with {percent} % parity"
    changes = {"stripe_nchunks": stripe_nchunks, "percent": percent}
    parity_refuses("PAR-2", "parity", message, **changes)


@pytest.mark.spec("PAR-3")
def test_parity_chunks_are_as_the_stripes_say():
    fitting = make_manifest().parity.chunks
    assert [chunk.stored_nbytes for chunk in fitting] == [8, 16]
    message = "parity chunks do not fit the stripes"
    unfit = (
        [],
        fitting[:1],
        [*fitting, make_chunk(16)],
        fitting[::-1],
        [make_chunk(7), fitting[1]],
    )
    for chunks in unfit:
        parity_refuses("PAR-3", "parity.chunks", message, chunks=chunks)


@pytest.mark.spec("PAR-3")
def test_parity_of_nothing_is_refused():
    parity = make_parity([], chunks=[])
    with refused(FormatError, "PAR-3", "parity.chunks", "parity chunks do not fit the stripes"):
        validate_manifest(bare_manifest(parity=parity), codecs=CODECS)


# ---------------------------------------------------------------- budget


@pytest.mark.spec("MAN-10")
def test_the_budget_is_the_sum_of_layers_and_attachments():
    assert make_manifest().decoded_nbytes == 16 + 24
    for nbytes in (0, 39, 41):
        message = f"budget of {nbytes} bytes, the parts have 40"
        refuses("MAN-10", "decoded_nbytes", message, decoded_nbytes=nbytes)


@pytest.mark.spec("MAN-10")
def test_the_budget_is_at_most_four_tebibytes():
    huge = [make_layer(name=str(i), dtype="uint8", shape=[2**40]) for i in range(4)]
    validate_manifest(bare_manifest(layers=huge), codecs=CODECS)
    more = [*huge, make_layer(name="x", dtype="uint8", shape=[1])]
    total = 2**42 + 1
    message = f"budget of {total} bytes, the parts have {total}"
    with refused(FormatError, "MAN-10", "decoded_nbytes", message):
        validate_manifest(bare_manifest(layers=more), codecs=CODECS)
