"""The repository's own pages on the site: which they are, and their links to what is not there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)
INDEX, EXPERIMENTS, README = "docs/index.md", "experiments/README.md", "README.md"
FOUND = "<!-- what was found: from README.md -->"
LEADERBOARD = re.compile(r"<!-- leaderboard:[^>]*-->\n+(.*?)\n+(!\[[^\n]*)", re.DOTALL)


def repository() -> set[str]:
    """The pages and notebooks of the repository that the site shows, by their paths in it."""
    found = [*ROOT.glob("docs/*.md"), *ROOT.glob("experiments/**/README.md"), *ROOT.glob("notebooks/*.ipynb")]
    return {path.relative_to(ROOT).as_posix() for path in found} | {README, "CONTRIBUTING.md", "CHANGELOG.md"}


def copy(folder: Path, on_site: set[str]) -> None:
    """Copies the repository's pages, with the pictures that they show.

    Args:
      folder: the sources of the site.
      on_site: the paths of all pages, also those that are written from code.
    """
    for name in repository():
        if name.endswith(".ipynb"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
            continue
        text, pictures = linked((ROOT / name).read_text(), name, on_site)
        if name == INDEX:
            found, of_found = linked(found_first(), README, on_site)
            text, pictures = text.replace(FOUND, found), pictures | of_found
        if name == EXPERIMENTS:
            others = sorted(page for page in repository() if page.startswith("experiments/") and page != name)
            listed = "\n".join(page.removeprefix("experiments/") for page in others)
            text = f"{text}\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
        write(folder / ("index.md" if name == INDEX else name), text)
        for picture in pictures:
            (folder / picture).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / picture, folder / picture)


def linked(text: str, name: str, on_site: set[str]) -> tuple[str, set[str]]:
    """Keeps a page's links to what is on the site, and leaves the words of all others.

    Args:
      text: the page.
      name: its path in the repository.
      on_site: the paths of all pages.

    Returns:
      the page, and the paths of the pictures that it shows.
    """
    pictures: set[str] = set()
    folder = os.path.dirname(name)
    on_the_site = "" if name == INDEX else folder  # the index lies above all folders there

    def place(match: re.Match) -> str:
        is_picture, words, target = match.groups()
        path, _, anchor = target.partition("#")
        if ":" in target or not path:
            return match[0]
        found = os.path.normpath(os.path.join(folder, path))
        if is_picture:
            pictures.add(found)
            return match[0]
        page = f"{found}/README.md" if f"{found}/README.md" in on_site else found
        if page not in on_site:
            return words if words.startswith("`") else f"{words} (`{found}`)" if words not in found else f"`{found}`"
        if words.endswith(".md"):  # a reader of the site knows no files
            words = title(page)
        relative = os.path.relpath("index.md" if page == INDEX else page, on_the_site or ".")
        return f"[{words}]({relative}{'#' + anchor if anchor else ''})"

    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(place, part) for part in parts), pictures


def title(page: str) -> str:
    """The heading of a page of the repository."""
    return (ROOT / page).read_text().partition("\n")[0].removeprefix("# ")


def found_first() -> str:
    """The answer of the arena, how much is lacking, and its figure, as the first page of the repository has them."""
    text = (ROOT / README).read_text()
    ((answer, figure),) = LEADERBOARD.findall(text)
    return "\n\n".join([answer, *re.findall(r"^\*\*So far\*\*.*$", text, re.MULTILINE), figure])


def write(path: Path, text: str) -> None:
    """Writes a source of the site, and makes its folder.

    Args:
      path: its path.
      text: what is in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
