"""CAT: what providers publish, what a search of a catalogue finds, and what becomes of it.

Belongs here: comparing what was found with what was published last, and what a provider says
of its own offers. Does not belong here: the meaning of an offer and of a search (listing),
that an order names what a catalogue holds (LIN-003), the order of messages (sequence).

A publish counts from the callback that accepts it. Whatever is being published while a search
is under way may be found in its old form or its new one, or not at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

from gridwitness import listing
from gridwitness.acks import ACK
from gridwitness.dues import instant
from gridwitness.protocol import PUBLISHING
from gridwitness.rules import outcome, rule
from gridwitness.sameness import plain
from gridwitness.story import (
    BAP_AND_BPP,
    BPP,
    CATALOGUE,
    CHARGING_OPERATOR,
    CONSUMER,
    PROSUMER,
    accepted,
)
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Catalogue, Deal, Intent, Offer

PS = "certification draft"
CORE = "Beckn v2.0.0 rc and LTS, Catalog and Offer"
KNOWN_PROVIDERS = (PROSUMER, CHARGING_OPERATOR)
PROVIDERS = (*KNOWN_PROVIDERS, BPP, BAP_AND_BPP)
STATUSES = ("ACCEPTED", "REJECTED", "PARTIAL")
MOST_NAMED = 3
MOST_SEARCHES = 100
"""So many searches of a trace are laid beside what was published."""

OfferKey = tuple[str | None, str]
"""The provider of an offer and its own id."""


@dataclass(frozen=True)
class Listed:
    """An offer as it stands in a catalogue, in one message."""

    message: Message
    catalogue: Catalogue
    offer: Offer

    @property
    def key(self) -> OfferKey:
        return _key(self.catalogue, self.offer)

    @property
    def is_active(self) -> bool:
        return self.catalogue.is_active and self.offer.is_active


@dataclass
class Published:
    """What was published of one offer: its versions, latest last; whether it is still listed."""

    versions: list[Listed] = field(default_factory=list["Listed"])
    is_listed: bool = True

    @property
    def last(self) -> Listed:
        return self.versions[-1]


@dataclass(frozen=True)
class Search:
    """A search of a catalogue, what was published before it, and what it found.

    pages are the callbacks that answer it, none when it was turned away.
    """

    request: Message
    intent: Intent
    pages: tuple[Message, ...]
    published: dict[OfferKey, Published]
    found: dict[OfferKey, list[Listed]]
    earliest: datetime
    latest: datetime

    @property
    def service(self) -> str | None:
        return self.request.receiver

    def offers(self) -> Iterator[tuple[OfferKey, Published]]:
        """Give the offers that are published when it comes, and not withdrawn."""
        for key, one in self.published.items():
            if one.is_listed:
                yield key, one

    def is_valid(self, one: Published) -> bool | None:
        return listing.is_valid(one.last.offer, self.earliest, self.latest)

    def fits(self, one: Published) -> bool | None:
        return listing.fits(one.last.offer, one.last.key[0], self.intent)


def _key(catalogue: Catalogue, offer: Offer) -> OfferKey:
    return offer.provider_id or catalogue.provider_id, offer.offer_id


def _listed(message: Message) -> Iterator[Listed]:
    for catalogue in message.reading.catalogues or ():
        for offer in catalogue.offers:
            yield Listed(message, catalogue, offer)


def _is_publish(message: Message) -> bool:
    return message.action in PUBLISHING and message.reading.catalogues is not None


@once
def _searches(trace: Trace) -> list[Search]:
    """Find the searches of a catalogue that somebody published to, with what they found."""
    services = {publish.message.receiver for publish in _publishes(trace)}
    found: list[Search] = []
    for request in trace.of("discover"):
        intent, asked = request.reading.intent, instant(request.at)
        if request.receiver not in services or intent is None or asked is None:
            continue
        if request.deliberate is not None or request.ack is None:
            continue
        pages = tuple(
            page for page in trace.callbacks_of(request) if page.reading.catalogues is not None
        )
        if not pages and not request.ends_here:
            continue  # that nothing came is COR-004's
        instants = [asked, *(at for page in pages if (at := instant(page.at)) is not None)]
        last = max((page.number for page in pages), default=request.number)
        listed: dict[OfferKey, list[Listed]] = {}
        for page in pages:
            for one in _listed(page):
                listed.setdefault(one.key, []).append(one)
        published = _published(trace, request, last)
        found.append(
            Search(request, intent, pages, published, listed, min(instants), max(instants))
        )
        if len(found) == MOST_SEARCHES:
            break
    return found


@dataclass(frozen=True)
class Publish:
    """A publish that was acknowledged, and what became of each catalogue, and when."""

    message: Message
    results: Mapping[str | None, tuple[str | None, int]]


@once
def _publishes(trace: Trace) -> list[Publish]:
    found: list[Publish] = []
    for message in trace.requests:
        if _is_publish(message) and accepted(message):
            results: dict[str | None, tuple[str | None, int]] = {}
            for callback in trace.callbacks_of(message):
                for result in callback.reading.results:
                    results.setdefault(result.catalogue_id, (result.status, callback.number))
            found.append(Publish(message, results))
    return found


def _published(trace: Trace, search: Message, last: int) -> dict[OfferKey, Published]:
    """Collect what was published before a search, but for what was in motion until its end."""
    index: dict[OfferKey, Published] = {}
    shelves: dict[tuple[str | None, str | None], set[OfferKey]] = {}
    moving: set[OfferKey] = set()
    for publish in _publishes(trace):
        message = publish.message
        if message.number >= last or message.receiver != search.receiver:
            continue
        for catalogue in message.reading.catalogues or ():
            status, told = publish.results.get(catalogue.catalogue_id, (None, last))
            shelf = shelves.setdefault((message.sender, catalogue.catalogue_id), set())
            now = {_key(catalogue, offer) for offer in catalogue.offers}
            if status == "REJECTED":
                continue
            if status != "ACCEPTED" or told > search.number:
                moving |= shelf | now
                continue
            for key in () if catalogue.merges else shelf - now:
                index[key].is_listed = False
            for offer in catalogue.offers:
                one = index.setdefault(_key(catalogue, offer), Published())
                one.versions.append(Listed(message, catalogue, offer))
                one.is_listed = one.last.is_active
            shelf |= now
    return {key: one for key, one in index.items() if key not in moving}


# -- what is found ----------------------------------------------------------------------


def _delivery(offer: Offer) -> object:
    interval = listing.interval_of(offer)
    return interval and (instant(interval.start) or interval.start, interval.duration_h)


def _validity(offer: Offer) -> object:
    return tuple(instant(text) or text for text in (offer.valid_from, offer.valid_until))


def _terms(deal: Deal) -> object:
    """Give who pays what by which quantities; neither has an order."""
    roles = frozenset((replace(role, terms=()), frozenset(role.terms)) for role in deal.roles)
    return roles, Counter(deal.dues)


_CONTENT: dict[str, Callable[[Offer], object]] = {
    "price": listing.price_per_kwh,
    "energy": listing.energy_kwh,
    "validity": _validity,
    "delivery": _delivery,
    "resource": listing.resource_of,
    "terms": lambda offer: offer.deal and _terms(offer.deal),
    "pricing": lambda offer: (offer.pricing_model, offer.clearing_agent_id, offer.charges),
    "attributes": lambda offer: {
        (block.slot, block.name): plain(block.data) for block in offer.blocks
    },
}
"""What an offer says, by the words for it."""


def _changed(found: Listed, published: Listed) -> list[str]:
    """Name what a found offer says otherwise than the published one."""
    changed = [
        name for name, says in _CONTENT.items() if says(found.offer) != says(published.offer)
    ]
    ours, theirs = found.catalogue, published.catalogue
    if ours.bpp_id not in (None, theirs.bpp_id, published.message.reading.envelope.bpp_id):
        changed.append("provider's id")
    return changed


@rule("CAT-001", "MUST", source=f"{PS}, C-PS-04 and C-DS-05", judges=(CATALOGUE,), when_stated=True)
def what_is_found_is_what_was_published(trace: Trace) -> Iterator[Outcome]:
    """What a search finds is what its provider published, unchanged.

    An offer that is found as it was published once, and not as it was published last, is
    CAT-007's.
    """
    for search in _searches(trace):
        providers = {provider for provider, _ in search.published}
        for key, listed in search.found.items():
            one = search.published.get(key)
            if one is None and key[0] not in providers:
                continue  # published before this began, or while it was under way
            for found in listed:
                changed = _changed(found, one.last) if one else ["everything"]
                if one and changed and _version(found, one) is not None:
                    continue
                yield outcome(
                    not changed,
                    by=search.service,
                    message=found.message,
                    observed=f"offer {key[1]} of {key[0]} with another {' and '.join(changed)}",
                    expected="what its provider published",
                    pointer=found.offer.pointer(),
                )


def _version(found: Listed, one: Published) -> int | None:
    """Find the earlier version that an offer is found in; None when it is in none of them."""
    earlier = enumerate(islice(one.versions, len(one.versions) - 1))
    return next((n for n, version in earlier if not _changed(found, version)), None)


@rule("CAT-002", "MUST", source=f"{PS}, C-PS-05 and C-DS-06", judges=(CATALOGUE,), when_stated=True)
def what_was_withdrawn_is_not_found(trace: Trace) -> Iterator[Outcome]:
    """An offer that its provider has withdrawn is not found.

    It is withdrawn when it, or its catalogue, is published as not active, or its catalogue is
    published anew without it.
    """
    for search in _searches(trace):
        withdrawn = (key for key, one in search.published.items() if not one.is_listed)
        yield from _not_found(search, withdrawn, "withdrawn by its provider")


@rule(
    "CAT-003",
    "MUST",
    source=f"{CORE}: validity; {PS}, C-DS-05",
    judges=(CATALOGUE,),
    when_stated=True,
)
def what_has_expired_is_not_found(trace: Trace) -> Iterator[Outcome]:
    """An offer whose validity is over, or has not begun, is not found."""
    for search in _searches(trace):
        over = (key for key, one in search.offers() if search.is_valid(one) is False)
        yield from _not_found(search, over, "not valid at the time")


@rule(
    "CAT-004",
    "MUST",
    source=f"{PS}, C-PS-04 and C-DS-05; NFH-013, CON-013-24",
    judges=(CATALOGUE,),
    when_stated=True,
)
def whatever_fits_is_found(trace: Trace) -> Iterator[Outcome]:
    """Every offer that is published, valid and fits the search is found, whosever it is."""
    for search in _searches(trace):
        for (provider, offer_id), one in search.offers():
            if search.is_valid(one) and search.fits(one):
                kept = (provider, offer_id) in search.found
                yield outcome(
                    kept,
                    by=search.service,
                    message=search.pages[-1] if search.pages else search.request,
                    observed=f"{len(search.pages)} pages without offer {offer_id} of {provider}",
                    expected="it on one of them",
                    pointer="/message",
                )


@rule(
    "CAT-005",
    "MUST",
    source="Beckn v2.0.0 rc and LTS, api, discover: filters and spatial",
    judges=(CATALOGUE,),
    when_stated=True,
)
def nothing_else_is_found(trace: Trace) -> Iterator[Outcome]:
    """An offer that does not fit the search is not found."""
    for search in _searches(trace):
        unfit = (key for key, one in search.offers() if search.fits(one) is False)
        yield from _not_found(search, unfit, "not what was searched for")


def _not_found(search: Search, keys: Iterator[OfferKey], why: str) -> Iterator[Outcome]:
    for key in keys:
        found = search.found.get(key, [])
        page = search.pages[0] if search.pages else search.request
        yield outcome(
            not found,
            by=search.service,
            message=found[0].message if found else page,
            observed=f"offer {key[1]} of {key[0]}, {why}",
            expected="no such offer",
            pointer=found[0].offer.pointer() if found else "",
        )


@rule(
    "CAT-006",
    "MUST",
    source=f"{PS}, C-PS-06; NFH-013, CON-013-24",
    judges=(CATALOGUE,),
    when_stated=True,
)
def an_offer_is_found_once(trace: Trace) -> Iterator[Outcome]:
    """An offer is found once, however often it was published and on whichever page."""
    for search in _searches(trace):
        for (provider, offer_id), listed in search.found.items():
            yield outcome(
                len(listed) == 1,
                by=search.service,
                message=listed[-1].message,
                observed=f"offer {offer_id} of {provider} found {len(listed)} times",
                expected="once, on one of the pages",
                pointer=listed[-1].offer.pointer(),
            )


@rule(
    "CAT-007",
    "MUST",
    source=f"{PS}, C-DS-05; Beckn v2.0.0 LTS, updateMode FULL",
    judges=(CATALOGUE,),
    when_stated=True,
)
def a_later_publish_replaces_the_earlier(trace: Trace) -> Iterator[Outcome]:
    """An offer that was published again is found as it was published last."""
    for search in _searches(trace):
        for key, one in search.published.items():
            for found in search.found.get(key, ()):
                if len(one.versions) > 1:
                    stale = bool(_changed(found, one.last)) and _version(found, one) is not None
                    yield outcome(
                        not stale,
                        by=search.service,
                        message=found.message,
                        observed=f"offer {key[1]} of {key[0]} as it was published before",
                        expected="as it was published last",
                        pointer=found.offer.pointer(),
                    )


@rule(
    "CAT-008",
    "MUST",
    source="Beckn v2.0.0 LTS, api, CatalogProcessingResult",
    judges=(CATALOGUE,),
    when_stated=True,
)
def every_catalogue_gets_its_result(trace: Trace) -> Iterator[Outcome]:
    """What became of a publish is told for each of its catalogues: accepted, rejected, in part."""
    for request in trace.requests:
        if not _is_publish(request) or request.deliberate is not None:
            continue
        asked = Counter(one.catalogue_id for one in request.reading.catalogues or ())
        for callback in trace.callbacks_of(request):
            if callback.reading.error is not None:
                continue
            results = callback.reading.results
            told = Counter(result.catalogue_id for result in results)
            unknown = [r for r in results if r.status not in STATUSES]
            yield outcome(
                told == asked and not unknown,
                by=callback.sender,
                message=callback,
                observed=f"results {_words(told)}, {len(unknown)} of them with no known status",
                expected=f"one each for {_words(asked)}",
                pointer="/message/results",
            )


def _words(ids: Counter[str | None]) -> str:
    return ", ".join(str(one) for one in islice(ids, MOST_NAMED)) or "of nothing"


# -- what is published ------------------------------------------------------------------


def _offering(trace: Trace) -> Iterator[Message]:
    """Give the messages in which a provider itself tells what it offers.

    An answer to a search does where its sender is known as a provider: else it may be a
    catalogue that tells what others have published.
    """
    for message in trace.beckn:
        own = message.action == "on_discover" and trace.role(message.sender) in KNOWN_PROVIDERS
        if message.deliberate is None and (own or message.action in PUBLISHING):
            yield message


@rule(
    "CAT-009",
    "MUST",
    source=f"{CORE}: validity; beckn/DEG, policies: validityWindow",
    judges=PROVIDERS,
    when_stated=True,
)
def an_offer_ends_before_its_delivery(trace: Trace) -> Iterator[Outcome]:
    """An offer can be taken until some time after it begins, and before its delivery does."""
    for message in _offering(trace):
        for offer in message.reading.offers:
            begins, ends = instant(offer.valid_from), instant(offer.valid_until)
            interval = listing.interval_of(offer)
            delivered = instant(interval.start) if interval else None
            if ends is None or (begins is None and delivered is None):
                continue
            kept = (begins is None or begins < ends) and (delivered is None or ends <= delivered)
            yield outcome(
                kept,
                by=message.sender,
                message=message,
                observed=f"offer {offer.offer_id}: from {offer.valid_from} to {offer.valid_until}",
                expected="an end after the beginning, and by "
                + (interval.start if interval else "the delivery"),
                pointer=offer.pointer(),
            )


@rule(
    "CAT-010",
    "SHOULD",
    source="energy-schema, EnergyResource: availableQuantity; ours",
    judges=PROVIDERS,
    when_stated=True,
)
def no_more_is_offered_than_there_is(trace: Trace) -> Iterator[Outcome]:
    """The offers of one resource come to no more than it has available."""
    for message in _offering(trace):
        offered: dict[tuple[int, str], Decimal] = {}
        available: dict[tuple[int, str], tuple[Decimal, Offer]] = {}
        for number, catalogue in enumerate(message.reading.catalogues or ()):
            for offer in catalogue.offers:
                resource, energy = listing.resource_of(offer), listing.energy_kwh(offer)
                there = listing.available_kwh(offer)
                if resource is not None and energy is not None and there is not None:
                    key = number, resource
                    more = energy if catalogue.is_active and offer.is_active else Decimal(0)
                    offered[key] = offered.get(key, Decimal(0)) + more
                    available.setdefault(key, (there, offer))
        for key, (there, offer) in available.items():
            yield outcome(
                offered[key] <= there,
                by=message.sender,
                message=message,
                observed=f"{offered[key]} kWh offered of {key[1]}",
                expected=f"at most {there} kWh, which it has",
                pointer=offer.pointer(),
            )


@rule(
    "CAT-011",
    "MUST",
    source=f"{CORE}: bppId and bppUri; {PS}, C-PS-01",
    judges=PROVIDERS,
    when_stated=True,
)
def a_provider_publishes_its_own(trace: Trace) -> Iterator[Outcome]:
    """A catalogue names as its provider's platform the one that publishes it."""
    for message in _offering(trace):
        envelope = message.reading.envelope
        for catalogue in message.reading.catalogues or ():
            pairs = (
                ("bpp_id", catalogue.bpp_id, envelope.bpp_id),
                ("bpp_uri", catalogue.bpp_uri, envelope.bpp_uri),
            )
            stated = [pair for pair in pairs if None not in pair]
            wrong = [pair for pair in stated if _bare(pair[1]) != _bare(pair[2])]
            if stated:
                name, value, right = (wrong or stated)[0]
                yield outcome(
                    not wrong,
                    by=message.sender,
                    message=message,
                    observed=f"{value} in the catalogue",
                    expected=f"{right}, as in the context",
                    pointer=catalogue.pointer(name),
                )


