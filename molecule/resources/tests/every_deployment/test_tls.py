"""Who may talk to the broker and the database: only holders of a certificate of the stack's CA."""

from __future__ import annotations

from datetime import timedelta

import pytest
from resources.certificates import Authority, Pair
from resources.deployment import Deployment
from resources.greeting import answer_of, is_refused, service_of

DEMANDS = {"redis": ["-NOAUTH Authentication required."], "rabbitmq": ["PLAIN"], "postgresql": ["R"]}
NOBODY = Pair("", "")

every_service = pytest.mark.parametrize("part", ["broker", "database"])


@every_service
def test_a_certificate_of_the_stack_is_let_in_as_far_as_the_password(deployment: Deployment, part: str) -> None:
    answer = answer_of(deployment, part, deployment.authority.leaf("worker"))
    assert answer["refused"] is None
    assert answer["replies"] == DEMANDS[service_of(deployment, part)]


@every_service
def test_no_client_certificate_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, NOBODY)


@every_service
def test_a_certificate_of_another_ca_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, Authority.new("shop CA").leaf("worker"))


@every_service
def test_an_expired_certificate_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, deployment.authority.leaf("worker", ends_in=-timedelta(hours=1)))


@every_service
def test_plain_text_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, None)
