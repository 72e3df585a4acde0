"""What can go wrong besides a participant's nonconformance, and how it is told.

* UserError        a mistake in a profile, a file or a call         -> exit status 2
* Red              a scenario that did not pass (an AssertionError)
  x Nonconformance   the participant broke a rule                   -> exit status 1
  x Untestable       a rule could not be exercised; not a pass      -> exit status 1
  x HarnessFault     a message of ours broke a rule                 -> exit status 3

Anything else that escapes is a defect of the harness and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """A user's mistake: what is wrong, where, and what to do about it."""

    def __init__(self, what: str, *, where: str, mend: str) -> None:
        super().__init__(f"{where}: {what}\n  mend: {mend}")
        self.what = what
        self.where = where
        self.mend = mend


class Red(AssertionError):
    """A scenario that did not pass; the text is what the user reads instead of a traceback."""


class Nonconformance(Red):
    """The participant under test broke a rule."""


class Untestable(Red):
    """A rule that the scenario demands could not be exercised."""


class HarnessFault(Red):
    """A message that the harness itself sent broke a rule."""
