"""The site's settings for Sphinx. Every page opens from disk, without a network."""

import docutils.nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

import mckl

project = "mckl"
author = "The mckl authors"
release = version = mckl.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True
# Types of NumPy and of the standard library, and internal ones, have no page here.
nitpick_ignore_regex = [("py:.*", r"(?!mckl\.\w+$).*")]

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # in the signature they would hide the names; docstrings say what fits
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
toc_object_entries = False
python_use_unqualified_type_names = True

html_theme = "pydata_sphinx_theme"
html_title = f"mckl {version}"
html_show_sourcelink = False
html_copy_source = False
html_extra_path = ["extra"]
exclude_patterns = ["extra"]
html_math_renderer = "mathml"
html_theme_options = {
    "logo": {"text": f"mckl {version}"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "show_toc_level": 2,
}
html_context = {"default_mode": "auto"}
html_sidebars = {"index": [], "gallery": []}
html_static_path = ["static"]
html_css_files = ["site.css"]


def setup(app: Sphinx) -> None:
    """Add a renderer of formulas whose MathML every browser shows without a script."""

    def inline(visitor: docutils.nodes.NodeVisitor, node: docutils.nodes.Element) -> None:
        formula(visitor, node, block=False)

    def display(visitor: docutils.nodes.NodeVisitor, node: docutils.nodes.Element) -> None:
        formula(visitor, node, block=True)

    app.add_html_math_renderer("mathml", (inline, None), (display, None))


def formula(visitor: docutils.nodes.NodeVisitor, node: docutils.nodes.Element, block: bool) -> None:
    """Write a formula as MathML; one that cannot be read is a warning, and so an error."""
    try:
        mathml = tex2mathml(node.astext(), as_block=block)
        visitor.body.append(f'<div class="formula">{mathml}</div>' if block else mathml)
    except Exception as error:
        logging.getLogger(__name__).warning("%s: %s", node.astext(), error, location=node)
    raise docutils.nodes.SkipNode
