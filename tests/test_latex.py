"""Tables in LaTeX are set by a real TeX: nothing is lost, and nothing is wider than the page."""

import shutil
import subprocess
from pathlib import Path

import pytest

import vfl_jax as vfl
from vfl_jax.reports.writers import ESCAPES, to_latex

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
DOCUMENT = r"""\documentclass{article}
\usepackage{graphicx}
\tracinglostchars=3
\begin{document}
\input{table}
\end{document}
"""
pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="no pdflatex is installed (apt-get install --no-install-recommends texlive-latex-base)",
)


def set_in_tex(folder, text):
    """What pdflatex says of a document with these tables; any error ends it."""
    (folder / "table.tex").write_text(text, encoding="utf-8")
    (folder / "paper.tex").write_text(DOCUMENT, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert said.returncode == 0, said.stdout[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 5_000
    return said.stdout


@pdflatex
def test_every_character_that_is_escaped_is_set(tmp_path):
    names = ["100 % of R&D_x", "τ × 30 ± 0.5", "noise ε ≤ ∞", "Clipping(by='value')", "{a} #1 $5 ~^\\", "é “ü” ’ß"]
    rows = [dict.fromkeys(names, character) for character in ESCAPES]
    said = set_in_tex(tmp_path, to_latex(rows, caption="Costs 5 % of τ_x & more", label="tab:a_b"))
    assert "Missing character" not in said
    assert "Overfull" not in said


@pdflatex
@pytest.mark.parametrize("file", ["arena/results/handwritten.nc", "audits/results/bank_marketing.nc"])
def test_tables_of_results_are_no_wider_than_the_page(tmp_path, file):
    vfl.report(EXPERIMENTS / file, latex=tmp_path / "written.tex")
    said = set_in_tex(tmp_path, (tmp_path / "written.tex").read_text(encoding="utf-8"))
    assert "Overfull" not in said


def test_a_sign_is_a_minus_and_a_hyphen_is_none():
    latex = to_latex([{"cost": "-0.001 [-0.003, 0.001]", "attack": "BASL-30, 1e-05"}])
    assert r"\ensuremath{-}0.001 {[}\ensuremath{-}0.003, 0.001{]} & BASL-30, 1e-05 \\" in latex
