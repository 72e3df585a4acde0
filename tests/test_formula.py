"""Formulas: every published form by hand, random trees exactly, and nothing hostile gets in."""

# ruff: noqa: RUF001, RUF003 (× and − are published signs, not slips of the keyboard)

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.formula import (
    DEEPEST,
    LONGEST,
    FormulaError,
    Names,
    Quantity,
    Unit,
    evaluate,
    missing,
    parse,
)

NO_NAMES = Names({})


def kwh(number: str) -> Quantity:
    return Quantity(Decimal(number), "kWh")


def price(number: str) -> Quantity:
    return Quantity(Decimal(number), "INR/kWh")


def plain(**values: object) -> Names:
    """Give names without units; an underscore is written as a hyphen."""
    return Names({name.replace("_", "-"): Quantity(value) for name, value in values.items()})


MARKET = Names(
    {
        "roles": {
            "SELLER": {
                "era": Quantity("bpp.seller.example"),
                "roleInputs": {"pricePerKWh": price("18.5"), "currency": Quantity("INR")},
            },
            "PROSUMER": {
                "era": Quantity("bap.buyer.example"),
                "roleInputs": {"currency": Quantity("INR")},
            },
            "AGENT": {
                "era": Quantity("bpp.agent.example"),
                "roleInputs": {
                    "clearingPrice": price("6.25"),
                    "marketMakingFee": price("0.25"),
                    "clearedPower": Quantity(
                        {"bap.buyer.example": Decimal(-40), "bap.sun.example": Decimal("2.5")}, "kW"
                    ),
                    "nextPower": Quantity(None, "kW"),
                },
            },
        },
        "telemetrySources": {
            "cdr-charger-ccs2-001": {
                "energyKWh": kwh("12.4"),
                "startTime": Quantity("2025-01-27T10:00:00Z"),
                "endTime": Quantity(datetime(2025, 1, 27, 10, 45, tzinfo=UTC)),
            }
        },
        "inputParameters": {"hours": Quantity(Decimal("0.25"), "h")},
    }
)


def value(text: str, names: Names = NO_NAMES) -> Fraction:
    return evaluate(text, names).value


def refusal(text: str, names: Names = NO_NAMES) -> tuple[str, int]:
    with pytest.raises(FormulaError) as caught:
        evaluate(text, names)
    return caught.value.code, caught.value.column


# The published forms


@pytest.mark.parametrize(
    "text",
    [
        "roles.SELLER.roleInputs.pricePerKWh × telemetrySources.cdr-charger-ccs2-001.energyKWh",
        "SELLER.roleInputs.pricePerKWh.value × cdr-charger-ccs2-001.energyKWh.value",
        "roles[SELLER].roleInputs[pricePerKWh].value*telemetrySources[cdr-charger-ccs2-001].energyKWh",
        "pricePerKWh * energyKWh",
        "energyKWh ÷ (1 / pricePerKWh)",
    ],
)
def test_energy_by_price_is_money(text: str):
    # 18.5 INR/kWh for 12.4 kWh.
    assert value(text, MARKET) == Fraction("229.4")


def test_average_power_is_energy_by_the_time_between_two_instants():
    source = "telemetrySources.cdr-charger-ccs2-001"
    text = f"{source}.energyKWh / (({source}.endTime - {source}.startTime) / 3600)"
    # 12.4 kWh in 45 minutes.
    assert value(text, MARKET) == Fraction(124, 10) / Fraction(3, 4)
    assert evaluate("endTime − startTime", MARKET) == (2700, Unit.read("s"))


def test_a_cleared_power_is_found_by_who_holds_the_role():
    assert value("clearedPower[PROSUMER.era]", MARKET) == -40
    assert value("roles.AGENT.roleInputs.clearedPower.value[ PROSUMER.era ].value", MARKET) == -40
    assert value("abs(clearedPower[PROSUMER.era]) × 0.5", MARKET) == 20
    assert value("clearedPower[bap.sun.example]", MARKET) == Fraction("2.5")


