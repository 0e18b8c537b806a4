"""Formulas as MathML, which browsers draw themselves: no script, no fonts, no network. The translation from LaTeX is docutils' own."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_LOGGER = logging.getLogger(__name__)
_TAG = re.compile(r"\\tag\{([^}]*)\}")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """A formula inside a line."""
    translator.body.append(_translate(node, node.astext(), as_block=False))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on lines of its own, at its right the number that LaTeX's `tag` gives it: that of the paper."""
    latex = node.astext()
    number = _TAG.search(latex)
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(_translate(node, _TAG.sub("", latex), as_block=True))
    if number:
        translator.body.append(f'<span class="eqno">({number[1]})</span>')
    translator.body.append("</div>")
    raise nodes.SkipNode


def _translate(node: nodes.Node, latex: str, as_block: bool) -> str:
    """The formula as MathML; LaTeX that docutils does not know stays as it stands, with a warning, which fails the build."""
    try:
        return tex2mathml(latex, as_block=as_block)
    except MathError as error:
        _LOGGER.warning("a formula is no MathML: %s", error, location=node)
        return nodes.literal(latex, latex).astext()
