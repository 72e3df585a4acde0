"""Formulas: the expressions of an energy contract, computed exactly and with their units.

Belongs here: the published expression form, its names, numbers and units. Does not belong
here: what a contract is, and what the results are for (contract).

A formula comes from a stranger. It is cut into names, numbers and signs by rules of our
own, only these reach `ast`, and its tree is walked; nothing is ever run as Python.
"""

# ruff: noqa: RUF001, RUF003 (× and − are published signs, not slips of the keyboard)

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import NamedTuple, TypeAlias, cast

LONGEST = 1000  # characters in a formula
DEEPEST = 100  # levels in a formula; a sum of a hundred terms has as many
DEEPEST_NAME = 8  # parts of a name; what an object holds further down has none
LARGEST_DIGITS = 300  # digits of a decimal that comes in, and places to its point
LARGEST_BITS = 4096  # of the numerator and of the denominator of any number
WATTS = ("W", "kW", "MW", "GW", "TW")  # the units of power; KRW and ZMW are currencies

FUNCTIONS = {"abs": {1}, "min": range(1, 99), "max": range(1, 99), "computeTariffPrice": {4}}
"""Every function there is, and how many arguments it takes."""

_CHOICES: Mapping[str, Callable[[Sequence[Fraction]], Fraction]] = {
    "abs": lambda numbers: abs(numbers[0]),
    "min": min,
    "max": max,
}
_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: Fraction.__add__,
    ast.Sub: Fraction.__sub__,
    ast.Mult: Fraction.__mul__,
    ast.Div: Fraction.__truediv__,
}
_AS_PYTHON = {"−": "-", "×": "*", "÷": "/"}
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:[.-]\w+|\[\s*[\w.:-]+\s*\])*)"
    r"|(?P<sign>[-−+*×/÷(),])",
    re.ASCII,
)
_STEP = re.compile(r"([^\[\]]+)|\[\s*([^\]\s]+)\s*\]")
_HYPHEN = re.compile(r"-(?![^\[]*\])")
_UNIT = re.compile(r"([A-Za-z%]+|1)([/·*]([A-Za-z%]+|1))*")
_FACTOR = re.compile(r"([/·*]?)([A-Za-z%]+|1)")


class FormulaError(ValueError):
    """A formula cannot be read or computed: a code, the column (from 1), a sentence."""

    def __init__(self, code: str, column: int, message: str) -> None:
        super().__init__(f"{code} in column {column}: {message}")
        self.code, self.column, self.message = code, column, message


@dataclass(frozen=True)
class Unit:
    """A product of symbols with whole powers; kW is kWh/h, every other symbol is itself."""

    powers: frozenset[tuple[str, int]]

    @classmethod
    def read(cls, text: str, column: int = 1) -> Unit:
        """Read symbols joined by / and ·, as in INR/kWh.

        Raises FormulaError (E_UNIT), at the column that is given.
        """
        if not _UNIT.fullmatch(text):
            message = f"{text[:40]!r} is no unit; write symbols joined by / and ·, as in INR/kWh"
            raise FormulaError("E_UNIT", column, message)
        powers: Counter[str] = Counter()
        for joint, symbol in _FACTOR.findall(text):
            name = str({"KW": "kW", "KWH": "kWh"}.get(symbol, symbol))
            sign = -1 if joint == "/" else 1
            for part, power in (
                ((f"{name}h", sign), ("h", -sign)) if name in WATTS else ((name, sign),)
            ):
                powers[part] += power
        return cls(frozenset((s, p) for s, p in powers.items() if p and s != "1"))

    def times(self, other: Unit, sign: int = 1) -> Unit:
        """Multiply by another unit, or divide where the sign is -1."""
        powers = Counter(dict(self.powers))
        powers.update({symbol: sign * power for symbol, power in other.powers})
        return Unit(frozenset((s, p) for s, p in powers.items() if p))

    @property
    def is_money(self) -> bool:
        """Tell whether this is a currency, by its ISO 4217 code, and nothing else."""
        return [(len(s), s.isupper(), p) for s, p in self.powers] == [(3, True, 1)]

    def __str__(self) -> str:
        powers = Counter(dict(self.powers))
        above = "·".join(sorted(powers.elements())) or "1"
        return "/".join([above, *sorted((-powers).elements())])


