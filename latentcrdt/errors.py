"""Every error this package raises, on either end of the wire.

The tree (each leaf has a stable ``code``; the server alone knows the HTTP status of a code)::

    LatentCRDTError
    ├── InvalidInputError (ValueError)       the bytes or arguments given are wrong
    │   ├── MalformedError                   malformed
    │   ├── TruncatedError                   truncated
    │   ├── NotCanonicalError                not_canonical
    │   ├── DigestMismatchError              digest_mismatch
    │   ├── NonFiniteKeysError               non_finite_keys
    │   ├── UnsupportedDtypeError            unsupported_dtype
    │   ├── UnsupportedVersionError          unsupported_version
    │   ├── InvalidIdError                   invalid_id
    │   ├── InvalidStateNameError            invalid_state_name
    │   ├── InvalidRequestError              invalid_request
    │   ├── UnsupportedMediaTypeError        unsupported_media_type
    │   ├── RangeNotSatisfiableError         range_not_satisfiable
    │   ├── MethodNotAllowedError            method_not_allowed
    │   ├── StalledBodyError                 stalled_body
    │   └── TooLargeError                    too_large
    ├── NotFoundError (KeyError)             the thing named is not here
    │   ├── FragmentNotFoundError            fragment_not_found
    │   ├── StateNotFoundError               state_not_found
    │   ├── StateRetractedError              state_retracted
    │   ├── CursorExpiredError               cursor_expired
    │   ├── ClassNotFoundError               class_not_found
    │   ├── ModelNotInstalledError           model_not_installed
    │   └── RouteNotFoundError               route_not_found
    ├── ConflictError                        the state cannot answer as asked
    │   ├── AmbiguousClassError              ambiguous_class
    │   ├── NothingToRenderError             nothing_to_render
    │   ├── PrefixMissingError               prefix_missing
    │   ├── IncompatibleFragmentsError       incompatible_fragments
    │   └── UnrepairableError                unrepairable
    ├── AccessError (PermissionError)        the caller may not do this
    │   ├── UnauthorizedError                unauthorized
    │   ├── ForbiddenError                   forbidden
    │   └── QuotaExceededError               quota_exceeded
    ├── UnavailableError                     try again, or ask the operator
    │   ├── BusyError                        busy
    │   ├── StoreFailedError (OSError)       store_failed
    │   ├── StoreFullError (OSError)         store_full
    │   ├── CorruptFragmentError             corrupt_fragment
    │   └── InternalError                    internal
    ├── TransportError (ConnectionError)     the other end did not answer as HTTP promises
    │   ├── ConnectionFailedError            connection_failed
    │   └── UnexpectedAnswerError            unexpected_answer
    ├── RemoteSyncError                      remote_sync
    ├── UnsupportedModelError                the model's cache cannot be merged; says why
    │   ├── UnsupportedRopeError             unsupported_rope
    │   ├── UnsupportedCacheError            unsupported_cache
    │   ├── ShiftEquivarianceError           shift_equivariance
    │   └── ModelMismatchError               model_mismatch
    └── EngineSelfTestError                  engine_self_test

A message says what was expected, what came, and which id; ``details`` holds the same as data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar


class LatentCRDTError(Exception):
    """Base of the tree: a message for people, a ``code`` for programs, ``details`` for both."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details
        """JSON-able facts of this one error: expected, actual, id and the like."""

    def __str__(self) -> str:
        # KeyError, a base of some leaves, would print the repr of the message.
        return self.message


class InvalidInputError(LatentCRDTError, ValueError):
    """Raised when bytes or arguments given to us are wrong; nothing was stored."""


class MalformedError(InvalidInputError):
    """Raised when bytes do not follow docs/format.md: magic, structure, types or bounds."""

    code = "malformed"


class TruncatedError(InvalidInputError):
    """Raised when a body ends before, or goes on after, the length that its header implies."""

    code = "truncated"


class NotCanonicalError(InvalidInputError):
    """Raised when bytes have the right meaning but not the one permitted spelling."""

    code = "not_canonical"


class DigestMismatchError(InvalidInputError):
    """Raised when content does not hash to the digest or id that was declared for it."""

    code = "digest_mismatch"


class NonFiniteKeysError(InvalidInputError):
    """Raised when K holds NaN, infinity, or (f16) a magnitude above 2^15 (RENDER_SPEC 1)."""

    code = "non_finite_keys"


class UnsupportedDtypeError(InvalidInputError):
    """Raised when a dtype is none of bf16, f16, f32."""

    code = "unsupported_dtype"


class UnsupportedVersionError(InvalidInputError):
    """Raised when bytes declare a format or spec version that this release does not know."""

    code = "unsupported_version"


class InvalidIdError(InvalidInputError):
    """Raised when text or bytes are not a 32-byte BLAKE3 digest."""

    code = "invalid_id"


class InvalidStateNameError(InvalidInputError):
    """Raised when a state name does not match ``^[a-z0-9][a-z0-9._-]{0,62}$``."""

    code = "invalid_state_name"


class InvalidRequestError(InvalidInputError):
    """Raised when a request's parameters, headers or small body cannot be understood."""

    code = "invalid_request"


class UnsupportedMediaTypeError(InvalidInputError):
    """Raised when a body arrives under a content type that the call does not take."""

    code = "unsupported_media_type"


class RangeNotSatisfiableError(InvalidInputError):
    """Raised when a byte or layer range lies outside the object."""

    code = "range_not_satisfiable"


