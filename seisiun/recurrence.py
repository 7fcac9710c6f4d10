"""What an app calls of recurrences: when a session happens, as local occurrences (R1 to R7).

`parse` reads stored text, and accepts, with a warning, what older validators let through. `validate` reads text that
somebody is about to save, and refuses it. `with_break` adds a break to a text, `with_start` a start.
"""

from core.recurrence import *  # noqa: F403 -- exactly what stands in its `__all__`
from core.recurrence import __all__ as __all__  # noqa: PLC0414 -- so that type checkers export it
