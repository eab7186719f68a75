"""The names at the door: mypy reads this file, lazy_loader imports by it."""

from .loop import Member as Member, train_group as train_group
from .model import SharedBase as SharedBase, why_alone as why_alone
from .run_state import Trainee as Trainee
