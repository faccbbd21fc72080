"""How help names what a flag takes: FILE, FOLDER, NAME …; no "None" where a flag is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
Numbers = Annotated[Repeated, tyro.conf.arg(metavar="PARTY")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]
Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
Count = Annotated[int | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Results = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RESULT.nc|FOLDER ...", help_behavior_hint="")]
Switch = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
