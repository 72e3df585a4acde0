"""The closed vocabulary: a sentence of a feature becomes one call.

Belongs here: the list of step modules, the fixtures' contract. Does not belong
here: protocol loops, asserts about messages, waiting.

A Given or a When produces a named fixture, a Then consumes it; there is no bag of
state. MODULES is the whole language: sentences elsewhere do not exist.
"""

MODULES = (
    "gridwitness.steps.market",
    "gridwitness.steps.exchange",
    "gridwitness.steps.catalogue",
    "gridwitness.steps.transport",
    "gridwitness.steps.verdicts",
)
