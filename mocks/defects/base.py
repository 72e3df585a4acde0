"""What a defect is, and the ways to change one thing of one message.

Belongs here: what several families of defects need. Does not belong here: a
defect (its family's module), the seams (conduct).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gridwitness.mocks.conduct import Conduct
from gridwitness.story import AGENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.dialects.base import Json
    from gridwitness.trace import Answer
    from gridwitness.views import Deal, EnergyContract, Reading

    ChangeContract = Callable[[EnergyContract], EnergyContract]
    ChangeDeal = Callable[[Deal], Deal]


@dataclass(frozen=True)
class Defect:
    """A way to misbehave.

    breaks    the rule that must fire
    also      rules that the same misbehaviour breaks by their nature
    role      who misbehaves, and who is judged
    feature   where it is tried
    scenario  the beginning of the title of the scenario it is tried in; None tries all
    seat      the seat that is played while it is tried; "" for the role's own
    stalls    whether it makes the market wait for somebody who never confirms
    """

    name: str
    breaks: str
    says: str
    conduct: Conduct
    role: str = AGENT
    also: tuple[str, ...] = ()
    feature: str = "p2p_trading/pay_as_clear.feature"
    scenario: str | None = "A car and a roof clear at one price"
    seat: str = ""
    stalls: bool = False

    @property
    def is_silent(self) -> bool:
        """Whether somebody waits in vain: for a callback that never comes, or for a confirm."""
        return self.stalls or "COR-004" in (self.breaks, *self.also)

    def is_tried_in(self, feature: str, scenario: str) -> bool:
        """Tell whether a scenario is one to try it in."""
        return feature == self.feature and scenario.startswith(self.scenario or "")


def in_contract(action: str, change: ChangeContract) -> Conduct:
    """Change the contract in one kind of message, if it carries one."""

    def views(sent: str, reading: Reading) -> Reading:
        if sent != action or reading.contract is None:
            return reading
        return replace(reading, contract=change(reading.contract))

    return Conduct(views=views)


def in_deal(action: str, change: ChangeDeal) -> Conduct:
    """Change the deal in one kind of message, if it carries one."""

    def views(sent: str, reading: Reading) -> Reading:
        if sent != action or reading.deal is None:
            return reading
        return replace(reading, deal=change(reading.deal))

    return Conduct(views=views)


def in_envelope(prefix: str, **fields: str | None) -> Conduct:
    """Change fields of the context of every message whose action begins with the prefix."""

    def views(sent: str, reading: Reading) -> Reading:
        if not sent.startswith(prefix):
            return reading
        return replace(reading, envelope=replace(reading.envelope, **fields))

    return Conduct(views=views)


def in_body(action: str, change: Callable[[dict[str, Any]], Json]) -> Conduct:
    """Change the JSON of one kind of message."""
    return Conduct(bodies=lambda sent, body: change(body) if sent == action else body)


def in_answer(change: Callable[[Answer], Answer]) -> Conduct:
    return Conduct(answers=change)
