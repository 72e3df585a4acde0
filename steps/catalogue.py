"""Sentences about a catalogue: what providers publish, what is searched for, that it is.

Belongs here: what a scenario says of a catalogue. Does not belong here: the reading of its
tables (listings).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from pytest_bdd import given, when

from gridwitness.errors import UserError
from gridwitness.mocks.catalogue import Fair, play
from gridwitness.mocks.market import fresh_interval
from gridwitness.steps import listings, tables

if TYPE_CHECKING:
    from gridwitness.hearing import Hearing
    from gridwitness.mocks.conduct import Conduct
    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.trace import Scene, Step


@given("the providers publish", target_fixture="published")
def the_providers_publish(datatable: list[list[str]]) -> list[tables.Row]:
    thing = ["from", "there is", "place", "connector", "power"]
    may = [*thing, "delivered", "valid", "publication", "state"]
    return tables.rows(datatable, needs=["provider", "offer", "energy", "price"], may=may)


@given("the search", target_fixture="search")
def the_search(datatable: list[list[str]]) -> tables.Row:
    asks = ["provider", "near", "along", "within", "connector", "power"]
    found = tables.rows(datatable, needs=[], may=[*asks, "page", "nothing found"])
    if len(found) != 1:
        raise UserError("is no one search", where="the search", mend="write one row")
    return found[0]


@when("the catalogue is searched")
def the_catalogue_is_searched(  # noqa: PLR0913 (the fixtures that the Givens produced)
    published: list[tables.Row],
    search: tables.Row,
    sequence: tuple[Step, ...],
    scene: Scene,
    sandbox: Sandbox,
    broken: tuple[str, Conduct] | None,
    patience: float,
    hearing: Hearing,
) -> None:
    interval = fresh_interval(sandbox.setting.draws, Fraction(1))
    publications = listings.publications(published, interval, sandbox.wire.clock.now())
    ids = {name: sandbox.signer(name).subscriber_id for name in publications}
    fair = Fair(
        publications=publications,
        intent=listings.intent(search, interval, ids),
        page_offers=listings.page_offers(search),
        turns_away=listings.turns_away(search),
        patience=patience,
        broken=broken,
    )
    hearing.hear(*play(sandbox, scene, sequence, fair))
