"""Strong entity tags (RFC 9110 section 8.8.3). Ours are digests, so equal tags are equal bytes."""

from __future__ import annotations

import re

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')


def quote(name: str) -> str:
    """Return the ETag header of a representation of this name."""
    return f'"{name}"'


def none_match_fails(header: str | None, etag: str) -> bool:
    """Return whether an If-None-Match header names ``etag``: then the answer is 304."""
    if header is None:
        return False
    return header.strip() == "*" or etag in _TAG.findall(header)


def range_applies(if_range: str | None, etag: str) -> bool:
    """Return whether a Range header counts, given If-Range: only a strong, equal tag lets it."""
    return if_range is None or if_range.strip() == etag