def test_a_locational_price_is_the_base_and_an_adder_by_load():
    names = plain(basePrice=Decimal("0.10"), load=75, adder=Decimal("0.001"))
    assert value("basePrice + (load * adder)", names) == Fraction("0.175")


def test_hyphens_without_spaces_belong_to_names():
    names = plain(power_purchase_cost=100, o_and_m_expenses=20, non_tariff_income=-5)
    assert value("power-purchase-cost + o-and-m-expenses + non-tariff-income", names) == 115


def test_a_penalty_is_paid_beyond_the_target_only():
    names = Names(
        {
            "wait": Quantity(7, "min"),
            "target": Quantity(5, "min"),
            "rate": Quantity(Decimal("1.5"), "INR/min"),
        }
    )
    assert evaluate("max(0, (wait - target) * rate)", names) == (3, Unit.read("INR"))
    assert value("max(0, (target - wait) * rate)", names) == 0
    assert value("min(wait, target)", names) == 5


def test_a_tariff_is_computed_by_the_function_that_is_supplied():
    names = Names(
        {
            "tariff": Quantity({"peak": Decimal("0.20"), "night": Decimal("0.10")}),
            "start": Quantity("2024-10-04T18:00:00Z"),
            "end": Quantity("2024-10-05T02:00:00Z"),
            "delivered": kwh("100"),
        }
    )

    def half_at_peak(tariff, start, end, quantity_kwh) -> Quantity:
        assert (end - start).total_seconds() == 8 * 3600
        assert quantity_kwh == 100
        return Quantity((tariff["peak"] + tariff["night"]) / 2, "INR/kWh")

    text = "computeTariffPrice(tariff, start, end, delivered) × delivered"
    assert evaluate(text, names, half_at_peak) == (15, Unit.read("INR"))
    assert refusal(text, names) == ("E_UNKNOWN_FUNCTION", 1)
    hours = Names(
        {"tariff": Quantity({}), "t": Quantity("2024-10-04T18:00Z"), "h": Quantity(1, "h")}
    )
    with pytest.raises(FormulaError, match=r"E_UNIT in column 35: this is in h, .* in kWh"):
        evaluate("computeTariffPrice(tariff, t, t, (h))", hours, half_at_peak)


def test_precedence_is_that_of_arithmetic():
    assert value("2 + 3 × 4 − 6 ÷ 4 / 2") == Fraction("13.25")
    assert value("-2 - -3 * +(1 - 4)") == -11


def published() -> list[str]:
    folder = Path(os.environ.get("GRIDWITNESS_UPSTREAM", os.devnull))
    found: list[str] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        found.extend(value for key, value in pairs if key == "formula" and isinstance(value, str))

    for file in sorted(folder.rglob("*.json")):
        text = file.read_text("utf-8", errors="replace")
        if '"formula"' in text:
            json.loads(text, object_pairs_hook=keep)
    return sorted(set(found))


@pytest.mark.skipif("GRIDWITNESS_UPSTREAM" not in os.environ, reason="no published messages here")
def test_every_published_formula_is_read():
    formulas = published()
    assert len(formulas) >= 9
    for text in formulas:
        assert [kind for kind, _, _ in parse(text, NO_NAMES).tokens].count("name") >= 2
        assert list(missing(text, NO_NAMES)) != []


# Names


def test_a_minus_is_told_from_a_hyphen_by_what_is_declared():
    assert value("a-b", plain(a=9, b=2)) == 7
    assert value("a-b", plain(a_b=4)) == 4
    assert value("a-b", plain(a_b=4, a=9)) == 4
    assert value("a-b-c-1.5", plain(a_b=9, c=2, a=1)) == Fraction("5.5")
    assert value("a-abs(b)", plain(a=9, b=-2)) == 7
    read = parse("2×a-b", plain(a=9, b=2)).tokens
    assert [(token.text, token.column) for token in read[2:]] == [("a", 3), ("-", 4), ("b", 5)]
    assert value("a - b", plain(a=9, b=2, a_b=4)) == 7
    assert value("a−b", plain(a=9, b=2, a_b=4)) == 7


