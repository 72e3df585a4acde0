"""The capacity ledger: by hand, against the whole history recounted, and from many threads."""

from __future__ import annotations

import pickle
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from random import Random
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.ledger import (
    Approval,
    Approve,
    Books,
    Hold,
    Ledger,
    Lock,
    Meter,
    Refusal,
    Release,
    Totals,
    apply,
    totals,
)


def kw(text: str) -> Decimal:
    return Decimal(text)


NAIVE = datetime(2026, 4, 1, tzinfo=UTC).replace(tzinfo=None)


def hold(lock_id: str, power: str, start=10, end=11, approval: str | None = None) -> Hold:
    return Hold(lock_id, "m", kw(power), start, end, approval)


def ledger(sanctioned: str = "30", committed: str = "5") -> Ledger:
    return Ledger({"m": Meter(kw(sanctioned), kw(committed)), "n": Meter(kw("30"))})


def code(answer: object) -> str:
    return answer.code if isinstance(answer, Refusal) else "OK"


def locked(book: Ledger, *holds: Hold) -> Ledger:
    for number, one in enumerate(holds):
        assert code(book.lock(f"lock {number}", one)) == "OK"
    return book


def test_a_day_of_a_meter():
    # 30 kW are sanctioned and 5 held by another market: 25 may be traded.
    book = ledger()
    asked = book.approve("a1", "m", kw("40"))
    assert asked == Approval("m", kw("25"), kw("30"), kw("5"))
    # 20 kW of export from 10 to 11 leave 5 of export then, and all 25 of import.
    export = hold("t1", "20", approval="a1")
    assert book.lock("c1", export) == export
    assert book.totals("m", 10, 11) == Totals(kw("20"), kw("0"), kw("5"), kw("25"))
    assert book.approve("a2", "m", kw("40")) == Approval("m", kw("5"), kw("30"), kw("25"))
    assert code(book.lock("c2", hold("t2", "6", 10, 12))) == "E_OVERLAP"
    assert code(book.lock("c3", hold("t3", "-25"))) == "OK"
    assert code(book.lock("c4", hold("t4", "25", 11, 12))) == "OK"
    # 10 to 12 is as full as its fullest instant.
    assert book.totals("m", 10, 12) == Totals(kw("25"), kw("25"), kw("0"), kw("0"))
    assert book.release("r1", "t1") == export
    assert book.totals("m", 10, 11) == Totals(kw("0"), kw("25"), kw("25"), kw("0"))


def test_as_much_as_asked_for_is_approved_and_no_more():
    answer = ledger().approve("a", "m", kw("7.5"))
    assert isinstance(answer, Approval)
    assert answer.limit_kw == kw("7.5")


def test_an_approval_reserves_nothing():
    book = ledger()
    assert book.approve("a1", "m", kw("25")) == book.approve("a2", "m", kw("25"))
    assert book.totals("m", 0, 24) == Totals(kw("0"), kw("0"), kw("25"), kw("25"))


def test_other_markets_may_hold_more_than_is_sanctioned():
    book = ledger("30", "31")
    assert book.approve("a", "m", kw("1")) == Approval("m", kw("0"), kw("30"), kw("31"))


def test_intervals_that_only_touch_do_not_overlap():
    book = locked(ledger(), hold("t1", "25", 10, 11), hold("t2", "25", 11, 12))
    assert code(book.lock("c", hold("t3", "25", 9, 10))) == "OK"


def test_locks_that_reach_into_an_interval_are_not_added_unless_they_meet():
    # 15 until 11 and 15 from 11 on are never 30, and leave 10 throughout.
    book = locked(ledger(), hold("t1", "15", 8, 11), hold("t2", "15", 11, 14))
    assert code(book.lock("c", hold("t3", "10", 10, 12))) == "OK"
    assert code(book.lock("d", hold("t4", "0.001", 10, 12))) == "E_OVERLAP"


def test_export_and_import_do_not_offset_each_other():
    book = locked(ledger(), hold("t1", "25"), hold("t2", "-25"))
    assert code(book.lock("c", hold("t3", "1"))) == "E_OVERLAP"
    assert code(book.lock("d", hold("t4", "-1"))) == "E_OVERLAP"


def test_meters_do_not_share():
    book = locked(ledger(), hold("t1", "25"))
    assert code(book.lock("c", Hold("t2", "n", kw("30"), 10, 11))) == "OK"


