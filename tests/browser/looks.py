"""How pages are looked at: narrow and wide, light and dark. `make test` takes one of the four, `make browser` all."""

from __future__ import annotations

import os

WHOLE = bool(os.environ.get("PLANNER_TEST_WHOLE_BROWSER_MATRIX"))
LOOKS = [(390, "dark"), *([(1280, "light"), (390, "light"), (1280, "dark")] if WHOLE else [])]
