"""Bytes and values as a bad disk, a cut transfer, a wrong tool or an attacker leaves them.

Everything is drawn from a `random.Random` that the caller seeds, so a case is its kind and its seed.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

_BYTES = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"\r",
        b"\x1b[2J",
    ),
    *(b"\n", b"\t", b" ", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b":", b",", b"#", b"%", b"&a", b"*a"),
    *(b"NaN", b"Infinity", b"-1", b"1e999", b"9" * 30, b"9" * 5000, b"null", b"true", b"!!python/none ''"),
    *(b"../../../etc/passwd", b"\\ud800", b"[" * 3000, b"{" * 3000, b"A" * 5000, b"${HOME}", b"${NO_SUCH}"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3.5, 10**18, -(10**30), 10**400, 1e308, float("nan"), float("inf")),
    *(
        "",
        " ",
        "\x00",
        "\ud800",
        "../../x",
        "/etc/passwd",
        "C:\\x",
        "a" * 5000,
        "a/b",
        ".",
        "..",
        "-",
        "\u202e",
    ),
    *("name with spaces", "line\nbreak", "\t", [], {}, [[]], [None], {"": None}, [0] * 2000, ["x", 1, None]),
    *({"a": {"b": {"c": []}}}, "1", "nan", "true", "0x10", "1_000", "\u0663", "e\u0301", "\u2028"),
)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """`content`, damaged in one of many ways; inside of a gzip stream about as often as around it."""
    if content[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        inner = damaged(gzip.decompress(content), rng)
        return gzip.compress(inner, compresslevel=1, mtime=0)
    if rng.random() < 0.4:
        changed = _changed_values(content, rng)
        if changed is not None:
            return changed
    return rng.choice(_OPERATIONS)(content, rng)


def _flipped(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return b"\x00"
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _without_slice(content: bytes, rng: random.Random) -> bytes:
    first, stop = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[stop:]


def _slice_twice(content: bytes, rng: random.Random) -> bytes:
    first, stop = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:stop] + content[first:]


def _inserted(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(_BYTES) + content[place:]


def _replaced(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    new = rng.choice(_BYTES)
    return content[:place] + new + content[place + len(new) :]


def _zeros(content: bytes, rng: random.Random) -> bytes:
    """As a file system leaves a file whose blocks were never written."""
    first = rng.randrange(len(content) + 1)
    return content[:first] + bytes(min(len(content) - first, 1 << 16))


def _other(content: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b"{}", b"[]", b"null", b"0", b'""', bytes(100), rng.randbytes(200)))


def _packed(content: bytes, rng: random.Random) -> bytes:
    return rng.choice((gzip.compress(content, mtime=0), zlib.compress(content), gzip.compress(content)[:-8]))


def _wrong_text(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return rng.choice((text.encode("utf-16"), text.encode("latin-1", "replace"), text.encode("utf-8-sig")))


def _lines_mixed(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines[: rng.randrange(len(lines) + 1)])


_OPERATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(
        _flipped,
        _flipped,
        _flipped,
        _cut,
        _cut,
        _without_slice,
        _slice_twice,
        _inserted,
        _inserted,
        _inserted,
    ),
    *(_replaced, _replaced, _zeros, _other, _packed, _wrong_text, _lines_mixed),
)


def _changed_values(content: bytes, rng: random.Random) -> bytes | None:
    """The content with values of its JSON exchanged; None where it is no JSON, and no lines of it."""
    try:
        return _dumped(changed(json.loads(content), rng))
    except (ValueError, RecursionError):
        pass
    lines = content.splitlines()
    if not lines:
        return None
    place = rng.randrange(len(lines))
    try:
        lines[place] = _dumped(changed(json.loads(lines[place]), rng))
    except (ValueError, RecursionError):
        return None
    return b"\n".join(lines) + b"\n"


def changed(content: Any, rng: random.Random) -> Any:
    """One value exchanged, taken away, doubled or renamed, somewhere in plain content."""
    while isinstance(content, dict | list) and content and rng.random() < 0.9:
        made: Any = content.copy()
        key = rng.choice(list(made) if isinstance(made, dict) else range(len(made)))
        action = rng.random()
        if action < 0.1:
            del made[key]
        elif action < 0.2 and isinstance(made, dict):
            made[rng.choice(("", "x", key + "_", key.upper(), "../x"))] = made.pop(key)
        elif action < 0.2:
            made.append(made[key])
        else:
            made[key] = changed(made[key], rng)
        return made
    return rng.choice(_VALUES)


def _dumped(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=True).encode()
