"""One real S3 service for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.object_store.seaweed import SeaweedFS


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A service that ``s3://`` addresses mean, in this process too."""
    path = tmp_path_factory.mktemp("seaweed") / "data"
    with SeaweedFS(path) as service, pytest.MonkeyPatch.context() as environment:
        for name, value in service.environment.items():
            environment.setenv(name, value)
        service.wait_until_writable()
        yield service