def test_a_run_with_two_readings_is_refused():
    assert refusal("1 + a-b", plain(a=9, b=2, a_b=4)) == ("E_AMBIGUOUS", 5)
    assert refusal("a-b-c", plain(a=1, b_c=2, a_b=3, c=4)) == ("E_AMBIGUOUS", 1)
    with pytest.raises(FormulaError, match=r"'a - b' or 'a-b'; put spaces"):
        evaluate("a-b", plain(a=9, b=2, a_b=4))


def test_an_ending_that_several_names_have_is_refused():
    assert refusal("2 × era", MARKET) == ("E_AMBIGUOUS", 5)
    assert refusal("clearedPower[era]", MARKET) == ("E_UNKNOWN_NAME", 1)
    names = Names({"limit": Quantity(3), "site": {"limit": Quantity(5)}})
    assert value("limit + site.limit", names) == 8
    twice = Names({"a": {"b.c": Quantity(1)}, "a.b": {"c": Quantity(2)}})
    assert refusal("a.b.c", twice) == ("E_AMBIGUOUS", 1)


def test_an_index_that_is_a_key_and_the_name_of_another_key_is_refused():
    power = Quantity({"who": 1, "bap.x": 2})
    names = Names({"power": power, "who": Quantity("bap.x")})
    assert refusal("power[who]", names) == ("E_AMBIGUOUS", 1)
    assert value("power.who + power[bap.x]", names) == 3


def test_an_unknown_name_is_told_what_is_near():
    with pytest.raises(FormulaError) as caught:
        evaluate("2 × prizePerKWh", MARKET)
    assert (caught.value.code, caught.value.column) == ("E_UNKNOWN_NAME", 5)
    assert "pricePerKWh" in caught.value.message
    with pytest.raises(FormulaError, match=r"clearedPower\.bap\.nobody"):
        evaluate("clearedPower[bap.nobody]", MARKET)
    with pytest.raises(FormulaError, match="what is: nothing"):
        evaluate("a", NO_NAMES)
    with pytest.raises(FormulaError, match="what is: zebra"):
        evaluate("a", plain(zebra=1))


def test_names_are_missing_until_they_have_a_value():
    names = Names({"known": Quantity(1), "later": Quantity(None), "who": Quantity(None)})
    assert list(missing("known + later × max(0, never-said)", names)) == ["later", "never-said"]
    assert refusal("known + later", names) == ("E_NO_VALUE", 9)
    named = Names({"power": Quantity({"bap.x": 3}), "who": Quantity(None)})
    assert list(missing("power[who]", named)) == ["who"]
    empty = Names({"power": Quantity(None), "who": Quantity("bap.x")})
    assert list(missing("power[who] + power[bap.x]", empty)) == ["power", "power"]
    assert refusal("power[who]", empty) == ("E_NO_VALUE", 1)


def test_members_of_objects_are_named_down_to_a_depth():
    deep = Quantity({"b": {"c": {"d": {"e": {"f": {"g": {"h": 1, "i": {"j": 2}}}}}}}})
    names = Names({"a": deep, "window": Quantity({"n": 3})})
    assert value("window.n + window[n]", names) == 6
    assert value("a.b.c.d.e.f.g.h", names) == 1
    assert refusal("9 × i.j", names) == ("E_UNKNOWN_NAME", 5)


# Units


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("INR/kWh", "INR/kWh"),
        ("kW", "kWh/h"),
        ("kW·h", "kWh"),
        ("KWH", "kWh"),
        ("1/s", "1/s"),
        ("s·s", "s·s"),
        ("%", "%"),
        ("h/h", "1"),
    ],
)
def test_a_unit_is_read_and_written(text: str, written: str):
    assert str(Unit.read(text)) == written
    assert Unit.read(written) == Unit.read(text)


