"""The site's settings for Sphinx; ``make docs`` first stages its pages (docs/staging), then builds them."""

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.staging import docstrings  # noqa: E402  found where the line above says

DATA = os.environ.get("VFL_JAX_DATA", "")

project = "vfl_jax"
author = "the authors of vfl_jax"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Pages of experiments fold levels of headings into details.
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_title = "vfl_jax"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
# A browser that opens the site from a folder may not fetch the pages that a summary is cut from.
html_show_search_summary = False
html_theme_options = {"navigation_with_keys": True}

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]

# Notebooks are executed once, and again when a cell changes; the package is found from wherever they lie.
os.environ["PYTHONPATH"] = str(ROOT)
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs" / "_build" / "cache")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
# This one draws images of MNIST, which only some machines have.
nb_execution_excludepatterns = [] if (Path(DATA) / "mnist").is_dir() else ["notebooks/figures_1_and_2.ipynb"]
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


def setup(app: Any) -> None:
    """Has every docstring read by ``docs/staging/docstrings.py``, after its sections."""
    app.connect("autodoc-process-docstring", docstrings.process, priority=900)
