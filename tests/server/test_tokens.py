"""What a token file may say, and who a token turns out to be."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latentcrdt_server.grants import Grant, Scope
from latentcrdt_server.principals import Principal
from latentcrdt_server.tokens import Tokens

from latentcrdt.core.encoding import digest
from latentcrdt.core.ids import StateName
from latentcrdt.errors import InvalidRequestError
from tests.server.guards import secret_of, write_tokens

SECRET = "hunter2"

DIGEST = digest(SECRET.encode()).hex()

ENTRY = f"""[[principal]]
name = "laptop"
digest = "{DIGEST}"
grants = [{{ states = ["*"], scopes = ["read"] }}]
"""


@pytest.mark.parametrize(
    "data", [ENTRY.encode(), b"\xef\xbb\xbf# mine\r\n" + ENTRY.replace("\n", "\r\n").encode()]
)
def test_a_token_is_known_by_its_digest_alone(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tokens").write_bytes(data)
    tokens = Tokens.read(tmp_path / "tokens")
    account = tokens.identify(SECRET)
    assert account is not None
    assert account.principal.name == "laptop"
    for wrong in ("", SECRET + " ", SECRET[:-1], DIGEST, "laptop", "hunter2é"):
        assert tokens.identify(wrong) is None


def test_each_token_opens_the_account_of_its_own_principal(tmp_path: Path) -> None:
    names = [f"p{n}" for n in range(5)]
    tokens = Tokens.read(write_tokens(tmp_path / "tokens", {n: [("*", "read")] for n in names}))
    accounts = [tokens.identify(secret_of(name)) for name in names]
    assert [a.principal.name for a in accounts if a is not None] == names
    # The same one each time: what is under way is counted there.
    assert [tokens.identify(secret_of(name)) for name in names] == accounts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SECRET}\n", "line 1"),
        (ENTRY + f"x = {SECRET}\n", "line 5"),
        ("", "principal: Field required"),
        ("principal = []", "principal: List should have at least 1"),
        (ENTRY.replace(DIGEST, SECRET), "principal.0.digest: "),
        (ENTRY.replace(DIGEST, DIGEST.upper()), "principal.0.digest: "),
        (ENTRY.replace("laptop", "a laptop"), "principal.0.name: "),
        (ENTRY.replace("read", "write"), "'read', 'add', 'sync' or 'admin'"),
        (ENTRY.replace('["read"]', "[]"), "principal.0.grants.0.scopes: "),
        (ENTRY.replace('["*"]', "[]"), "principal.0.grants.0.states: "),
        (ENTRY.replace('["*"]', '["*-task"]'), "principal.0.grants.0.states.0: "),
        (ENTRY.replace('["*"]', '["Task"]'), "principal.0.grants.0.states.0: "),
        (ENTRY + "quota = { bytes = 0 }", "principal.0.quota.bytes: "),
        (ENTRY + 'quota = { bytes = "1" }', "principal.0.quota.bytes: "),
        (ENTRY + "quota = { bytes = true }", "principal.0.quota.bytes: "),
        (ENTRY + "quota = { megabytes = 1 }", "principal.0.quota.megabytes: "),
        (ENTRY + "token = 1", "principal.0.token: "),
        (ENTRY + ENTRY, "two principals have the same name"),
        (ENTRY + ENTRY.replace("laptop", "phone"), "two principals have the same digest"),
    ],
)
def test_a_token_file_with_a_mistake_is_refused_by_its_place_and_not_quoted(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(InvalidRequestError) as caught:
        Tokens.read(tmp_path / "tokens")
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"), [(None, "No such file"), (b"\xff\xfeh\x00", "not UTF-8")]
)
def test_a_token_file_that_cannot_be_read_is_refused(
    tmp_path: Path, data: bytes | None, said: str
) -> None:
    if data is not None:
        (tmp_path / "tokens").write_bytes(data)
    with pytest.raises(InvalidRequestError, match=said):
        Tokens.read(tmp_path / "tokens")


NAMES = st.from_regex(r"[ab][ab.-]{0,3}", fullmatch=True)
PATTERNS = st.one_of(NAMES, NAMES.map(lambda name: name + "*"), st.just("*"))
GRANTS = st.lists(
    st.builds(
        Grant,
        states=st.lists(PATTERNS, min_size=1, max_size=3),
        scopes=st.sets(st.sampled_from(Scope), min_size=1),
    ),
    min_size=1,
    max_size=3,
)


@given(GRANTS, NAMES, st.sampled_from(Scope))
def test_a_principal_may_what_some_grant_that_matches_says(
    grants: list[Grant], name: str, scope: Scope
) -> None:
    principal = Principal(name="p", digest=DIGEST, grants=tuple(grants))
    matching = [
        grant
        for grant in grants
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in grant.states)
    ]
    granted = {s for grant in matching for s in grant.scopes}
    if Scope.SYNC in granted:
        granted = set(Scope)
    state = StateName(name)
    assert principal.may(scope, state) == (scope in granted)
    assert principal.knows(state) == bool(matching)
    assert principal.may_somewhere(scope) >= principal.may(scope, state)
    assert principal.may(scope, state) >= principal.may_everywhere(scope)
    assert principal.may_everywhere(scope) == principal.may(scope, StateName("no-grant-names-it"))
