"""An exchange as its table of messages tells it: the parties, the run, the trace.

Belongs here: actors who play the rows of a sequence in turn, whatever the use case. Does not
belong here: what a row carries (words), markets that clear (market), what is expected (rules).

Every party plays the rows of its role: a row is sent once the rows that it comes after have
come, as far as this party saw them. A callback row answers the request before it in the table
that it is a callback of; a second one to the same request is news that nobody asked for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gridwitness.acks import Refusal
from gridwitness.deals import DealError
from gridwitness.errors import UserError
from gridwitness.mocks.accounts import ACCOUNTS
from gridwitness.mocks.actor import TTL, Actor, Say, error, rest
from gridwitness.mocks.conduct import RIGHT
from gridwitness.mocks.spoilt import Fault
from gridwitness.mocks.words import WORDS, Known, happens
from gridwitness.rules.sequence import CARRIES
from gridwitness.story import BUYER_UTILITY, SELLER_UTILITY
from gridwitness.trace import Trace
from gridwitness.views import Deal, Intent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from gridwitness.mocks.actor import Setting
    from gridwitness.mocks.conduct import Conduct
    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.mocks.words import Facts, Party
    from gridwitness.registry import Record
    from gridwitness.signing import Signer
    from gridwitness.trace import Message, Scene, Step
    from gridwitness.views import IntervalTable

LONG_TTL = "PT30S"
"""How long one waits where all participants have to act first."""

ENERGY_UNITS = ("kW", "kWh")
"""What a third party is told of the terms: how much, not at what price."""


_SAID = WORDS | ACCOUNTS


def answered(sequence: tuple[Step, ...]) -> dict[str, str | None]:
    """Name the request row that each callback row answers; None where it is news unasked for."""
    taken: set[str] = set()
    found: dict[str, str | None] = {}
    for n, step in enumerate(sequence):
        asked = {action.removeprefix("on_") for action in step.actions}
        if not step.actions[0].startswith("on_"):
            continue
        found[step.name] = None
        for other in reversed(sequence[:n]):
            same = (other.sender, other.receiver) == (step.receiver, step.sender)
            if same and asked & set(other.actions):
                if other.name not in taken:
                    taken.add(other.name)
                    found[step.name] = other.name
                break
    return found


@dataclass
class Thread:
    """One deal under way, as one party sees it: what is agreed, and which rows have come."""

    known: Known
    counterpart: dict[str, str] = field(default_factory=dict[str, str])
    """The subscriber id of the party that it is with, by role."""
    transaction: dict[str, str] = field(default_factory=dict[str, str])
    """The transaction with each role."""
    requests: dict[str, Message] = field(default_factory=dict[str, "Message"])
    """By row: what is still to be answered."""
    begun: set[str] = field(default_factory=set[str])
    done: set[str] = field(default_factory=set[str])
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False


class Player(Actor):
    """Plays one party of an exchange; see the module's head."""

    def __init__(  # noqa: PLR0913 (an actor, and what it plays)
        self,
        setting: Setting,
        party: Party,
        signer: Signer,
        facts: Facts,
        sequence: tuple[Step, ...],
        dialect: str,
        conduct: Conduct = RIGHT,
    ) -> None:
        super().__init__(setting, party.name, signer, conduct)
        self.role = party.role
        self._party, self._facts, self._dialect = party, facts, dialect
        self._sequence = sequence
        self._answers = answered(sequence)
        self._threads: list[Thread] = []
        self._ledger: dict[str, Deal] = {}
        # With whom this party makes the deal: with whom it first speaks.
        own = (s for s in sequence if self.role in (s.sender, s.receiver))
        self._partner = next((s.receiver if s.sender == self.role else s.sender for s in own), "")
        asks = {s.sender for s in sequence if not s.actions[0].startswith("on_")}
        told = {s.receiver for s in sequence if not s.actions[0].startswith("on_")}
        self.side = "BAP" if self.role in asks and self.role not in told else "BPP"

    # -- beginning and ending -------------------------------------------------------

    async def begin(self) -> None:
        """Open a thread and play it until all rows of it have come, or nothing more comes."""
        thread = self._open(Deal(interval=self._facts.asked))
        self._advance(thread)
        mine = {s.name for s in self._sequence if self.role in (s.sender, s.receiver)}
        long = any(step.after_all for step in self._sequence)
        wait_s = (30.0 if long else 10.0) * self.setting.patience
        while not (mine <= thread.done or thread.failed):
            thread.moved.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await thread.moved.wait()
            except TimeoutError:
                return

    def _open(self, deal: Deal) -> Thread:
        known = Known(self._facts, self._party, deal, self.new_id, self.now, ledger=self._ledger)
        thread = Thread(known)
        self._threads.append(thread)
        return thread

    # -- hearing --------------------------------------------------------------------

    def handlers(self) -> Mapping[str, Callable[[Message], Coroutine[None, None, None]]]:
        return {
            action: self._take_up
            for step in self._sequence
            if step.receiver == self.role
            for action in step.actions
            if not action.startswith("on_")
        }

    def objections(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        thread, step = self._find(message)
        if step is None:
            return
        missing = [w for w in step.carries if w in CARRIES and not CARRIES[w](message.reading)]
        if missing:
            text = f"{' and '.join(missing)} missing"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)
        deal = message.reading.deal
        agreed = thread.known.deal.contract_id if thread else None
        if deal is not None and agreed is not None and deal.contract_id != agreed:
            text = "no such contract in this transaction"
            yield "unknown contract", Refusal(400, "BIZ_ORDER_NOT_FOUND", text)
        if thread is None and step is not self._first_of(step.sender):
            yield "unknown contract", Refusal(400, "BIZ_ORDER_NOT_FOUND", "nothing is agreed here")

    def _first_of(self, sender: str) -> Step | None:
        """Give the row with which a role first turns to this party."""
        rows = (s for s in self._sequence if (s.sender, s.receiver) == (sender, self.role))
        return next(rows, None)

    async def _take_up(self, message: Message) -> None:
        thread, step = self._find(message)
        if step is None:
            await self.reply(message, error("BIZ_GENERIC_ERROR", "that has no place here"))
            return
        if thread is None:
            thread = self._open(Deal())
        envelope = message.reading.envelope
        thread.transaction[step.sender] = envelope.transaction_id or ""
        thread.counterpart[step.sender] = envelope.bap_id or ""
        if thread.failed:
            text = "this deal has come to nothing"
            fault = Fault(text, place="instead") if self._facts.refuses(self.name) else None
            await self.reply(message, error("BIZ_GENERIC_ERROR", text), fault=fault)
            return
        thread.requests[step.name] = message
        self._hear(thread, step, message)

    async def heard(self, callback: Message) -> None:
        thread, step = self._find(callback)
        if thread is None or step is None:
            return
        binds = callback.action == "on_confirm" and self.conduct.binds_refused_locks
        if callback.reading.error is not None and not binds:
            await self._give_up(thread, step.sender)
            return
        self._hear(thread, step, callback)

    def _find(self, message: Message) -> tuple[Thread | None, Step | None]:
        """Find the thread that a message belongs to, and the row that it is."""
        envelope = message.reading.envelope
        sender_id = envelope.bpp_id if message.is_callback else envelope.bap_id
        sender = self._facts.role_of(self.setting.names.get(sender_id or ""))
        thread = next(
            (t for t in self._threads if t.transaction.get(sender) == envelope.transaction_id),
            None,
        )
        rows = [
            step
            for step in self._sequence
            if (step.sender, step.receiver) == (sender, self.role)
            and message.action in step.actions
        ]
        waiting = [step for step in rows if thread is None or step.name not in thread.done]
        fitting = (
            step
            for step in waiting
            if all(CARRIES[w](message.reading) for w in step.carries if w in CARRIES)
        )
        return thread, next(fitting, None) or next(iter(waiting or rows), None)

    def _hear(self, thread: Thread, step: Step, message: Message) -> None:
        reading = message.reading
        if reading.offers:
            offer = next((o for o in reading.offers if o.deal), None)
            if offer is not None and offer.deal is not None:
                thread.known.take_offer(offer)
        if reading.deal is not None:
            if step.sender == self._partner:
                thread.known.take(reading.deal)
            else:
                thread.known.take_from_third(step.sender, reading.deal)
        self._came(thread, step)

    # -- saying ---------------------------------------------------------------------

    def _came(self, thread: Thread, step: Step) -> None:
        """Note that a row has come, and go on wherever something waits for it."""
        thread.done.add(step.name)
        thread.moved.set()
        for one in self._threads:
            self._advance(one)

    def _advance(self, thread: Thread) -> None:
        """Begin every row of this party whose turn has come."""
        for step in self._sequence:
            if step.sender == self.role and step.name not in thread.begun and self._due(step):
                ready = self._needed(step) <= thread.done
                if ready and all(self._all_done(row) for row in step.after_all):
                    thread.begun.add(step.name)
                    self._spawn(self._say(thread, step))

    def _needed(self, step: Step) -> set[str]:
        """Name the rows that a row waits for; who binds hastily waits for no utility."""
        if "on_confirm" in step.actions and self.conduct.binds_before_lock:
            return set(step.after) & {self._answers.get(step.name)}
        return set(step.after)

    def _due(self, step: Step) -> bool:
        return not (set(step.actions) & self.conduct.leaves_out)

    def _all_done(self, row: str) -> bool:
        asking = [p for p in self._facts.parties if p.role == self._sequence[0].sender]
        came = sum(row in thread.done for thread in self._threads)
        return came >= len(asking)

    async def _say(self, thread: Thread, step: Step) -> None:
        action = step.actions[0]
        answers = self._answers.get(step.name)
        self._skip(step)
        request = thread.requests.get(answers) if answers else None
        if request is not None:
            action = f"on_{request.action}"
        if request is not None and await self._declines(thread, step, request):
            thread.failed = True
            return
        try:
            say = self._content(thread, step, action)
        except UserError:
            thread.failed = True  # nobody waits for what the feature does not allow to be said
            thread.moved.set()
            raise
        if thread.known.observed is not None:
            self.setting.wire.clock.skip_to(thread.known.observed)
        if request is not None:
            sent = await self.reply(request, say)
            accepted = sent is not None and sent.ack is not None and not sent.ends_here
        else:
            accepted = await self._tell(thread, step, action, say)
        if not accepted:
            await self._give_up(thread, step.receiver)
            return
        self._came(thread, step)

    async def _give_up(self, thread: Thread, because_of: str) -> None:
        """End a deal; if it is for somebody else, tell the error to who still waits for an answer.

        Nobody is told of a success that a third party did not allow (NFH-013, CON-013-20).
        """
        thread.failed = True
        thread.moved.set()
        if because_of == self._partner:
            return
        for name, request in thread.requests.items():
            answers = {row for row, asked in self._answers.items() if asked == name}
            if not answers & thread.begun:
                thread.begun |= answers
                text = f"the {because_of} does not allow it"
                await self.reply(request, error("BIZ_GENERIC_ERROR", text))

    async def _declines(self, thread: Thread, step: Step, request: Message) -> bool:
        """Answer with an error: on purpose, or when more is wanted than a utility approved."""
        if (self.name, request.action) in self._facts.refusals:
            text = f"the {self.role} refuses on purpose"
            await self.reply(
                request, error("BIZ_GENERIC_ERROR", text), fault=Fault(text, place="instead")
            )
            return True
        heeds = step.receiver == self._partner and self.conduct.heeds_approval
        if heeds and self.role != self._facts.parties[0].role and thread.known.exceeds_approval:
            text = "that is more than the utility approved"
            await self.reply(request, error("BIZ_GENERIC_ERROR", text))
            return True
        return False

    def _skip(self, step: Step) -> None:
        """Skip to when there is what a row, or an answer to it, tells of."""
        answers = (s for s in self._sequence if self._answers.get(s.name) == step.name)
        words = {word for row in (step, *answers) for word in row.carries}
        instants = [at for word in words if (at := happens(self._facts, word)) is not None]
        if instants:
            self.setting.wire.clock.skip_to(max(instants))

    async def _tell(self, thread: Thread, step: Step, action: str, say: Say) -> bool:
        whom = await self._whom(thread, step.receiver)
        if whom is None:
            return False
        if action.startswith("on_"):
            return await self.push(
                action,
                whom,
                say,
                dialect=self._dialect,
                transaction_id=thread.transaction.get(step.receiver, ""),
            )
        transaction_id = thread.transaction.setdefault(step.receiver, self.new_id())
        long = any(
            other.after_all and self._answers.get(other.name) == step.name
            for other in self._sequence
        )
        return await self.tell(
            action,
            whom,
            say,
            dialect=self._dialect,
            transaction_id=transaction_id,
            ttl=LONG_TTL if long else TTL,
        )

    async def _whom(self, thread: Thread, role: str) -> Record | None:
        known = thread.counterpart.get(role) or self._facts.id_of_role(role)
        return await self.setting.directory.record(known or "")

    def _content(self, thread: Thread, step: Step, action: str) -> Say:
        """Say what the row carries, beside what is agreed so far."""
        known = thread.known
        known.telling = {}
        status = {"on_confirm": "ACTIVE", "on_cancel": "TERMINATED"}.get(action)
        if status is not None:
            known.deal = replace(known.deal, status=status)
        for word in step.carries:
            if word in _SAID:
                _SAID[word](known)
                known.stated.add(word)
        if action == "discover":
            asked = self._facts.search or Intent(interval=None)
            return Say(intent=replace(asked, interval=self._facts.asked))
        if action == "on_discover":
            return Say(offers=(known.offer(),))
        deal = known.said()
        if step.receiver != self._partner:
            deal = narrowed(deal, self.role, step.receiver)
            if action == "confirm":  # what is agreed elsewhere binds here once it is kept
                deal = replace(deal, status="PENDING")
        return Say(deal=deal)


