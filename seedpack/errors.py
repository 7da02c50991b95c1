"""Every way seedpack refuses, and the exit status that each one has.

    SeedError             SP000  exit 1   anything below; never raised itself
    ├─ FormatError        SP1xx  exit 3   bytes break a MUST of spec/seed-format.md
    ├─ TrustError         SP200  exit 4   nobody we trust vouches for these bytes
    │  ├─ UnknownSigner   SP201           no signature by a key in the trust store
    │  ├─ BadSignature    SP202           a trusted key's signature does not verify
    │  ├─ ThresholdNotMet SP203           too few principals signed
    │  ├─ KeyRevoked      SP204
    │  ├─ KeyExpired      SP205           outside the key's validity
    │  ├─ SeedExpired     SP206           outside the seed's or signature's validity
    │  ├─ Rollback        SP207           older than, or different from, what was seen
    │  ├─ PolicyRefused   SP208           name, codec or size not allowed here
    │  └─ OtherSeed       SP209           a report that is about another seed
    ├─ IntegrityError     SP300  exit 5   a digest does not match, or bytes are absent
    ├─ CodecError         SP400  exit 6   authentic bytes that do not decode as declared
    ├─ AssemblyError      SP500  exit 6   tensors that do not make the architecture
    ├─ KeyFileError       SP600  exit 1   a key file that cannot be used
    ├─ StoreError         SP700  exit 1   input/output: files, folders, the trust store
    ├─ ExtractError       SP800  exit 1   a model that cannot become a seed
    ├─ TrainingError      SP900  exit 1   data or training that cannot be used
    └─ AuditError         SP950  exit 1   an audit or a report of one that cannot be used

A refusal names the rule (an id in ``spec/``), the place, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class SeedError(Exception):
    """A refusal with a stable code.

    Attributes:
        message: One sentence, lower case, no period.
        rule: Requirement id in ``spec/`` (``PRE-4``).
        where: The place: ``byte 12``, ``layers[3].shape``, ``chunk 7``, a key id.
        hint: What to do next, or an empty string.
    """

    code: ClassVar[str] = "SP000"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, rule: str, where: str, hint: str = "") -> None:
        """Record what was refused, by which rule, where, and the way on."""
        super().__init__(f"{message} [{rule}, {where}]")
        self.message = message
        self.rule = rule
        self.where = where
        self.hint = hint


class FormatError(SeedError):
    """The bytes break a MUST of the container format."""

    code = "SP100"
    exit_code = 3


class TrustError(SeedError):
    """Nobody the trust store knows vouches for these bytes in the way it asks."""

    code = "SP200"
    exit_code = 4


class UnknownSigner(TrustError):  # noqa: N818 -- the contract's name, a kind of TrustError
    """No signature is by a key of the trust store."""

    code = "SP201"


class BadSignature(TrustError):  # noqa: N818 -- the contract's name
    """A signature that claims a trusted key does not verify."""

    code = "SP202"


class ThresholdNotMet(TrustError):  # noqa: N818 -- the contract's name
    """Fewer principals signed than the threshold asks."""

    code = "SP203"


class KeyRevoked(TrustError):  # noqa: N818 -- the contract's name
    """A signature is by a key that has been revoked."""

    code = "SP204"


class KeyExpired(TrustError):  # noqa: N818 -- the contract's name
    """A signature is by a key outside its validity."""

    code = "SP205"


class SeedExpired(TrustError):  # noqa: N818 -- the contract's name
    """The seed, or every signature that would count, is outside its validity."""

    code = "SP206"


class Rollback(TrustError):  # noqa: N818 -- the contract's name
    """The seed is older than one already seen, or differs from it at one version."""

    code = "SP207"


class PolicyRefused(TrustError):  # noqa: N818 -- the contract's name
    """The trust store's policy forbids this seed."""

    code = "SP208"


class OtherSeed(TrustError):  # noqa: N818 -- a kind of TrustError, named like the others
    """An audit report that is vouched for, but is not about this seed."""

    code = "SP209"


class IntegrityError(SeedError):
    """Bytes that are absent, or differ from what was signed."""

    code = "SP300"
    exit_code = 5


class CodecError(SeedError):
    """Authentic bytes that do not decode to what the layer record declares."""

    code = "SP400"
    exit_code = 6


class AssemblyError(SeedError):
    """Decoded tensors that do not make the declared architecture."""

    code = "SP500"
    exit_code = 6


class KeyFileError(SeedError):
    """A key, or a file that should hold one, that cannot be used."""

    code = "SP600"


class StoreError(SeedError):
    """A file, folder or trust store that cannot be read or written."""

    code = "SP700"


class ExtractError(SeedError):
    """A model that cannot become a seed."""

    code = "SP800"


class TrainingError(SeedError):
    """Data that cannot be trained on, or a training that came to nothing."""

    code = "SP900"


class AuditError(SeedError):
    """An audit that cannot be run, or a report that is none or of another seed."""

    code = "SP950"
