"""The draw: which mistakes are made, from a seed."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from experiments.mutations.operators import OPERATORS, Edit
from experiments.mutations.places import Place, Source, places

WEIGHTS = dict.fromkeys(("protocol", "attacks", "defenses", "replica", "sweeps", "statistics"), 9)
WEIGHTS |= {"plugins": 1, "__init__": 1}
OTHERS = 3
"""The weight of rooms that are not named."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One mistake that could be made.

    Attributes:
      id: ten letters that say what is changed and in which function, not on which line: other code may move it.
      room: the folder or file of the package, such as ``protocol``.
      path: the file, from the root of the repository.
      operator: the kind of mistake.
      lines: the first and last line of the statement.
      edit: the bytes that change.
    """

    id: str
    room: str
    path: str
    operator: str
    lines: tuple[int, int]
    edit: Edit


@dataclasses.dataclass(frozen=True)
class Mutant(Candidate):
    """One mistake that is made, as a Candidate; ``diff`` has the lines before and after."""

    diff: str


def draw(root: Path, package: str, count: int, seed: int, rooms: tuple[str, ...] = ()) -> list[Mutant]:
    """Draws mutants of a package: so many of every room as its weight says, and of every operator alike.

    A larger count adds mutants. A mutant's place in the draw depends on the seed and on what it changes, so a change of
    the package moves the draw only where code changed.

    Args:
      root: the folder of the repository.
      package: the package's name.
      count: how many to draw; fewer are drawn where rooms have fewer.
      seed: the seed of the draw.
      rooms: the rooms to draw from; all where none is named.

    Raises:
      ValueError: where a room is named that the package has not.
    """
    files = _rooms(root, package)
    if unknown := set(rooms) - set(files):
        raise ValueError(f"rooms names {sorted(unknown)}; the package has {sorted(files)}.")
    chosen = [room for room in files if not rooms or room in rooms]
    found: list[Mutant] = []
    for room, number in _shares(chosen, count).items():
        sequence = (mutant(root, one) for one in _sequence(candidates(root, files[room], room), seed))
        found += itertools.islice(filter(None, sequence), number)
    return found


def find(root: Path, package: str, ids: set[str]) -> dict[str, Mutant]:
    """The mutants of some ids, as far as the code that they change is there."""
    of_rooms = [candidates(root, paths, room) for room, paths in _rooms(root, package).items()]
    made = [mutant(root, one) for one in itertools.chain(*of_rooms) if one.id in ids]
    return {one.id: one for one in made if one is not None}


def _rooms(root: Path, package: str) -> dict[str, list[Path]]:
    """The files of every room."""
    files: dict[str, list[Path]] = {}
    for path in sorted((root / package).rglob("*.py")):
        files.setdefault(path.relative_to(root / package).parts[0].removesuffix(".py"), []).append(path)
    return files


def _shares(rooms: list[str], count: int) -> dict[str, int]:
    """How many mutants every room gets: by its weight, the rest to those that lack most."""
    weights = {room: WEIGHTS.get(room, OTHERS) for room in rooms}
    exact = {room: count * weight / sum(weights.values()) for room, weight in weights.items()}
    shares = {room: int(share) for room, share in exact.items()}
    lacking = sorted(rooms, key=lambda room: shares[room] - exact[room])
    for room in lacking[: count - sum(shares.values())]:
        shares[room] += 1
    return shares


def _sequence(found: list[Candidate], seed: int) -> list[Candidate]:
    """The candidates of a room in the order of the draw: operators take turns."""

    def place(text: str) -> str:
        return hashlib.sha256(f"{seed}/{text}".encode()).hexdigest()

    by_operator: dict[str, list[Candidate]] = {}
    for one in sorted(found, key=lambda one: place(one.id)):
        by_operator.setdefault(one.operator, []).append(one)
    in_turn = [by_operator[name] for name in sorted(by_operator, key=lambda name: place(f"{found[0].room}/{name}"))]
    return [one for turn in itertools.zip_longest(*in_turn) for one in turn if one is not None]


def candidates(root: Path, paths: list[Path], room: str) -> list[Candidate]:
    """Everything that the operators would change in some files."""
    return [one for path in paths for one in _of_file(path, path.relative_to(root).as_posix(), room)]


def _of_file(path: Path, name: str, room: str) -> Iterator[Candidate]:
    source, seen = Source(path.read_bytes()), Counter[str]()
    for place in places(source.tree):
        for operator, find in OPERATORS.items():
            for edit in find(source, place):
                what = f"{name}/{place.qualname}/{operator}/{_changed(source, place, edit)}"
                seen[what] += 1
                identity = hashlib.sha256(f"{what}/{seen[what]}".encode()).hexdigest()[:10]
                yield Candidate(identity, room, name, operator, place.lines, edit)


def mutant(root: Path, one: Candidate) -> Mutant | None:
    """What comes of a candidate; None where the changed file is no program, or the same one."""
    before = (root / one.path).read_bytes()
    after = apply(before, one.edit)
    try:
        is_another = ast.dump(ast.parse(after)) != ast.dump(ast.parse(before))
    except SyntaxError:
        return None
    return Mutant(**vars(one), diff=_diff(before, after)) if is_another else None


def apply(data: bytes, edit: Edit) -> bytes:
    """The text of a file with a change in it."""
    return data[: edit.first] + edit.text.encode() + data[edit.last :]


def _changed(source: Source, place: Place, edit: Edit) -> str:
    """The expression or statement after the change."""
    first, last = source.span(place.node) if hasattr(place.node, "lineno") else (edit.first, edit.last)
    return source.between(first, edit.first) + edit.text + source.between(edit.last, last)


def _diff(before: bytes, after: bytes) -> str:
    both = difflib.unified_diff(before.decode().splitlines(), after.decode().splitlines(), n=0, lineterm="")
    return "\n".join(line for line in itertools.islice(both, 2, None) if not line.startswith("@@"))