def narrowed(deal: Deal, teller: str, third: str) -> Deal:
    """Give what a third party is told of a deal: who, when and how much, but no price.

    The utility of one side alone is told no meter but that of who tells it.
    """
    one_sided = third in (BUYER_UTILITY, SELLER_UTILITY)
    roles = tuple(
        replace(
            role,
            meter_id=None if one_sided and role.name != teller else role.meter_id,
            terms=tuple(term for term in role.terms if term.unit in ENERGY_UNITS),
        )
        for role in deal.roles
    )
    table = deal.table and _narrowed_table(deal.table)
    kept = replace(deal, roles=roles, table=table, sources=() if one_sided else deal.sources)
    return replace(kept, dues=(), promises=(), bill=None, settlement=None, blocks=())


def _narrowed_table(table: IntervalTable) -> IntervalTable:
    told = tuple(column for column in table.columns if column.unit in ENERGY_UNITS)
    names = {column.name for column in told}
    rows = ({k: v for k, v in row.items() if k in names} for row in table.rows)
    return replace(table, columns=told, rows=tuple(rows))


def play(  # noqa: PLR0913 (an exchange, and what is wrong with it on purpose)
    sandbox: Sandbox,
    scene: Scene,
    sequence: tuple[Step, ...],
    facts: Facts,
    *,
    patience: float = 1.0,
    broken: tuple[str, Conduct] | None = None,
    spoilt: Fault | None = None,
) -> tuple[Trace, list[BaseException]]:
    """Play an exchange to its end; returns the trace, and what failed in our own code.

    broken names the role that misbehaves and how: the first party of that role. Where the seat
    is taken from outside, the first party of its role is not played.
    """
    if not sequence:
        raise UserError(
            "nobody knows what is to be said",
            where="the feature",
            mend="state the message sequence in its Background",
        )
    _complete(sequence, facts)
    setting = replace(sandbox.setting, patience=patience)
    recorder = sandbox.wire.record()
    taken = sandbox.outsider
    seat = next((p.name for p in facts.parties if p.role == scene.seat), None)
    if taken is not None and seat is not None:
        facts = facts.renamed(seat, taken.name)
        seat = taken.name
    ids = {
        p.name: taken.record.subscriber_id
        if taken is not None and p.name == taken.name
        else sandbox.signer(p.name).subscriber_id
        for p in facts.parties
    }
    acting = {role for step in sequence for role in (step.sender, step.receiver)}
    silent = tuple(p.role for p in facts.parties if p.role not in acting)
    beside = _beside_customer(sequence)
    facts = replace(facts, ids=ids, silent=silent, beside_customer=beside)
    subject = next((p.name for p in facts.parties if p.role == scene.subject), None)
    faulty = next((p.name for p in facts.parties if broken and p.role == broken[0]), None)
    players = [
        Player(
            setting,
            party,
            sandbox.signer(party.name),
            facts,
            sequence,
            scene.dialect,
            broken[1] if broken and party.name == faulty else RIGHT,
        )
        for party in facts.parties
        if party.role in acting and not (taken is not None and party.name == taken.name)
    ]
    for player in players:
        player.join()
        if spoilt is not None and subject is not None:
            player.spoils[ids[subject]] = spoilt
    uris = {player.name: player.uri for player in players}
    if taken is not None:
        uris[taken.name] = taken.record.url
    roles = {p.name: p.role for p in facts.parties if p.role in acting}
    try:
        sandbox.wire.call(_run, players, sequence)
        sandbox.wire.call(rest, players)
    finally:
        for player in players:
            sandbox.wire.call(player.leave)
    known = replace(
        scene,
        subject=subject or scene.subject,
        roles=roles,
        ids={name: ids[name] for name in roles},
        uris=uris,
        sequence=sequence,
    )
    defects = [defect for player in players for defect in player.defects]
    for defect in defects:
        if isinstance(defect, UserError):
            raise defect
        if isinstance(defect, DealError) and taken is None and broken is None:
            raise UserError(  # nobody but the feature's own tables stated what it is computed from
                str(defect),
                where="the payments",
                mend="name what rows before it have stated; terms are stated by who sends them",
            ) from defect
    return Trace(known, recorder.messages()), defects


