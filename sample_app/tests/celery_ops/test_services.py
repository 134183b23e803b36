from __future__ import annotations

import pytest
from django.db import connection


@pytest.mark.django_db
def test_database_is_reached_with_tls() -> None:
    with connection.cursor() as cursor:
        cursor.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")
        assert cursor.fetchone()[0] is True
