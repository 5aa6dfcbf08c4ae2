"""`python -m modwsgi_go.express` is the mod_wsgi-express command."""

from .main import main

raise SystemExit(main())
