"""The kitchen sink behind wsgiref.validate, which checks both sides of the interface."""

import os
import sys
from wsgiref.validate import validator

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import kitchen_sink  # noqa: E402

application = validator(kitchen_sink.application)
