"""WSGI script of the Flask example."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from guestbook import app as application  # noqa: E402, F401