def test_a_trade_of_nothing_holds_nothing():
    book = locked(ledger(), hold("t1", "25"))
    assert code(book.lock("c", hold("t2", "0"))) == "OK"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Approve("x", "?", kw("1")), "E_UNKNOWN_METER"),
        (Approve("x", "m", kw("-1")), "E_NEGATIVE"),
        (Approve("x", "m", kw("NaN")), "E_NOT_FINITE"),
        (Approve("x", "m", kw("sNaN")), "E_NOT_FINITE"),
        (Approve("x", "m", kw("Infinity")), "E_NOT_FINITE"),
        (Lock("x", Hold("t", "?", kw("1"), 10, 11)), "E_UNKNOWN_METER"),
        (Lock("x", hold("t", "NaN")), "E_NOT_FINITE"),
        (Lock("x", hold("t", "-Infinity")), "E_NOT_FINITE"),
        (Lock("x", hold("t", "1", 11, 11)), "E_EMPTY_INTERVAL"),
        (Lock("x", hold("t", "1", 12, 11)), "E_EMPTY_INTERVAL"),
        (Lock("x", hold("t", "1", NAIVE, NAIVE + timedelta(hours=1))), "E_NO_TIME_ZONE"),
        (Lock("x", hold("t", "25.001", 0, 1)), "E_OVER_SANCTIONED_LOAD"),
        (Lock("x", hold("t", "-25.001")), "E_OVER_SANCTIONED_LOAD"),
        (Lock("x", hold("t", "15.001")), "E_OVERLAP"),
        (Lock("x", hold("t", "1", approval="?")), "E_UNKNOWN_APPROVAL"),
        (Lock("x", hold("t", "1", approval="lock")), "E_UNKNOWN_APPROVAL"),
        (Lock("x", hold("t", "1", approval="of n")), "E_UNKNOWN_APPROVAL"),
        (Lock("x", hold("t", "8.001", approval="of m")), "E_OVER_APPROVAL"),
        (Lock("x", hold("held", "11")), "E_LOCK_EXISTS"),
        (Lock("x", hold("over", "1", 0, 1)), "E_LOCK_RELEASED"),
        (Lock("x", hold("over", "2", 0, 1)), "E_LOCK_EXISTS"),
        (Release("x", "?"), "E_UNKNOWN_LOCK"),
        (Release("x", "over"), "E_LOCK_RELEASED"),
        (Release("of m", "held"), "E_MESSAGE_REUSED"),
        (Approve("of m", "m", kw("9")), "E_MESSAGE_REUSED"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(asked, expected: str):
    book = ledger()
    book.approve("of m", "m", kw("8"))
    book.approve("of n", "n", kw("8"))
    book.lock("lock", hold("held", "10"))
    book.lock("lock over", hold("over", "1", 0, 1))
    book.release("release over", "over")
    books, answer = apply(book.books, asked)
    assert code(answer) == expected
    assert answer.message
    assert (books.held, books.holds) == (book.books.held, book.books.holds)


def test_totals_of_nothing_known_are_refused():
    assert code(ledger().totals("?", 10, 11)) == "E_UNKNOWN_METER"
    assert code(ledger().totals("m", 11, 10)) == "E_EMPTY_INTERVAL"


def test_the_locks_on_one_approval_share_it_at_each_instant():
    book = ledger()
    book.approve("a", "m", kw("8"))
    locked(book, hold("t1", "5", 10, 12, "a"), hold("t2", "8", 12, 13, "a"))
    assert code(book.lock("c", hold("t3", "4", 11, 12, "a"))) == "E_OVER_APPROVAL"
    assert code(book.lock("d", hold("t4", "3", 11, 12, "a"))) == "OK"
    assert code(book.lock("e", hold("t5", "-8", 11, 12, "a"))) == "OK"
    assert code(book.lock("f", hold("t6", "4", 11, 12))) == "OK"


@pytest.mark.parametrize("number", ["-1", "NaN", "Infinity"])
def test_a_meter_has_a_load(number: str):
    with pytest.raises(ValueError, match=f"sanctioned_load_kw is {number}"):
        Meter(kw(number))
    with pytest.raises(ValueError, match=f"committed_kw is {number}"):
        Meter(kw("1"), kw(number))


# Messages that are sent again.


@pytest.mark.parametrize(
    "asked",
    [
        Approve("x", "m", kw("9")),
        Approve("x", "m", kw("sNaN")),
        Lock("x", hold("t", "25")),
        Lock("x", hold("t", "26")),
        Lock("x", hold("t", "NaN")),
        Release("x", "held"),
        Release("x", "?"),
    ],
)
def test_a_message_sent_again_has_the_same_answer_and_no_second_effect(asked):
    books = locked(ledger(), hold("held", "1", 0, 1)).books
    once, first = apply(books, asked)
    again = pickle.loads(pickle.dumps(asked))
    assert apply(once, again) == (once, first)


def test_an_answer_stands_even_when_it_would_now_be_another():
    book = locked(ledger(), hold("t1", "25"))
    refused = book.lock("c", hold("t2", "1"))
    book.release("r", "t1")
    assert book.lock("c", hold("t2", "1")) is refused
    assert code(book.lock("d", hold("t2", "1"))) == "OK"


def test_the_same_content_may_be_written_otherwise():
    india = timezone(timedelta(hours=5, minutes=30))
    noon = datetime(2026, 4, 1, 12, tzinfo=UTC)
    book = ledger()
    first = book.lock("c", hold("t", "5", noon, noon + timedelta(hours=1)))
    there = noon.astimezone(india)
    assert book.lock("c", hold("t", "5.0", there, there + timedelta(hours=1))) is first
    assert code(book.lock("c", hold("t", "5.1", there, there + timedelta(hours=1)))) == (
        "E_MESSAGE_REUSED"
    )


def test_a_lock_asked_for_again_by_another_message_is_held_once():
    book = locked(ledger(), hold("t", "20"))
    assert book.lock("another", hold("t", "20")) == hold("t", "20")
    assert book.totals("m", 10, 11) == Totals(kw("20"), kw("0"), kw("5"), kw("25"))


def test_a_lock_is_released_once():
    book = locked(ledger(), hold("t", "20"))
    assert code(book.release("r1", "t")) == "OK"
    assert code(book.release("r1", "t")) == "OK"
    assert code(book.release("r2", "t")) == "E_LOCK_RELEASED"
    assert code(book.lock("late confirm", hold("t", "20"))) == "E_LOCK_RELEASED"


# Time and number.


def test_the_hour_that_comes_twice_is_two_hours():
    # On 25 October 2026 the clock in Berlin goes from 03:00 back to 02:00.
    berlin = ZoneInfo("Europe/Berlin")
    half_past_two = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    again = half_past_two.replace(fold=1)
    later = datetime(2026, 10, 25, 3, 30, tzinfo=berlin)
    book = locked(ledger(), hold("t1", "25", half_past_two, again))
    assert code(book.lock("c", hold("t2", "25", again, later))) == "OK"
    assert code(book.lock("d", hold("t3", "1", half_past_two, later))) == "E_OVERLAP"
    full = Totals(kw("25"), kw("0"), kw("0"), kw("25"))
    utc = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert book.totals("m", utc, utc + timedelta(hours=1)) == full
    assert book.totals("m", half_past_two, again) == full
    assert book.totals("m", later, later + timedelta(hours=1)).export_kw == 0


def test_sums_are_exact_in_any_decimal_context():
    book = ledger("30.0001", "0")
    with localcontext(prec=2):
        assert code(book.lock("c", hold("t1", "15.00005"))) == "OK"
        assert code(book.lock("d", hold("t2", "15.00006"))) == "E_OVERLAP"
        assert code(book.lock("e", hold("t3", "15.00005"))) == "OK"
        assert book.totals("m", 10, 11) == Totals(kw("30.0001"), kw("0"), kw("0"), kw("30.0001"))


# The whole history, recounted: power in whole kW, time in whole hours from 0 to 6.

HOURS = range(6)
METERS = {"m": Meter(Decimal(10), Decimal(2)), "n": Meter(Decimal(5))}

meters = st.sampled_from("mmmmmmnnnn?")
lock_ids = st.integers(0, 15).map("t{}".format)
approval_ids = st.integers(0, 3).map("a{}".format)
messages = st.integers(0, 99).map("x{}".format)
watts = st.sampled_from([*range(-6, 7), 9, -9, 11]).map(Decimal)


@st.composite
def some_holds(draw: st.DrawFn) -> Hold:
    start, hours = draw(st.integers(0, 5)), draw(st.sampled_from([1, 1, 2, 2, 3, 0]))
    approval = draw(st.none() | approval_ids | messages)
    end = min(6, start + hours)
    return Hold(draw(lock_ids), draw(meters), draw(watts), start, end, approval)


locks = st.builds(Lock, messages, some_holds())
approvals = st.builds(Approve, approval_ids | messages, meters, st.integers(-1, 11).map(Decimal))
releases = st.builds(Release, messages, lock_ids)
histories = st.lists(locks | locks | locks | approvals | releases, min_size=5, max_size=60)


class Recount:
    """Answers from the list of all that happened, hour by hour; remembers no totals."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[object, str]] = {}
        self.approved: dict[str, tuple[str, Decimal]] = {}
        self.locked: list[Hold] = []
        self.released: list[Hold] = []

    def held(self) -> list[Hold]:
        return [one for one in self.locked if one not in self.released]

    def sum_kw(self, meter: str, hour: int, sign: int, approval: str | None = None) -> Decimal:
        return sum(
            (
                abs(one.power_kw)
                for one in self.held()
                if one.meter == meter
                and one.start <= hour < one.end
                and one.power_kw * sign > 0
                and approval in (None, one.approval_id)
            ),
            Decimal(0),
        )

    def ask(self, request) -> str:
        if request.message_id in self.asked:
            known, answer = self.asked[request.message_id]
            return answer if known == request else "E_MESSAGE_REUSED"
        answer = {Approve: self.approve, Lock: self.lock, Release: self.release}[type(request)](
            request
        )
        self.asked[request.message_id] = (request, answer)
        return answer

    def approve(self, request: Approve) -> str:
        if request.meter not in METERS:
            return "E_UNKNOWN_METER"
        if request.requested_kw < 0:
            return "E_NEGATIVE"
        load = METERS[request.meter]
        most = max(self.sum_kw(request.meter, hour, sign) for hour in HOURS for sign in (1, -1))
        limit = min(request.requested_kw, load.sanctioned_load_kw - load.committed_kw - most)
        self.approved[request.message_id] = (request.meter, limit)
        return f"{limit}"

    def lock(self, request: Lock) -> str:  # noqa: PLR0911 (a rule a line)
        one = request.hold
        if one.meter not in METERS:
            return "E_UNKNOWN_METER"
        if one.start >= one.end:
            return "E_EMPTY_INTERVAL"
        former = [other for other in self.locked if other.lock_id == one.lock_id]
        if former:
            if former[0] != one:
                return "E_LOCK_EXISTS"
            return "OK" if one in self.held() else "E_LOCK_RELEASED"
        sign = 1 if one.power_kw > 0 else -1
        wanted, hours = abs(one.power_kw), range(one.start, one.end)
        if one.approval_id is not None:
            meter, limit = self.approved.get(one.approval_id, ("", Decimal(0)))
            if meter != one.meter:
                return "E_UNKNOWN_APPROVAL"
            if any(
                wanted + self.sum_kw(meter, hour, sign, one.approval_id) > limit for hour in hours
            ):
                return "E_OVER_APPROVAL"
        load = METERS[one.meter]
        free = load.sanctioned_load_kw - load.committed_kw
        if wanted > free:
            return "E_OVER_SANCTIONED_LOAD"
        if any(wanted + self.sum_kw(one.meter, hour, sign) > free for hour in hours):
            return "E_OVERLAP"
        self.locked.append(one)
        return "OK"

    def release(self, request: Release) -> str:
        former = [other for other in self.locked if other.lock_id == request.lock_id]
        if not former:
            return "E_UNKNOWN_LOCK"
        if former[0] not in self.held():
            return "E_LOCK_RELEASED"
        self.released.append(former[0])
        return "OK"


def replay(history) -> Counter[str]:
    """Ask the books and the recount the same; gives how often each answer was given."""
    books, recount, told = Books(METERS, {}, {}, {}), Recount(), Counter[str]()
    for request in history:
        books, answer = apply(books, request)
        told[code(answer)] += 1
        said = f"{answer.limit_kw}" if isinstance(answer, Approval) else code(answer)
        assert said == recount.ask(request)
        for meter, load in METERS.items():
            for hour in HOURS:
                found = totals(books, meter, hour, hour + 1)
                export, taken = (recount.sum_kw(meter, hour, sign) for sign in (1, -1))
                assert (found.export_kw, found.import_kw) == (export, taken)
                assert max(export, taken) + load.committed_kw <= load.sanctioned_load_kw
    return told


@given(histories)
@settings(max_examples=100, deadline=None)
def test_every_answer_and_total_follows_from_the_history(history):
    replay(history)


def busy_history(seed: int) -> list:
    """Give 150 requests of which most concern one meter, known locks and known approvals."""
    luck = Random(seed)
    history: list = []
    for number in range(150):
        name = f"x{number if luck.random() < 0.9 else luck.randrange(150)}"
        draw = luck.random()
        if draw < 0.15:
            asked = Approve(name, luck.choice("mmmn"), Decimal(luck.randrange(1, 9)))
        elif draw < 0.4:
            asked = Release(name, f"t{luck.randrange(number + 1)}")
        else:
            start, power = luck.randrange(6), luck.choice([-4, -3, -2, -1, 1, 2, 3, 4])
            end = luck.randrange(start + 1, 7)
            known = [one.message_id for one in history if isinstance(one, Approve)]
            approval = luck.choice(known) if known and luck.random() < 0.4 else None
            lock_id = f"t{number if luck.random() < 0.9 else luck.randrange(150)}"
            of = Hold(lock_id, luck.choice("mmmn"), Decimal(power), start, end, approval)
            asked = Lock(name, of)
        history.append(luck.choice(history) if history and luck.random() < 0.1 else asked)
    return history


def test_every_answer_and_total_of_a_busy_history_follows_from_it():
    told = sum((replay(busy_history(seed)) for seed in range(12)), Counter[str]())
    for one in (
        "OK",
        "E_OVERLAP",
        "E_OVER_APPROVAL",
        "E_UNKNOWN_APPROVAL",
        "E_LOCK_EXISTS",
        "E_LOCK_RELEASED",
        "E_UNKNOWN_LOCK",
        "E_MESSAGE_REUSED",
    ):
        assert told[one] >= 10, told


@given(histories, histories)
@settings(max_examples=60, deadline=None)
def test_books_are_values_and_their_future_leaves_them_alone(before, after):
    books = Books(METERS, {}, {}, {})
    for request in before:
        books, _ = apply(books, request)
    picture = repr(books)
    later = books
    for request in after:
        later, _ = apply(later, request)
        assert apply(later, request)[0] is later
    assert repr(books) == picture


@given(histories)
@settings(max_examples=60, deadline=None)
def test_a_history_sent_twice_is_the_history(history):
    once = Books(METERS, {}, {}, {})
    for request in history:
        once, _ = apply(once, request)
    twice = once
    for request in history:
        twice, _ = apply(twice, request)
    assert twice == once


@given(histories, st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_free_can_be_locked_and_not_a_watt_more(history, data):
    books = Books(METERS, {}, {}, {})
    for request in history:
        books, _ = apply(books, request)
    start = data.draw(st.integers(0, 5))
    end = data.draw(st.integers(start + 1, 6))
    free_kw = totals(books, "m", start, end).free_export_kw
    more = Hold("more", "m", free_kw + Decimal("0.001"), start, end)
    assert code(apply(books, Lock("more", more))[1]) in ("E_OVERLAP", "E_OVER_SANCTIONED_LOAD")
    all_of_it = Hold("all", "m", free_kw, start, end)
    assert code(apply(books, Lock("all", all_of_it))[1]) == "OK"


# Many threads at once.


@pytest.fixture
def restless():
    """Let threads take turns as often as possible."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def at_once(number: int, act):
    """Let as many threads act at one moment; gives what each was told."""
    barrier = Barrier(number)

    def one(position: int):
        barrier.wait(20)
        return act(position)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@pytest.mark.usefixtures("restless")
def test_of_many_concurrent_locks_exactly_as_many_succeed_as_fit():
    book = ledger()
    for hour in range(5):
        answers = at_once(
            40, lambda n, h=hour: book.lock(f"c{h}/{n}", hold(f"t{h}/{n}", "1", h, h + 1))
        )
        assert sorted(map(code, answers)) == ["E_OVERLAP"] * 15 + ["OK"] * 25
        assert book.totals("m", hour, hour + 1) == Totals(kw("25"), kw("0"), kw("0"), kw("25"))


@pytest.mark.usefixtures("restless")
def test_a_message_that_arrives_many_times_at_once_has_one_effect():
    book = ledger()
    answers = at_once(32, lambda _: book.lock("c", hold("t", "13")))
    assert len(set(map(id, answers))) == 1
    assert book.totals("m", 10, 11) == Totals(kw("13"), kw("0"), kw("12"), kw("25"))


@pytest.mark.usefixtures("restless")
def test_no_effect_is_lost_between_threads():
    book = ledger()

    def trade(thread: int) -> list[str]:
        told: list[str] = []
        for turn in range(20):
            name = f"{thread}/{turn}"
            told.append(code(book.lock(f"lock {name}", hold(name, "1"))))
            if turn % 2:
                told.append(code(book.release(f"release {name}", name)))
        return told

    # Each of two threads keeps 10 of its 20 locks, and never do both hold more than 20.
    assert {one for told in at_once(2, trade) for one in told} == {"OK"}
    assert book.totals("m", 10, 11) == Totals(kw("20"), kw("0"), kw("5"), kw("25"))
    assert len(book.books.answers) == 60
