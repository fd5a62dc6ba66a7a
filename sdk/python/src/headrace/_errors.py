"""Exceptions that user code raises or sees."""

from __future__ import annotations

from datetime import timedelta

from headrace._duration import seconds


class HeadraceError(Exception):
    """Headrace refused something. `code` is stable (see the error reference), `hint` says what to do next."""

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        text = super().__str__()
        if self.code:
            text = f"{self.code}: {text}"
        return f"{text} ({self.hint})" if self.hint else text


class Retry(Exception):
    """Raise it to have the job run again, `after` a duration such as "30s", or after the function's backoff."""

    def __init__(self, message: str = "", *, after: str | timedelta | None = None) -> None:
        super().__init__(message or "the function asked for a retry")
        self.after = None if after is None else seconds(after, "after")


class Fail(Exception):
    """Raise it to end the job as failed without any further retry. Who called a function that is no job gets the message as a problem
    (HR2020) with this HTTP status, from 400 to 599."""

    status = 422

    def __init__(self, message: str = "the function refused", *, status: int = 422) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"status is {status}, must be from 400 to 599")
        super().__init__(message)
        self.status = int(status)  # of http.HTTPStatus, too


class Interrupted(Exception):
    """Raise it when `job.stopping` is true, to give the job back: it runs again elsewhere, from its last checkpoint, and the attempt does not
    count. Where nobody asked the worker to go it is an exception like any other."""

    def __init__(self, message: str = "gave itself back") -> None:
        super().__init__(message)


class Cancelled(BaseException):
    """Raised inside a running function whose job was cancelled. Like KeyboardInterrupt it passes `except Exception`."""
