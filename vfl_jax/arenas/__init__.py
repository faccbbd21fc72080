"""Every attack against every defense on every data set: who meets whom, who wins, and what it costs."""

from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.arenas.readings import read
from vfl_jax.arenas.running import arena
from vfl_jax.reports.readings import READERS
from vfl_jax.statistics.meetings import is_arena

READERS.append((is_arena, read))

__all__ = ["Board", "arena", "board_for"]
