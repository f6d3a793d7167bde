"""Configuration of Sphinx. `make docs` builds the site."""

import contextlib
import io
import os
import re
import shutil
import warnings
from pathlib import Path

from sphinx_gallery.sorting import ExplicitOrder

import sktext_vq
from sktext_vq.__main__ import main

DOCS = Path(__file__).parent
# Folder for copies of pages from other folders, and for the output of `--help`.
GENERATED = DOCS / "generated"
COMMANDS = (
    *("", "demo", "fit", "predict", "segment", "search", "report", "zero-shot"),
    *("export", "label", "build-base"),
)

project = "sktext_vq"
author = "The sktext_vq developers"
project_copyright = author
version = release = sktext_vq.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["templates", "generated/help"]
templates_path = ["templates"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # links such as benchmarks.md#what-each-loss-does

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # docstrings have them, with shapes
add_module_names = False
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # templates list methods
numpydoc_class_members_toctree = False

# All references to names of this package must exist. References to other packages are
# not checked, because the site is built offline.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!sktext_vq).*"),
    ("std:ref", "accuracy_score"),  # in scikit-learn's docstring of `score`
]

plot_formats = [("png", 144)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {"savefig.bbox": "tight", "font.size": 9}

# The order of the gallery.
EXAMPLES = (
    "quick_start",
    "your_own_files",
    "a_day",
    "failing_machine",
    "wisdm_in_five_lines",
    "reading_the_codebook",
    "why_this_class",
    "pipelines_and_grid_search",
    "unseen_people",
    "text_and_prompts",
    "unseen_classes",
    "long_recording",
    "benchmarking_with_sktime",
    "saving_serving_scaling",
    "global_workspace",
)

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/",  # all of them run
    "within_subsection_order": ExplicitOrder([f"{name}.py" for name in EXAMPLES]),
    "min_reported_time": 5,
    "show_memory": False,
    "remove_config_comments": True,
    "show_signature": False,
    "download_all_examples": False,
    "doc_module": ("sktext_vq",),
    "backreferences_dir": "generated/backreferences",
    "inspect_global_variables": False,
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "sktext_vq"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "guide": []}  # where there is nothing below

# Examples use one thread and no network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore", message=".*non-interactive", category=UserWarning)


def bring_in(app, config):
    """Copy pages from other folders, and write the output of `--help` to files."""
    root = DOCS.parent
    for path in (
        *(root / name for name in ("CHANGES.md", "CONTRIBUTING.md")),
        root / "benchmarks" / "README.md",
        *(root / "benchmarks" / "results").rglob("*.md"),
        *(root / "benchmarks" / "results").rglob("*.svg"),
    ):
        target = GENERATED / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    (GENERATED / "help").mkdir(exist_ok=True)
    os.environ["COLUMNS"] = "88"
    for command in COMMANDS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main([*command.split(), "--help"])
        (GENERATED / "help" / f"{command or 'all'}.txt").write_text(said.getvalue())


def mend_links(app, name, source):
    """Replace links to other folders by links to the copies."""
    if name.startswith("generated/"):
        source[0] = re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1../", source[0])
    else:
        source[0] = source[0].replace("](../", "](generated/")


def setup(app):
    """Connect the functions above to events of Sphinx."""
    app.connect("config-inited", bring_in)
    app.connect("source-read", mend_links)
