"""The audit log: what is written stays, in order, and is found again (C44)."""

from __future__ import annotations

import threading
from datetime import timedelta

from umbel.monitor.actors import Actor, Role, cli_actor
from umbel.monitor.audit import AuditFilter
from umbel.monitor.history import History

ANN = Actor("ann", Role.OPERATOR, "openid")
BOB = Actor("bob", Role.VIEWER, "token")


def found(history: History, **wanted: object) -> list[str]:
    return [entry.target for entry in history.audit.find(AuditFilter(**wanted)).entries]  # type: ignore[arg-type]


def test_c44_entries_are_found_by_what_they_say(history: History) -> None:
    log = history.audit
    log.write(ANN, "queue.pause", "mail", at=100.0)
    log.write(ANN, "job.cancel", "id-1", {"task": "shop.pack"}, "There is no job 'id-1'.", at=200.0)
    log.write(BOB, "queue.pause", "50%_off", {"why": "Ünïcode"}, "refused", at=300.0)
    newest = log.find().entries[0]
    assert log.newest() == newest.number
    assert (newest.actor, newest.role, newest.via, newest.action) == ("bob", "viewer", "token", "queue.pause")
    assert (newest.at, newest.detail, newest.outcome, newest.succeeded) == (
        300.0,
        '{"why": "Ünïcode"}',
        "refused",
        False,
    )
    assert found(history) == ["50%_off", "id-1", "mail"]
    assert found(history, actor="ann") == ["id-1", "mail"]
    assert found(history, action="queue.pause") == found(history, action="queue") == ["50%_off", "mail"]
    assert found(history, action="que") == []
    assert found(history, target="mail") == ["mail"]
    assert found(history, since=200.0) == ["50%_off", "id-1"]
    assert found(history, until=200.0) == ["mail"]
    assert found(history, failed=True) == ["50%_off", "id-1"]
    assert found(history, text="SHOP.PACK") == ["id-1"]
    assert found(history, text="0%_") == ["50%_off"]
    assert found(history, text="no job") == ["id-1"]
    assert (log.actors(), log.actions()) == (("ann", "bob"), ("job.cancel", "queue.pause"))


def test_pages_hold_every_entry_once(history: History) -> None:
    for number in range(25):
        history.audit.write(ANN if number % 2 else BOB, "queue.pause", str(number))
    seen: list[str] = []
    before = None
    while True:
        page = history.audit.find(AuditFilter(actor="ann"), before=before, limit=5)
        seen += [entry.target for entry in page.entries]
        if page.next is None:
            break
        before = page.next
    assert seen == [str(number) for number in range(23, 0, -2)]


def test_entries_written_at_once_are_all_there(history: History) -> None:
    def write(name: str) -> None:
        for number in range(10):
            history.audit.write(Actor(name, Role.OPERATOR, "cli"), "queue.pause", str(number))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    entries = history.audit.find(limit=100).entries
    assert len({entry.number for entry in entries}) == 40
    for name in "abcd":
        assert [entry.target for entry in reversed(entries) if entry.actor == name] == [str(one) for one in range(10)]


def test_what_is_long_or_odd_is_kept_as_far_as_it_goes(history: History) -> None:
    odd = Actor("  eve\n\0\udce9 " + "x" * 500, Role.OPERATOR, "token")
    history.audit.write(odd, "queue.pause", "t" * 5000, {"object": object(), "text": "d" * 5000}, "o\0" * 5000)
    (entry,) = history.audit.find().entries
    assert entry.actor.startswith("eve ")
    assert len(entry.actor) == 200
    assert max(map(len, (entry.target, entry.detail or "", entry.outcome))) == 2000
    assert "\0" not in entry.outcome


def test_old_entries_go(history: History) -> None:
    history.audit.write(ANN, "queue.pause", "old", at=100.0)
    history.audit.write(ANN, "queue.pause", "new")
    numbers = [entry.number for entry in history.audit.find().entries]
    assert history.audit.prune(timedelta(days=1)) == 1
    assert found(history) == ["new"]
    history.audit.write(ANN, "queue.pause", "newer")
    newer, new = history.audit.find().entries
    assert newer.number > new.number == numbers[0], "no number is given twice"


def test_who_is_at_the_command_line() -> None:
    actor = cli_actor()
    assert (actor.role, actor.via, actor.may_act) == (Role.OPERATOR, "cli", True)
    assert actor.name
    assert not BOB.may_act
    assert Actor("", Role.VIEWER, "token").name == "viewer"
