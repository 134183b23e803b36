from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from celery_ops import outbox, sweep
from celery_ops.models import BeatLease, OutboxMessage
from tests.celery_ops.tasks import effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker")]


@pytest.fixture
def client() -> Client:
    client = Client(headers={"X-Forwarded-Proto": "https"})
    client.force_login(User.objects.create_superuser("admin"))
    return client


def test_a_task_that_failed_is_run_again_on_request(client: Client, tmp_path: Path) -> None:
    failed, done = (effect.delay_on_commit(str(tmp_path)) for _ in range(2))
    outbox.acknowledge(outbox.open_row(failed), "FAILURE")
    outbox.acknowledge(outbox.open_row(done), "SUCCESS")
    page = reverse("admin:celery_ops_outboxmessage_changelist")
    answer = client.post(page, {"action": "replay", "_selected_action": [failed, done]}, follow=True)
    assert "1 of 2 tasks are sent again." in answer.content.decode()
    assert sweep.sweep().sent == 1
    assert OutboxMessage.objects.get(pk=failed).state == ""
    assert OutboxMessage.objects.get(pk=done).state == "SUCCESS"


def test_the_holder_of_the_lease_is_shown_and_nothing_can_be_edited(client: Client) -> None:
    BeatLease.objects.create(name="beat", holder="beat-host")
    assert "beat-host" in client.get(reverse("admin:celery_ops_beatlease_changelist")).content.decode()
    assert client.get(reverse("admin:celery_ops_beatlease_add")).status_code == 403