def _bare(uri: str | None) -> str:
    return (uri or "").rstrip("/")


# -- what is made of it -----------------------------------------------------------------


@rule(
    "CAT-012",
    "MUST",
    source="NFH-013, CON-013-25: who searches keeps every page",
    judges=(CONSUMER,),
    when_stated=True,
)
def every_page_is_taken(trace: Trace) -> Iterator[Outcome]:
    """Who searches accepts every page of the answer, not the first alone."""
    for search in _searches(trace):
        for page in search.pages[1:]:
            if page.deliberate is None and page.ack is not None:
                yield outcome(
                    page.ack.status == ACK,
                    by=page.receiver,
                    message=page,
                    observed=f"a page was refused: {page.ack.error_code}",
                    expected="an ACK: it answers the same search",
                    in_answer=True,
                )


def _choices(trace: Trace) -> Iterator[tuple[Search, Message, Listed, bool]]:
    """Give each offer that was selected after a search, and whether the search found it.

    One that it did not find is known from elsewhere, such as an old copy of the catalogue.
    """
    searches: dict[tuple[str | None, str | None], tuple[Search, dict[str, tuple[Listed, bool]]]]
    searches = {}
    for search in _searches(trace):
        asked = search.request
        known = {offer_id: (one.last, False) for (_, offer_id), one in search.published.items()}
        known |= {offer_id: (listed[0], True) for (_, offer_id), listed in search.found.items()}
        searches[asked.sender, _transaction(asked)] = search, known
    for message in trace.of("select"):
        contract, key = message.reading.contract, (message.sender, _transaction(message))
        if message.deliberate is not None or contract is None or key not in searches:
            continue
        search, known = searches[key]
        if contract.offer_id in known and message.number > search.request.number:
            yield search, message, *known[contract.offer_id]


