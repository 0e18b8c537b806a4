"""How the documentation is built: `make docs`, without a network, and readable without one."""

import sys
from pathlib import Path

from paredown import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "paredown"
author = "the paredown authors"
copyright = "the paredown authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "mathml", "commands", "study_file"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
myst_ref_domains = ["std", "py"]
exclude_patterns = ["_ext"]
default_role = "code"  # docstrings write code in single backticks
smartquotes = False

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"paredown {version}"
html_static_path = ["_static"]
html_css_files = ["paredown.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
