"""A catalogue: providers publish what they offer, somebody searches it and selects.

Belongs here: the service that indexes and answers, who publishes, who searches, and how a
scenario plays them. Does not belong here: what fits a search (gridwitness.listing), what is
right about the answer (rules.catalogue).
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING

from gridwitness import listing
from gridwitness.acks import Refusal
from gridwitness.dialects.blocks import duration_s
from gridwitness.mocks.actor import TTL, Actor, Say, error, rest
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.protocol import PUBLISHING
from gridwitness.reference_impl.rounding import rounded
from gridwitness.story import CATALOGUE, CONSUMER, PROSUMER
from gridwitness.trace import Trace
from gridwitness.views import Bill, Catalogue, Part, PublishResult

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from gridwitness.mocks.actor import Setting
    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.registry import Record
    from gridwitness.signing import Signer
    from gridwitness.trace import Message, Scene, Step
    from gridwitness.views import Intent, Offer, Reading

Entry = tuple[Catalogue, "Offer"]
"""An offer with the catalogue it stands in, whose other offers do not matter."""

PUBLISH = {"order": "catalog_publish", "contract": "catalog/publish"}
"""What publishing is called in each dialect."""


PAGE_OFFERS = 10
"""So many offers stand on a page unless a scenario says otherwise."""


@dataclass(frozen=True)
class Fair:
    """What a scenario says of a catalogue.

    publications: the offers of each provider, by its name; one publication after another.
    intent: what is searched for. page_offers: so many offers stand on a page.
    turns_away: where nothing is found, that is told at once and no callback follows.
    patience scales every deadline that follows from a message's ttl. broken names the role that
    misbehaves and how; of the providers it is the first.
    """

    publications: Mapping[str, Sequence[Sequence[Offer]]]
    intent: Intent
    page_offers: int = PAGE_OFFERS
    turns_away: bool = False
    patience: float = 1.0
    broken: tuple[str, Conduct] | None = None

    def conduct(self, role: str) -> Conduct:
        return self.broken[1] if self.broken and self.broken[0] == role else RIGHT

    @property
    def first_provider(self) -> str:
        return next(iter(self.publications))


class CatalogueService(Actor):
    """Plays the catalogue: indexes what is published and gives what a search asks for."""

    role = CATALOGUE
    side = "BPP"

    def __init__(  # noqa: PLR0913 (an actor, and how it answers)
        self,
        setting: Setting,
        name: str,
        signer: Signer,
        conduct: Conduct = RIGHT,
        *,
        page_offers: int = PAGE_OFFERS,
        turns_away: bool = False,
    ) -> None:
        super().__init__(setting, name, signer, conduct)
        self._page_offers = page_offers
        self._turns_searches_away = turns_away
        self._index: dict[tuple[str | None, str | None], list[Catalogue]] = {}
        """By publisher and catalogue: every version, latest last."""

    def handlers(self) -> Mapping[str, Callable[[Message], Coroutine[None, None, None]]]:
        return {"discover": self._find} | dict.fromkeys(PUBLISHING, self._publish)

    def objections(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        reading = message.reading
        lacks = reading.intent if message.action == "discover" else reading.catalogues
        if not lacks:
            text = "nothing is searched for, or nothing published"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)

    def _turns_away(self, message: Message) -> Refusal | None:
        if message.action == "discover" and self._turns_searches_away and not self._found(message):
            return self.offers_nothing(message)
        return super()._turns_away(message)

    async def _publish(self, message: Message) -> None:
        publisher = message.reading.envelope.bpp_id
        results: list[PublishResult] = []
        for catalogue in message.reading.catalogues or ():
            # Who publishes for another is told so; nothing of it is indexed.
            own = catalogue.bpp_id in (None, publisher)
            if own:
                key = publisher, catalogue.catalogue_id
                self._index.setdefault(key, []).append(catalogue)
            results.append(
                PublishResult(
                    catalogue_id=catalogue.catalogue_id,
                    status="ACCEPTED" if own else "REJECTED",
                    offer_count=len(catalogue.offers) if own else None,
                )
            )
        await self.reply(message, Say(results=tuple(results)))

    async def _find(self, message: Message) -> None:
        found, size = self._found(message), self._page_offers
        pages = [found[n : n + size] for n in range(0, len(found), size)] or [[]]
        for page in pages:
            catalogues = tuple(_together(list(group)) for _, group in groupby(page, key=_shelf))
            offers = tuple(offer for _, offer in page)
            await self.reply(message, Say(catalogues=catalogues, offers=offers))

    def _found(self, message: Message) -> list[Entry]:
        intent = message.reading.intent
        return [entry for entry in self._listed() if intent and self._is_given(entry, intent)]

    def _listed(self) -> Iterator[Entry]:
        """Give what is published; of what was published again, the last version alone."""
        for versions in self._index.values():
            shown = versions[0] if "superseded" in self.conduct.lists else versions[-1]
            for offer in shown.offers:
                yield shown, offer
            if "withdrawn" in self.conduct.lists:
                kept = {offer.offer_id for offer in shown.offers}
                yield from (
                    (version, offer)
                    for version in versions[:-1]
                    for offer in version.offers
                    if offer.offer_id not in kept
                )

    def _is_given(self, entry: Entry, intent: Intent) -> bool:
        (catalogue, offer), lists, now = entry, self.conduct.lists, datetime.now(UTC)
        if not (catalogue.is_active and offer.is_active) and "withdrawn" not in lists:
            return False
        if not listing.is_valid(offer, now, now) and "expired" not in lists:
            return False
        provider_id = offer.provider_id or catalogue.provider_id
        return bool(listing.fits(offer, provider_id, intent)) or "unfit" in lists


def _shelf(entry: Entry) -> tuple[str | None, str | None]:
    return entry[0].bpp_id or entry[0].provider_id, entry[0].catalogue_id


def _together(entries: list[Entry]) -> Catalogue:
    """Put the offers of one catalogue that stand on one page into it, and no other."""
    return replace(entries[0][0], offers=tuple(offer for _, offer in entries))


class Provider(Actor):
    """Plays who publishes what it sells, and quotes what is selected."""

    role = PROSUMER
    side = "BPP"

    def handlers(self) -> Mapping[str, Callable[[Message], Coroutine[None, None, None]]]:
        return {"select": self._quote}

    async def publish(self, service: Record, offers: Sequence[Offer], dialect: str) -> bool:
        """Publish some offers as the whole catalogue; False unless it is accepted."""
        catalogue = Catalogue(
            catalogue_id=f"catalogue-of-{self.slug}",
            provider_id=self.id,
            bpp_id=self.id,
            bpp_uri=self.uri,
            offers=tuple(self._own(offer) for offer in offers),
        )
        answer = await self.ask(
            PUBLISH[dialect],
            service,
            Say(catalogues=(catalogue,), offers=catalogue.offers),
            dialect=dialect,
            transaction_id=str(uuid.uuid4()),
        )
        results = answer.reading.results if answer else ()
        return any(result.status == "ACCEPTED" for result in results)

    def _own(self, offer: Offer) -> Offer:
        """Sign an offer as its seller."""
        deal = offer.deal and replace(
            offer.deal,
            roles=tuple(
                replace(role, holder_id=self.id) if role.name == PROSUMER else role
                for role in offer.deal.roles
            ),
        )
        return replace(offer, provider_id=self.id, deal=deal)

    async def _quote(self, message: Message) -> None:
        deal = message.reading.deal
        terms = [term for role in deal.roles for term in role.terms] if deal else []
        price = next((term for term in terms if (term.unit or "").endswith("/kWh")), None)
        energy = next((term for term in terms if term.unit == "kWh"), None)
        if deal is None or price is None or energy is None:
            await self.reply(message, error("BIZ_OFFER_NOT_FOUND", "nothing of the kind is sold"))
            return
        value = rounded(Fraction(energy.value) * Fraction(price.value), "HALF_UP", 2)
        bill = Bill(
            value=value,
            currency=(price.unit or "").removesuffix("/kWh"),
            parts=(Part(kind="UNIT", amount=value, text="Energy"),),
            energy_kwh=energy.value,
            price_per_kwh=price.value,
            is_due=False,
        )
        await self.reply(message, Say(deal=replace(deal, bill=bill, at={})))


class Searcher(Actor):
    """Plays who searches a catalogue, keeps every page, and selects the cheapest."""

    role = CONSUMER
    side = "BAP"

    def __init__(
        self, setting: Setting, name: str, signer: Signer, dialect: str, conduct: Conduct = RIGHT
    ) -> None:
        super().__init__(setting, name, signer, conduct)
        self._dialect = dialect
        self._transaction_id = str(uuid.uuid4())
        self._pages: list[Reading] = []
        self._came = asyncio.Condition()

    async def heard(self, callback: Message) -> None:
        if callback.action == "on_discover" and callback.reading.catalogues is not None:
            async with self._came:
                self._pages.append(callback.reading)
                self._came.notify_all()

    async def search(self, service: Record, intent: Intent) -> bool:
        """Search a catalogue; False when it has nothing to tell."""
        answer = await self.ask(
            "discover",
            service,
            Say(intent=intent),
            dialect=self._dialect,
            transaction_id=self._transaction_id,
        )
        return answer is not None and answer.reading.error is None

    async def find(self, wanted: frozenset[str], within_s: float) -> None:
        """Wait for pages until all that is wanted has come, or the time is over."""
        try:
            async with asyncio.timeout(within_s), self._came:
                await self._came.wait_for(lambda: wanted <= self._offer_ids())
        except TimeoutError:
            return

    def _offer_ids(self) -> set[str]:
        return {offer.offer_id for page in self._pages for offer in page.offers}

    async def select(self) -> None:
        """Select the cheapest of all that was found, if anything was, at its provider."""
        pages = self._pages if self.conduct.reads_every_page else self._pages[:1]
        found = [
            (price[0], offer)
            for page in pages
            for offer in page.offers
            if (price := listing.price_per_kwh(offer)) is not None
        ]
        if not found:
            return
        _, offer = min(found, key=lambda one: one[0])
        provider = await self.setting.directory.record(offer.provider_id or "")
        if provider is None or offer.deal is None:
            return
        wanted = replace(
            offer.deal,
            contract_id=str(uuid.uuid4()),
            status="PENDING",
            offer_id=offer.offer_id,
            provider_id=offer.provider_id,
            customer_id=self.id,
            roles=tuple(
                replace(role, holder_id=self.id) if role.name == CONSUMER else role
                for role in offer.deal.roles
            ),
            at={},
        )
        await self.ask(
            "select",
            provider,
            Say(deal=wanted),
            dialect=self._dialect,
            transaction_id=self._transaction_id,
        )


def play(
    sandbox: Sandbox, scene: Scene, sequence: tuple[Step, ...], fair: Fair
) -> tuple[Trace, list[BaseException]]:
    """Play a catalogue to its end; returns the trace, and what failed in our own code.

    Providers publish, all at once, one publication after another; then it is searched, and
    where the sequence has a select, the cheapest is selected. Where a scene's subject is the
    prosumer, it is the first provider.
    """
    wire = sandbox.wire
    recorder = wire.record()
    setting = replace(sandbox.setting, patience=fair.patience)
    providers = [
        Provider(
            setting,
            name,
            sandbox.signer(name),
            fair.conduct(PROSUMER) if name == fair.first_provider else RIGHT,
        )
        for name in fair.publications
    ]
    searcher = Searcher(
        setting, CONSUMER, sandbox.signer(CONSUMER), scene.dialect, fair.conduct(CONSUMER)
    )
    service = None
    if sandbox.outsider is None:
        service = CatalogueService(
            setting,
            CATALOGUE,
            sandbox.signer(CATALOGUE),
            fair.conduct(CATALOGUE),
            page_offers=fair.page_offers,
            turns_away=fair.turns_away,
        )
    actors: list[Actor] = [*providers, searcher, *([service] if service else [])]
    for actor in actors:
        actor.join()
    service_id = sandbox.signer(CATALOGUE).subscriber_id
    if sandbox.outsider is not None:
        service_id = sandbox.outsider.record.subscriber_id
    record = sandbox.directory.here(service_id)
    if record is None:
        raise AssertionError("the catalogue has joined")
    selects = any("select" in step.actions for step in sequence)
    try:
        wire.call(_run, providers, searcher, service, record, fair, scene.dialect)
        wire.call(rest, actors)
        if selects:
            wire.call(searcher.select)
            wire.call(rest, actors)
    finally:
        for actor in actors:
            wire.call(actor.leave)
    known = replace(
        scene,
        subject=fair.first_provider if scene.subject == PROSUMER else scene.subject,
        roles={actor.name: actor.role for actor in actors} | {CATALOGUE: CATALOGUE},
        ids={actor.name: actor.id for actor in actors} | {CATALOGUE: service_id},
        uris={actor.name: actor.uri for actor in actors} | {CATALOGUE: record.url},
        sequence=sequence,
    )
    defects = [defect for actor in actors for defect in actor.defects]
    return Trace(known, recorder.messages()), defects


async def _run(  # noqa: PLR0913 (the cast of a catalogue)
    providers: Sequence[Provider],
    searcher: Searcher,
    service: CatalogueService | None,
    record: Record,
    fair: Fair,
    dialect: str,
) -> None:
    for n in range(max(map(len, fair.publications.values()), default=0)):
        shelves = [(one, fair.publications[one.name][n : n + 1]) for one in providers]
        await asyncio.gather(
            *(one.publish(record, shelf[0], dialect) for one, shelf in shelves if shelf)
        )
    if not await searcher.search(record, fair.intent):
        return
    if service is None:  # nobody tells which page is the last: what is wanted is waited for
        await searcher.find(_wanted(providers, fair), float(duration_s(TTL) or 0) * fair.patience)
    else:
        await rest([service, searcher])


def _wanted(providers: Sequence[Provider], fair: Fair) -> frozenset[str]:
    """Name what a search has to find: of the last publications what is valid and fits."""
    now = datetime.now(UTC)
    return frozenset(
        offer.offer_id
        for provider in providers
        for offer in fair.publications[provider.name][-1]
        if offer.is_active
        and listing.is_valid(offer, now, now)
        and listing.fits(offer, provider.id, fair.intent)
    )
