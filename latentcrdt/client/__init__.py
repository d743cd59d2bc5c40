"""Client and AsyncClient: thin, over one set of pure calls and flows."""

from latentcrdt.client.arriving import ArrivingRender
from latentcrdt.client.asynchronous import AsyncClient
from latentcrdt.client.blocking import Client
from latentcrdt.client.fragment_cache import FragmentCache
from latentcrdt.client.meter import Progress
from latentcrdt.client.values import Member, PeerStatus, PushResult, StateListing, StateSummary

__all__ = [
    "ArrivingRender",
    "AsyncClient",
    "Client",
    "FragmentCache",
    "Member",
    "PeerStatus",
    "Progress",
    "PushResult",
    "StateListing",
    "StateSummary",
]