@pytest.mark.parametrize("text", ["", "kWh/", "m2", "per kWh", "/h", "a//b"])
def test_what_is_no_unit_is_refused(text: str):
    with pytest.raises(FormulaError, match="E_UNIT in column 7"):
        Unit.read(text, 7)


@pytest.mark.parametrize("currency", ["KRW", "ZMW"])
def test_a_currency_that_ends_like_a_power_is_a_currency(currency: str):
    names = Names(
        {"price": Quantity(Decimal(9), f"{currency}/kWh"), "energy": Quantity(Decimal(2), "kWh")}
    )
    unit = evaluate("price × energy", names).unit
    assert str(unit) == currency
    assert unit is not None
    assert unit.is_money


def test_power_by_time_by_price_is_money_and_power_by_price_is_not():
    text = "(clearingPrice + marketMakingFee) × clearedPower[PROSUMER.era]"
    right = evaluate(f"{text} × hours", MARKET)
    assert right == (Fraction(-65), Unit.read("INR"))
    assert right.unit is not None
    assert right.unit.is_money
    wrong = evaluate(text, MARKET)
    assert str(wrong.unit) == "INR/h"
    assert wrong.unit is not None
    assert not wrong.unit.is_money


def test_what_is_added_or_compared_has_one_unit():
    assert refusal("energyKWh + clearedPower[PROSUMER.era]", MARKET) == ("E_UNIT", 13)
    assert refusal("energyKWh - (pricePerKWh)", MARKET) == ("E_UNIT", 14)
    assert refusal("max(0, hours, energyKWh)", MARKET) == ("E_UNIT", 15)
    with pytest.raises(FormulaError, match=r"in INR/kWh, .* compared with in kWh"):
        evaluate("min(energyKWh, pricePerKWh)", MARKET)


def test_units_are_multiplied_and_divided():
    assert evaluate("energyKWh ÷ hours", MARKET) == (Fraction("49.6"), Unit.read("kW"))
    assert str(evaluate("energyKWh × hours × hours", MARKET).unit) == "h·h·kWh"
    assert str(evaluate("hours / hours", MARKET).unit) == "1"


def test_an_undeclared_unit_stays_unknown():
    names = Names({"power": Quantity(3, "kW"), "bare": Quantity(2)})
    for text in (
        "power + bare",
        "power × bare",
        "bare / power",
        "max(power, bare)",
        "2 × power",
        "power + 1",
    ):
        assert evaluate(text, names).unit is None
    assert evaluate("0 + 0", names).unit is None
    assert str(evaluate("-abs(power - 0)", names).unit) == "kWh/h"
    assert refusal("1 + bare", Names({"bare": Quantity(2, "a b")})) == ("E_UNIT", 5)


