"""What an operator may choose: environment variables ``LATENTCRDT_*``, all with safe defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import platformdirs
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """Settings of one server; each field is read from ``LATENTCRDT_<FIELD>`` unless given."""

    model_config = SettingsConfigDict(env_prefix="LATENTCRDT_", frozen=True)

    host: str = "127.0.0.1"
    """Address to listen on. Loopback, so that nothing is served to a network by accident."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one, which the line on stdout names."""
    data_dir: Path = Field(default_factory=lambda: platformdirs.user_data_path("latentcrdt"))
    """Directory of the embedded store; made if missing, locked while the server runs."""
    store: str | None = None
    """Bucket to share with other servers, as s3://bucket/prefix, gs://... or az://...; its keys and
    endpoint as the vendor's own tools take them. Only the cache is in ``data_dir`` then."""
    cache_bytes: PositiveInt = 16 * 2**30
    """Fragments of a bucket that are kept on this machine's disk."""
    token_file: Path | None = None
    """File of principals and their tokens (see tokens.py). None: every caller may do everything."""
    max_fragment_bytes: PositiveInt = 8 * 2**30
    """Largest fragment file accepted."""
    max_inflight_bytes: PositiveInt = 2**30
    """Memory for all pushes under way, at most 8 MiB each; beyond it: come again (429)."""
    max_streams: PositiveInt = 64
    """Fragments and renders being sent at once; beyond it: come again (429). A client that fetches
    in parts, or several fragments, counts as often as it has connections: 4 by default."""
    body_timeout_s: PositiveFloat = 30.0
    """How long one push may go without sending, and one reader without taking, anything."""
    keep_alive_s: PositiveInt = 75
    """How long an idle connection stays open: longer than most clients' and proxies' pools."""
    shutdown_timeout_s: PositiveInt = 60
    """How long answers under way may take to finish after SIGTERM."""
    peers: tuple[str, ...] = ()
    """Addresses of servers to keep equal with; only these are ever asked. Their token, if they
    need one, is LATENTCRDT_TOKEN."""
    sync_interval_s: PositiveFloat = 1.0
    """Between rounds with a peer."""
    log_level: LogLevel = "info"
    """Least severe log lines that are written, as JSON, to stderr."""
