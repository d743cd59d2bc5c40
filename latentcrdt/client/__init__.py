"""Client and AsyncClient: thin, over one set of pure calls and flows.

To read in this order: ``calls`` (one request each, read into ``values`` and ``answers``);
``flows/`` (what takes several); ``intake`` and ``receivers`` (what is made of an answer's bytes
while they come); ``wire`` (what both clients agree on); ``blocking`` and ``asynchronous``, which
perform it all; ``direct/`` (the blocking one's own connections, for large bodies).
"""

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