# What is refused


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("", "E_SYNTAX", 1),
        ("1 +", "E_SYNTAX", 3),
        ("(1", "E_SYNTAX", 1),
        ("1) + (1", "E_SYNTAX", 2),
        ("3 4", "E_SYNTAX", 3),
        ("1,000", "E_SYNTAX", 1),
        ("1_000", "E_SYNTAX", 2),
        ("1e9", "E_SYNTAX", 2),
        ("()", "E_SYNTAX", 1),
        ("9**9**9", "E_SYNTAX", 3),
        ("9//2", "E_SYNTAX", 3),
        ("a if a else a", "E_SYNTAX", 3),
        ("not a", "E_SYNTAX", 5),
        ("max(*a)", "E_SYNTAX", 5),
        ("(1, 2)", "E_SYNTAX", 1),
        ("abs(1)(2)", "E_SYNTAX", 1),
        ("9^9", "E_CHARACTER", 2),
        ("__import__('os')", "E_CHARACTER", 12),
        ('f"{a}"', "E_CHARACTER", 2),
        ("().__class__.__bases__[0]", "E_CHARACTER", 3),
        ("lambda: 1", "E_CHARACTER", 7),
        ("[x for x in a]", "E_CHARACTER", 1),
        ("(a := 1)", "E_CHARACTER", 4),
        ("a == 1", "E_CHARACTER", 3),
        ("a @ a", "E_CHARACTER", 3),
        ("a\x00", "E_CHARACTER", 2),
        ("2 × \u0430", "E_CHARACTER", 5),
        ("\uff11", "E_CHARACTER", 1),
        ("a\u2011b", "E_CHARACTER", 2),
        ("a[a[a]]", "E_CHARACTER", 2),
        ("a;a", "E_CHARACTER", 2),
        ("1 + a.__class__.__mro__", "E_UNKNOWN_NAME", 5),
        ("a[__class__]", "E_UNKNOWN_NAME", 1),
        ("True", "E_UNKNOWN_NAME", 1),
        ("1 + eval(a)", "E_UNKNOWN_FUNCTION", 5),
        ("a.__init__(1)", "E_UNKNOWN_FUNCTION", 1),
        ("(abs)(1)", "E_UNKNOWN_FUNCTION", 1),
        ("3 (4)", "E_UNKNOWN_FUNCTION", 1),
        ("abs(1, 2)", "E_ARGUMENTS", 1),
        ("2 * max()", "E_ARGUMENTS", 5),
        ("1" * (LONGEST + 1), "E_TOO_LONG", LONGEST + 1),
        ("(" * 101 + "1" + ")" * 101, "E_TOO_DEEP", 101),
        ("-" * 999 + "1", "E_TOO_DEEP", DEEPEST + 1),
        ("1+" * 499 + "1", "E_TOO_DEEP", 801),
        ("1" + "-b" * 4, "E_UNKNOWN_NAME", 3),
        ("1 / (a - a)", "E_DIVISION_BY_ZERO", 6),
        ("a ÷ 0.0", "E_DIVISION_BY_ZERO", 5),
    ],
)
def test_what_has_no_meaning_is_refused_where_it_stands(text: str, code: str, column: int):
    began = time.perf_counter()
    assert refusal(text, plain(a=1)) == (code, column)
    assert time.perf_counter() - began < 5


def test_what_has_no_meaning_is_refused_before_anything_is_computed():
    for text in ("nobody + max()", "(abs)(1)", "nobody + (1, 2)", "-" * 101 + "nobody"):
        with pytest.raises(FormulaError, match=r"ARGUMENTS|FUNCTION|SYNTAX|DEEP"):
            parse(text, NO_NAMES)


def test_what_is_not_an_exact_number_is_refused():
    names = plain(text="x", truth=True, inexact=0.5, many=[1], thing={"a": 1}, n=1)
    for text in ("text", "truth", "inexact", "many", "thing"):
        assert refusal(f"2 × {text}", names) == ("E_TYPE", 5)
        assert refusal(text, names) == ("E_TYPE", 1)
    assert refusal("n - text", names) == ("E_TYPE", 5)
    assert refusal("text - n", names) == ("E_TYPE", 1)


def test_an_instant_has_an_offset():
    names = plain(aware="2024-10-04T18:00:00+05:30", naive="2024-10-04T18:00:00")
    assert value("aware - aware", names) == 0
    assert refusal("aware - naive", names) == ("E_TYPE", 9)
    assert refusal("aware + aware", names) == ("E_TYPE", 1)


