"""``latentcrdt serve``: the HTTP server in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

HostOption = Annotated[
    str | None,
    typer.Option(envvar="LATENTCRDT_HOST", help="Address to listen on; 127.0.0.1 if left out."),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        metavar="PORT",
        envvar="LATENTCRDT_PORT",
        help="Port to listen on; 8000 if left out, and 0 takes a free one.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        file_okay=False,
        envvar="LATENTCRDT_DATA_DIR",
        help="Where fragments and states are kept; the user's data directory if left out.",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="LATENTCRDT_STORE",
        help="Keep everything in a bucket that other servers share: s3://bucket/prefix, or gs://, "
        "az://. Keys and endpoint: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the like.",
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        envvar="LATENTCRDT_TOKEN_FILE",
        help="Ask every caller for a token of this file, and allow what it says there. "
        "`latentcrdt token new` makes its entries.",
    ),
]
PeerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--peer",
        metavar="URL",
        help="Keep equal with this server, both ways; may be given several times. "
        "Its token, if it needs one: LATENTCRDT_TOKEN.",
    ),
]


def serve(
    *,
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    store: StoreOption = None,
    token_file: TokenOption = None,
    peer: PeerOption = None,
) -> None:
    """Run a server until it is stopped (Ctrl-C or SIGTERM).

    Limits, timeouts and the log level are set by the environment: LATENTCRDT_MAX_FRAGMENT_BYTES
    and others, listed in latentcrdt_server.settings.
    """
    # The server's dependencies are an extra, and loading them takes seconds: only when asked.
    try:
        from latentcrdt_server.process import run  # noqa: PLC0415
        from latentcrdt_server.settings import Settings  # noqa: PLC0415
        from pydantic import ValidationError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(
            f"the server needs {error.name}, which is not installed: "
            "pip install 'latentcrdt[server]'",
            err=True,
        )
        raise typer.Exit(1) from error
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "data_dir": data,
        "store": store,
        "token_file": token_file,
        "peers": tuple(peer) if peer else None,
    }
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "LATENTCRDT_" + "_".join(map(str, first["loc"])).upper()
        raise typer.BadParameter(f"{name}: {first['msg']}") from error
    run(settings)
