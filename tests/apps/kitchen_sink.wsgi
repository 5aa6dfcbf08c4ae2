"""The kitchen sink as a WSGI script file."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kitchen_sink import application  # noqa: E402, F401