class Quantity(NamedTuple):
    """A value, None while it is not known, and its unit, None where it is not declared.

    A value is an exact number, a text, an instant (aware, or ISO 8601 text) or a mapping,
    whose members have names of their own and share its unit.
    """

    value: object
    unit: str | None = None


class Result(NamedTuple):
    """What a formula comes to, exactly, and in which unit as far as that is known."""

    value: Fraction
    unit: Unit | None


Scope: TypeAlias = "Mapping[str, Quantity | Scope]"
TariffPrice: TypeAlias = Callable[[object, datetime, datetime, Fraction], Quantity]
"""What computeTariffPrice means: a price from a tariff, start, end and quantity."""


class Names:
    """The names that formulas may use: quantities in nested mappings, as a contract is written.

    A name is the path to a quantity joined by dots, or any ending of it that no other path
    has; a whole path comes before an ending. A key may stand in brackets, and so may the name
    of a text, for the key that the text is. `.value` may follow.
    """

    def __init__(self, scope: Scope) -> None:
        self.most_hyphens = 0
        self._nodes: set[str] = set()
        self._quantities: defaultdict[str, list[tuple[str, Quantity]]] = defaultdict(list)
        branches: list[tuple[tuple[str, ...], object]] = [((key,), scope[key]) for key in scope]
        while branches:
            path, found = branches.pop()
            endings = [".".join(path[start:]) for start in range(len(path))]
            self._nodes.update(endings)
            self.most_hyphens = max(self.most_hyphens, endings[0].count("-"))
            if isinstance(found, Quantity):
                for ending in endings:
                    self._quantities[ending].append((endings[0], found))
            members = found.value if isinstance(found, Quantity) else found
            if isinstance(members, Mapping) and len(path) < DEEPEST_NAME:
                for key, member in cast("Mapping[str, object]", members).items():
                    inner = Quantity(member, found.unit) if isinstance(found, Quantity) else member
                    branches.append(((*path, str(key)), inner))

    def find(self, reference: str) -> list[tuple[str, Quantity]]:
        """Give the paths and quantities that a reference may mean: one, none or several.

        An index, or what is indexed, stands for the reference if it has no value yet.
        """
        return [one for path in self.paths(reference) for one in self._named(path)]

    def paths(self, reference: str) -> list[str]:
        """Write a reference without brackets, in every way that what is declared allows."""
        paths = [""]
        for plain, key in _STEP.findall(reference):
            paths = [
                longer
                for path in paths
                for longer in ([path + plain] if plain else self._indexed(path, key))
            ]
        return paths

    def near(self, reference: str) -> str:
        """Say which declared names look like a reference, or else some that are declared."""
        alike = get_close_matches(reference[:100], sorted(self._quantities))
        return ", ".join(alike or sorted(self._quantities)[:5]) or "nothing"

    def _indexed(self, path: str, key: str) -> list[str]:
        path = path if path in self._nodes else path.removesuffix(".value")
        values = [quantity.value for _, quantity in self._named(key)]
        named = values[0] if len(values) == 1 else None
        keys = {key, named} if isinstance(named, str) else {key}
        if known := sorted(f"{path}.{one}" for one in keys if f"{path}.{one}" in self._nodes):
            return known
        if [quantity.value for _, quantity in self._named(path)] == [None]:
            return [path]
        return [key] if values == [None] else [f"{path}.{max(keys - {key}, default=key)}"]

    def _named(self, name: str) -> list[tuple[str, Quantity]]:
        found = self._quantities.get(name) or self._quantities.get(name.removesuffix(".value"), [])
        return [one for one in found if one[0] == name] or found


