"""The sandbox: one wire with a registry, and the keys of all who are played on it.

Belongs here: what lasts for a whole run. Does not belong here: one scenario's cast
(market).
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridwitness.clock import CountedClock
from gridwitness.editions import editions
from gridwitness.local_wire import LocalWire
from gridwitness.mocks.actor import Setting, Tongue
from gridwitness.mocks.draws import RepeatedDraws
from gridwitness.mocks.registry import Registry
from gridwitness.registry import Directory, Record
from gridwitness.signing import Signer
from gridwitness.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

NETWORK = "gridwitness.example"
"""The domain of every subscriber that is played; a name reserved for examples."""


@dataclass(frozen=True)
class Outsider:
    """The participant under test, when it is not played: its name here, and its record."""

    name: str
    record: Record


class Sandbox:
    """A wire, a registry on it, and the setting that the actors share. A context manager.

    seed: every key is derived from it and the subscriber's id; a run that draws it
    at random has keys of its own. key: sign with this one instead, whoever signs.
    repeatable: play without a network; what is begun by the same name is the same in every
    run, to the byte.
    """

    def __init__(  # noqa: PLR0913 (what a run is configured by)
        self,
        seed: bytes,
        *,
        port: int = 0,
        callback_host: str = "127.0.0.1",
        speaks: Sequence[tuple[str, str]] = (),
        outsider: Outsider | None = None,
        registry_url: str | None = None,
        key: Ed25519PrivateKey | None = None,
        repeatable: bool = False,
    ) -> None:
        self._seed = seed
        self._key = key
        # A key of another run has another id, so that nobody verifies with a cached one.
        self._key_id = f"key-{hashlib.blake2b(seed, digest_size=4).hexdigest()}"
        self._stack = ExitStack()
        self.outsider = outsider
        self.directory = Directory(registry_url)
        self.wire = (
            LocalWire(self.directory, NETWORK)
            if repeatable
            else Wire(self.directory, port=port, callback_host=callback_host)
        )
        tongues = {
            editions()[edition].dialect: Tongue(editions()[edition], strictness)
            for edition, strictness in speaks
        }
        stranger = replace(self.signer("stranger"), key=self._derived("stranger"))
        self.setting = Setting(self.wire, self.directory, tongues, stranger)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.wire)
        self.wire.listen(Registry(self.directory))
        stranger = self.setting.stranger
        self.directory.add(
            Record(
                stranger.subscriber_id,
                self.wire.url_of("stranger"),
                "BAP",
                stranger.key_id,
                stranger.public_key,
            )
        )
        if self.outsider is not None:
            self.directory.add(self.outsider.record)
            self.setting.names[self.outsider.record.subscriber_id] = self.outsider.name
            self.wire.outsider = self.outsider.name
            self.wire.outsider_id = self.outsider.record.subscriber_id
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, played: str) -> None:
        """Set the clock and the draws back, for what is then played to be the same again."""
        self.wire.clock = CountedClock()
        self.setting = replace(self.setting, draws=RepeatedDraws(played))

    @property
    def registry_url(self) -> str:
        return self.wire.url_of(Registry.slug)

    def signer(self, name: str) -> Signer:
        """Give the identity and key of an actor that is played."""
        key = self._key or self._derived(name)
        return Signer(_subscriber_id(name), self._key_id, key)

    def _derived(self, name: str) -> Ed25519PrivateKey:
        of = _subscriber_id(name).encode()
        derived = hashlib.blake2b(of, key=self._seed, digest_size=32).digest()
        return Ed25519PrivateKey.from_private_bytes(derived)


def _subscriber_id(name: str) -> str:
    return f"{name.replace(' ', '-')}.{NETWORK}"