def _beside_customer(sequence: tuple[Step, ...]) -> tuple[str, ...]:
    """Name the roles to whom nobody speaks but the one who begins."""
    partners: dict[str, set[str]] = {}
    for step in sequence:
        partners.setdefault(step.sender, set()).add(step.receiver)
        partners.setdefault(step.receiver, set()).add(step.sender)
    first, provider = sequence[0].sender, sequence[0].receiver
    return tuple(role for role, met in partners.items() if met == {first} and role != provider)


def _complete(sequence: tuple[Step, ...], facts: Facts) -> None:
    """Make sure that somebody plays every role of the sequence, and every word is known."""
    roles = {party.role for party in facts.parties}
    for step in sequence:
        for role in (step.sender, step.receiver):
            if role not in roles:
                raise UserError(
                    f"nobody is {role!r}",
                    where=f"row {step.name} of the message sequence",
                    mend="name one in the table of the parties",
                )
        for word in step.carries:
            if word not in CARRIES:
                raise UserError(
                    f"nobody knows what {word!r} is",
                    where=f"row {step.name} of the message sequence, column carries",
                    mend=f"write one of: {', '.join(sorted(CARRIES))}",
                )


async def _run(players: list[Player], sequence: tuple[Step, ...]) -> None:
    """Let everyone of the role that begins open a deal, and wait for the ends of all."""
    first = [player for player in players if player.role == sequence[0].sender]
    await asyncio.gather(*(player.begin() for player in first))
