"""Who may talk to the broker and the database from inside a pod: only holders of a certificate of the stack's CA."""

from __future__ import annotations

from datetime import timedelta

import pytest
from resources.certificates import Authority

from tests.cluster.greeting import NOBODY, answer_of, authority_of, is_refused
from tests.cluster.release import Release

FIRST_ANSWERS = {"redis": ["-NOAUTH Authentication required."], "postgresql": ["R"]}

every_service = pytest.mark.parametrize("service", ["redis", "postgresql"])


@every_service
def test_a_certificate_of_the_stack_is_let_in_as_far_as_the_password(standing_release: Release, service: str) -> None:
    answer = answer_of(standing_release, service, authority_of(standing_release).leaf("worker"))
    assert answer == {"refused": None, "replies": FIRST_ANSWERS[service]}


@every_service
def test_no_client_certificate_is_refused(standing_release: Release, service: str) -> None:
    assert is_refused(standing_release, service, NOBODY)


@every_service
def test_a_certificate_of_another_ca_is_refused(standing_release: Release, service: str) -> None:
    assert is_refused(standing_release, service, Authority.new("shop CA").leaf("worker"))


@every_service
def test_an_expired_certificate_is_refused(standing_release: Release, service: str) -> None:
    expired = authority_of(standing_release).leaf("worker", ends_in=-timedelta(hours=1))
    assert is_refused(standing_release, service, expired)


@every_service
def test_plain_text_is_refused(standing_release: Release, service: str) -> None:
    assert is_refused(standing_release, service, None)