def _transaction(message: Message) -> str | None:
    return message.reading.envelope.transaction_id


@rule(
    "CAT-013",
    "SHOULD",
    source="NFH-013, CON-013-25: who searches keeps every page",
    judges=(CONSUMER,),
    when_stated=True,
)
def the_cheapest_of_all_pages_is_chosen(trace: Trace) -> Iterator[Outcome]:
    """Who chooses after an answer in several pages chooses the cheapest of all of them.

    Nothing else would show that it has kept them; offers in other currencies are not compared.
    """
    cheapest: dict[tuple[int, str], tuple[Decimal, str]] = {}
    for search, message, chosen, was_found in _choices(trace):
        price = listing.price_per_kwh(chosen.offer)
        if price is None or len(search.pages) == 1 or not was_found:
            continue
        key = search.request.number, price[1]
        if key not in cheapest:
            cheapest[key] = min(_prices(search, price[1]))
        least, offer_id = cheapest[key]
        yield outcome(
            price[0] <= least,
            by=message.sender,
            message=message,
            observed=f"offer {chosen.offer.offer_id} at {price[0]} {price[1]}/kWh",
            expected=f"offer {offer_id} at {least} {price[1]}/kWh",
        )


def _prices(search: Search, currency: str) -> Iterator[tuple[Decimal, str]]:
    """Give every price in a currency that was found, with the offer's id."""
    for listed in search.found.values():
        for one in listed:
            price = listing.price_per_kwh(one.offer)
            if price is not None and price[1] == currency:
                yield price[0], one.offer.offer_id


@rule(
    "CAT-014",
    "MUST",
    source=f"{CORE}: validity and isActive",
    judges=(CONSUMER,),
    when_stated=True,
)
def nothing_that_is_over_is_chosen(trace: Trace) -> Iterator[Outcome]:
    """An offer is selected while it is valid, and not after it was withdrawn."""
    for search, message, chosen, was_found in _choices(trace):
        sent, published = instant(message.at), search.published.get(chosen.key)
        valid = listing.is_valid(chosen.offer, sent, sent) if sent else None
        withdrawn = not was_found and published is not None and not published.is_listed
        if withdrawn or valid is not None:
            yield outcome(
                bool(valid) and not withdrawn,
                by=message.sender,
                message=message,
                observed=f"offer {chosen.offer.offer_id}, which "
                + ("was withdrawn" if withdrawn else f"ends at {chosen.offer.valid_until}"),
                expected="an offer that can still be taken",
            )
