"""An exchange is played from its table, and what cannot be played says why."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from gridwitness.errors import UserError
from gridwitness.judgement import judge
from gridwitness.mocks.accounts import ACCOUNTS
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.exchange import answered, narrowed, play
from gridwitness.mocks.words import WORDS, Facts, Party
from gridwitness.rules.sequence import CARRIES
from gridwitness.steps.tables import interval
from gridwitness.story import CONSUMER, PROSUMER, UTILITY
from gridwitness.trace import Scene, Step
from gridwitness.views import Deal, Due, MeterReading, Role, Source, Term

SEQUENCE = (
    Step("1", CONSUMER, PROSUMER, ("init",)),
    Step("2", PROSUMER, CONSUMER, ("on_init",), ("terms", "payment formulas"), ("1",)),
    Step("3", CONSUMER, PROSUMER, ("confirm",), ("terms",), ("2",)),
    Step("4", PROSUMER, CONSUMER, ("on_confirm",), ("terms",), ("3",)),
    Step("5", CONSUMER, PROSUMER, ("status",), (), ("4",)),
    Step("6", PROSUMER, CONSUMER, ("on_status",), ("meter reading",), ("5",)),
    Step(
        "7",
        PROSUMER,
        CONSUMER,
        ("on_status",),
        ("meter reading", "settlement", "completed"),
        ("6",),
    ),
)
FACTS = Facts(
    parties=(Party("shop", CONSUMER, "1"), Party("school", PROSUMER, "2")),
    interval=interval("10:00", "11:00"),
    terms={PROSUMER: (Term(name="price", value=Decimal("5.35"), unit="INR/kWh"),)},
    dues=(Due(payer=CONSUMER, payee=PROSUMER, kind="ENERGY", formula="price * given"),),
    sources=(Source(name="given", kind="METER_READING", meter_id="2"),),
    readings=(MeterReading(meter_id="2", energy_kwh=Decimal("3.333")),),
)


def scene(dialect: str, seat: str = PROSUMER) -> Scene:
    return Scene(
        feature="x.feature",
        scenario="x",
        seat=seat,
        dialect=dialect,
        edition={"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}[dialect],
        strictness="strict",
        subject=seat,
    )


def test_every_word_that_an_actor_fills_is_recognised():
    assert WORDS.keys() | ACCOUNTS.keys() <= CARRIES.keys()


def test_a_callback_row_answers_the_request_before_it_and_a_second_one_is_news():
    assert answered(SEQUENCE) == {"2": "1", "4": "3", "6": "5", "7": None}


@pytest.mark.parametrize("dialect", ["order", "contract"])
@pytest.mark.parametrize("seat", [CONSUMER, PROSUMER])
def test_the_rows_are_played_in_turn_and_nothing_is_found(sandbox, dialect: str, seat: str):
    trace, faults = play(sandbox, scene(dialect, seat), SEQUENCE, FACTS)
    assert faults == []
    told = [(m.sender, m.action) for m in trace.beckn]
    names = {CONSUMER: "shop", PROSUMER: "school"}
    assert told == [(names[step.sender], step.actions[0]) for step in SEQUENCE]
    judgement = judge(trace, trace.scene.subject)
    assert judgement.findings == ()
    report = trace.beckn[-1].reading.deal
    assert report is not None
    assert report.settlement is not None
    assert report.settlement.flows[0].amount == Decimal("17.83")


def test_a_formula_that_names_what_nobody_states_is_told(sandbox):
    unknown = Due(payer=CONSUMER, payee=PROSUMER, kind="ENERGY", formula="pryce * given")
    facts = replace(FACTS, dues=(unknown,))
    with pytest.raises(UserError, match="pryce") as told:
        play(sandbox, scene("order"), SEQUENCE, facts, patience=0.05)
    assert told.value.where == "the payments"


def test_who_falls_silent_ends_the_exchange(sandbox):
    silent = PROSUMER, Conduct(silent_on=frozenset({"on_confirm"}))
    trace, faults = play(sandbox, scene("order"), SEQUENCE, FACTS, patience=0.05, broken=silent)
    assert faults == []
    assert [m.action for m in trace.beckn] == ["init", "on_init", "confirm"]


def test_a_request_that_lacks_what_its_row_carries_is_refused(sandbox):
    def nothing(_action: str, reading):
        roles = tuple(replace(role, terms=()) for role in reading.deal.roles)
        return replace(reading, deal=replace(reading.deal, roles=roles, dues=()))

    trace, _ = play(
        sandbox,
        scene("contract"),
        (replace(SEQUENCE[0], carries=("payment formulas",)), *SEQUENCE[1:]),
        FACTS,
        patience=0.05,
        broken=(CONSUMER, Conduct(views=nothing)),
    )
    (refused,) = trace.beckn
    assert refused.ack is not None
    assert refused.ack.error_code == "30000"
    assert refused.ends_here


def test_two_who_ask_have_deals_of_their_own(sandbox):
    parties = (*FACTS.parties[:1], FACTS.parties[1], Party("office", CONSUMER, "3"))
    trace, faults = play(sandbox, scene("order"), SEQUENCE, replace(FACTS, parties=parties))
    assert faults == []
    assert len(trace.beckn) == 2 * len(SEQUENCE)
    found = {m.reading.deal.contract_id for m in trace.beckn if m.reading.deal}
    assert len(found) == 2


def test_a_third_party_is_told_how_much_and_not_at_what_price():
    terms = (
        Term(name="price", value=Decimal(5), unit="INR/kWh"),
        Term(name="contracted", value=Decimal(9), unit="kWh"),
    )
    deal = Deal(roles=(Role(name=PROSUMER, terms=terms),), dues=FACTS.dues)
    told = narrowed(deal, teller=PROSUMER, third=UTILITY)
    assert [term.name for term in told.roles[0].terms] == ["contracted"]
    assert told.dues == ()


@pytest.mark.parametrize(
    ("sequence", "facts", "why"),
    [
        ((), FACTS, "what is to be said"),
        ((replace(SEQUENCE[0], receiver="utility"),), FACTS, "nobody is 'utility'"),
        ((replace(SEQUENCE[0], carries=("flowers",)),), FACTS, "'flowers'"),
        ((replace(SEQUENCE[0], carries=("terms",)), *SEQUENCE[1:]), FACTS, "carry terms"),
        ((replace(SEQUENCE[0], carries=("tariff",)),), FACTS, "none is stated"),
        ((replace(SEQUENCE[0], carries=("quote",)),), FACTS, "energy that is wanted"),
        ((replace(SEQUENCE[0], carries=("charge detail record",)),), FACTS, "needs a session"),
    ],
)
def test_what_nobody_can_play_is_the_users_mistake(sandbox, sequence, facts, why: str):
    with pytest.raises(UserError, match=why):
        play(sandbox, scene("order"), sequence, facts)
