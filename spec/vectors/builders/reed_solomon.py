"""The erasure code of section 10, written plainly: Rizzo's Vandermonde code over GF(2^8)."""

from __future__ import annotations

Matrix = list[list[int]]


def _tables() -> tuple[list[int], list[int]]:
    powers, logs, value = [0] * 255, [0] * 256, 1
    for exponent in range(255):
        powers[exponent], logs[value] = value, exponent
        value <<= 1
        if value >> 8:
            value ^= 0x11D
    return powers, logs


POWERS, LOGS = _tables()  # of a = 2


def times(x: int, y: int) -> int:
    """Multiply in the field."""
    return POWERS[(LOGS[x] + LOGS[y]) % 255] if x and y else 0


def product(a: Matrix, b: Matrix) -> Matrix:
    """Multiply matrices; addition is exclusive or."""
    out = [[0] * len(b[0]) for _ in a]
    for i, row in enumerate(a):
        for k, x in enumerate(row):
            for j, y in enumerate(b[k]):
                out[i][j] ^= times(x, y)
    return out


def inverse(matrix: Matrix) -> Matrix:
    """Invert by Gauss and Jordan."""
    n = len(matrix)
    rows = [[*row, *(int(i == j) for j in range(n))] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = next(i for i in range(column, n) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        factor = POWERS[-LOGS[rows[column][column]] % 255]
        rows[column] = [times(factor, x) for x in rows[column]]
        for i in range(n):
            if i != column and rows[i][column]:
                scale = rows[i][column]
                rows[i] = [x ^ times(scale, y) for x, y in zip(rows[i], rows[column], strict=True)]
    return [row[n:] for row in rows]


def code(k: int, n: int) -> Matrix:
    """Return the n x k matrix of the code: V inv(V[0..k-1])."""
    first = [1] + [0] * (k - 1)
    vandermonde = [first, *([POWERS[(i * j) % 255] for j in range(k)] for i in range(n - 1))]
    return product(vandermonde, inverse(vandermonde[:k]))


def shards(data: list[bytes], m: int) -> list[bytes]:
    """Return the m parity chunks of one stripe; shorter chunks count as padded with zeros."""
    length = max(map(len, data))
    columns = [list(chunk.ljust(length, b"\0")) for chunk in data]
    rows = code(len(data), len(data) + m)[len(data) :]
    return [bytes(row) for row in product(rows, columns)]


def parity_chunks(data: list[bytes], stripe_nchunks: int, percent: int) -> list[bytes]:
    """Return the parity chunks of all stripes in order."""
    out: list[bytes] = []
    for bits in sorted({len(chunk).bit_length() for chunk in data}):
        members = [chunk for chunk in data if len(chunk).bit_length() == bits]
        nstripes = -(-len(members) // stripe_nchunks)
        for stripe in (members[number::nstripes] for number in range(nstripes)):
            out += shards(stripe, -(-len(stripe) * percent // 100))
    return out