class MethodNotAllowedError(InvalidInputError):
    """Raised when a server knows the path, but not this method on it."""

    code = "method_not_allowed"


class StalledBodyError(InvalidInputError):
    """Raised when a body stops arriving, or comes too slowly, before it is whole."""

    code = "stalled_body"


class TooLargeError(InvalidInputError):
    """Raised when a body or header exceeds a limit; the limit is in the message."""

    code = "too_large"


class NotFoundError(LatentCRDTError, KeyError):
    """Raised when the thing named is not held here."""


class FragmentNotFoundError(NotFoundError):
    """Raised when no fragment with this id is held (never on an I/O failure)."""

    code = "fragment_not_found"


class StateNotFoundError(NotFoundError):
    """Raised when no state of this name was ever declared or added to."""

    code = "state_not_found"


class StateRetractedError(NotFoundError):
    """Raised when a state was retracted, for good: by its name nothing is kept ever again."""

    code = "state_retracted"


class CursorExpiredError(NotFoundError):
    """Raised when a feed is asked to go on from a place that it does not know any more."""

    code = "cursor_expired"


class ClassNotFoundError(NotFoundError):
    """Raised when a state has no fragments of the compatibility class asked for."""

    code = "class_not_found"


class ModelNotInstalledError(NotFoundError):
    """Raised when the package that carries a model, or converts it, is not installed."""

    code = "model_not_installed"


class RouteNotFoundError(NotFoundError):
    """Raised when a server knows no such path."""

    code = "route_not_found"


class ConflictError(LatentCRDTError):
    """Raised when the state, as it is now, cannot answer the question."""


class AmbiguousClassError(ConflictError):
    """Raised when a state holds several compatibility classes and none was named."""

    code = "ambiguous_class"


class NothingToRenderError(ConflictError):
    """Raised when a state, or the order asked for, has no fragments."""

    code = "nothing_to_render"


class PrefixMissingError(ConflictError):
    """Raised when fragments were captured behind a prefix that is not held here."""

    code = "prefix_missing"


class IncompatibleFragmentsError(ConflictError):
    """Raised when fragments that cannot render together are planned together."""

    code = "incompatible_fragments"


class UnrepairableError(ConflictError):
    """Raised when a render cannot be repaired as asked: withheld tokens, a layout, lost rows."""

    code = "unrepairable"


class AccessError(LatentCRDTError, PermissionError):
    """Raised when the caller may not do this."""


class UnauthorizedError(AccessError):
    """Raised when no valid bearer token came with the request."""

    code = "unauthorized"


class ForbiddenError(AccessError):
    """Raised when the token is valid but does not reach this far."""

    code = "forbidden"


class QuotaExceededError(AccessError):
    """Raised when a principal's states hold as much as its quota allows; nothing was stored."""

    code = "quota_exceeded"


class UnavailableError(LatentCRDTError):
    """Raised when the request was fine and this end could not serve it."""


class BusyError(UnavailableError):
    """Raised when too many bytes are in flight; retry later."""

    code = "busy"


class StoreFailedError(UnavailableError, OSError):
    """Raised when the store met an I/O error; after a failed fsync it stays read-only."""

    code = "store_failed"


class StoreFullError(UnavailableError, OSError):
    """Raised when the disk has no room; nothing was stored."""

    code = "store_full"


class CorruptFragmentError(UnavailableError):
    """Raised when stored bytes no longer match their id; the object is quarantined."""

    code = "corrupt_fragment"


class InternalError(UnavailableError):
    """Raised by the client when the server reports a bug of its own."""

    code = "internal"


class TransportError(LatentCRDTError, ConnectionError):
    """Raised when no well-formed answer came from the other end."""


class ConnectionFailedError(TransportError):
    """Raised when the connection could not be made, timed out or broke."""

    code = "connection_failed"


class UnexpectedAnswerError(TransportError):
    """Raised when the other end answers with something that the API does not promise."""

    code = "unexpected_answer"


class RemoteSyncError(LatentCRDTError):
    """Raised when another replica's part of a comparison is not what the protocol permits."""

    code = "remote_sync"


class UnsupportedModelError(LatentCRDTError):
    """Raised when a model's cache cannot be captured and re-positioned; says by name why."""

    code = "unsupported_model"


class UnsupportedRopeError(UnsupportedModelError):
    """Raised when a rope type, or its use at this length, cannot be re-rotated."""

    code = "unsupported_rope"


class UnsupportedCacheError(UnsupportedModelError):
    """Raised when a cache layer is not plain keys and values (recurrent, quantised, ...)."""

    code = "unsupported_cache"


class ShiftEquivarianceError(UnsupportedModelError):
    """Raised when the live model's keys at a shifted position differ from the rotated ones."""

    code = "shift_equivariance"


class ModelMismatchError(UnsupportedModelError):
    """Raised when a render or fragment was made by another model, or two models do not fit."""

    code = "model_mismatch"


class EngineSelfTestError(LatentCRDTError):
    """Raised when a render engine does not reproduce the golden vectors (RENDER_SPEC 8)."""

    code = "engine_self_test"


def error_classes(root: type[LatentCRDTError] = LatentCRDTError) -> Iterator[type[LatentCRDTError]]:
    """Yield every class of the tree, parents first."""
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


def error_class(code: str) -> type[LatentCRDTError] | None:
    """Return the class whose own ``code`` this is, or None for a code of a later release."""
    return next((cls for cls in error_classes() if cls.__dict__.get("code") == code), None)
