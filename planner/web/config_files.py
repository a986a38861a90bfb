"""A network's config.json as a form sends it: a file, or its text."""

from __future__ import annotations

from flask import request

from planner.errors import InvalidInput
from planner.web.forms import Form


def take_config(form: Form) -> bool:
    """Whether the form brings a configuration; a file's text is put beside its fields, and a named architecture gives
    way to it. Raises InvalidInput for a file that is no text, or that comes beside a pasted one."""
    sent = request.files.get("config_file")
    data = sent.read() if sent is not None else b""
    if data:
        if form.value("config"):
            raise InvalidInput.of("config_file", "give a file or its text, not both")
        try:
            form.values["config"] = [data.decode("utf-8-sig")]
        except UnicodeDecodeError:
            raise InvalidInput.of("config_file", "is not UTF-8 text") from None
    if not form.value("config"):
        return False
    form.values.pop("architecture", None)
    return True
