"""Headrace: Python functions as durable jobs, calls and batches."""

from headrace._app import App
from headrace._blob import Blob
from headrace._client import Client, JobHandle
from headrace._errors import Cancelled, Fail, HeadraceError, Retry
from headrace._job import Job, current_job

__version__ = "0.1.0"

__all__ = ["App", "Blob", "Cancelled", "Client", "Fail", "HeadraceError", "Job", "JobHandle", "Retry", "current_job"]
