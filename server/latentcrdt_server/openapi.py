"""What /openapi.json says by hand: binary bodies, headers, and the problems of every call."""

from __future__ import annotations

from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from latentcrdt.merging.strategies import STRATEGIES
from latentcrdt_server.negotiation import DOCUMENT_TYPES, JSON_TYPE, MSGPACK_TYPES
from latentcrdt_server.problems import PROBLEM_TYPE, STATUS, ProblemDocument

FRAGMENT_TYPE = "application/vnd.latentcrdt.fragment"
RENDER_TYPE = "application/vnd.latentcrdt.render"
OCTETS_TYPE = "application/octet-stream"

Answers: TypeAlias = dict[int | str, dict[str, Any]]
"""What FastAPI's ``responses=`` takes: a description by status."""

BINARY = {"schema": {"type": "string", "format": "binary"}}

PUSH_BODY = {
    "requestBody": {
        "required": True,
        "description": "A fragment file (docs/format.md), verified while it arrives.",
        "content": {FRAGMENT_TYPE: BINARY, OCTETS_TYPE: BINARY},
    },
    "parameters": [
        {
            "name": "Fragment-Id",
            "in": "header",
            "required": False,
            "description": "The fragment's id. If it is held already, the answer comes at once.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        }
    ],
}

IDS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {
                "schema": {
                    "type": "object",
                    "required": ["ids"],
                    "properties": {
                        "ids": {
                            "type": "array",
                            "maxItems": 10_000,
                            "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                        }
                    },
                }
            }
            for media_type in DOCUMENT_TYPES
        },
    }
}

QUESTION_BODY = {
    "requestBody": {
        "required": True,
        "description": "Nodes of the state's id tree: docs/format.md, section 9.",
        "content": dict.fromkeys(MSGPACK_TYPES, BINARY),
    }
}

AFTER_QUERY = {
    "parameters": [
        {
            "name": "after",
            "in": "query",
            "required": False,
            "description": "The cursor of the page before; the beginning, if left out.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{16}-[0-9]{1,18}$"},
        }
    ]
}

LIFETIME_QUERY = {
    "parameters": [
        {
            "name": "expires_at",
            "in": "query",
            "required": False,
            "description": "When the state is to end, in Unix seconds; of several, the latest.",
            "schema": {"type": "integer", "minimum": 0},
        }
    ]
}

_LAYERS = {
    "name": "layers",
    "in": "query",
    "required": False,
    "description": "`a:b`: only the layers a <= layer < b.",
    "schema": {"type": "string", "pattern": "^[0-9]*:[0-9]*$"},
}

LAYERS_QUERY = {"parameters": [_LAYERS]}

RENDER_QUERY = {
    "parameters": [
        {
            "name": "layout",
            "in": "query",
            "required": False,
            "schema": {"enum": ["sequential", "parallel", "slotted"], "default": "sequential"},
        },
        {
            "name": "stride",
            "in": "query",
            "required": False,
            "description": "Tokens between slots; with layout `slotted` only.",
            "schema": {"type": "integer", "minimum": 1},
        },
        {
            "name": "order",
            "in": "query",
            "required": False,
            "description": "`canonical`, or a comma-separated list of member ids (BagMerge).",
            "schema": {
                "type": "string",
                "pattern": "^(canonical|[0-9a-f]{64}(,[0-9a-f]{64})*)$",
                "default": "canonical",
            },
        },
        {
            "name": "class",
            "in": "query",
            "required": False,
            "description": "The compatibility class, when the state holds several.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        },
        _LAYERS,
        {
            "name": "merge",
            "in": "query",
            "required": False,
            "description": "Blend the fragments, branches captured at the same positions, by a "
            "strategy: `NAME`, or `NAME:parameter=number,...` (docs/merging.md). Not with `layout` "
            "or `stride`.",
            "schema": {
                "type": "string",
                "pattern": f"^({'|'.join(STRATEGIES)})"
                "(:[a-z0-9-]+=-?[0-9.]+(,[a-z0-9-]+=-?[0-9.]+)*)?$",
            },
        },
    ]
}


def repeated(model: type) -> Answers:
    """Return the description of the answer to a PUT or POST that changed nothing."""
    return {200: {"model": model, "description": "It was so already."}}


def unchanged(what: str) -> Answers:
    """Return the description of a 304."""
    return {304: {"description": f"The caller has {what} (If-None-Match)."}}


def binary_answers(*media_types: str) -> Answers:
    """Return the description of a body of bytes: whole, in part, or unchanged."""
    content = dict.fromkeys(media_types, BINARY)
    etag = {"ETag": {"schema": {"type": "string"}, "description": "Strong: a digest."}}
    ranges = {"Content-Range": {"schema": {"type": "string"}}}
    return {
        200: {"description": "The bytes.", "content": content, "headers": etag},
        206: {"description": "The range asked for.", "content": content, "headers": etag | ranges},
    } | unchanged("these bytes")


def msgpack_answer(what: str) -> Answers:
    """Return the description of an answer that comes as canonical msgpack alone."""
    return {200: {"description": what, "content": {MSGPACK_TYPES[0]: BINARY}}}


def problems(*codes: str) -> Answers:
    """Return the description of problems, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(f"`{code}`")
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {
        status: {"description": f"Problem: {', '.join(found)}", "content": content}
        for status, found in by_status.items()
    }


def v1_problems(*codes: str) -> Answers:
    """Return the description of a call's own problems and of those that all of ``/v1`` share."""
    return problems(*codes, "invalid_request", "unauthorized", "internal")


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, with our problems in place of its own errors."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = schema["components"]["schemas"]
        schemas["ProblemDocument"] = TypeAdapter(ProblemDocument).json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for operations in schema["paths"].values():
            for operation in operations.values():
                _describe_answers(operation["responses"])
        app.openapi_schema = schema
    return app.openapi_schema


def _describe_answers(responses: dict[str, Any]) -> None:
    """Drop FastAPI's own error; say that every document comes as msgpack, too."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for response in responses.values():
        content = response.get("content", {})
        if JSON_TYPE in content:
            content[MSGPACK_TYPES[0]] = content[JSON_TYPE]