def test_numbers_have_a_size():
    largest = Decimal(10) ** 300
    names = plain(big=largest, huge=largest * 10, tiny=Decimal("1e-999999999"), nan=Decimal("NaN"))
    assert value("big × big ÷ big", names) == 10**300
    for name in ("huge", "tiny", "nan"):
        assert refusal(f"1 + {name}", names) == ("E_TOO_LARGE", 5)
    assert refusal("×".join(["big"] * 5), names) == ("E_TOO_LARGE", 1)
    assert refusal("1" + "/big" * 5, names) == ("E_TOO_LARGE", 1)
    assert refusal("n", plain(n=1 << 4096)) == ("E_TOO_LARGE", 1)


def test_many_hyphens_and_many_names_are_read_fast():
    hyphens = {"-".join("a" * length): Quantity(length) for length in range(1, 300)}
    names = Names(hyphens | {f"name-{i}": Quantity(i) for i in range(2000)})
    began = time.perf_counter()
    assert refusal("-".join("a" * 500), names) == ("E_AMBIGUOUS", 1)
    assert refusal("-".join("b" * 500), names) == ("E_UNKNOWN_NAME", 1)
    assert time.perf_counter() - began < 5


# Random trees and random text

NUMBERS = st.decimals(0, 999, places=2)
DECLARED = {"a": 7, "b-c": Decimal("-0.25"), "d": {"e-1": Decimal(3)}, "f": Fraction(1, 3)}
TREE_NAMES = Names({name: Quantity(value) for name, value in DECLARED.items()})
LEAVES = st.one_of(
    NUMBERS.map(lambda number: (f"{number:f}", Fraction(number))),
    st.sampled_from(
        [
            ("a", Fraction(7)),
            ("b-c.value", Fraction(-1, 4)),
            ("d[e-1]", Fraction(3)),
            ("d.e-1", Fraction(3)),
            ("f", Fraction(1, 3)),
        ]
    ),
)


def grown(smaller):
    def operation(left, sign, right):
        (left_text, x), (right_text, y) = left, right
        exact = None
        if x is not None and y is not None:
            if sign in "*×":
                exact = x * y
            elif sign in "/÷":
                exact = x / y if y else None
            else:
                exact = x + y if sign == "+" else x - y
        return f"({left_text}) {sign} ({right_text})", exact

    def choice(name, parts):
        exact = None if None in [x for _, x in parts] else {"min": min, "max": max}[name]
        texts = ", ".join(text for text, _ in parts)
        return f"{name}({texts})", exact and exact(x for _, x in parts)

    signs = st.sampled_from("+-−*×/÷")
    return st.one_of(
        st.builds(operation, smaller, signs, smaller),
        st.builds(choice, st.sampled_from(["min", "max"]), st.lists(smaller, min_size=1)),
        smaller.map(lambda one: (f"abs({one[0]})", None if one[1] is None else abs(one[1]))),
        smaller.map(lambda one: (f"-({one[0]})", None if one[1] is None else -one[1])),
    )


@given(st.recursive(LEAVES, grown, max_leaves=12))
@settings(max_examples=400, deadline=None)
def test_a_tree_comes_to_its_own_value(tree: tuple[str, Fraction | None]):
    text, exact = tree
    if len(text) > LONGEST:
        assert refusal(text, TREE_NAMES)[0] == "E_TOO_LONG"
    elif exact is None:
        assert refusal(text, TREE_NAMES)[0] == "E_DIVISION_BY_ZERO"
    else:
        assert value(text, TREE_NAMES) == exact


WORDS = ["a", "b-c", "d.e-1", "d[", "]", "era", "max", "abs(", "computeTariffPrice(", " ", "**"]
WORDS += [*"()+-−*×/÷.,[]0123456789_\\\n'\"#:=@", "//", "lambda", "if", "None", "\u0661"]


@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map("".join)))
@settings(max_examples=500, deadline=None)
def test_any_text_comes_to_a_number_or_to_our_error(text: str):
    try:
        came_to = value(text, TREE_NAMES)
    except FormulaError as error:
        came_to = error.column
    assert isinstance(came_to, Fraction) or 1 <= came_to <= max(1, len(text))
