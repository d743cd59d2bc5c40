from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.client.answers import Answer, error_of, read_json, retry_after_s, retry_delay
from latentcrdt.errors import (
    BusyError,
    ConnectionFailedError,
    DigestMismatchError,
    InternalError,
    LatentCRDTError,
    StoreFailedError,
    UnexpectedAnswerError,
    error_classes,
)

CODED = [cls for cls in error_classes() if "code" in cls.__dict__]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(CODED), st.text(), st.dictionaries(st.text(), json_values))
def test_every_error_of_the_tree_comes_back_as_itself(cls, message, details):
    document = {"type": f"urn:latentcrdt:error:{cls.code}", "status": 418, "code": cls.code}
    body = json.dumps({**document, "detail": message, "details": details}).encode()
    error = error_of(Answer(418, {"content-type": "application/problem+json"}, body))
    assert type(error) is cls
    assert error.message == str(error) == message
    assert error.details == details


def test_the_tree_has_one_class_for_each_code():
    codes = [cls.code for cls in CODED]
    assert len(codes) == len(set(codes)) > 30


@given(st.binary() | json_values.map(lambda v: json.dumps(v).encode()), st.integers(300, 599))
def test_any_other_answer_is_an_unexpected_one(body, status):
    error = error_of(Answer(status, {}, body))
    assert isinstance(error, LatentCRDTError)
    assert type(error) is UnexpectedAnswerError
    assert error.details["status"] == status
    assert len(str(error)) < 2000


def test_an_unknown_code_keeps_code_and_details():
    body = b'{"code": "from_the_future", "detail": "new", "details": {"n": 1}}'
    error = error_of(Answer(499, {}, body))
    assert type(error) is UnexpectedAnswerError
    assert error.details == {"status": 499, "code": "from_the_future", "details": {"n": 1}}
    assert "new" in str(error)


def test_deeply_nested_json_is_an_unexpected_answer():
    with pytest.raises(UnexpectedAnswerError):
        read_json(Answer(200, {}, b"[" * 100_000))


def test_retry_after_reads_seconds_and_dates():
    assert retry_after_s("3") == 3.0
    assert retry_after_s("-3") == 0.0
    assert retry_after_s("soon") is retry_after_s("nan") is retry_after_s(None) is None
    assert retry_after_s("Wed, 21 Oct 2777777777777777777015 07:28:00 GMT") is None
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert 15 < retry_after_s(date) <= 20


def test_only_what_may_pass_is_tried_again():
    assert retry_delay(ConnectionFailedError("refused")) is True
    assert retry_delay(BusyError("full")) is True
    assert retry_delay(UnexpectedAnswerError("gateway", status=502)) is True
    assert retry_delay(UnexpectedAnswerError("teapot", status=418)) is False
    assert retry_delay(StoreFailedError("read-only until restart")) is False
    assert retry_delay(InternalError("a bug")) is False
    assert retry_delay(DigestMismatchError("no")) is False
    assert retry_delay(ValueError("ours")) is False


@pytest.mark.parametrize(("header", "delay"), [("2", 2.0), ("0", 0.0), ("3600", False)])
def test_the_wait_is_what_the_server_asked_for_unless_too_long(header, delay):
    body = b'{"code": "busy", "detail": "full"}'
    error = error_of(Answer(429, {"retry-after": header}, body))
    assert isinstance(error, BusyError)
    assert retry_delay(error) == delay
    assert type(retry_delay(error)) is type(delay)
