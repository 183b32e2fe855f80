"""How a notebook shows a result: as the table and the figure of its report; a problem as its loss."""

from __future__ import annotations


class InNotebook:
    """What has a report, or can be evaluated for one, and is shown by it in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return the report in short as a part of a page; None, which shows `repr`, where it cannot be made."""
        try:
            from kdegrad.reports import in_notebook  # the one arrow that runs up: a notebook asks the result itself

            return in_notebook(self)
        except Exception:  # a notebook would print the traceback, although the result is there
            return None
