"""The report of joined tables: rows joined and lost, and the features of every column."""

from __future__ import annotations

import dataclasses

from vfl_jax.data.own.table.kinds import ColumnReport


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartyReport:
    """The report of one party's table.

    Args:
      rows_read: how many rows the table has.
      rows_kept: how many of them were joined.
      num_features: F of the party.
      columns: the report of every column that became features.
    """

    rows_read: int
    rows_kept: int
    num_features: int
    columns: dict[str, ColumnReport]

    @property
    def rows_lost(self) -> int:
        """Rows whose id another party lacks."""
        return self.rows_read - self.rows_kept


@dataclasses.dataclass(frozen=True, kw_only=True)
class TablesReport:
    """The report of joined tables; ``print`` shows it in words.

    Args:
      parties: the report of every party.
      train_rows: N.
      test_rows: M.
      test_ids_lost: how many ids of the argument ``test`` were not joined.
      train_triggered: how many training rows carry the trigger.
      test_triggered: how many test rows carry the trigger.
      classes: how many rows every class has.
    """

    parties: dict[str, PartyReport]
    train_rows: int
    test_rows: int
    test_ids_lost: int
    train_triggered: int
    test_triggered: int
    classes: dict[str, int]

    @property
    def joined(self) -> str:
        """How many rows were joined, and how many every party lost, in one line.

        Example:
          >>> import vfl_jax as vfl
          >>> bank = {"id": [1, 2, 3, 4], "income": [5.0, 6.0, 7.0, 1.0], "late": ["no", "no", "yes", "no"]}
          >>> shop = {"id": [3, 1, 2, 9], "spent": [2.0, 4.0, 1.0, 3.0]}
          >>> _, report = vfl.load_tables({"bank": bank, "shop": shop}, id="id", label="bank.late", test=[1])
          >>> report.joined
          '3 rows joined; ids that another table lacks: bank 1 of 4, shop 1 of 4'
        """
        lost = [f"{name} {party.rows_lost:,} of {party.rows_read:,}" for name, party in self.parties.items()]
        return f"{self.train_rows + self.test_rows:,} rows joined; ids that another table lacks: {', '.join(lost)}"

    def __str__(self) -> str:
        lines = [
            f"{self.train_rows + self.test_rows:,} rows joined: {self.train_rows:,} to train on, {self.test_rows:,} to "
            f"test on; {self.train_triggered:,} and {self.test_triggered:,} of them carry the trigger",
            "classes: " + ", ".join(f"{name} ({count:,} rows)" for name, count in self.classes.items()),
        ]
        if self.test_ids_lost:
            lines.append(f"{self.test_ids_lost:,} of the ids to test on were not joined")
        for name, party in self.parties.items():
            lines.append(
                f"{name}: {party.rows_read:,} rows read, {party.rows_lost:,} lost, {party.num_features} features"
            )
            alike: dict[str, list[str]] = {}
            for column, report in party.columns.items():
                alike.setdefault(str(report), []).append(column)
            lines += [f"  {', '.join(columns)}: {report}" for report, columns in alike.items()]
        return "\n".join(lines)
