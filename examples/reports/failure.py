"""Failures that the person at the page can do something about."""

import headrace as hr


def fail(what: str, hint: str) -> hr.Fail:
    """A failure that no retry can mend. The page shows the second line as the next step."""
    return hr.Fail(f"{what}\nhint: {hint}")
