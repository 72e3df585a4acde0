"""Who answers: the actors that play every participant, over real HTTP.

Belongs here: their behaviour, right by default, and the named defects that break
it. Does not belong here: rules, expectations, pytest.
"""
