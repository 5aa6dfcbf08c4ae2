"""The WSGI script of the Flask test site."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from notebook import create_app  # noqa: E402

application = create_app()
