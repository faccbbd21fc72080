"""Stages the site: the repository's pages and notebooks where they lie, and those that are written from code.

The folder of sources looks like the repository, so that links from page to page need no change.
"""

import shutil
import sys
from pathlib import Path

from docs.staging import methods, names, pages


def stage(folder: Path) -> None:
    """Writes all sources of the site.

    Args:
      folder: where to; what was there is removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    written = names.pages() | methods.pages()
    on_site = pages.repository() | set(written)
    for name, text in written.items():
        pages.write(folder / name, pages.linked(text, name, on_site)[0])
    pages.copy(folder, on_site)


stage(Path(sys.argv[1]).resolve())
