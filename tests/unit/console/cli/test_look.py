"""Looking: lists, records, logs, receipts, as tables for people and as documents for programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.desk import HOME, REGION, A, Desk, instances

from orchestrator.ledger import journal

HOSTILE = "i-\x1b[2J\x9b1A\u202e[red]x[/red]\n"


def finished(desk: Desk) -> str:
    """Return a session that ended with a warning: one of two resources failed; a snapshot was kept."""
    session = desk.session(*instances(2))
    desk.begin(session)
    desk.worker(session, 0, "i-0aaaaaaaaaaaaaaaa")
    desk.move(session, "success", 0, done=5 * 2**30, total=8 * 2**30, result={"restorePoint": "rp-1", "kind": "full"})
    desk.move(session, "failed", 1, reason="the data role cannot be assumed", remedy="Repair its trust")
    desk.made(session, "role", "daywork-x", removed=True)
    desk.made(session, "snapshot", "kept", keep=True)
    desk.end(session, "warning")
    return session


def test_a_list_has_the_newest_first_and_can_be_filtered(desk: Desk) -> None:
    """By status and by number."""
    first, second = finished(desk), desk.session(*instances(1))

    everything = desk.say("session", "list", "-o", "json").document()
    warnings = desk.say("session", "list", "--status", "warning", "-o", "json").document()
    one = desk.say("session", "list", "--limit", "1", "-o", "json").document()

    assert everything["schemaVersion"] == 1
    assert [each["id"] for each in everything["sessions"]] == [second, first]
    assert [each["id"] for each in warnings["sessions"]] == [first]
    assert [each["id"] for each in one["sessions"]] == [second]
    assert "resources" not in everything["sessions"][0]


def test_a_list_table_has_one_line_a_session_without_colours(desk: Desk) -> None:
    """In a pipe: no escape, no blanks at the end, nothing folded."""
    session = finished(desk)

    said = desk.say("session", "list")

    head, row = said.out.splitlines()
    assert head.split() == ["SESSION", "OPERATION", "MODE", "STATUS", "DONE", "RESOURCES", "DATA", "STARTED", "TOOK"]
    assert row.split()[:6] == [session, "ec2-backup", "backup", "warning", "2", "2"]
    assert "\x1b" not in said.out
    assert all(line == line.rstrip() for line in said.out.splitlines())


def test_an_empty_list_says_so_on_stderr(desk: Desk) -> None:
    """Stdout stays empty: nothing is no data."""
    said = desk.say("session", "list")

    assert (said.code, said.out) == (0, "")
    assert "daywork session start" in said.err


def test_an_unknown_status_is_a_usage_error(desk: Desk) -> None:
    """It names the statuses there are."""
    said = desk.say("session", "list", "--status", "done")

    assert said.code == 2
    assert "stopping" in said.err


def test_a_record_is_the_contract_s_document(desk: Desk) -> None:
    """CONTRACT section 6, field by field."""
    session = finished(desk)

    record = desk.say("session", "show", session, "-o", "json").document()

    assert {
        "schemaVersion", "id", "source", "requestId", "operation", "mode", "status", "policy", "createdAt", "startedAt",
        "endedAt", "attempt", "progress", "counts", "resources", "receipt",
    } <= record.keys()  # fmt: skip
    assert record["counts"] == {"success": 1, "warning": 0, "failed": 1, "stopped": 0, "skipped": 0}
    good, bad = record["resources"]
    assert good["worker"]["instanceId"] == "i-0aaaaaaaaaaaaaaaa"
    assert good["result"]["restorePoint"] == "rp-1"
    assert (bad["status"], bad["reason"], bad["remedy"]) == (
        "failed", "the data role cannot be assumed", "Repair its trust",
    )  # fmt: skip
    assert record["receipt"]["remaining"] == []


def test_a_shown_session_puts_trouble_first_with_its_remedy(desk: Desk) -> None:
    """A person sees what went wrong before what went well."""
    out = desk.say("session", "show", finished(desk)).out

    first, second = instances(2)
    assert out.index(second) < out.index(first)
    assert "production-a" in out
    assert "the data role cannot be assumed\n  do  Repair its trust" in out
    assert "rp-1 (full)" in out
    assert "receipt: 2 made, 1 removed, kept 1 snapshot, nothing left behind" in out


def test_a_large_session_is_cut_and_says_so(desk: Desk) -> None:
    """--all shows the rest."""
    session = desk.session(*instances(70))

    cut, whole = desk.say("session", "show", session).out, desk.say("session", "show", session, "--all").out

    assert "and 20 more; --all shows them" in cut
    assert all(one in whole for one in instances(70))


def test_a_log_names_the_resource_of_each_line(desk: Desk) -> None:
    """In order, with level."""
    session = desk.session(*instances(2))
    with desk.ledger.write() as tx:
        journal.write(tx, session, "worker launched", ordinal=1)
        journal.write(tx, session, "it went wrong", ordinal=1, level="error")

    lines = desk.say("session", "log", session, "-o", "json").document()["lines"]

    assert [one["text"] for one in lines][-2:] == ["worker launched", "it went wrong"]
    assert (lines[-1]["level"], lines[-1]["resource"]) == ("error", list(instances(2))[1])
    assert desk.say("session", "log", session).out.splitlines()[-1].endswith("it went wrong")


def test_following_the_log_of_an_ended_session_ends(desk: Desk) -> None:
    """As JSON it is one document a line."""
    session = finished(desk)

    said = desk.say("session", "log", session, "--follow", "-o", "json")

    assert said.code == 0
    assert all(one["schemaVersion"] == 1 for one in said.lines())


def test_a_receipt_names_what_is_left_behind(desk: Desk) -> None:
    """What remains is said in the table, in the line below it and in the document."""
    session = desk.session(*instances(1))
    desk.made(session, "role", "daywork-x")
    desk.made(session, "snapshot", "kept", keep=True)

    said = desk.say("session", "receipt", session)
    document = desk.say("session", "receipt", session, "-o", "json").document()

    assert "1 left behind (role role-daywork-x)" in said.out
    assert [one["id"] for one in document["receipt"]["remaining"]] == ["role-daywork-x"]
    assert [one["id"] for one in document["receipt"]["kept"]] == ["snapshot-kept"]


def test_workers_are_listed_with_their_session_and_resource(desk: Desk) -> None:
    """Only those that live, of one session if asked."""
    session, other = desk.session(*instances(1)), desk.session("i-0b")
    desk.worker(session, 0, "i-0aaaaaaaaaaaaaaaa")
    desk.worker(other, 0, "i-0bbbbbbbbbbbbbbbb")

    everyone = desk.say("worker", "list", "-o", "json").document()["workers"]
    mine = desk.say("worker", "list", "--session", session, "-o", "json").document()["workers"]

    assert {one["instanceId"] for one in everyone} == {"i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"}
    assert [(one["sessionId"], one["resource"], one["account"]) for one in mine] == [
        (session, next(iter(instances(1))), HOME)
    ]
    assert "i-0bbbbbbbbbbbbbbbb" in desk.say("worker", "list").out
    assert desk.say("worker", "list", "--session", "s-nobody").code == 7


def test_restore_points_are_listed_and_shown(desk: Desk) -> None:
    """The newest first; of one resource by account name or id."""
    day = datetime(2026, 11, 23, 2, tzinfo=UTC)
    old, new = desk.point(made=day), desk.point(made=day + timedelta(days=1))
    other = desk.point("i-0ffffffffffffffff", made=day)

    listed = desk.say("restore-point", "list", "-o", "json").document()["restorePoints"]
    mine = desk.say("restore-point", "list", "--resource", f"production-a/{REGION}/i-0a1b2c3d4e5f60718", "-o", "json")
    shown = desk.say("restore-point", "show", old, "-o", "json").document()["restorePoint"]

    assert {one["id"] for one in listed} == {old, new, other}
    assert [one["id"] for one in mine.document()["restorePoints"]] == [new, old]
    assert (shown["account"], shown["sizeBytes"], shown["createdAt"]) == (A, 8 * 2**30, "2026-11-23T02:00:00.000Z")
    assert "vol-0123456789abcdef0" in desk.say("restore-point", "show", old).out
    assert desk.say("restore-point", "show", "rp-nobody").code == 7
    assert desk.say("restore-point", "list", "--resource", "i-0a").code == 2
    assert desk.say("restore-point", "list", "--resource", f"nobody/{REGION}/i-0a").code == 7


def test_hostile_names_and_reasons_cannot_touch_the_terminal(desk: Desk) -> None:
    """Controls, C1 controls and direction marks are written out; markup stays what it is."""
    session = desk.session(HOSTILE.strip().replace("\x1b", "").replace("\n", ""))
    desk.begin(session)
    desk.move(session, "failed", 0, reason=HOSTILE, remedy=HOSTILE)
    desk.end(session, "failed")
    desk.made(session, "role", HOSTILE)

    outputs = [
        desk.say("session", verb, session, *flags)
        for verb in ("show", "log", "receipt", "watch")
        for flags in ([], ["-o", "json"])
    ]

    for said in outputs:
        shown = said.out + said.err
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
    assert "[red]x[/red]" in outputs[0].out
    assert r"\x1b[2J\x9b1A\u202e" in outputs[0].out


def test_settings_are_shown_without_their_passwords(desk: Desk) -> None:
    """With where each one comes from."""
    document = desk.say("config", "show", "-o", "json").document()
    said = desk.say("config", "show")

    assert document["settings"]["broker_url"] == "redis://user:***@127.0.0.1:1/0"
    assert document["origins"]["broker_url"] == "environment"
    assert document["origins"]["boot_seconds"] == "default"
    assert "canary-password" not in said.out
    assert "DAYWORK_BROKER_URL" in said.out


def test_a_running_job_tells_how_fast_it_is_and_how_long_it_takes(desk: Desk) -> None:
    """Since its order was given, not since the session began; only while it runs."""
    session = desk.session(*instances(2))
    desk.begin(session)
    ordered = (datetime.now(UTC) - timedelta(seconds=100)).timestamp()
    desk.move(session, "running", 0, done=10 * 2**30, total=40 * 2**30, state={"orderedAt": ordered})
    desk.move(session, "booting", 1, total=8 * 2**30)

    record = desk.say("session", "show", session, "-o", "json").document()
    said = desk.say("session", "show", session)

    running, booting = (one["progress"] for one in record["resources"])
    assert running["ratePerSecond"] * 110 >= 10 * 2**30 >= running["ratePerSecond"] * 100
    assert 300 <= running["secondsLeft"] <= 330
    assert booting.keys() == {"done", "total", "unit"}
    assert " MiB/s, about 5 min " in said.out


def test_what_a_restore_made_is_its_result(desk: Desk) -> None:
    """The instance, the volumes, or what a drill has compared: not the point that it began with."""
    session = desk.session(*instances(3))
    desk.begin(session)
    volumes = [{"volumeId": "vol-1", "newVolumeId": "vol-9"}]
    results = (
        {"restorePoint": "rp-1", "instanceId": "i-restored", "volumes": volumes},
        {"restorePoint": "rp-1", "volumes": volumes},
        {"restorePoint": "rp-1", "volumes": volumes, "drill": True, "blocksCompared": 3},
    )
    for number, result in enumerate(results):
        desk.move(session, "success", number, result=result)

    said = desk.say("session", "show", session)

    for shown in ("i-restored", "vol-9", "drill: 3 blocks compared"):
        assert shown in said.out
    assert "rp-1" not in said.out