class Token(NamedTuple):
    """A number, name, function or sign of a formula, and the column where it stands."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True)
class Formula:
    """A formula that has been read: its tokens, and a tree with one line for each of them."""

    tokens: Sequence[Token]
    tree: ast.expr

    def at(self, node: ast.expr) -> Token:
        """Give the token with which a part of the formula begins."""
        return self.tokens[node.lineno - 1]

    def error(self, code: str, node: ast.expr, message: str) -> FormulaError:
        """Make the error that a part of the formula is."""
        return FormulaError(code, self.at(node).column, message)


def parse(text: str, names: Names) -> Formula:
    """Read a formula; its names need not be declared.

    A run of words and hyphens without spaces is read as declared names and minus signs.
    Where that can be done in several ways it is refused; where in none, it is one name.

    Raises FormulaError: E_TOO_LONG, E_TOO_DEEP, E_CHARACTER, E_SYNTAX, E_AMBIGUOUS,
    E_UNKNOWN_FUNCTION, E_ARGUMENTS.

    Source: reference_impl/README.md, Contracts.
    """
    tokens = list(_tokens(text, names))
    words = [_AS_PYTHON.get(t.text, t.text) if t.kind == "sign" else "n" for t in tokens]
    try:
        tree = ast.parse(" \\\n".join(words), mode="eval").body
    except SyntaxError as error:
        columns = [1, *(token.column for token in tokens)]
        column = columns[min(error.lineno or 0, len(tokens))]
        message = "from here it is not names and numbers joined by + - × ÷ and parentheses"
        raise FormulaError("E_SYNTAX", column, message) from None
    formula = Formula(tokens, tree)
    pending = [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > DEEPEST:
            raise formula.error("E_TOO_DEEP", node, f"more than {DEEPEST} levels; split it")
        pending.extend((part, depth + 1) for part in _parts(formula, node))
    return formula


def missing(text: str, names: Names) -> Iterator[str]:
    """Yield the names in a formula that are not declared, or have no value yet."""
    for kind, reference, _ in parse(text, names).tokens:
        if kind == "name":
            found = names.find(reference)
            yield from [path for path, quantity in found if quantity.value is None]
            yield from [] if found else names.paths(reference)


def evaluate(text: str, names: Names, tariff_price: TariffPrice | None = None) -> Result:
    """Compute a formula exactly, and check its units as far as they are declared.

    An undeclared unit is unknown, and so is the unit of what it enters. So is that of a
    number in the formula, as 3600 may be seconds per hour; but a 0 has any unit that is
    added to it or compared with it. Two instants differ by seconds.

    Raises FormulaError as `parse` does, and E_UNKNOWN_NAME, E_NO_VALUE, E_TYPE, E_UNIT,
    E_DIVISION_BY_ZERO, E_TOO_LARGE.

    Source: reference_impl/README.md, Contracts.
    """
    formula = parse(text, names)
    return _Evaluation(formula, names, tariff_price).number(formula.tree)


def _tokens(text: str, names: Names) -> Iterator[Token]:
    if len(text) > LONGEST:
        message = f"the formula has {len(text)} characters; {LONGEST} are allowed"
        raise FormulaError("E_TOO_LONG", LONGEST + 1, message)
    position = depth = 0
    while position < len(text):
        match, column = _TOKEN.match(text, position), position + 1
        if match is None:
            message = f"{text[position]!r} (U+{ord(text[position]):04X}) has no meaning here"
            raise FormulaError("E_CHARACTER", column, message)
        kind, found, position = str(match.lastgroup), match[0], match.end()
        depth += (found == "(") - (found == ")")
        if depth > DEEPEST:
            raise FormulaError("E_TOO_DEEP", column, f"more than {DEEPEST} levels; split it")
        if kind == "name":
            called = text[position:].lstrip().startswith("(")
            yield from _read_run(found, column, names, called=called)
        elif kind != "space":
            yield Token(kind, found, column)


def _read_run(run: str, column: int, names: Names, *, called: bool) -> Iterator[Token]:
    """Read a run of words and hyphens in the only way that the declared names allow."""
    cuts = [match.start() for match in _HYPHEN.finditer(run)]
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(run)]

    def kind_of(piece: str, *, last: bool) -> str | None:
        if last and called:
            return "function" if piece in FUNCTIONS else None
        if piece.replace(".", "", 1).isdecimal():
            return "number"
        return "name" if names.find(piece) else None

    # The ways to read the rest from each start, last start first; two are too many already.
    ways: dict[int, list[list[Token]]] = {len(starts): [[]]}
    for first in reversed(range(len(starts))):
        ways[first] = [
            [Token(kind, run[starts[first] : ends[last]], column + starts[first]), *rest]
            for last in range(first, min(first + names.most_hyphens, len(cuts)) + 1)
            if ways[last + 1]
            and (kind := kind_of(run[starts[first] : ends[last]], last=last == len(cuts)))
            for rest in ways[last + 1]
        ][:2]
    if len(ways[0]) > 1:
        one, other = (" - ".join(token.text for token in way)[:60] for way in ways[0])
        message = f"this may be {one!r} or {other!r}; put spaces around a minus, or rename"
        raise FormulaError("E_AMBIGUOUS", column, message)
    whole = [Token("function" if called else "name", run, column)]
    for token in ways[0][0] if ways[0] else whole:
        if token.column > column:
            yield Token("sign", "-", token.column - 1)
        yield token


def _parts(formula: Formula, node: ast.expr) -> list[ast.expr]:
    """Give the parts of a node, which must be of the closed set."""
    match node:
        case ast.Name():
            return []
        case ast.BinOp() if type(node.op) in _OPERATIONS:
            return [node.left, node.right]
        case ast.UnaryOp(op=ast.UAdd() | ast.USub()):
            return [node.operand]
        case ast.Call(func=ast.Name(), keywords=[]):
            kind, name, _ = formula.at(node.func)
            if kind != "function" or name not in FUNCTIONS:
                message = f"{name!r} is no function here; known are {', '.join(FUNCTIONS)}"
                raise formula.error("E_UNKNOWN_FUNCTION", node, message)
            if len(node.args) not in (counts := FUNCTIONS[name]):
                message = (
                    f"{name} has {len(node.args)} arguments, not {min(counts)} to {max(counts)}"
                )
                raise formula.error("E_ARGUMENTS", node, message)
            return node.args
        case _:
            message = f"a {type(node).__name__.lower()} is no part of a formula"
            raise formula.error("E_SYNTAX", node, message)


_Term: TypeAlias = tuple[object, Unit | None]


@dataclass(frozen=True)
class _Evaluation:
    formula: Formula
    names: Names
    tariff_price: TariffPrice | None

    def number(self, node: ast.expr) -> Result:
        return self._as_number(node, self._term(node))

    def _term(self, node: ast.expr) -> _Term:
        match node:
            case ast.BinOp():
                return self._operation(node)
            case ast.UnaryOp():
                value, unit = self.number(node.operand)
                return (-value if isinstance(node.op, ast.USub) else value), unit
            case ast.Call():
                return self._call(node)
            case _:
                return self._operand(node)

    def _operation(self, node: ast.BinOp) -> _Term:
        left, right = self._term(node.left), self._term(node.right)
        if isinstance(node.op, ast.Sub) and not isinstance(left[0], Fraction):
            apart = self._instant(node.left, left) - self._instant(node.right, right)
            return Fraction(apart // timedelta(microseconds=1), 1_000_000), Unit.read("s")
        left, right = self._as_number(node.left, left), self._as_number(node.right, right)
        if isinstance(node.op, ast.Add | ast.Sub):
            unit = self._shared_unit([node.left, node.right], [left, right])
        elif left.unit and right.unit:
            unit = left.unit.times(right.unit, 1 if isinstance(node.op, ast.Mult) else -1)
        else:
            unit = None
        try:
            value = _OPERATIONS[type(node.op)](left.value, right.value)
        except ZeroDivisionError:
            raise self.formula.error("E_DIVISION_BY_ZERO", node.right, "this is zero") from None
        return self._bounded(node, value), unit

    def _call(self, node: ast.Call) -> _Term:
        name = self.formula.at(node).text
        terms = [self._term(part) for part in node.args]
        if name in _CHOICES:
            numbers = [self._as_number(*pair) for pair in zip(node.args, terms, strict=True)]
            value = _CHOICES[name]([number.value for number in numbers])
            return value, self._shared_unit(node.args, numbers)
        if self.tariff_price is None:
            raise self.formula.error("E_UNKNOWN_FUNCTION", node, f"{name} is not supplied here")
        start, end = (self._instant(node.args[i], terms[i]) for i in (1, 2))
        quantity = self._as_number(node.args[3], terms[3])
        if quantity.unit not in (None, Unit.read("kWh")):
            message = f"this is in {quantity.unit}, the quantity of a tariff in kWh"
            raise self.formula.error("E_UNIT", node.args[3], message)
        price = self.tariff_price(terms[0][0], start, end, quantity.value)
        return self._taken(node, price)

    def _operand(self, node: ast.expr) -> _Term:
        kind, text, _ = self.formula.at(node)
        if kind == "number":
            return self._taken(node, Quantity(Fraction(text)))
        found = self.names.find(text)
        if not found:
            path = self.names.paths(text)[0]
            message = f"nothing is declared as {path!r}; what is: {self.names.near(path)}"
            raise self.formula.error("E_UNKNOWN_NAME", node, message)
        if len(found) > 1:
            paths = " or ".join(sorted(path for path, _ in found))
            message = f"{text!r} may be {paths}; write more of the path"
            raise self.formula.error("E_AMBIGUOUS", node, message)
        path, quantity = found[0]
        if quantity.value is None:
            raise self.formula.error("E_NO_VALUE", node, f"{path} has no value yet")
        return self._taken(node, quantity)

    def _taken(self, node: ast.expr, quantity: Quantity) -> _Term:
        """Take what comes in: a number as a Fraction, unless it is too large to compute with."""
        value, unit = quantity
        if isinstance(value, Decimal):
            places = max(len(value.as_tuple().digits), abs(value.adjusted()))
            if not value.is_finite() or places > LARGEST_DIGITS:
                message = f"a number here is not finite, or beyond {LARGEST_DIGITS} digits"
                raise self.formula.error("E_TOO_LARGE", node, message)
        if isinstance(value, Decimal | int | Fraction) and not isinstance(value, bool):
            value = self._bounded(node, Fraction(value))
        return value, Unit.read(unit, self.formula.at(node).column) if unit else None

    def _as_number(self, node: ast.expr, term: _Term) -> Result:
        value, unit = term
        if not isinstance(value, Fraction):
            message = f"an exact number is needed here, this is a {type(value).__name__}"
            raise self.formula.error("E_TYPE", node, message)
        return Result(value, unit)

    def _instant(self, node: ast.expr, term: _Term) -> datetime:
        instant = term[0]
        try:
            instant = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
        except ValueError:
            instant = None
        if not isinstance(instant, datetime) or instant.utcoffset() is None:
            message = "an instant with its offset is needed here, as in 2024-10-04T18:00:00Z"
            raise self.formula.error("E_TYPE", node, message)
        return instant

    def _shared_unit(self, nodes: Sequence[ast.expr], terms: Sequence[Result]) -> Unit | None:
        """Give the unit that all parts of a sum or a choice have; a bare zero has any."""
        pairs = [(n, t.unit) for n, t in zip(nodes, terms, strict=True) if not self._is_zero(n)]
        known = [(node, unit) for node, unit in pairs if unit is not None]
        for node, unit in known:
            if unit != known[0][1]:
                message = f"this is in {unit}, and what it is added to or compared with in "
                raise self.formula.error("E_UNIT", node, f"{message}{known[0][1]}")
        return known[0][1] if known and len(known) == len(pairs) else None

    def _is_zero(self, node: ast.expr) -> bool:
        kind, text, _ = self.formula.at(node)
        return isinstance(node, ast.Name) and kind == "number" and not Fraction(text)

    def _bounded(self, node: ast.expr, number: Fraction) -> Fraction:
        if max(number.numerator.bit_length(), number.denominator.bit_length()) > LARGEST_BITS:
            message = f"a number here needs more than {LARGEST_BITS} bits"
            raise self.formula.error("E_TOO_LARGE", node, message)
        return number
