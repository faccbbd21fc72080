"""How input is damaged: bytes, texts and JSON, each by a generator of random numbers of its own."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

Damage = Callable[[Random, bytes], bytes]
MOST_PIECE = 1024
"""The largest piece that is dropped, repeated or overwritten, in bytes."""
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
WORDS = (
    *("", " ", "0", "-1", "1.5", "1e400", "9" * 400, "NaN", "inf", "-inf", "Infinity", "null", "None", "true", "True"),
    *("x", "é", "\0", "\ufeff", "\ud7ff", '"', "'", ",", ";", "\t", "\n", "[", "{", "()", "0x10", "1_000", "१", "½"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, 1e308, 10**30, 2**63, -(2**31), "", "x", "inf", "-inf", "nan", "Clipping"),
    *([], {}, [0.5, 0], [[]], {"record": "Clipping"}, {"record": "Scenario"}, {"record": None}, {"a": 1}, [None]),
)


def bytes_of(rng: Random, content: bytes) -> bytes:
    """Damages bytes in one to three places: flipped, cut, dropped, repeated, overwritten, or set to extreme numbers."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice((_flip, _flip, _flip, _cut, _drop, _repeat, _copy_over, _random_over, _extreme))(
            rng, content
        )
    return content


def text_of(rng: Random, content: bytes) -> bytes:
    """Damages a text: its words, or its bytes."""
    if rng.random() < 0.3:
        return bytes_of(rng, content)
    text = content.decode()
    for _ in range(rng.choice((1, 1, 2))):
        places = [word.span() for word in re.finditer(r"[\w.+-]+|[^\w\s]", text)] or [(0, 0)]
        begin, end = rng.choice(places)
        text = text[:begin] + rng.choice(WORDS) + text[end:]
    return text.encode(errors="surrogatepass")


def json_of(rng: Random, content: bytes) -> bytes:
    """Damages JSON: a value becomes another, odd one or one from elsewhere, is left out, or is there twice."""
    if rng.random() < 0.2:
        return text_of(rng, content)
    plain = json.loads(content)
    for _ in range(rng.choice((1, 1, 2))):
        places = _places(plain)
        holder, key = rng.choice(places)
        how = rng.random()
        if how < 0.5:
            holder[key] = copy.deepcopy(rng.choice(VALUES))  # another case must not find it changed
        elif how < 0.75:
            other, place = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[place]))
        elif how < 0.9:
            del holder[key]
        else:
            holder[key] = [holder[key]]
        if not _places(plain):
            break
    text = json.dumps(plain)
    if rng.random() < 0.05 and (keys := list(re.finditer(r'"\w+": ', text))):
        key = rng.choice(keys)
        text = text[: key.start()] + key[0] + json.dumps(rng.choice(VALUES)) + ", " + text[key.start() :]
    return text.encode()


def _places(plain: Any) -> list[tuple[Any, Any]]:
    """Every place of a value within JSON: (what holds it, its key or number)."""
    found: list[tuple[Any, Any]] = []
    entries = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in entries:
        found += [(plain, key), *_places(value)]
    return found


def _piece(rng: Random, content: bytes) -> tuple[int, int]:
    """The begin and end of a piece; small pieces are frequent."""
    begin = rng.randrange(len(content) + 1)
    return begin, min(len(content), begin + rng.randint(1, rng.choice((4, 64, MOST_PIECE))))


def _flip(rng: Random, content: bytes) -> bytes:
    if not content:
        return b"\0"
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _drop(rng: Random, content: bytes) -> bytes:
    begin, end = _piece(rng, content)
    return content[:begin] + content[end:]


def _repeat(rng: Random, content: bytes) -> bytes:
    begin, end = _piece(rng, content)
    return content[:end] + content[begin:]


def _copy_over(rng: Random, content: bytes) -> bytes:
    begin, end = _piece(rng, content)
    place = rng.randrange(len(content) + 1)
    return (content[:place] + content[begin:end] + content[place + end - begin :])[: len(content)]


def _random_over(rng: Random, content: bytes) -> bytes:
    begin, end = _piece(rng, content)
    return content[:begin] + rng.randbytes(end - begin) + content[end:]


def _extreme(rng: Random, content: bytes) -> bytes:
    begin, size = rng.randrange(len(content) + 1), rng.choice((1, 2, 4, 8))
    number = rng.choice(EXTREMES) & ((1 << 8 * size) - 1)
    return content[:begin] + number.to_bytes(size, rng.choice(("little", "big"))) + content[begin + size :]
