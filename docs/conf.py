"""Sphinx's settings for both languages; see the target docs of the Makefile.

Sphinx, since it reads the docstrings; MyST, since the pages are Markdown and read
well beside the code, too; furo, since it is plain and fits a phone.
"""

import logging
import os
from pathlib import Path

import theano_tutorials  # isort: skip
import jieba
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import download_reference, pending_xref

jieba.setLogLevel(logging.WARNING)
DOCS = Path(__file__).parent
CHINESE = tags.has("zh")  # noqa: F821  (Sphinx gives this name)

project = "theano_tutorials"
author = "the developers of theano_tutorials"
release = theano_tutorials.__version__
language = "zh_CN" if CHINESE else "en"
exclude_patterns = ["zh"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nitpicky = True  # each reference must have its target; types in docstrings are words
nitpick_ignore_regex = [("py:(class|exc|obj)", ".*")]
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
html_theme = "furo"
html_title = "Theano 教程" if CHINESE else "Theano Tutorials"
html_show_sourcelink = False
html_math_renderer = "mathml"
templates_path = ["_templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}


def write_formula(writer, node):
    """The browser's own mathematics: no script, and nothing that is fetched from elsewhere."""
    writer.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def link_files_outside(app, doctree):
    """Link to pages of the other language, and give files of the repository to download.

    A link in a page names a file, as it has to where the page is read beside the code.
    """
    for link in list(doctree.findall(pending_xref)):
        if not os.path.isabs(link["reftarget"]):
            continue
        path = os.path.relpath(link["reftarget"], Path(app.srcdir, app.env.docname).parent)
        if Path(link["reftarget"]).parent == DOCS:
            link.replace_self(nodes.reference("", "", *link.children, refuri=f"{path}.html"))
        else:
            link.replace_self(download_reference("", "", *link.children, reftarget=f"{path}.md"))


def link_other_language(app, pagename, templatename, context, doctree):
    """Give the template the address and the name of the other language."""
    other = DOCS if CHINESE else DOCS / "zh"
    page = pagename if (other / f"{pagename}.md").exists() else "index"
    context["other_language"] = "English" if CHINESE else "中文"
    context["other_address"] = f"{context.get('content_root', '')}{'..' if CHINESE else 'zh'}/{page}.html"


def setup(app):
    """Connect what is defined above."""
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("doctree-read", link_files_outside, priority=100)  # before Sphinx collects what is to download
    app.connect("html-page-context", link_other_language)
