"""The words that the pages use, each with its meaning."""

from __future__ import annotations

from flask import render_template

from planner.web.glossary import BASES, WORDS
from planner.web.pages.blueprint import pages


@pages.get("/words")
def words_page() -> str:
    """What the words mean, by subject, and the kinds of basis from the surest down."""
    anchors = [(f"group-{number}", title) for number, (title, _) in enumerate(WORDS, 1)]
    return render_template("words/list.html", groups=WORDS, kinds=list(BASES.items()), anchors=anchors)
