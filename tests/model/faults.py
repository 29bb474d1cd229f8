"""Every machine that breaks a rule. The schedules must catch each of them."""

from tests.model import broken_accept, broken_publish
from tests.model.machine import Machine

FAULTS = {
    str(machine.__doc__): machine
    for machine in Machine.__subclasses__()
    if machine.__module__ in (broken_accept.__name__, broken_publish.__name__)
}
"""By the rule that each breaks."""
