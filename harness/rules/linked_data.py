"""LD: what a message means by the JSON-LD contexts it names.

Belongs here: contexts that are not held or not valid, words that mean nothing. Does not
belong here: working the meaning out (meaning, contexts), what follows from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.context_documents import is_published
from gridwitness.rules import outcome, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.context_documents import Flaw, Kind
    from gridwitness.rules import Outcome
    from gridwitness.trace import Trace

API = "JSON-LD 1.1 Processing Algorithms and API"
BECKN = "Beckn v2 docs, CON-022 and CON-023 (@context and @type of each slot)"


def _examined(trace: Trace, kind: Kind) -> Iterator[Outcome]:
    """Yield one outcome for each flaw of a kind, or one for the message when there is none."""
    for message, meaning in trace.meanings:
        if not meaning.has_context:
            continue
        flaws = [flaw for flaw in meaning.flaws if flaw.kind == kind]
        for flaw in flaws or (None,):
            yield outcome(
                flaw is None,
                by=message.sender,
                message=message,
                observed=flaw.observed if flaw else "",
                expected=flaw.expected if flaw else "",
                pointer=flaw.pointer if flaw else "",
                advisory=flaw is not None and _weighs_less(trace, flaw),
            )


def _weighs_less(trace: Trace, flaw: Flaw) -> bool:
    """Tell whether the sender cannot mend a flaw.

    It is in a document that it names but did not write; or a document of the protocol is
    not here because no specification with contexts is laid beside.
    """
    beside = trace.specification
    unlaid = flaw.kind == "unknown" and (beside is None or not beside.holds_contexts)
    return flaw.in_document or (unlaid and is_published(flaw.about))


@rule("LD-001", "MUST", source=f"{BECKN}; {API}, section 5.1 (expansion), remote contexts")
def contexts_are_held(trace: Trace) -> Iterator[Outcome]:
    """Every context a message names is one of the protocol or of a specification laid beside."""
    yield from _examined(trace, "unknown")


@rule("LD-002", "MUST", source=f"{BECKN}; {API}, section 5.1.2, step 13 (keys without an IRI)")
def nothing_drops_out(trace: Trace) -> Iterator[Outcome]:
    """Every key means something in its context, so that nothing is lost when it is expanded."""
    yield from _examined(trace, "lost")


@rule("LD-003", "MUST", source=f"{BECKN}; JSON-LD 1.1, section 3.5 (types)")
def types_are_known(trace: Trace) -> Iterator[Outcome]:
    """Every type is one that the vocabulary or a specification laid beside knows."""
    yield from _examined(trace, "type")


@rule("LD-004", "MUST", source=f"{API}, sections 4.1 and 4.2 (context and term definitions)")
def contexts_are_valid(trace: Trace) -> Iterator[Outcome]:
    """Every context is valid JSON-LD 1.1, and of a size that a message needs."""
    yield from _examined(trace, "invalid")


@rule("LD-005", "MUST", source=f"{API}, section 5.2 (IRI expansion); JSON-LD 1.1, section 4.1.5")
def prefixes_are_defined(trace: Trace) -> Iterator[Outcome]:
    """Every prefix that is used is defined, and can be used as one."""
    yield from _examined(trace, "prefix")
