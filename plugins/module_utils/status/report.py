"""Turns the hosts' answers into a table and a list of what is wrong, in words that say what to do. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.certificates.duration import read_duration
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import Expected
from ansible_collections.stalk.celery.plugins.module_utils.status.table import WIDTH, aligned, amount, span
from ansible_collections.stalk.celery.plugins.module_utils.stranded import dead_letters
from ansible_collections.stalk.celery.plugins.module_utils.unit_names import worker_unit

Answer = Mapping[str, Any]

# A unit that started this recently may not have shown a heartbeat, and its restarts may be a deployment's.
START_SECONDS = 60
RESTARTS_THAT_ALARM = 3
FULL_MEMORY = 0.9
FULL_DISK = 0.9
DAY = 86400
HOSTS_NAMED = 2
NO_BREAK = "\N{NO-BREAK SPACE}"
HEADING = ["POOL", "HOST", "STATE", "SINCE", "SLOTS", "ACTIVE", "RESERVED", "QUEUED", "HEARTBEAT"]
NUMBERS = (4, 5, 6, 7, 8)


@dataclass
class Report:
    app: str
    stack: Mapping[str, Any]
    expected: list[Expected]
    answers: Mapping[str, Answer]
    unreachable: Mapping[str, str]
    problems: list[str] = field(default_factory=list)
    down: set[str] = field(default_factory=set)

    @property
    def broker(self) -> str:
        """The component that is the broker."""
        return str(self.stack["broker"]["component"])

    def lines(self) -> list[str]:
        """The whole text; fills `problems` on the way."""
        for host, reason in self.unreachable.items():
            self.problem(f"{host}: does not answer ({reason}); see whether it is up and Ansible may log in")
        # What stands still because of the broker or the database is shown, yet only the cause is a problem.
        self.down = {name for name in (self.broker, "postgresql") if self.is_down(name)}
        others = list(self.other_rows())
        rows = [*self.pool_rows(), *self.beat_rows(), *others]
        table = self.table(rows)
        certificates = self.certificate_lines()
        self.check_queues()
        self.check_leftovers()
        self.check_disks()
        return [self.title(), "", *table, "", *certificates, "", *self.verdict()]

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def title(self) -> str:
        hosts = len(self.expected)
        moments = [answer["now"] for answer in self.answers.values()]
        clock = f", {datetime.fromtimestamp(max(moments), UTC):%Y-%m-%d %H:%M:%S} UTC" if moments else ""
        return f"{self.app} on {hosts} host{'' if hosts == 1 else 's'}{clock}"

    def verdict(self) -> list[str]:
        if not self.problems:
            return ["All is well."]
        count = len(self.problems)
        found = [f"{count} problem{'' if count == 1 else 's'}:"]
        for text in self.problems:
            found += textwrap.wrap(
                text,
                WIDTH,
                initial_indent="  ! ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        return found

    @staticmethod
    def table(rows: list[tuple[list[str], str]]) -> list[str]:
        """Rows of pools have a figure in every column, all others end in words after the first four."""
        cells = [HEADING] + [[*row, *([""] * (len(HEADING) - len(row)))] for row, _ in rows]
        lines = aligned(cells, NUMBERS)
        start = lines[0].index("SLOTS") if rows else 0
        merged = [lines[0]]
        for line, (_, words) in zip(lines[1:], rows, strict=True):
            if not words:
                merged.append(line)
                continue
            wrapped = textwrap.wrap(words, WIDTH - start, break_on_hyphens=False) or [""]
            merged.append(line.ljust(start) + wrapped[0])
            merged += [" " * start + rest for rest in wrapped[1:]]
        return merged

    @property
    def has_sentinel(self) -> bool:
        return bool(self.stack["broker"]["topology"] == "sentinel")

    @property
    def is_cluster(self) -> bool:
        return bool(self.stack["broker"]["topology"] == "cluster")

    def is_down(self, component: str) -> bool:
        hosts = [expected.host for expected in self.expected if component in expected.components]
        if component == self.broker and self.has_sentinel:
            return not any(self.answers.get(host, {}).get("broker", {}).get("role") == "primary" for host in hosts)
        lacking = [host not in self.answers or not self.serves(host, component) for host in hosts]
        return all(lacking) if component == self.broker and self.is_cluster else any(lacking)

    def serves(self, host: str, component: str) -> bool:
        answer = self.answers[host]
        if component == self.broker:
            return "error" not in answer["broker"]
        return bool(answer["database"]["accepts"])

    # --- state of a unit ---------------------------------------------------------------------------------------

    def state(self, host: str, unit: str, name: str) -> list[str]:
        """STATE and SINCE; a unit that does not run is a problem."""
        answer = self.answers.get(host)
        if answer is None:
            return ["unknown", ""]
        unit_state = answer["units"].get(unit)
        journal = f"journalctl -u {unit}"
        if unit_state is None or not unit_state["loaded"]:
            self.problem(f"{name} on {host}: is not installed; run playbooks/site.yml")
            return ["missing", ""]
        active = unit_state["active"]
        since = span(answer["now"] - (unit_state["started"] if active == "active" else unit_state["settled"]))
        age = answer["now"] - unit_state["started"]
        if active in ("active", "reloading"):
            if unit_state["restarts"] >= RESTARTS_THAT_ALARM and age < START_SECONDS:
                self.problem(f"{name} on {host}: was restarted {unit_state['restarts']} times; {journal} says why")
            return ["running", since]
        if active == "activating":
            self.problem(
                f"{name} on {host}: does not come up, {unit_state['restarts']} restarts so far; {journal} says why"
            )
            return ["starting", since]
        if active == "failed":
            self.problem(
                f"{name} on {host}: failed ({unit_state['result']}); {journal} says why, "
                f"then `systemctl restart {unit}` there"
            )
            return ["failed", since]
        if active == "deactivating":
            self.problem(f"{name} on {host}: ends its tasks and stops; playbooks/site.yml starts it again once it has")
            return ["stopping", since]
        self.problem(f"{name} on {host}: is stopped; `systemctl start {unit}` there or run playbooks/site.yml")
        return ["stopped", since]

    def beat_of(self, host: str, unit: str, name: str, longest: float, running: bool) -> tuple[Answer, str]:
        """The heartbeat and its age in words."""
        answer = self.answers.get(host)
        if answer is None:
            return {}, ""
        beat = answer["heartbeats"].get(unit)
        since_start = answer["now"] - answer["units"].get(unit, {}).get("started", 0)
        if not beat or not isinstance(beat.get("time"), (int, float)):
            if running and since_start > START_SECONDS:
                self.problem(
                    f"{name} on {host}: runs but shows no heartbeat; "
                    f"`systemctl restart {unit}` there, and see journalctl -u {unit}"
                )
            return {}, "none"
        age = answer["now"] - beat["time"]
        if running and age > longest and since_start > longest:
            self.problem(
                f"{name} on {host}: its heartbeat is {span(age)} old, more than {span(longest)}; it hangs, "
                f"`systemctl restart {unit}` there"
            )
        return beat, span(age)

    # --- rows --------------------------------------------------------------------------------------------------

    def pool_rows(self) -> Iterator[tuple[list[str], str]]:
        lengths = self.lengths()
        for name, pool in self.stack["pools"].items():
            unit = worker_unit(self.app, name)
            hosts = [expected.host for expected in self.expected if name in expected.pools]
            if not hosts:
                self.problem(f"pool {name}: no host runs it; put one into the group worker of the inventory")
            known = [lengths[queue] for queue in pool["queues"] if queue in lengths]
            queued = str(sum(known)) if known else "?"
            for host in hosts:
                state = self.state(host, unit, f"pool {name}")
                running = state[0] == "running"
                beat, age = self.beat_of(host, unit, f"pool {name}", pool["heartbeat_max_age"], running)
                if running and beat and not beat.get("consuming", True) and self.is_old(host, unit):
                    state[0] = "waiting"
                    if self.broker not in self.down:
                        self.problem(
                            f"pool {name} on {host}: runs but takes no messages; journalctl -u {unit} says why"
                        )
                figures = [str(beat.get(key, "-")) for key in ("concurrency", "active", "reserved")]
                yield [name, host, *state, *figures, queued, age or "-"], ""

    def is_old(self, host: str, unit: str) -> bool:
        answer = self.answers[host]
        return bool(answer["now"] - answer["units"].get(unit, {}).get("started", 0) > START_SECONDS)

    def other_rows(self) -> Iterator[tuple[list[str], str]]:
        for component, row in (
            (self.broker, self.broker_row),
            ("postgresql", self.database_row),
            ("web", self.web_row),
            ("flower", self.flower_row),
        ):
            for expected in self.expected:
                if component in expected.components:
                    yield row(expected.host)

    def beat_rows(self) -> Iterator[tuple[list[str], str]]:
        unit = f"{self.app}-beat.service"
        hosts = [expected.host for expected in self.expected if "beat" in expected.components]
        holders = []
        for host in hosts:
            state = self.state(host, unit, "beat")
            running = state[0] == "running"
            beat, age = self.beat_of(host, unit, "beat", self.stack["beat"]["heartbeat_max_age"], running)
            words = f"heartbeat {age} ago" if beat else "no heartbeat"
            if running and beat.get("active"):
                holders.append(host)
                state[0] = "active"
                expires = beat.get("lease_expires")
                left = f"for {span(expires - beat['time'])} more" if isinstance(expires, (int, float)) else ""
                words = f"holds the lease {left}".strip() + f", {words}"
            elif running and beat:
                state[0] = "standby"
                words = f"stands by for {beat.get('holder') or 'nobody'}, {words}"
            yield ["beat", host, *state], words if state[0] != "unknown" else "-"
        if hosts and not holders and not set(hosts) <= set(self.unreachable):
            young = [host for host in hosts if host in self.answers and not self.is_old(host, unit)]
            if not young and "postgresql" not in self.down:
                self.problem(
                    f"beat: nobody holds the lease, so nothing is scheduled; `systemctl restart {unit}` on {hosts[0]}, "
                    f"and see journalctl -u {unit}"
                )
        if len(holders) > 1:
            self.problem(
                f"beat: {' and '.join(holders)} are both active, so tasks are sent twice; "
                f"`systemctl stop {unit}` on {holders[-1]} and compare the clocks"
            )

    def broker_row(self, host: str) -> tuple[list[str], str]:
        unit = f"{self.app}-{self.broker}"
        state = self.state(host, f"{unit}.service", "broker")
        told = self.answers.get(host, {}).get("broker")
        if not told:
            return ["broker", host, *state], "-"
        if "error" in told:
            if state[0] == "running":
                self.problem(f"broker on {host}: does not answer ({told['error']}); journalctl -u {unit} says why")
            return ["broker", host, *state], "does not answer"
        part = told["memory"] / told["limit"] if told["limit"] else 0.0
        if part > FULL_MEMORY:
            self.problem(
                f"broker on {host}: {part:.0%} of its memory is used, and when it is full nothing can be sent; "
                "let the queues drain (more slots or hosts) or raise broker.maxmemory"
            )
        if not told["saved"]:
            what = {
                "redis": "cannot write its append-only file; see whether the disk is full",
                "rabbitmq": "has less free disk than broker.disk_free_limit, and nothing can be sent; free some",
            }
            self.problem(f"broker on {host}: {what[self.broker]}")
        for node, runs in told.get("nodes", {}).items():
            if not runs and node == told["node"] and state[0] == "running":
                self.problem(f"broker on {host}: is no running node of its cluster; journalctl -u {unit} says why")
        # What all nodes tell alike is said once.
        telling = (name for name, answer in self.answers.items() if "dead" in (answer.get("broker") or {}))
        is_first = host == next(telling, host)
        for pool, count in (told.get("dead", {}) if is_first else {}).items():
            self.problem(
                f"broker on {host}: {dead_letters(count)} of pool {pool} in the queue "
                f"@dead.{pool}, given out too often or refused by a worker; docs/rabbitmq.md says what to do"
            )
        role = self.role(host, told) if self.has_sentinel else ""
        memory = f"{role}memory {amount(told['memory'])} of {amount(told['limit'])} ({part:.0%})"
        if told.get("role") == "replica":
            return ["broker", host, *state], memory
        words = f"{memory}, {told['taken']} taken and unfinished"
        if nodes := told.get("nodes"):
            words = f"{sum(nodes.values())} of {len(nodes)} nodes, {words}"
        if delayed := told.get("delayed"):
            words += f", {delayed} delayed"
        other = {name: length for name, length in told["queues"].items() if name not in self.consumed() and length}
        if other:
            words += ", nobody consumes " + ", ".join(f"{name}: {length}" for name, length in other.items())
        return ["broker", host, *state], words

    def role(self, host: str, told: Answer) -> str:
        """What the node is among the others; a missing Sentinel and a replica that stays behind are problems."""
        self.state(host, f"{self.app}-sentinel.service", "sentinel")
        if told["role"] == "primary":
            nodes = sum(self.broker in expected.components for expected in self.expected)
            if told["replicas"] < nodes - 1:
                self.problem(
                    f"broker on {host}: {told['replicas']} of {nodes - 1} replicas follow; bring the others up, or put "
                    "another host in the place of one that is gone for good"
                )
            return f"primary, {told['replicas']} replicas, "
        if not told["follows"]:
            self.problem(
                f"broker on {host}: does not follow the primary; journalctl -u {self.app}-redis there says why"
            )
        return "replica, "

    def database_row(self, host: str) -> tuple[list[str], str]:
        answer = self.answers.get(host)
        if answer is None:
            return ["database", host, "unknown", ""], "-"
        clusters = [unit for unit in answer["units"] if unit.startswith("postgresql@")]
        state = self.state(host, clusters[0] if clusters else "postgresql.service", "database")
        if answer["database"]["accepts"]:
            return ["database", host, *state], "accepts connections"
        if state[0] == "running":
            self.problem(
                f"database on {host}: accepts no connections ({answer['database']['said']}); "
                f"journalctl -u {clusters[0]} says why"
            )
        return ["database", host, *state], "accepts no connections"

    def web_row(self, host: str) -> tuple[list[str], str]:
        state = self.state(host, f"{self.app}-web.service", "web")
        front = self.state(host, "nginx.service", "nginx")
        if front[0] not in ("running", "unknown"):
            return ["web", host, *state], f"nginx is {front[0]}"
        told = self.answers.get(host, {}).get("pages", {}).get("web")
        if not told:
            return ["web", host, *state], "-"
        if told.get("status") == 404:
            # An application need not have the pages of celery_ops.urls.
            return ["web", host, *state], "answers"
        missing = what_misses(told)
        if told.get("status") == 200 and not missing:
            return ["web", host, *state], "ready"
        words = "is ready, but misses something" if told.get("status") == 200 else "is not ready"
        reason = told.get("error") or missing or f"HTTP {told.get('status')}"
        if state[0] == "running" and front[0] == "running" and not (self.down and told.get("status") in (200, 503)):
            self.problem(f"web on {host}: {words} ({reason}); journalctl -u {self.app}-web says why")
        return ["web", host, *state], words

    def flower_row(self, host: str) -> tuple[list[str], str]:
        unit = f"{self.app}-flower.service"
        state = self.state(host, unit, "flower")
        told = self.answers.get(host, {}).get("pages", {}).get("flower")
        if not told:
            return ["flower", host, *state], "-"
        if told.get("status") == 200:
            return ["flower", host, *state], "answers"
        reason = told.get("error") or f"HTTP {told.get('status')}"
        if state[0] == "running" and self.is_old(host, unit):
            self.problem(f"flower on {host}: does not answer ({reason}); journalctl -u {unit} says why")
        return ["flower", host, *state], "does not answer"

    # --- queues, leftovers, certificates, disks ----------------------------------------------------------------

    def lengths(self) -> dict[str, int]:
        return {
            name: length
            for answer in self.answers.values()
            if answer.get("broker", {}).get("role") != "replica"
            for name, length in answer.get("broker", {}).get("queues", {}).items()
        }

    def consumed(self) -> set[str]:
        return {queue for pool in self.stack["pools"].values() for queue in pool["queues"]}

    def consuming(self) -> set[str]:
        """Queues that a worker takes messages from right now, by its heartbeat."""
        return {
            queue
            for name, pool in self.stack["pools"].items()
            for answer in self.answers.values()
            if (answer["heartbeats"].get(worker_unit(self.app, name)) or {}).get("consuming")
            if answer["units"].get(worker_unit(self.app, name), {}).get("active") == "active"
            for queue in pool["queues"]
        }

    def check_queues(self) -> None:
        consuming, consumed = self.consuming(), self.consumed()
        unknown_hosts = any(expected.pools and expected.host in self.unreachable for expected in self.expected)
        for queue, length in self.lengths().items():
            if not length or queue in consuming or (queue in consumed and unknown_hosts):
                continue
            if queue in consumed:
                pool = next(name for name, pool in self.stack["pools"].items() if queue in pool["queues"])
                self.problem(f"queue {queue}: {length} waiting and nobody takes them; bring pool {pool} up")
            else:
                self.problem(
                    f"queue {queue}: {length} waiting and no pool consumes it; add it to the queues of a pool "
                    "and run playbooks/site.yml"
                )

    def check_leftovers(self) -> None:
        for expected in self.expected:
            answer = self.answers.get(expected.host)
            if answer is None:
                continue
            for unit, state in answer["units"].items():
                wanted = unit in expected.units(self.app)
                if state["active"] == "failed" and not wanted and not unit.startswith("postgresql@"):
                    self.problem(
                        f"{unit} on {expected.host}: failed ({state['result']}); journalctl -u {unit} says why"
                    )
                name = self.process(unit)
                if name and not wanted and state["active"] in ("active", "activating", "deactivating"):
                    self.problem(f"{name} on {expected.host}: runs and does not belong there; run playbooks/site.yml")

    def process(self, unit: str) -> str:
        """`pool high`, `beat`, `flower` or `web`; nothing for any other unit."""
        name = unit.removeprefix(f"{self.app}-").removesuffix(".service")
        if name.startswith("worker@"):
            return name.replace("worker@", "pool ")
        return name if unit == f"{self.app}-{name}.service" and name in ("beat", "flower", "web") else ""

    def certificate_lines(self) -> list[str]:
        """The soonest end first; those that end on the same day and have one name share an entry."""
        ends: dict[tuple[int, str], list[str]] = {}
        for host, answer in self.answers.items():
            for name, end in answer["certificates"].items():
                days = int((end - answer["now"]) // DAY)
                ends.setdefault((days, name), []).append(host)
                self.check_certificate(host, name, end, answer["now"])
        if not ends:
            return ["certificates: none found"]
        entries = [f"{days}d {name}{self.on(hosts)}" for (days, name), hosts in sorted(ends.items())]
        # A no-break space keeps an entry on one line.
        text = "certificates: " + ", ".join(entry.replace(" ", NO_BREAK) for entry in entries)
        lines = textwrap.wrap(text, WIDTH, subsequent_indent=" " * 14, break_long_words=False, break_on_hyphens=False)
        return [line.replace(NO_BREAK, " ") for line in lines]

    def on(self, hosts: list[str]) -> str:
        if len(self.expected) == 1:
            return ""
        return f" ({', '.join(hosts)})" if len(hosts) <= HOSTS_NAMED else f" ({len(hosts)} hosts)"

    def check_certificate(self, host: str, name: str, end: float, now: float) -> None:
        what = {"ca": "certificate of the CA", "site": "certificate of the site"}.get(name, f"certificate {name}")
        date = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC"
        remedy = {
            "ca": "make a new CA before that",
            "site": "renew web.servers.certificate and run playbooks/site.yml",
        }.get(name, "run playbooks/site.yml, which renews it")
        if end <= now:
            self.problem(f"{what} on {host}: expired on {date}; {remedy}")
        elif end - now < read_duration(self.stack["tls"]["rotate_before"]).total_seconds():
            self.problem(f"{what} on {host}: expires on {date}; {remedy}")

    def check_disks(self) -> None:
        for host, answer in self.answers.items():
            for folder, part in answer["disks"].items():
                if part > FULL_DISK:
                    self.problem(f"disk on {host}: {folder} is {part:.0%} full; make room before services stop")


def what_misses(page: Mapping[str, Any]) -> str:
    """What /readyz says, in one line: `unreachable: broker` of {"unreachable": ["broker"]}."""
    try:
        body = json.loads(page.get("body", ""))
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    parts = [
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in body.items()
        if key != "status" and value not in ("ok", True, None, [])
    ]
    return ", ".join(parts)
