"""Headrace: Python functions as durable jobs, calls and batches, and as the authority over live channels."""

from headrace._app import App
from headrace._blob import Blob
from headrace._client import Client, JobHandle
from headrace._errors import Cancelled, Fail, HeadraceError, Interrupted, Retry
from headrace._event import Connect, Deny, Disconnect, Publication, Session, Subscribe, Subscription
from headrace._job import Job, current_job
from headrace._live import History, Member, Position, broadcast, disconnect, history, presence, publish, unsubscribe

__version__ = "0.1.0"

__all__ = [
    "App", "Blob", "Cancelled", "Client", "Connect", "Deny", "Disconnect", "Fail", "HeadraceError", "History", "Interrupted", "Job", "JobHandle", "Member",
    "Position", "Publication", "Retry", "Session", "Subscribe", "Subscription", "broadcast", "current_job", "disconnect", "history", "presence", "publish",
    "unsubscribe",
]
