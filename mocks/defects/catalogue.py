"""Defects of a catalogue, of who publishes to it, and of who searches it.

Belongs here: what each of them can do wrong with an offer. Does not belong here: what any
actor can do wrong with a message (wire, transport, shape).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.dues import instant
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect
from gridwitness.protocol import PUBLISHING
from gridwitness.story import CATALOGUE, CONSUMER, PROSUMER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.views import Catalogue, Offer, Reading

    ChangeCatalogue = Callable[[Catalogue], Catalogue]

SEARCH, PAGES = "discovery/search.feature", "discovery/pages.feature"
PUBLISHED = "catalogue/publishing.feature"


def _in_catalogues(change: ChangeCatalogue, *, publishes: bool) -> Conduct:
    """Change every catalogue that is published, or that is found."""

    def views(sent: str, reading: Reading) -> Reading:
        if reading.catalogues is None or (sent in PUBLISHING) is not publishes:
            return reading
        return replace(reading, catalogues=tuple(map(change, reading.catalogues)))

    return Conduct(views=views)


def _in_offers(change: Callable[[Offer], Offer], *, publishes: bool) -> Conduct:
    def changed(catalogue: Catalogue) -> Catalogue:
        return replace(catalogue, offers=tuple(map(change, catalogue.offers)))

    return _in_catalogues(changed, publishes=publishes)


def _terms(offer: Offer, unit: str, change: Callable[[Decimal], Decimal]) -> Offer:
    """Change the terms of an offer that are stated in a unit."""
    if offer.deal is None:
        return offer
    roles = tuple(
        replace(
            role,
            terms=tuple(
                replace(term, value=change(term.value)) if term.unit == unit else term
                for term in role.terms
            ),
        )
        for role in offer.deal.roles
    )
    return replace(offer, deal=replace(offer.deal, roles=roles))


def _dearer(offer: Offer) -> Offer:
    return _terms(offer, "INR/kWh", lambda price: price + Decimal("0.05"))


def _more(offer: Offer) -> Offer:
    return _terms(offer, "kWh", lambda energy: 2 * energy)


def _after_delivery(offer: Offer) -> Offer:
    interval = offer.deal and offer.deal.interval
    begins = instant(interval.start) if interval else None
    if begins is None:
        return offer
    return replace(offer, valid_until=(begins + timedelta(minutes=15)).isoformat())


def _without_the_first(_sent: str, reading: Reading) -> Reading:
    if reading.catalogues is None:
        return reading
    return replace(reading, catalogues=reading.catalogues[1:])


def _results_of_another(_sent: str, reading: Reading) -> Reading:
    results = tuple(replace(one, catalogue_id="another") for one in reading.results)
    return replace(reading, results=results)


def _old_copy(sent: str, reading: Reading) -> Reading:
    if sent != "select" or reading.deal is None:
        return reading
    return replace(reading, deal=replace(reading.deal, offer_id="school-old"))


def _defect(  # noqa: PLR0913 (the columns of a table of defects)
    name: str,
    breaks: str,
    says: str,
    conduct: Conduct,
    scenario: str,
    *,
    role: str = CATALOGUE,
    feature: str = SEARCH,
    also: tuple[str, ...] = (),
) -> Defect:
    return Defect(name, breaks, says, conduct, role, also, feature, scenario)


DEFECTS = (
    _defect(
        "puts-its-margin-on-top",
        "CAT-001",
        "gives every offer at a price a little higher than its provider's",
        _in_offers(_dearer, publishes=False),
        "The offers of three roofs",
    ),
    _defect(
        "keeps-what-was-withdrawn",
        "CAT-002",
        "goes on giving an offer that its provider has withdrawn",
        Conduct(lists=frozenset({"withdrawn"})),
        "An offer that was withdrawn",
        feature=PUBLISHED,
    ),
    _defect(
        "keeps-what-is-over",
        "CAT-003",
        "gives an offer whose validity is over",
        Conduct(lists=frozenset({"expired"})),
        "An offer that is over",
        feature=PUBLISHED,
    ),
    _defect(
        "forgets-a-provider",
        "CAT-004",
        "leaves one provider out of what it gives",
        Conduct(views=_without_the_first),
        "The offers of three roofs",
    ),
    _defect(
        "gives-everything",
        "CAT-005",
        "gives all it has, whatever was searched for",
        Conduct(lists=frozenset({"unfit"})),
        "A search by place",
    ),
    _defect(
        "gives-it-twice",
        "CAT-006",
        "gives every offer twice",
        _in_catalogues(lambda one: replace(one, offers=one.offers * 2), publishes=False),
        "The same publication twice",
        feature=PUBLISHED,
    ),
    _defect(
        "keeps-the-first-publication",
        "CAT-007",
        "goes on giving what was published first",
        Conduct(lists=frozenset({"superseded"})),
        "A second publication",
        feature=PUBLISHED,
        also=("CAT-002",),
    ),
    _defect(
        "accepts-another-catalogue",
        "CAT-008",
        "tells what became of a catalogue that nobody published",
        Conduct(views=_results_of_another),
        "An offer that was withdrawn",
        feature=PUBLISHED,
    ),
    _defect(
        "sells-the-past",
        "CAT-009",
        "offers energy until its delivery is well under way",
        _in_offers(_after_delivery, publishes=True),
        "The offers of three roofs",
        role=PROSUMER,
    ),
    _defect(
        "sells-it-twice",
        "CAT-010",
        "offers twice the energy that its roof has to give",
        _in_offers(_more, publishes=True),
        "The offers of three roofs",
        role=PROSUMER,
    ),
    _defect(
        "publishes-at-another-address",
        "CAT-011",
        "names another address in its catalogue than its own",
        _in_catalogues(
            lambda one: replace(one, bpp_uri="https://elsewhere.example"), publishes=True
        ),
        "The offers of three roofs",
        role=PROSUMER,
    ),
    _defect(
        "refuses-every-page",
        "CAT-012",
        "refuses the pages that answer its search",
        Conduct(refuses_actions=frozenset({"on_discover"})),
        "The cheapest offer",
        role=CONSUMER,
        feature=PAGES,
        also=("ORD-005",),
    ),
    _defect(
        "reads-the-first-page",
        "CAT-013",
        "takes the cheapest of the first page for the cheapest of all",
        Conduct(reads_every_page=False),
        "The cheapest offer",
        role=CONSUMER,
        feature=PAGES,
    ),
    _defect(
        "selects-from-an-old-copy",
        "CAT-014",
        "selects an offer that is over, which it knows from an old copy of the catalogue",
        Conduct(views=_old_copy),
        "An offer that is over",
        role=CONSUMER,
        feature=PUBLISHED,
    ),
)
